"""What a replica has signed, on its disk: a file that only grows, and that a crash cannot hurt."""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from .errors import BadMessageError, CoordinationError, DamagedRecordError
from .messages import Decision, Entry, Polka, Proposal, Record, Vote
from .wire import decode_record, encode

_COMPACT = 1 << 20  # bytes of what is over, from which on it is left out when a file is opened


class RecordFile:
    """One line a record: its checksum, and its JSON. One process at a time has it open.

    Args:
        path: the file; made if it is not there.

    Raises:
        CoordinationError: another process has it open.
        DamagedRecordError: something before its end is damaged. The replica must not vote any
            more: it does not know what it has signed.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        #: Held for the life of the file, beside it: compaction gives the file another inode.
        self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._file = -1
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self.records = self._read()
        except BlockingIOError:
            self.close()
            raise CoordinationError(f"another process has {self.path} open") from None
        except BaseException:
            self.close()
            raise
        _sync_folder(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def append(self, records: Iterable[Record]) -> None:
        """Write records, and return when they are durable.

        Raises:
            OSError: they may or may not be: the replica must stop, and begin again from the file.
        """
        data = b"".join(_line(record) for record in records)
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close it; may be called more than once."""
        for name in ("_file", "_lock"):
            handle = getattr(self, name)
            if handle >= 0:
                setattr(self, name, -1)
                os.close(handle)

    def _read(self) -> list[Record]:
        with open(self.path, "rb") as file:
            data = file.read()
        records: list[Record] = []
        place = 0
        while place < len(data):
            end = data.find(b"\n", place)
            record = None if end < 0 else _record(data[place:end])
            if record is None:
                break
            records.append(record)
            place = end + 1
        if place < len(data):
            # What was being written when the power went, was not signed yet: it may go. It is
            # the end of the file; where whole lines follow, what is damaged was durable once.
            rest = data[place:].split(b"\n")[1:]
            if any(_record(line) is not None for line in rest):
                raise DamagedRecordError(
                    f"{self.path} is damaged at byte {place}: what this replica signed is unknown",
                    hint="let it join again under another id",
                )
            os.truncate(self.path, place)
            os.fsync(self._file)
        return self._compact(records, place)

    def _compact(self, records: Sequence[Record], size: int) -> list[Record]:
        """Leave out what is over, if it is much."""
        decided = max((r.height for r in records if isinstance(r, Decision)), default=0)
        kept = [r for r in records if isinstance(r, Decision) or _height(r) > decided]
        lines = b"".join(_line(record) for record in kept)
        if size - len(lines) < _COMPACT:
            return kept
        fresh = self.path.with_name(f"{self.path.name}.new")
        with open(fresh, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        return kept


def _height(record: Vote | Proposal | Polka | Entry) -> int:
    return record.certificate.height if isinstance(record, Polka) else record.height


def _line(record: Record) -> bytes:
    text = encode(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record(line: bytes) -> Record | None:
    """The record of a line; None: it is not whole."""
    sum, _, text = line.partition(b" ")
    if len(sum) != 8 or b"%08x" % zlib.crc32(text) != sum:
        return None
    try:
        return decode_record(text)
    except BadMessageError as error:
        raise DamagedRecordError(f"a record of another version: {error}") from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Where evicted regions are kept: in memory or in a file, compressed or not, up to a limit."""

from __future__ import annotations

import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from .errors import BackingStoreError
from .runs import FreeRuns

_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes in the backing store.

    Args:
        size: of the region. length: of its bytes as they are stored.
        cost: what they count against the limit.
        data: themselves, in memory. blocks: where they are in the file, as runs of blocks.
    """

    size: int
    length: int
    cost: int
    compressed: bool
    data: bytes = b""
    blocks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes as they will be stored."""

    data: bytes
    size: int
    compressed: bool
    cost: int


class BackingStore:
    """Keeps bytes in memory. :class:`FileStore` keeps them in a file.

    The caller sees to the limit, by :meth:`has_room`, because bytes may be put before those are
    dropped in whose place they come: nothing is ever out of both pool and store.

    Args:
        limit: bytes. level: zlib's; None: nothing is compressed.
    """

    def __init__(self, limit: int, level: int | None) -> None:
        self.limit = limit
        self.used = 0  #: bytes that count against the limit
        self._level = level

    def pack(self, data: memoryview) -> Packed:
        """What :meth:`put` will store for these bytes: compressed only if that makes it less."""
        if self._level is not None:
            small = zlib.compress(data, self._level)
            if len(small) < len(data):
                return Packed(small, len(data), True, self._cost(len(small)))
        return Packed(bytes(data), len(data), False, self._cost(len(data)))

    def has_room(self, cost: int) -> bool:
        """Whether so much more may be stored."""
        return self.used + cost <= self.limit

    def put(self, packed: Packed) -> Stored:
        """Store bytes.

        Raises:
            BackingStoreError: they cannot be written. Nothing is stored then.
        """
        stored = self._keep(packed)
        self.used += stored.cost
        return stored

    def get(self, stored: Stored) -> bytes:
        """The bytes as they were packed.

        Raises:
            BackingStoreError: they cannot be read.
        """
        data = self._fetch(stored)
        if stored.compressed:
            try:
                data = zlib.decompress(data)
            except zlib.error as error:
                raise BackingStoreError(f"evicted bytes are damaged: {error}") from error
        if len(data) != stored.size:
            raise BackingStoreError(f"{stored.size:,} bytes were evicted, {len(data):,} came back")
        return data

    def drop(self, stored: Stored) -> None:
        """Forget bytes."""
        self.used -= stored.cost
        self._forget(stored)

    def close(self) -> None:
        """Forget everything."""

    def _cost(self, length: int) -> int:
        return length

    def _keep(self, packed: Packed) -> Stored:
        size = packed.size
        return Stored(size, len(packed.data), packed.cost, packed.compressed, packed.data)

    def _fetch(self, stored: Stored) -> bytes:
        return stored.data

    def _forget(self, stored: Stored) -> None:
        pass


class FileStore(BackingStore):
    """Keeps bytes in blocks of a file that has no name and is gone with the process.

    Raises:
        BackingStoreError: there can be no file in the directory.
    """

    def __init__(self, limit: int, level: int | None, directory: str | Path) -> None:
        super().__init__(limit, level)
        self._directory = str(directory)
        try:
            self._file = tempfile.TemporaryFile(
                buffering=0, prefix="swarmc-", dir=directory
            )
        except OSError as error:
            raise BackingStoreError(
                f"there can be no backing store in {directory}: {error.strerror}",
                hint="spill_directory must be a directory that this process may write to",
            ) from error
        self._free = FreeRuns(0)
        self._end = 0  # blocks that the file has

    def close(self) -> None:
        self._file.close()

    def _cost(self, length: int) -> int:
        return -(-length // _BLOCK) * _BLOCK

    def _keep(self, packed: Packed) -> Stored:
        blocks = self._take(packed.cost // _BLOCK)
        view, cursor = memoryview(packed.data), 0
        try:
            for first, count in blocks:
                self._write(view[cursor : cursor + count * _BLOCK], first * _BLOCK)
                cursor += count * _BLOCK
        except OSError as error:
            self._release(blocks)
            raise BackingStoreError(
                f"cannot evict to the file in {self._directory}: {error.strerror}"
            ) from error
        size = packed.size
        return Stored(size, len(view), packed.cost, packed.compressed, blocks=tuple(blocks))

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def _fetch(self, stored: Stored) -> bytes:
        left, parts = stored.length, []
        try:
            for first, count in stored.blocks:
                part = os.pread(self._file.fileno(), min(left, count * _BLOCK), first * _BLOCK)
                left -= len(part)
                parts.append(part)
        except OSError as error:
            raise BackingStoreError(
                f"cannot read what was evicted to {self._directory}: {error.strerror}"
            ) from error
        if left:
            raise BackingStoreError(f"{left:,} bytes are missing in the file of evicted regions")
        return b"".join(parts)

    def _forget(self, stored: Stored) -> None:
        self._release(list(stored.blocks))

    def _take(self, count: int) -> list[tuple[int, int]]:
        blocks = []
        while count and self._free.total:
            blocks.append(self._free.take_some(count))
            count -= blocks[-1][1]
        if count:
            blocks.append((self._end, count))
            self._end += count
        return blocks

    def _release(self, blocks: list[tuple[int, int]]) -> None:
        for first, count in blocks:
            self._free.release(first, count)
        if self._free.total == self._end:  # nothing is stored: give the disk back
            self._free, self._end = FreeRuns(0), 0
            os.ftruncate(self._file.fileno(), 0)

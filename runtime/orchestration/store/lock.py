"""One process at a time writes to a store: a lock on a file beside it, held while it is open."""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from .errors import StoreAccessError, StoreLockedError


@dataclass(frozen=True, slots=True)
class Holder:
    """Who opened a store for writing last."""

    pid: int
    host: str

    @property
    def alive(self) -> bool:
        """Whether it may still run: of a process of another host, nobody can tell."""
        return self.host != socket.gethostname() or Path("/proc", str(self.pid)).exists()


def lock_holder(path: Path) -> Holder | None:
    """Who opened the store at ``path`` for writing last; None if nobody did.

    Asking for its lock would be exact, but could keep a process that is just starting from it.
    """
    try:
        words = path.with_name(path.name + ".lock").read_text().split()
    except (OSError, UnicodeDecodeError):
        return None
    return Holder(int(words[0]), words[1]) if len(words) >= 2 and words[0].isdigit() else None


class WriterLock:
    """The lock of the store at ``path``: the file ``path`` + ``.lock``, with who holds it.

    The system frees it when the process ends, however it ends; the file stays, because removing
    it could hand two processes two files of the same name.

    Raises:
        StoreLockedError: somebody else has it; with the process's number.
        StoreAccessError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreAccessError(
                f"{path} cannot be opened for writing: {error.strerror} ({self.path})",
                hint="its folder must exist and be writable",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").split()
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise StoreAccessError(f"{self.path} cannot be locked: {error.strerror}") from error
            raise self._held(path, holder) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)

    @staticmethod
    def _held(path: Path, holder: list[str]) -> StoreLockedError:
        pid = int(holder[0]) if holder and holder[0].isdigit() else None
        who = f"process {pid} on {holder[1]}" if pid is not None and len(holder) > 1 else "another"
        if pid == os.getpid():
            who = f"this process ({pid})"
        return StoreLockedError(
            f"{path} is open for writing in {who}",
            pid=pid,
            hint="end that, or only read it, with `swarmc status` or Store.open_readonly",
        )

    def release(self) -> None:
        """Let others have it; may be called more than once."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def forget(self) -> None:
        """Drop a forked child's copy, which would keep the lock beyond the parent's life."""
        self.release()

"""Ends programs whose dispatcher was killed: a process of its own, which outlives the dispatcher.

It is told of every group of processes that begins and ends, through a pipe; when that breaks,
because who wrote to it is gone however that came, it kills the groups that are left.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

_LOG = logging.getLogger(__name__)
_EXIT = 5.0  # seconds that it may take to end


class Reaper:
    """Keeps a list of groups where a killed dispatcher leaves it. Used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._groups: set[str] = set()

    def ready(self) -> None:
        """Start it, if it is not there: then a program that begins is watched at once."""
        with self._lock:
            self._disown()
            if self._process is None:
                self._try_start()

    @contextlib.contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """While this lasts, the group that a process leads ends with this process."""
        name = f"{pid} {_start_time(pid)}"
        self._tell("+", name)
        try:
            yield
        finally:
            self._tell("-", name)

    def _tell(self, sign: str, name: str) -> None:
        with self._lock:
            self._disown()
            (self._groups.add if sign == "+" else self._groups.discard)(name)
            if self._process is not None and self._write(f"{sign}{name}\n"):
                return
            if self._groups and self._try_start():
                self._write("".join(f"+{group}\n" for group in sorted(self._groups)))

    def _disown(self) -> None:
        """Forget one that belongs to the process that this one was forked off."""
        if self._owner != os.getpid():
            self._owner, self._process = os.getpid(), None
            self._groups.clear()

    def _try_start(self) -> bool:
        try:
            self._start()
        except OSError as error:
            _LOG.warning("programs will not end if this process is killed: %s", error)
            return False
        return True

    def close(self) -> None:
        """End it; it is started again if need be."""
        with self._lock:
            if self._owner == os.getpid():
                self._forget()

    def _start(self) -> None:
        self._forget()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, bufsize=0, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _write(self, line: str) -> bool:
        """Whether it still hears us."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
        except BrokenPipeError:  # somebody has ended it
            return False
        return True

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_EXIT)


#: The one of this process.
REAPER = Reaper()
atexit.register(REAPER.close)


def _start_time(pid: int) -> str:
    """When a process began: tells it from a later one of the same number."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def main() -> None:
    """Listen until nobody can tell anything any more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[str] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(line[1:].strip())
    for group in groups:
        pid, _, began = group.partition(" ")
        if began and _start_time(int(pid)) == began:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    main()

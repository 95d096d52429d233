"""Processes of a program that is imported once: each begins in some milliseconds, by a fork."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LONG = 60.0


class Forked:
    """A process that was forked, to be killed.

    Args:
        stdout: what it prints.
        errors: file with what it writes to standard error.
    """

    def __init__(self, pid: int, stdout: BinaryIO, errors: Path, handle: int) -> None:
        self.pid, self.stdout, self._errors, self._handle = pid, stdout, errors, handle

    def alive(self) -> bool:
        """Whether it has not ended."""
        return not select.select([self._handle], [], [], 0)[0]

    def kill(self) -> tuple[bytes, str]:
        """Kill -9 it, if it has not ended; what it printed that was not read, and its errors."""
        if self.alive():
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        rest = self.stdout.read()
        assert select.select([self._handle], [], [], LONG)[0], "it cannot be killed"
        self.stdout.close()
        os.close(self._handle)
        return rest, self._errors.read_text()


class Forker:
    """Forks a process that has imported a program and has one thread."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._parent = subprocess.Popen(
            [sys.executable, __file__, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def start(self, *arguments: object) -> Forked:
        """Call the program's ``main``, with these as ``sys.argv[1:]``."""
        self._number += 1
        pipe, errors = self._folder / f"{self._number}.out", self._folder / f"{self._number}.err"
        os.mkfifo(pipe)
        assert self._parent.stdin is not None and self._parent.stdout is not None
        order = json.dumps([str(pipe), str(errors), *map(str, arguments)])
        self._parent.stdin.write(order.encode() + b"\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline())
        handle = os.pidfd_open(pid)  # it waits until somebody reads
        return Forked(pid, open(pipe, "rb"), errors, handle)

    def close(self) -> None:
        """End the process that is forked."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.stdout.close()
        self._parent.wait(LONG)


@contextmanager
def forker(program: Path) -> Iterator[Forker]:
    """One, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        made = Forker(program, Path(folder))
        try:
            yield made
        finally:
            made.close()


def _begin(main: object, pipe: str, errors: str, arguments: list[str]) -> None:
    """Be the process that was ordered."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY), (2, errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (1, pipe, os.O_WRONLY),
    ):  # fmt: skip
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv[1:] = arguments
    try:
        assert callable(main)
        main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _serve(program: str) -> None:
    spec = importlib.util.spec_from_file_location("program", program)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    while order := sys.stdin.buffer.readline():
        pipe, errors, *arguments = json.loads(order)
        pid = os.fork()
        if pid == 0:
            _begin(module.main, pipe, errors, arguments)
        os.write(1, f"{pid}\n".encode())


if __name__ == "__main__":
    _serve(sys.argv[1])

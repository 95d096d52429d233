"""Compile a program again, well, while the quickly compiled one already runs.

A large program, whose quick code is slow, is compiled again at once; one of medium size when its
agents have run so long that it pays.
Another process does it, at low priority, so that it neither holds up agents nor shares LLVM's
lock. Where there is a cache it puts the program there by itself, and finishes even when the swarm
is gone: the next run of the same module starts with it. Without a cache it ends with the swarm.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import CacheError, TargetError
from ..targets.base import Dispatch, Outcome, Target
from ..targets.child import start_child
from ..targets.executable import CompileOptions, Effort, Executable
from .cache import Cache
from .compile import compile_wasm, program_key, resolved
from .host_api import HostFunction
from .loading import load_kernel
from .program import Program

log = logging.getLogger(__name__)

_NICENESS = 10

#: Seconds that the agents of a program of medium size run before it is compiled again.
_LONG_RUN = 0.5

#: How often it is asked whether the better program is there, while agents run.
_STEP_SECONDS = 0.1

_ALREADY = 3  # exit status: another process compiles the same program

#: Processes that may outlive the swarm they were started for, to be reaped when they end.
_left: list[subprocess.Popen[bytes]] = []


class Recompilation:
    """A compilation in another process.

    Args:
        wasm, options: what the provisional program was compiled from, and how.
        cache, key: where the program is to be put; None: it only comes back.

    Raises:
        TargetError: no process can be started.
    """

    def __init__(
        self, wasm: bytes, options: CompileOptions, cache: Cache | None, key: str
    ) -> None:
        _left[:] = [process for process in _left if process.poll() is None]
        place = None if cache is None else [str(cache.directory), cache.limit, key]
        header = json.dumps([replace(options, patient=True).to_json(), place, os.getpid()]).encode()
        self._output = tempfile.TemporaryFile()
        # Files, not pipes: this process may be gone before the other has read and written all.
        with tempfile.TemporaryFile() as request:
            request.write(struct.pack("<Q", len(header)) + header + wasm)
            request.seek(0)
            self._process = start_child(
                __name__, stdin=request, stdout=self._output, new_session=True
            )
        _left.append(self._process)
        self._end = weakref.finalize(self, _end, self._process) if cache is None else None

    def done(self, seconds: float = 0.0) -> bool:
        """Wait for the end, so long at most; whether it has come."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def succeeded(self) -> bool:
        """Whether it is done, and made something."""
        return self._process.returncode == 0

    def result(self) -> Executable | None:
        """What it made, once it is done; None if it failed."""
        if self._process.returncode != 0:
            if self._process.returncode != _ALREADY:
                log.warning("compiling again ended with %s", self._process.returncode)
            return None
        self._output.seek(0)
        try:
            return Executable.from_bytes(self._output.read())
        except CacheError as error:
            log.warning("compiling again gave nothing usable: %s", error)
            return None

    def stop(self) -> None:
        """Nobody here waits for it any more."""
        if self._end is not None:
            self._end()


class Upgrade:
    """Brings the better program into the swarm of a provisional one, when it is there.

    Args:
        program: the provisional program, loaded.
        wasm, options, target, cache: as for ``compile_wasm``, which made it.
        users: the user's host functions.
    """

    def __init__(
        self,
        program: Program,
        wasm: bytes,
        options: CompileOptions,
        target: Target,
        cache: Cache | None,
        users: Sequence[HostFunction] = (),
    ) -> None:
        self._wasm, self._options = wasm, resolved(options, target)
        self._recompilation: Recompilation | None = None
        self._program = program
        self._target = target
        self._cache = cache
        self._users = users
        self._wait = _LONG_RUN
        self._over = False

    @property
    def begun(self) -> bool:
        """Whether the program is being compiled again, or has been."""
        return self._recompilation is not None

    def begin(self) -> None:
        """Start to compile; where that cannot be, there will be no better program."""
        key = program_key(self._wasm, self._options, self._target)
        try:
            self._recompilation = Recompilation(self._wasm, self._options, self._cache, key)
        except TargetError as error:
            log.warning("the program stays as quickly compiled as it is: %s", error)
            self._over = True

    def run(self, request: Dispatch) -> tuple[Outcome, BaseException | None]:
        """Run agents, as ``Program.run`` does.

        If the better program comes meanwhile, those that have not begun yet run it.
        """
        with self._watching(request) as drained:
            outcome, interruption = self._program.run(request)
        places = np.arange(drained[0], len(request.slots)) if drained else np.zeros(0, np.int64)
        if not len(places):
            return outcome, interruption
        self.apply()
        rest, later = self._program.run(request.part(places))
        for column, part in ((outcome.results, rest.results), (outcome.status, rest.status),
                             (outcome.used, rest.used)):
            column[places] = part
        for whole, some in ((outcome.mail, rest.mail), (outcome.trace, rest.trace)):
            if whole is not None and some is not None:
                whole[places] = some
        return outcome, interruption or later

    @contextmanager
    def _watching(self, request: Dispatch) -> Iterator[list[int]]:
        """Agents run meanwhile: compile once they have run for long, and stop them when it is done.

        Gives a list that says afterwards how many agents had begun then; empty if nothing came.
        """
        drained: list[int] = []
        ended = threading.Event()

        def watch() -> None:
            if not self.begun:
                if ended.wait(max(self._wait, 0.0)):
                    return
                self.begin()
            found = self._recompilation
            while found is not None and not ended.wait(_STEP_SECONDS):
                if request.drain is not None and found.done():
                    if found.succeeded:
                        drained.append(request.drain())
                    return

        if self._over:
            yield drained
            return
        watcher = threading.Thread(target=watch, name="swarmc-upgrade", daemon=True)
        started = time.monotonic()
        watcher.start()
        try:
            yield drained
        finally:
            ended.set()
            watcher.join()
            self._wait -= time.monotonic() - started

    def apply(self, seconds: float = 0.0) -> bool:
        """Let the next dispatches run better code; whether there is no more to do.

        Agents notice nothing: what they own lies where it lay.
        """
        if self._over or self._recompilation is None:
            return self._over
        if not self._recompilation.done(seconds):
            return False
        self._over = True
        executable = self._recompilation.result()
        if executable is not None and executable.layout == self._program.executable.layout:
            kernel = load_kernel(
                executable, self._target, self._cache, self._users,
                trace=self._program.trace is not None,
            )  # fmt: skip
            self._program.exchange(executable, kernel)
        return True

    def stop(self) -> None:
        """Give up waiting for it."""
        if self._recompilation is not None:
            self._recompilation.stop()


def upgrade_for(
    program: Program, wasm: bytes, options: CompileOptions, target: Target, cache: Cache | None,
    users: Sequence[HostFunction] = (),
) -> Upgrade | None:  # fmt: skip
    """What makes a provisional program better; None where that cannot be."""
    upgrade = Upgrade(program, wasm, options, target, cache, users)
    if program.executable.effort is Effort.LEAST:
        upgrade.begin()
        if not upgrade.begun:
            return None
    return upgrade


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """What the process does: request on standard input, executable on standard output."""
    os.nice(_NICENESS)
    data = sys.stdin.buffer.read()
    (length,) = struct.unpack_from("<Q", data)
    settings, place, parent = json.loads(data[8 : 8 + length])
    wasm = data[8 + length :]
    options = CompileOptions.from_json(settings)
    if place is None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        sys.stdout.buffer.write(compile_wasm(wasm, options).to_bytes())
        return
    directory, limit, key = place
    cache = Cache(directory, limit)
    with open(Path(directory) / f"{key}.lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(_ALREADY)
        executable = compile_wasm(wasm, options, cache=cache)
        os.unlink(lock.name)
    sys.stdout.buffer.write(executable.to_bytes())


def _end_with(parent: int) -> None:
    """End this process and those it started when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)

"""Compile a large program again, well, while the quickly compiled one already runs.

Another process does it, at low priority, so that it neither holds up agents nor shares LLVM's
lock. It ends with the swarm that it was started for.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import weakref
from dataclasses import asdict, replace

from ..errors import CacheError
from ..targets.base import Target
from ..targets.executable import CompileOptions, Executable
from .cache import Cache
from .compile import compile_wasm, program_key
from .program import Program, load_kernel

log = logging.getLogger(__name__)

_COMMAND = f"from {__name__} import main; main()"
_NICENESS = 10


class Recompilation:
    """A compilation in the background, until it is done, stopped or forgotten.

    Args:
        wasm, options: what the provisional program was compiled from, and how.
    """

    def __init__(self, wasm: bytes, options: CompileOptions) -> None:
        settings = json.dumps(asdict(replace(options, patient=True))).encode()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            start_new_session=True,  # so that the processes it starts can be ended with it
        )
        self._output: list[bytes] = []
        self._end = weakref.finalize(self, _end, self._process)
        self._reader = threading.Thread(
            target=_communicate,
            args=(
                self._process,
                struct.pack("<Q", len(settings)) + settings + wasm,
                self._output,
            ),
            daemon=True,
        )
        self._reader.start()

    def done(self, seconds: float = 0.0) -> bool:
        """Wait for the end, so long at most; whether it has come."""
        self._reader.join(seconds)
        return not self._reader.is_alive()

    def result(self) -> Executable | None:
        """What it made, once it is done; None if it failed."""
        if not self._output:
            return None
        try:
            return Executable.from_bytes(self._output[0])
        except CacheError as error:
            log.warning("compiling again gave nothing usable: %s", error)
            return None

    def stop(self) -> None:
        """End it; what it has done so far is lost."""
        self._end()


class Upgrade:
    """Brings the better program into a swarm, and into the cache, when it is there.

    Args:
        wasm, options, target, cache: as for ``compile_wasm``, which made a provisional program.
    """

    def __init__(
        self, wasm: bytes, options: CompileOptions, target: Target, cache: Cache | None
    ) -> None:
        self._recompilation = Recompilation(wasm, options)
        self._target = target
        self._cache = cache
        self._key = program_key(wasm, options, target)

    def apply(self, program: Program, seconds: float = 0.0) -> bool:
        """Let the next dispatches of ``program`` run better code; whether there is no more to do.

        Agents notice nothing: what they own lies where it lay.
        """
        if not self._recompilation.done(seconds):
            return False
        executable = self._recompilation.result()
        if executable is None:
            return True
        if self._cache:
            self._cache.put(self._key, executable)
        if executable.layout == program.executable.layout:
            program.exchange(executable, load_kernel(executable, self._target, self._cache))
        return True

    def stop(self) -> None:
        """Give up."""
        self._recompilation.stop()


def _communicate(process: subprocess.Popen[bytes], data: bytes, output: list[bytes]) -> None:
    """Hand over the module and keep what comes back."""
    result, _ = process.communicate(data)
    if process.returncode == 0:
        output.append(result)
    elif process.returncode != -signal.SIGKILL:
        log.warning("compiling again in the background ended with %s", process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """What the process does: options and module on standard input, executable on output."""
    os.nice(_NICENESS)
    data = sys.stdin.buffer.read()
    (length,) = struct.unpack_from("<Q", data)
    settings = json.loads(data[8 : 8 + length])
    if settings["entry_points"] is not None:
        settings["entry_points"] = tuple(settings["entry_points"])
    executable = compile_wasm(data[8 + length :], CompileOptions(**settings))
    sys.stdout.buffer.write(executable.to_bytes())

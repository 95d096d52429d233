"""Compile several LLVM modules at once, each in a process of its own.

llvmlite holds one lock around LLVM, so threads would wait for each other. The processes are
plain interpreters running this module: ``multiprocessing`` would run the user's main script
again in each.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ...errors import TargetError
from .machine import compile_text

_COMMAND = f"from {__name__} import main; main()"


def compile_modules(
    texts: Sequence[str], level: int, progress: Callable[[float], None]
) -> tuple[bytes, ...]:
    """Object files of LLVM modules, in their order.

    Raises:
        TargetError: LLVM refused a module, or a process died.
    """
    cores = len(os.sched_getaffinity(0))
    if len(texts) == 1 or cores == 1 or not sys.executable:
        objects = []
        for n, text in enumerate(texts):
            objects.append(compile_text(text, level))
            progress((n + 1) / len(texts))
        return tuple(objects)
    running: list[subprocess.Popen[bytes]] = []
    with ThreadPoolExecutor(cores) as pool:
        try:
            futures = [pool.submit(_compile_elsewhere, text, level, running) for text in texts]
            for n, future in enumerate(as_completed(futures)):
                future.result()
                progress((n + 1) / len(texts))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.kill()
            raise
    return tuple(future.result() for future in futures)


def _compile_elsewhere(text: str, level: int, running: list[subprocess.Popen[bytes]]) -> bytes:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    running.append(process)
    result, errors = process.communicate(struct.pack("<Q", level) + text.encode())
    running.remove(process)
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise TargetError(f"a compiling process ended with {process.returncode}: {last}")
    return result


def main() -> None:
    """What a process does: level and LLVM IR on standard input, object file on standard output."""
    data = sys.stdin.buffer.read()
    (level,) = struct.unpack_from("<Q", data)
    sys.stdout.buffer.write(compile_text(data[8:].decode(), level))


if __name__ == "__main__":
    main()

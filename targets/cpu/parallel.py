"""Compile several LLVM modules at once, all but one of them in processes of their own.

llvmlite holds one lock around LLVM, so threads would wait for each other.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ...errors import TargetError
from ..child import last_line, start_child
from .machine import compile_text


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
    here = threading.Lock()  # held while this process compiles: one more does not have to start
    with ThreadPoolExecutor(cores) as pool:
        try:
            futures = [pool.submit(_compile, text, level, here, running) for text in texts]
            for n, future in enumerate(as_completed(futures)):
                future.result()
                progress((n + 1) / len(texts))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.kill()
            raise
    return tuple(future.result() for future in futures)


def _compile(text: str, level: int, here: threading.Lock, running: list[subprocess.Popen[bytes]]
             ) -> bytes:
    if here.acquire(blocking=False):
        try:
            return compile_text(text, level)
        finally:
            here.release()
    return _compile_elsewhere(text, level, running)


def _compile_elsewhere(text: str, level: int, running: list[subprocess.Popen[bytes]]) -> bytes:
    pipe = subprocess.PIPE
    process = start_child(__name__, stdin=pipe, stdout=pipe, stderr=pipe)
    running.append(process)
    result, errors = process.communicate(struct.pack("<Q", level) + text.encode())
    running.remove(process)
    if process.returncode != 0:
        said = last_line(errors)
        raise TargetError(f"a compiling process ended with {process.returncode}: {said}")
    return result


def main() -> None:
    """What a process does: level and LLVM IR on standard input, object file on standard output."""
    data = sys.stdin.buffer.read()
    (level,) = struct.unpack_from("<Q", data)
    sys.stdout.buffer.write(compile_text(data[8:].decode(), level))

"""The native baseline: a workload's C compiled for this processor, run in a loop on all cores."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TargetError
from .bench_engines import Lap, Session
from .bench_threads import cores, open_pool, run_in_all
from .bench_workloads import Seeds, Workload
from .corpus import compile_c, require_compiler

NATIVE = "native C"

_LOOP = "native.c"


def build_library(workload: Workload, path: Path) -> None:
    """Compile a workload to a shared library with :func:`load_library`'s functions.

    Raises:
        TargetError: the pinned compiler is not installed, or it refuses the source.
    """
    require_compiler(workload.native)
    program = workload.program
    compile_c(workload.native, (program.source, _LOOP), program.directory, path)


def load_library(path: Path) -> Any:
    """Load a library with ``run(seed, size)`` and ``run_all``; its calls release Python's lock.

    Raises:
        TargetError: it cannot be loaded.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise TargetError(f"the native baseline does not load: {error}") from error
    library.run.argtypes = (ctypes.c_uint32, ctypes.c_uint32)
    library.run.restype = ctypes.c_int64
    library.run_all.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p,
                                ctypes.c_int64, ctypes.c_void_p)
    library.run_all.restype = None
    return library


class NativeEngine:
    """C in a loop. Nothing is isolated: agents of one thread share its memory."""

    name = NATIVE

    def open(self, workload: Workload, capacity: int) -> Session:
        """See :class:`~.bench_engines.Engine`."""
        return _Libraries(workload)


class _Libraries:
    """A copy of the library for each thread, as each file that is loaded has its own data."""

    def __init__(self, workload: Workload) -> None:
        self._size = workload.bench.size
        self._seeds: Seeds = np.zeros(0, np.uint32)
        self._pool: ThreadPoolExecutor = open_pool()
        with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as scratch:
            first = Path(scratch) / "0.so"
            build_library(workload, first)
            paths = [first.with_name(f"{number}.so") for number in range(cores())]
            for path in paths[1:]:
                shutil.copyfile(first, path)
            self._libraries = [load_library(path) for path in paths]

    def fresh(self, seeds: Seeds) -> Lap:
        results = np.zeros(len(seeds), np.int64)
        following = np.zeros(1, np.int64)
        libraries = itertools.count()

        def work() -> None:
            self._libraries[next(libraries)].run_all(
                seeds.ctypes.data, self._size, results.ctypes.data, len(seeds),
                following.ctypes.data)

        start = time.perf_counter()
        run_in_all(self._pool, work)
        return Lap((time.perf_counter() - start) * 1000, results)

    def settle(self, seeds: Seeds) -> None:
        self._seeds = seeds
        self.again()

    def again(self) -> Lap:
        return self.fresh(self._seeds)

    def close(self) -> None:
        self._pool.shutdown()

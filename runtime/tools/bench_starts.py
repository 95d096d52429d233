"""How long it takes from nothing to the first result, and how much of that is compiling."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bench_native import build_library
from .bench_processes import ask
from .bench_threads import cores
from .bench_workloads import ENTRY, Workload
from .oracle import load_wasmtime

EMPTY_CACHE = "swarmc, empty cache"
CACHED = "swarmc, cached"
ONE_AGENT = "swarmc, cached, one agent"
NUMBA = "swarmc, cached, through Numba"
OTHER_RUNTIME = "wasmtime, one agent"
COMPILER = "native C"

_Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds by what was started, a sample a repeat.

    Attributes:
        bytes: size of the module.
        first_result: from before a new process to its first result, imports included.
        loading: of that, from the module's bytes to a program that can run.
        wasi: whether it is a program that writes through WASI, not a workload.
    """

    workload: str
    bytes: int
    first_result: dict[str, list[float]]
    loading: dict[str, list[float]]
    wasi: bool = False


def measure_start(workload: Workload, repeats: int) -> Start:
    """Start one workload in every way."""
    request = {"wasm": str(workload.program.binary.resolve()), "entry": ENTRY,
               "args": [1, workload.bench.size]}
    start = Start(workload.name, len(workload.wasm), *_measure(request, repeats))
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as scratch:
            begin = time.perf_counter()
            build_library(workload, Path(scratch) / "0.so")
            ms = round((time.perf_counter() - begin) * 1000, 3)
            start.loading.setdefault(COMPILER, []).append(ms)
    return start


def measure_command_start(path: Path, repeats: int) -> Start:
    """Start a WASI command in every way."""
    request = {"wasm": str(path.resolve()), "entry": "_start", "args": []}
    return Start(path.name, path.stat().st_size, *_measure(request, repeats), wasi=True)


def _measure(request: dict[str, Any], repeats: int) -> tuple[_Samples, _Samples]:
    """Times to the first result, and of that for loading."""
    first: _Samples = {}
    loading: _Samples = {}
    several = 2 * cores()

    def process(way: str, task: str, **more: Any) -> None:
        answer = ask(task, **request, **more)
        first.setdefault(way, []).append(round(answer.ms, 3))
        loading.setdefault(way, []).append(round(answer.values["load_ms"], 3))

    load_wasmtime()
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as scratch:
            cache = str(Path(scratch) / "cache")
            process(EMPTY_CACHE, "first result", agents=several, cache=cache)
            process(CACHED, "first result", agents=several, cache=cache)
            process(ONE_AGENT, "first result", agents=1, cache=cache)
            process(NUMBA, "first result", agents=several, cache=cache, numba=True)
            process(OTHER_RUNTIME, "first result of wasmtime")
    return first, loading

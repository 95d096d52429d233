"""How long it takes from nothing to the first result, and how much of that is compiling."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bench_native import build_library
from .bench_processes import ask
from .bench_threads import cores
from .bench_workloads import Workload
from .oracle import load_wasmtime

EMPTY_CACHE = "swarmc, empty cache"
CACHED = "swarmc, cached"
ONE_AGENT = "swarmc, cached, one agent"
OTHER_RUNTIME = "wasmtime, one agent"
COMPILER = "native C"


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds by what was started, a sample a repeat.

    Attributes:
        bytes: size of the module.
        first_result: from before a new process to its first result, imports included.
        loading: of that, from the module's bytes to a program that can run.
    """

    workload: str
    bytes: int
    first_result: dict[str, list[float]]
    loading: dict[str, list[float]]


def measure_start(workload: Workload, repeats: int) -> Start:
    """Start one workload in every way."""
    first: dict[str, list[float]] = defaultdict(list)
    loading: dict[str, list[float]] = defaultdict(list)
    request: dict[str, Any] = {
        "wasm": str(workload.program.binary.resolve()), "size": workload.bench.size,
    }  # fmt: skip
    several = 2 * cores()

    def process(way: str, task: str, **more: Any) -> None:
        answer = ask(task, **request, **more)
        first[way].append(round(answer.ms, 3))
        loading[way].append(round(answer.values["load_ms"], 3))

    load_wasmtime()
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as scratch:
            cache = str(Path(scratch) / "cache")
            process(EMPTY_CACHE, "first result", agents=several, cache=cache)
            process(CACHED, "first result", agents=several, cache=cache)
            process(ONE_AGENT, "first result", agents=1, cache=cache)
            process(OTHER_RUNTIME, "first result of wasmtime")
            begin = time.perf_counter()
            build_library(workload, Path(scratch) / "0.so")
            loading[COMPILER].append(round((time.perf_counter() - begin) * 1000, 3))
    return Start(workload.name, len(workload.wasm), dict(first), dict(loading))

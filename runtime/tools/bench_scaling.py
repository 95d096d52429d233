"""How compile time and memory grow with the module."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .bench_modules import module_of_size
from .bench_processes import ask
from .bench_workloads import Workload
from .oracle import load_wasmtime

SIZES = (10_000, 30_000, 100_000, 1_000_000, 10_000_000)
QUICK_SIZES = (10_000, 30_000)

#: Above this a module is only compiled quickly: to compile it well takes a quarter of an hour.
_PATIENT_UP_TO = 1_000_000

_FRONT = ("decode", "validate", "translate", "optimise")


@dataclass(frozen=True, slots=True)
class Compilation:
    """One module compiled once, without a cache.

    Attributes:
        bytes, instructions: size of the module.
        provisional: whether it was compiled quickly, to start soon.
        stages_ms: by stage, in their order.
        peak: most bytes that the compiler's processes held together.
        wasmtime_ms: what wasmtime takes.
    """

    bytes: int
    instructions: int
    provisional: bool
    stages_ms: dict[str, float]
    peak: int
    wasmtime_ms: float

    @property
    def total_ms(self) -> float:
        """From bytes to machine code."""
        return sum(self.stages_ms.values())

    @property
    def front_end_rate(self) -> float:
        """Instructions a second from bytes to optimised IR."""
        front = sum(self.stages_ms.get(stage, 0.0) for stage in _FRONT)
        return self.instructions / front * 1000


def measure_scaling(workloads: Sequence[Workload], sizes: Sequence[int]) -> Iterator[Compilation]:
    """Compile modules of these sizes, those that start quickly compiled both ways."""
    sources = [workload.wasm for workload in workloads]
    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as scratch:
        path = Path(scratch) / "module.wasm"
        for size in sizes:
            wasm = module_of_size(sources, size)
            path.write_bytes(wasm)
            other = _wasmtime_ms(wasm)
            first = _compile(path, len(wasm), other, patient=False)
            yield first
            if first.provisional and size <= _PATIENT_UP_TO:
                yield _compile(path, len(wasm), other, patient=True)


def _compile(path: Path, size: int, other: float, *, patient: bool) -> Compilation:
    answer = ask("compile", watch=True, wasm=str(path), patient=patient)
    found = answer.values
    return Compilation(size, found["instructions"], found["provisional"], found["stages_ms"],
                       answer.peak, other)


def _wasmtime_ms(wasm: bytes) -> float:
    wasmtime = load_wasmtime()
    start = time.perf_counter()
    wasmtime.Module(wasmtime.Engine(), wasm)
    return round((time.perf_counter() - start) * 1000, 3)

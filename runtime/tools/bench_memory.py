"""How much memory agents take."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from .bench_engines import SWARMC
from .bench_processes import ask
from .bench_wasmtime import WASMTIME
from .bench_workloads import Workload
from .oracle import load_wasmtime

#: Agents that are there when memory is looked at.
COUNTS = (100, 500)
MANY = (1000, 100_000)

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Footprint:
    """Resident memory of a process whose agents have all run.

    Attributes:
        agents: how many there were. resident: bytes with so many.
        peak: most bytes at any time.
        state: bytes of an agent's state block, which holds its globals; 0 if there is none.
    """

    workload: str
    engine: str
    agents: list[int]
    resident: list[int]
    peak: int
    state: int

    @property
    def per_agent(self) -> float:
        """Bytes for one agent more."""
        added = self.resident[-1] - self.resident[0]
        return max(added, 1) / (self.agents[-1] - self.agents[0])

    @property
    def per_gib(self) -> float:
        """Agents in a gibibyte."""
        return _GIB / self.per_agent


def measure_footprints(workload: Workload, counts: Sequence[int], *, other: bool = True
                       ) -> list[Footprint]:
    """Memory of agents of swarmc and, for comparison, of instances of wasmtime."""
    tasks = {SWARMC: "footprint"}
    if other:
        load_wasmtime()
        tasks[WASMTIME] = "footprint of wasmtime"
    found = []
    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as cache:
        for engine, task in tasks.items():
            values = ask(task, wasm=str(workload.program.binary.resolve()), cache=cache,
                         size=workload.bench.size, counts=list(counts)).values
            found.append(Footprint(workload.name, engine, list(counts), values["resident"],
                                   values["peak"], values["state"]))
    return found

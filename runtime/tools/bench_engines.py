"""What the benchmark asks of everything that runs agents, and how swarmc does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import SwarmcError
from ...ir import module as ir
from ...ir.ops import Op
from ...targets.base import Dispatch, HostCodes, Int64s, Kernel, Outcome, Slices, Target
from ...targets.executable import CompileOptions, Executable
from ..choosing import target_named
from ..manager import SwarmManager
from ..results import SwarmResult
from .bench_variants import BOUNDS, METERING, take_out
from .bench_workloads import ENTRY, Seeds, Workload

SWARMC = "swarmc"
UNMETERED = "swarmc-fuel"
UNCHECKED = "swarmc-bounds"
BARE = "swarmc-both"

#: What every agent may execute, in every engine that counts.
FUEL = 10**12


@dataclass(frozen=True, slots=True)
class Lap:
    """All agents of a workload run once.

    Attributes:
        ms: wall time. results: int64[n], what each returned.
        instructions: executed by all of them together; None where nobody counts.
    """

    ms: float
    results: Int64s
    instructions: int | None = None


class Session(Protocol):
    """A workload loaded into an engine."""

    def fresh(self, seeds: Seeds) -> Lap:
        """End to end: make an agent for each seed, run it, take its result, drop it."""
        ...

    def settle(self, seeds: Seeds) -> None:
        """Make the agents that :meth:`again` runs, and run them once."""
        ...

    def again(self) -> Lap:
        """The kernel alone: run agents that are there already, with memory they have touched."""
        ...

    def close(self) -> None:
        """Drop everything."""
        ...


class Engine(Protocol):
    """Something that runs agents, on all cores."""

    name: str

    def open(self, workload: Workload, capacity: int) -> Session:
        """Compile a workload for up to ``capacity`` agents at a time.

        Raises:
            TargetError: what the engine needs is not installed.
        """
        ...


class SwarmcEngine:
    """swarmc on one of its targets.

    Args:
        without: instructions of the IR that are left out, to measure what they cost.
    """

    def __init__(self, target: str = "cpu", *, name: str = SWARMC,
                 without: frozenset[Op] = frozenset()) -> None:
        self.name = name
        self._target = target
        self._without = without

    def open(self, workload: Workload, capacity: int) -> Session:
        """See :class:`Engine`."""
        target = _TimedTarget(target_named(self._target), self._without)
        return _Swarm(target, workload, capacity)


def measuring_builds() -> list[Engine]:
    """swarmc without metering, without bounds checks, and without both."""
    return [
        SwarmcEngine(name=UNMETERED, without=METERING),
        SwarmcEngine(name=UNCHECKED, without=BOUNDS),
        SwarmcEngine(name=BARE, without=METERING | BOUNDS),
    ]


class _Swarm:
    """Settled agents and fresh ones live in the same swarm."""

    def __init__(self, target: _TimedTarget, workload: Workload, capacity: int) -> None:
        self._clock = target
        self._size = workload.bench.size
        self._swarm = SwarmManager(
            self._clock, max_agents=2 * capacity, entry_points=(ENTRY,), fuel=FUEL, cache=False
        )
        self._swarm.load_bytecode(workload.wasm)
        self._settled: Int64s = np.zeros(0, np.int64)

    def fresh(self, seeds: Seeds) -> Lap:
        start = time.perf_counter()
        ids = self._spawn(seeds)
        result = self._swarm.dispatch(ids)
        results = result.results_array()
        self._swarm.kill_agents(ids)
        ms = (time.perf_counter() - start) * 1000
        return _lap(ms, result, results)

    def settle(self, seeds: Seeds) -> None:
        self._swarm.kill_agents(self._settled)
        self._settled = self._spawn(seeds)
        self.again()

    def again(self) -> Lap:
        result = self._swarm.dispatch(self._settled)
        return _lap(self._clock.ms, result, result.results_array())

    def _spawn(self, seeds: Seeds) -> Int64s:
        args = np.empty((len(seeds), 2), np.int64)
        args[:, 0] = seeds
        args[:, 1] = self._size
        return self._swarm.spawn_agents(len(seeds), ENTRY, args)

    def close(self) -> None:
        self._swarm.close()


def _lap(ms: float, result: SwarmResult, results: NDArray[np.int64]) -> Lap:
    if result.trapped_array.any():
        agent, trap = next(iter(result.traps.items()))
        raise SwarmcError(f"agent {agent} of a workload trapped: {trap}")
    return Lap(ms, results, int(result.counts_array.sum()))


class _TimedTarget:
    """A target that knows how long the last launch of a kernel of its took.

    Args:
        without: instructions that it leaves out.
    """

    def __init__(self, target: Target, without: frozenset[Op]) -> None:
        self._target = target
        self._without = without
        self.name = target.name
        self.embeds_hosts = target.embeds_hosts
        self.layout, self.arch = target.layout, target.arch
        self.ms = 0.0

    def fingerprint(self) -> str:
        return self._target.fingerprint()

    def tools(self) -> str:
        return self._target.tools()

    def compile(self, module: ir.Module, options: CompileOptions,
                progress: Callable[[str, float], None] | None = None,
                hosts: HostCodes | None = None) -> Executable:
        if self._without:
            take_out(module, self._without)
        options = replace(options, patient=True)  # quick code is for starting soon
        return self._target.compile(module, options, progress, hosts)

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        return _TimedKernel(self._target.load(executable, hosts), self)

    def reset_device(self, kernel: Kernel | None) -> None:
        self._target.reset_device(kernel)


class _TimedKernel:
    def __init__(self, kernel: Kernel, clock: _TimedTarget) -> None:
        self.executable, self.arrays = kernel.executable, kernel.arrays
        self.allocate = kernel.allocate
        self.instantiate = kernel.instantiate
        self._kernel = kernel
        self._clock = clock

    def dispatch(self, slices: Slices, request: Dispatch) -> Outcome:
        start = time.perf_counter()
        outcome = self._kernel.dispatch(slices, request)
        self._clock.ms = (time.perf_counter() - start) * 1000
        return outcome

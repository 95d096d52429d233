"""``swarmc bench``: every workload in every engine side by side, checked and timed.

All engines run the same inputs. In every repeat each of them runs once, in an order that rotates,
so that what slows the machine down for a while slows all of them; ratios are taken within a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ArgumentError, SwarmcError
from ...targets.base import Int64s
from .bench_engines import Engine, Lap, Session, SwarmcEngine
from .bench_machine import describe_machine
from .bench_native import NativeEngine
from .bench_report import BenchReport, Case, Samples
from .bench_wasmtime import WasmtimeEngine
from .bench_workloads import Inputs, Seeds, Workload, load_workloads

DEFAULT_DIRECTORY = Path("corpus/bench")
DEFAULT_REPEATS = 7
QUICK_REPEATS = 3

#: Called with what is being done and how much of everything is done, 0.0 to 1.0.
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        directory: where the workloads are.
        names: which of them; none: all, or for ``quick`` a few.
        agents: how many of each; None: what the manifest says.
        repeats: of every measurement; None: 7, or for ``quick`` 3.
    """

    directory: Path = DEFAULT_DIRECTORY
    names: tuple[str, ...] = ()
    quick: bool = False
    agents: int | None = None
    repeats: int | None = None


def default_engines() -> list[Engine]:
    """Everything that this version can measure; the last is what results are checked against."""
    return [SwarmcEngine(), WasmtimeEngine(fuel=True), WasmtimeEngine(fuel=False), NativeEngine()]


def run_benchmark(options: BenchOptions, *, engines: Sequence[Engine] | None = None,
                  progress: Progress | None = None) -> BenchReport:
    """Measure.

    Raises:
        SwarmcError: an engine is not installed, or gave another result than the native code.
    """
    for number, name in ((options.agents, "agents"), (options.repeats, "repeats")):
        if number is not None and number < 1:
            raise ArgumentError(f"{name} must be 1 or more, not {number}")
    workloads = load_workloads(options.directory, options.names, quick=options.quick)
    repeats = options.repeats or (QUICK_REPEATS if options.quick else DEFAULT_REPEATS)
    report = BenchReport(describe_machine(), options.quick, repeats)
    chosen = default_engines() if engines is None else engines
    for number, workload in enumerate(workloads):
        if progress is not None:
            progress(workload.name, number / len(workloads))
        agents = options.agents or workload.bench.agents
        report.cases += measure(workload, chosen, agents, repeats)
    return report


def measure(workload: Workload, engines: Sequence[Engine], agents: int, repeats: int
            ) -> list[Case]:
    """One workload with each kind of inputs."""
    sessions: dict[str, Session] = {}
    try:
        for engine in engines:
            sessions[engine.name] = engine.open(workload, agents)
        return [_measure_inputs(workload, sessions, kind, agents, repeats) for kind in Inputs]
    finally:
        for session in sessions.values():
            session.close()


def _measure_inputs(workload: Workload, sessions: dict[str, Session], kind: Inputs, agents: int,
                    repeats: int) -> Case:
    seeds = kind.seeds(agents)
    *_, reference = sessions
    expected = sessions[reference].fresh(seeds).results
    for session in sessions.values():
        session.settle(seeds)
    samples = {name: Samples() for name in sessions}
    instructions = 0
    names = list(sessions)
    for repeat in range(repeats):
        for name in rotated(names, repeat):
            fresh, again = sessions[name].fresh(seeds), sessions[name].again()
            samples[name].total.append(fresh.ms)
            samples[name].kernel.append(again.ms)
            for lap in (fresh, again):
                _check(lap, expected, seeds, f"{workload.name} in {name}")
            instructions = again.instructions or instructions
    bench = workload.bench
    return Case(workload.name, bench.group, kind.value, bench.size, agents, instructions, samples)


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The names in another order for every repeat."""
    by %= len(names)
    return [*names[by:], *names[:by]]


def _check(lap: Lap, expected: Int64s, seeds: Seeds, where: str) -> None:
    wrong = np.flatnonzero(lap.results != expected)
    if len(wrong):
        agent = int(wrong[0])
        raise SwarmcError(
            f"{where}: {len(wrong)} of {len(expected)} results are wrong; with seed {seeds[agent]}"
            f" it gives {int(lap.results[agent]):#x}, not {int(expected[agent]):#x}"
        )

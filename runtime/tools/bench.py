"""``swarmc bench``: every workload in every engine side by side, checked and timed.

All engines run the same inputs. In every repeat each of them runs once, in an order that rotates,
so that what slows the machine down for a while slows all of them; ratios are taken within a repeat.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import ArgumentError, SwarmcError
from ...targets.base import Int64s
from .bench_crossing import measure_crossing
from .bench_engines import SWARMC, Engine, Lap, Session, SwarmcEngine, measuring_builds
from .bench_machine import describe_machine
from .bench_memory import COUNTS, MANY, measure_footprints
from .bench_native import NativeEngine
from .bench_report import SMALL_AGENTS, BenchReport, Case, Samples
from .bench_scaling import QUICK_SIZES, SIZES, measure_scaling
from .bench_starts import measure_command_start, measure_start
from .bench_statistics import rotated
from .bench_wasmtime import WASMTIME, WASMTIME_FUEL, WasmtimeEngine
from .bench_workloads import Inputs, Seeds, Workload, load_workloads

DEFAULT_DIRECTORY = Path("corpus/bench")
DEFAULT_REPEATS = 7
QUICK_REPEATS = 3

#: Repeats of what takes a second or more each time.
_START_REPEATS = 3
_CROSSING_REPEATS = 3

#: A program that writes through WASI, in the folder above the workloads'.
_COMMAND = "hello.wasm"

#: Engines whose end-to-end times are compared for few agents.
_CROSSING = (SWARMC, WASMTIME_FUEL, WASMTIME)

#: Called with what is being done and how much of everything is done, 0.0 to 1.0.
Progress = Callable[[str, float], None]

_Step = tuple[str, Callable[[], None]]


class Part(enum.Enum):
    """What can be measured."""

    THROUGHPUT = "throughput"
    START = "start"
    COMPILER = "compiler"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        directory: where the workloads are.
        names: which of them; none: all, or for ``quick`` a few.
        parts: which measurements; none: all.
        quick: as much as a minute allows.
        agents: how many of each; None: what the manifest says.
        repeats: of every measurement; None: 7, or for ``quick`` 3.
    """

    directory: Path = DEFAULT_DIRECTORY
    names: tuple[str, ...] = ()
    parts: frozenset[Part] = frozenset()
    quick: bool = False
    agents: int | None = None
    repeats: int | None = None


def default_engines(*, quick: bool = False) -> list[Engine]:
    """Everything that this version can measure; the last is what results are checked against."""
    builds = measuring_builds()
    return [SwarmcEngine(), *(builds[:1] if quick else builds), WasmtimeEngine(fuel=True),
            WasmtimeEngine(fuel=False), NativeEngine()]


def run_benchmark(options: BenchOptions, *, engines: Sequence[Engine] | None = None,
                  progress: Progress | None = None) -> BenchReport:
    """Measure.

    Args:
        engines: for throughput; None: :func:`default_engines`.

    Raises:
        SwarmcError: an engine is not installed, or gave another result than the native code.
    """
    for number, name in ((options.agents, "agents"), (options.repeats, "repeats")):
        if number is not None and number < 1:
            raise ArgumentError(f"{name} must be 1 or more, not {number}")
    workloads = load_workloads(options.directory, options.names, quick=options.quick)
    repeats = options.repeats or (QUICK_REPEATS if options.quick else DEFAULT_REPEATS)
    report = BenchReport(describe_machine(), options.quick, repeats)
    if engines is None:
        engines = default_engines(quick=options.quick)
    steps = list(_steps(options, workloads, engines, report))
    for number, (name, step) in enumerate(steps):
        if progress is not None:
            progress(name, number / len(steps))
        step()
    return report


def _steps(options: BenchOptions, workloads: Sequence[Workload], engines: Sequence[Engine],
           report: BenchReport) -> Iterator[_Step]:
    """Everything that is to be done, in its order; each step adds to the report."""
    parts = options.parts or frozenset(Part)
    some = workloads[:1] if options.quick else workloads
    if Part.THROUGHPUT in parts:
        for workload in workloads:
            agents = options.agents or workload.bench.agents
            yield workload.name, partial(measure, workload, engines, agents, report)
    if Part.START in parts:
        for workload in some:
            yield f"starting {workload.name}", partial(_add_start, report, workload)
        command = options.directory.parent / _COMMAND
        if command.exists():
            yield f"starting {_COMMAND}", partial(_add_command_start, report, command)
    if Part.COMPILER in parts:
        sizes = QUICK_SIZES if options.quick else SIZES
        yield "compiling modules", partial(_add_compilations, report, workloads, sizes)
    if Part.MEMORY in parts:
        for workload in some:
            yield f"memory of {workload.name}", partial(_add_footprints, report, workload)


def _add_start(report: BenchReport, workload: Workload) -> None:
    report.starts.append(measure_start(workload, _start_repeats(report)))


def _add_command_start(report: BenchReport, path: Path) -> None:
    report.starts.append(measure_command_start(path, _start_repeats(report)))


def _start_repeats(report: BenchReport) -> int:
    return 1 if report.quick else min(_START_REPEATS, report.repeats)


def _add_compilations(report: BenchReport, workloads: Sequence[Workload], sizes: Sequence[int]
                      ) -> None:
    report.compilations += measure_scaling(workloads, sizes)


def _add_footprints(report: BenchReport, workload: Workload) -> None:
    report.footprints += measure_footprints(workload, COUNTS)
    if workload.bench.group == SMALL_AGENTS and not report.quick:
        report.footprints += measure_footprints(workload, MANY, other=False)


def measure(workload: Workload, engines: Sequence[Engine], agents: int, report: BenchReport
            ) -> None:
    """One workload with each kind of inputs, and with few agents."""
    sessions: dict[str, Session] = {}
    try:
        for engine in engines:
            sessions[engine.name] = engine.open(workload, agents)
        for kind in Inputs:
            report.cases.append(_measure_inputs(workload, sessions, kind, agents, report.repeats))
        compared = {name: sessions[name] for name in _CROSSING if name in sessions}
        if len(compared) == len(_CROSSING):
            repeats = 1 if report.quick else min(_CROSSING_REPEATS, report.repeats)
            report.crossings.append(measure_crossing(workload, compared, agents, repeats))
    finally:
        for session in sessions.values():
            session.close()


def _measure_inputs(workload: Workload, sessions: Mapping[str, Session], kind: Inputs,
                    agents: int, repeats: int) -> Case:
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
            samples[name].total.append(round(fresh.ms, 3))
            samples[name].kernel.append(round(again.ms, 3))
            for lap in (fresh, again):
                _check(lap, expected, seeds, f"{workload.name} in {name}")
            instructions = max(instructions, again.instructions or 0)
    bench = workload.bench
    return Case(workload.name, bench.group, kind.value, bench.size, agents, instructions, samples)


def _check(lap: Lap, expected: Int64s, seeds: Seeds, where: str) -> None:
    wrong = np.flatnonzero(lap.results != expected)
    if len(wrong):
        agent = int(wrong[0])
        raise SwarmcError(
            f"{where}: {len(wrong)} of {len(expected)} results are wrong; with seed {seeds[agent]}"
            f" it gives {int(lap.results[agent]):#x}, not {int(expected[agent]):#x}"
        )

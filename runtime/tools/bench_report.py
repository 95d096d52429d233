"""What the benchmark found: samples as they were measured, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ...errors import SwarmcError
from .bench_crossing import Crossing
from .bench_engines import BARE, SWARMC, UNCHECKED, UNMETERED
from .bench_memory import Footprint
from .bench_native import NATIVE
from .bench_scaling import Compilation
from .bench_starts import OTHER_RUNTIME, Start
from .bench_statistics import Spread, geometric_mean
from .bench_wasmtime import WASMTIME, WASMTIME_FUEL

FORMAT = 1

#: The groups of workloads: those over which speeds are averaged, and those of agents that do
#: hardly anything.
THROUGHPUT, SMALL_AGENTS = "throughput", "small agents"

#: What swarmc is compared with.
OTHERS = (WASMTIME_FUEL, WASMTIME, NATIVE)
#: What is left out in each build for measuring.
BUILDS = {UNMETERED: "metering", UNCHECKED: "bounds checks", BARE: "both"}


@dataclass(frozen=True, slots=True)
class Samples:
    """Wall times of one engine in milliseconds, one a repeat, in the order of the repeats.

    Attributes:
        kernel: agents that are there already, run again. total: made, run and dropped.
    """

    kernel: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """One workload with one kind of inputs, in all engines.

    Attributes:
        instructions: executed by all agents together.
        engines: samples by engine; those at one place of all lists come from one repeat.
    """

    workload: str
    group: str
    inputs: str
    size: int
    agents: int
    instructions: int
    engines: dict[str, Samples]

    def speed(self, other: str, *, of: str = SWARMC, total: bool = False) -> Spread | None:
        """How many times as fast as another engine one is; None where either was not run.

        Samples are compared repeat by repeat, as what disturbs one repeat disturbs all its parts.
        """
        pair = [self.engines.get(name) for name in (other, of)]
        if None in pair:
            return None
        theirs, ours = (s.total if total else s.kernel for s in pair if s is not None)
        return Spread.of([a / b for a, b in zip(theirs, ours, strict=True)])

    def cost(self, build: str) -> float | None:
        """What is left out of a build costs this part of the kernel's time without it."""
        speed = self.speed(build)
        return None if speed is None else 1 / speed.median - 1

    def milliseconds(self, engine: str, *, total: bool = False) -> float:
        """The median of an engine that was run."""
        samples = self.engines[engine]
        return Spread.of(samples.total if total else samples.kernel).median


@dataclass(slots=True)
class BenchReport:
    """Everything that one run of the benchmark found.

    Attributes:
        machine: what it ran on, by name of the fact.
    """

    machine: dict[str, str]
    quick: bool
    repeats: int
    cases: list[Case] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    compilations: list[Compilation] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)

    def throughput(self) -> list[Case]:
        """The cases over which speeds are averaged."""
        return [case for case in self.cases if case.group == THROUGHPUT]

    def others(self) -> list[str]:
        """What swarmc was compared with, in every case."""
        return self._measured(OTHERS)

    def builds(self) -> list[str]:
        """The builds for measuring that were run, in every case."""
        return self._measured(BUILDS)

    def _measured(self, names: Iterable[str]) -> list[str]:
        if not self.cases:
            return []
        return [n for n in names if all({n, SWARMC} <= case.engines.keys() for case in self.cases)]

    def speeds(self, other: str, *, of: str = SWARMC, total: bool = False) -> list[float]:
        """How many times as fast as another engine one is, in every case of throughput."""
        found = (case.speed(other, of=of, total=total) for case in self.throughput())
        return [speed.median for speed in found if speed is not None]

    def cost(self, build: str) -> float | None:
        """What is left out of a build costs this part of the time without it, on average."""
        speed = self.mean_speed(build)
        return None if speed is None else 1 / speed - 1

    def mean_speed(self, other: str, *, of: str = SWARMC, total: bool = False) -> float | None:
        """The geometric mean of :meth:`speeds`; None if there are none."""
        found = self.speeds(other, of=of, total=total)
        return geometric_mean(found) if found else None

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"format": FORMAT} | asdict(self)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Self:
        """The report that :meth:`to_json` made this of.

        Raises:
            SwarmcError: it made it not.
        """
        table = dict(table)
        if table.pop("format", None) != FORMAT:
            raise SwarmcError("this is no report of this version's benchmark")
        try:
            table["cases"] = [
                Case(**c | {"engines": {k: Samples(**s) for k, s in c["engines"].items()}})
                for c in table["cases"]
            ]
            for name, kind in (("crossings", Crossing), ("starts", Start),
                               ("compilations", Compilation), ("footprints", Footprint)):
                table[name] = [kind(**row) for row in table[name]]
            return cls(**table)
        except (AttributeError, KeyError, TypeError) as error:
            raise SwarmcError(f"this report lacks something: {error!r}") from error


def crossing_of_processes(start: Start, case: Case, way: str) -> int | None:
    """From how many agents on a process that starts swarmc ends before one that starts wasmtime.

    It follows from the times to the first result and the times for each further agent; None if
    wasmtime is always faster, or was not run.

    Args:
        way: how swarmc starts, a key of ``start.first_result``.
    """
    if WASMTIME not in case.engines:
        return None
    ours, theirs = (Spread.of(start.first_result[key]).median for key in (way, OTHER_RUNTIME))
    own, other = (case.milliseconds(name, total=True) / case.agents for name in (SWARMC, WASMTIME))
    if ours < theirs:
        return 1
    return math.ceil((ours - theirs) / (other - own)) + 1 if own < other else None

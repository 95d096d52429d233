"""What the benchmark found: samples as they were measured, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from ...errors import SwarmcError
from .bench_engines import SWARMC

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples, and the quartiles below and above it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Of one sample at least."""
        low, median, high = np.percentile(np.array(samples), (25, 50, 75)).tolist()
        return cls(median, low, high)

    @property
    def half_width(self) -> float:
        """Half of what lies between the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.median


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

    def speed(self, other: str, *, total: bool = False) -> Spread | None:
        """How many times as fast as another engine swarmc is; None where either was not run.

        Samples are compared repeat by repeat, as what disturbs one repeat disturbs all its parts.
        """
        pair = [self.engines.get(name) for name in (other, SWARMC)]
        if None in pair:
            return None
        theirs, ours = (s.total if total else s.kernel for s in pair if s is not None)
        return Spread.of([a / b for a, b in zip(theirs, ours, strict=True)])


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

    def engines(self) -> list[str]:
        """The engines that were measured, swarmc first."""
        return list(dict.fromkeys(name for case in self.cases for name in case.engines))

    def geometric_mean(self, other: str, *, total: bool = False, inputs: str | None = None
                       ) -> float | None:
        """How many times as fast as another engine swarmc is, over all workloads of throughput."""
        speeds = [
            speed.median
            for case in self.cases
            if case.group == "throughput" and inputs in (None, case.inputs)
            and (speed := case.speed(other, total=total)) is not None
        ]
        return geometric_mean(speeds) if speeds else None

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
            cases = [
                Case(**c | {"engines": {k: Samples(**s) for k, s in c["engines"].items()}})
                for c in table.pop("cases")
            ]
            return cls(**table, cases=cases)
        except (AttributeError, KeyError, TypeError) as error:
            raise SwarmcError(f"this report lacks something: {error!r}") from error


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers, one at least."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))

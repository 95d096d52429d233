"""From how many agents on swarmc is faster, with everything loaded already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bench_engines import SWARMC, Session
from .bench_statistics import Spread, rotated
from .bench_workloads import Inputs, Workload

_MOST = 256


@dataclass(frozen=True, slots=True)
class Crossing:
    """One workload end to end, for more and more agents.

    Attributes:
        agents: their numbers, ascending.
        total_ms: by engine, for each number the samples of all repeats.
    """

    workload: str
    agents: list[int]
    total_ms: dict[str, list[list[float]]]

    def medians(self, engine: str) -> list[float]:
        """Milliseconds for each number of agents."""
        return [Spread.of(samples).median for samples in self.total_ms[engine]]

    def wins_from(self, other: str) -> int | None:
        """The number of agents from which on swarmc is faster; None if it is not with the most."""
        winning = None
        ours, theirs = self.medians(SWARMC), self.medians(other)
        for count, our, their in zip(self.agents[::-1], ours[::-1], theirs[::-1], strict=True):
            if our >= their:
                break
            winning = count
        return winning


def measure_crossing(workload: Workload, sessions: Mapping[str, Session], most: int,
                     repeats: int) -> Crossing:
    """Run 1, 2, 4 … agents, up to ``most``, in each session."""
    counts = powers_of_two(min(most, _MOST))
    total: dict[str, list[list[float]]] = {name: [[] for _ in counts] for name in sessions}
    names: Sequence[str] = list(sessions)
    for repeat in range(repeats):
        for place, count in enumerate(counts):
            seeds = Inputs.DIVERGENT.seeds(count)
            for name in rotated(names, repeat + place):
                total[name][place].append(round(sessions[name].fresh(seeds).ms, 3))
    return Crossing(workload.name, counts, total)


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 … up to ``most``."""
    return [1 << n for n in range(most.bit_length()) if 1 << n <= most]

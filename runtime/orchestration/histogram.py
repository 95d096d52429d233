"""Counts of durations by size, cheap enough for every task."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

#: Upper bounds in seconds: 10, 25, 50 µs and so on up to 100 s.
BOUNDS = (*(float(f"{m}e{e}") for e in range(-5, 2) for m in (1, 2.5, 5)), 100.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a :class:`Histogram` had counted at some moment.

    Args:
        bounds: upper bounds, ascending.
        counts: how many fell under each bound but not the one before; one more, behind the last.
        total: sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Their mean; 0.0 of none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, part: float) -> float:
        """An upper bound of the value that ``part`` (0 to 1) of all do not exceed; 0.0 of none.

        Values behind the last bound count as infinite.
        """
        rank = part * self.count
        seen = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            if count and seen >= rank:
                return bound
        return 0.0


class Histogram:
    """Counts durations in seconds. The owner's lock guards it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def snapshot(self) -> Distribution:
        """What has been counted so far."""
        return Distribution(self.bounds, tuple(self.counts), self.total)

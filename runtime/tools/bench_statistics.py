"""Samples and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


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

    def __str__(self) -> str:
        return f"{self.median:.2f} ±{self.half_width:.0%}"


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers, one at least."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The names in another order for every repeat."""
    by %= len(names)
    return [*names[by:], *names[:by]]

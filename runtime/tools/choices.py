"""Where a generator takes its decisions from: a random number generator, bytes, or a recording.

Every decision is one number below a bound, and 0 is the simplest alternative everywhere. So a
recording with numbers deleted or lowered still generates something valid, and mostly smaller:
that is how failing modules shrink.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Source(Protocol):
    """An endless supply of numbers."""

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound - 1``."""
        ...


class RandomSource:
    """Numbers from a seeded generator. The same seed gives the same numbers everywhere."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


class ReplaySource:
    """Numbers recorded before, each taken modulo its bound; zeros when they have run out."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self._place = 0

    def below(self, bound: int) -> int:
        if self._place >= len(self._numbers):
            return 0
        number = self._numbers[self._place]
        self._place += 1
        return number % bound


class ByteSource:
    """Numbers read from bytes, as many bytes each as its bound needs; then zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def below(self, bound: int) -> int:
        size = ((bound - 1).bit_length() + 7) // 8
        chunk = self._data[self._place : self._place + size]
        self._place += size
        return int.from_bytes(chunk, "little") % bound


class Choices:
    """Decisions of the shapes that a generator needs, all recorded.

    Attributes:
        record: the numbers drawn so far; a :class:`ReplaySource` of it repeats every decision.
    """

    __slots__ = ("_below", "record")

    def __init__(self, source: Source) -> None:
        self._below = source.below
        self.record: list[int] = []

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound - 1``; bound 1 draws nothing."""
        if bound <= 1:
            return 0
        number = self._below(bound)
        self.record.append(number)
        return number

    def between(self, low: int, high: int) -> int:
        """A number from ``low``, the simplest, to ``high`` inclusive."""
        return low + self.below(high - low + 1)

    def chance(self, part: int, whole: int) -> bool:
        """True in ``part`` of ``whole`` cases; False is the simpler."""
        return self.below(whole) >= whole - part

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``; the first is the simplest."""
        return items[self.below(len(items))]

    def weighted(self, table: WeightedTable[T]) -> T:
        """One of a table's items, by weight."""
        return table.expanded[self.below(len(table.expanded))]


class WeightedTable(Generic[T]):
    """Items with small integer weights; the first item is the simplest."""

    __slots__ = ("expanded",)

    def __init__(self, pairs: Sequence[tuple[int, T]]) -> None:
        self.expanded = [item for weight, item in pairs for _ in range(weight)]

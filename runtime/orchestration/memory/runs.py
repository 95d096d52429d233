"""Which numbers of a range are free, as runs of neighbours."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Self


class FreeRuns:
    """Free numbers from 0 to ``count``; the first run that is long enough serves a request."""

    __slots__ = ("_lengths", "_starts", "total")

    def __init__(self, count: int) -> None:
        self._starts = [0] if count else []  # ascending; no run touches the next
        self._lengths = {0: count} if count else {}
        self.total = count

    def copy(self) -> Self:
        twin = type(self)(0)
        twin._starts, twin._lengths = self._starts.copy(), self._lengths.copy()
        twin.total = self.total
        return twin

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """First and length of each run, ascending."""
        return iter([(start, self._lengths[start]) for start in self._starts])

    @property
    def longest(self) -> int:
        """Length of the longest run."""
        return max(self._lengths.values(), default=0)

    def take(self, count: int) -> int | None:
        """The first of ``count`` neighbours, which are free no more; None if there are none."""
        lengths = self._lengths
        for place, start in enumerate(self._starts):
            length = lengths[start]
            if length >= count:
                del lengths[start]
                if length == count:
                    del self._starts[place]
                else:
                    self._starts[place] = start + count
                    lengths[start + count] = length - count
                self.total -= count
                return start
        return None

    def take_some(self, most: int) -> tuple[int, int]:
        """First and length of a run of at most so many, from what is free (something is)."""
        count = min(most, self._lengths[self._starts[0]])
        start = self.take(count)
        assert start is not None
        return start, count

    def release(self, start: int, count: int) -> tuple[int, int]:
        """Make numbers free again; first and length of the run that they belong to then."""
        self.total += count
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] == start + count:
            count += self._lengths.pop(self._starts.pop(place))
        if place:
            before = self._starts[place - 1]
            if before + self._lengths[before] == start:
                self._lengths[before] += count
                return before, self._lengths[before]
        insort(self._starts, start)
        self._lengths[start] = count
        return start, count

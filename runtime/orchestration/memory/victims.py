"""Which region is evicted next: a queue in the policy's order, whatever is used meanwhile."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

from .config import EvictionPolicy
from .region import Region

_Key = tuple[float, int]

#: The region with the least key goes first. Using a region never makes its key less.
KEYS: dict[EvictionPolicy, Callable[[Region], _Key]] = {
    EvictionPolicy.LRU: lambda region: (region.used, 0),
    EvictionPolicy.LFU: lambda region: (region.uses, region.used),
    EvictionPolicy.FIFO: lambda region: (region.entered, 0),
    EvictionPolicy.TTL: lambda region: (region.expires, region.entered),
}


class VictimQueue:
    """The regions in the pool.

    A heap of keys as they once were. Using a region costs nothing here; its key is looked at again
    when it comes to the top, and since keys only grow, nothing less lies below.
    """

    def __init__(self, policy: EvictionPolicy) -> None:
        self._key = KEYS[policy]
        self._heap: list[tuple[_Key, int, Region]] = []
        self._tickets = itertools.count(1)
        self._live = 0

    def add(self, region: Region) -> None:
        """A region has come into the pool."""
        region.ticket = next(self._tickets)
        heapq.heappush(self._heap, (self._key(region), region.ticket, region))
        self._live += 1

    def remove(self, region: Region) -> None:
        """A region is leaving the pool."""
        region.ticket = 0
        self._live -= 1
        if len(self._heap) > 2 * self._live + 64:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].ticket]
            heapq.heapify(self._heap)

    def first(self) -> Region | None:
        """The region that goes first, of those that are not busy. It stays in the queue."""
        heap, busy, found = self._heap, [], None
        while heap:
            key, ticket, region = heap[0]
            current = self._key(region)
            if ticket != region.ticket:
                heapq.heappop(heap)
            elif current != key:
                heapq.heapreplace(heap, (current, ticket, region))
            elif region.busy:
                busy.append(heapq.heappop(heap))
            else:
                found = region
                break
        for entry in busy:
            heapq.heappush(heap, entry)
        return found

    def __iter__(self) -> Iterator[Region]:
        """All of them, in no order."""
        return (region for _, ticket, region in self._heap if ticket == region.ticket)

    def ordered(self) -> list[Region]:
        """Those that are not busy, in the order in which they go."""
        return sorted((region for region in self if not region.busy), key=self._key)

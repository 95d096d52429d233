"""The table of regions: which there are, and when they expire. Guarded by the manager's lock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .config import EvictionPolicy, MemoryConfig
from .errors import RegionRangeError, UnknownRegionError
from .frames import Frames
from .ledger import Ledger
from .region import NEVER, AgentId, Region


class RegionTable:
    """Regions by id, from their making to their end."""

    def __init__(
        self, config: MemoryConfig, frames: Frames, ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self.regions: dict[int, Region] = {}
        self.expired = 0
        self._config = config
        self._frames, self._ledger, self._clock = frames, ledger, clock
        self._next = 1
        self._expiring: list[tuple[float, int]] = []  # a heap
        self._overdue: set[int] = set()  # expired, but busy when that was seen

    def make(self, agent: AgentId, size: int, units: int, ttl: float | None) -> Region:
        """A new region of zeros in the pool; the errors are ``Frames.place``'s."""
        region = Region(self._next, None, size, units, self._expiry(ttl))
        self._frames.place(region)
        self._next += 1
        self.regions[region.id] = region
        self._ledger.add(region, agent)
        if region.expires != NEVER:
            heapq.heappush(self._expiring, (region.expires, region.id))
        return region

    def get(self, region_id: int) -> Region:
        region = self.regions.get(region_id)
        if region is None:
            known = isinstance(region_id, int) and 0 < region_id < self._next
            raise UnknownRegionError(
                f"region {region_id} is not there any more: it was freed, or has expired"
                if known else f"there is no region {region_id!r}"
            )  # fmt: skip
        return region

    def drop(self, region: Region) -> None:
        """Free a region that is not busy."""
        self._frames.drop(region)
        self._ledger.remove(region)
        self._overdue.discard(region.id)
        del self.regions[region.id]

    def expire(self) -> None:
        """Free what has expired and is not busy."""
        if self._overdue:
            for region_id in list(self._overdue):
                self._expire_one(self.regions[region_id])
        if self._expiring:
            now = self._clock()
            while self._expiring and self._expiring[0][0] <= now:
                region = self.regions.get(heapq.heappop(self._expiring)[1])
                if region is not None:  # it was not freed before
                    self._expire_one(region)

    def _expire_one(self, region: Region) -> None:
        if region.busy:
            self._overdue.add(region.id)
        else:
            self.drop(region)
            self.expired += 1

    def _expiry(self, ttl: float | None) -> float:
        if ttl is None:
            if self._config.eviction_policy is not EvictionPolicy.TTL:
                return NEVER
            ttl = self._config.ttl
        return self._clock() + ttl


def check_range(region: Region, offset: int, length: int) -> None:
    """Raise RegionRangeError if these bytes are not all in the region."""
    if offset < 0 or length < 0 or offset + length > region.size:
        raise RegionRangeError(
            f"bytes {offset:,} to {offset + length:,} are not in region {region.id}, which has"
            f" {region.size:,}"
        )

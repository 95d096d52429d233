"""What a memory manager says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .config import EvictionPolicy
from .region import AgentId


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """A region at the moment.

    Args:
        owner: None once the agent is gone.
        size: as it was asked for. reserved: whole regions of the pool.
        address: where it lies in this process; None while it is evicted.
        stored: bytes that it takes in the backing store while it is evicted.
        pins: calls of ``pin`` without ``unpin``. viewed: whether an array shows its bytes.
        uses: how often it was read, written, viewed or pinned.
        expires: seconds until then; None: never.
    """

    id: int
    owner: AgentId | None
    size: int
    reserved: int
    address: int | None
    stored: int
    pins: int
    viewed: bool
    uses: int
    expires: float | None

    @property
    def resident(self) -> bool:
        """Whether it is in the pool."""
        return self.address is not None


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What an agent owns: regions, their bytes (whole regions), and how many they may be."""

    regions: int
    size: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """State of a memory manager, and counts since it was made. Sizes are in bytes.

    Args:
        used_size: of the pool, whole regions. free_size: the rest; largest_free: in a row.
        regions: that there are; evicted: of those, in the backing store; pinned: of those, pinned
            or shown by an array; orphans: of those, of agents that are gone.
        agents: those that own something.
        allocations, frees, transfers: calls that did so. expired: regions freed because their time
            was over. collected: regions freed by ``garbage_collect`` because their agent is gone.
        hits: uses of a region that was in the pool. misses: of one that was not.
            faults: how often that brought one back.
        evictions: by ``policy``. moved: regions, by ``compact``.
        evicted_bytes: of all evictions; stored_bytes: as they were stored, compressed perhaps.
        bytes_read, bytes_written: by ``read`` and ``write``.
        backing_limit, backing_used: of the backing store.
    """

    policy: EvictionPolicy
    total_size: int
    region_size: int
    used_size: int
    free_size: int
    largest_free: int
    regions: int
    evicted: int
    pinned: int
    orphans: int
    agents: Mapping[AgentId, AgentUsage]
    allocations: int
    frees: int
    transfers: int
    expired: int
    collected: int
    hits: int
    misses: int
    faults: int
    evictions: int
    moved: int
    evicted_bytes: int
    stored_bytes: int
    bytes_read: int
    bytes_written: int
    backing_limit: int
    backing_used: int

    @property
    def utilization(self) -> float:
        """Part of the pool that is used, 0 to 1."""
        return self.used_size / self.total_size

    @property
    def fragmentation(self) -> float:
        """Part of what is free that is not in the longest run: 0 to 1."""
        return 1 - self.largest_free / self.free_size if self.free_size else 0.0

    @property
    def compressed_bytes(self) -> int:
        """What compression has saved in all evictions."""
        return self.evicted_bytes - self.stored_bytes

    @property
    def evictions_by_policy(self) -> dict[EvictionPolicy, int]:
        """Evictions under each policy; all but the manager's own have had none."""
        return {policy: self.evictions if policy is self.policy else 0 for policy in EvictionPolicy}

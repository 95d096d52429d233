"""How a memory manager is set up."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from .errors import MemoryConfigError

_MIB = 1 << 20
_ALIGNMENT = 64  # so that every type of array can begin where a region begins
_MOST = 1 << 46  # half of the addresses that a process has


class EvictionPolicy(enum.Enum):
    """Which region leaves a full pool first."""

    LRU = "lru"  #: the one that was not used for the longest time
    LFU = "lfu"  #: the one that was used least often; among those, the least recently used
    FIFO = "fifo"  #: the one that has been in the pool for the longest time
    TTL = "ttl"  #: the one that expires next; every region expires


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """What a :class:`~.manager.MemoryManager` may use, and how. All sizes are in bytes.

    Args:
        total_size: of the pool: a multiple of ``region_size``. Address space is reserved for it;
            memory is used by what is written only.
        region_size: what the pool is divided into: a multiple of 64. An allocation takes as many
            regions in a row as it needs.
        eviction_policy: what leaves a full pool first.
        compression_enabled: whether what is evicted is compressed.
        compression_level: zlib's, 1 (fast) to 9 (small).
        max_agents: most agents that own regions at a time.
        agent_limit: what one agent may own, evicted regions included and whole regions counted;
            None: everything. ``set_agent_limit`` sets it for one agent.
        ttl: seconds until a region expires, under the policy TTL. Under every policy, ``allocate``
            can set it for one region.
        backing_size: what the backing store may hold.
        spill_directory: where the backing store is a file, without a name, which is gone with the
            process; None: the backing store is in memory.
    """

    total_size: int = 28 * _MIB
    region_size: int = 64 << 10
    eviction_policy: EvictionPolicy = EvictionPolicy.LRU
    compression_enabled: bool = False
    compression_level: int = 1
    max_agents: int = 256
    agent_limit: int | None = None
    ttl: float = 300.0
    backing_size: int = 256 * _MIB
    spill_directory: str | Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.eviction_policy, EvictionPolicy):
            raise MemoryConfigError(
                f"eviction_policy must be an EvictionPolicy, not {self.eviction_policy!r}"
            )
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise MemoryConfigError(f"{name} must be an int of at least {least}, not {value!r}")
        if self.region_size % _ALIGNMENT:
            raise MemoryConfigError(
                f"region_size must be a multiple of {_ALIGNMENT}, not {self.region_size:,}"
            )
        if self.total_size % self.region_size or self.total_size > _MOST:
            raise MemoryConfigError(
                f"total_size must be a multiple of region_size ({self.region_size:,}) and at most"
                f" {_MOST:,}, not {self.total_size:,}"
            )
        if not 1 <= self.compression_level <= 9:
            raise MemoryConfigError(
                f"compression_level must be 1 to 9, not {self.compression_level}"
            )
        if self.agent_limit is not None and self.agent_limit < 0:
            raise MemoryConfigError(f"agent_limit must not be negative: {self.agent_limit:,}")
        if not 0 < self.ttl < float("inf"):
            raise MemoryConfigError(f"ttl must be positive and finite, not {self.ttl!r}")


_LEAST = {
    "total_size": _ALIGNMENT, "region_size": _ALIGNMENT, "compression_level": 1, "max_agents": 1,
    "backing_size": 0,
}  # fmt: skip

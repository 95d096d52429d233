"""Memory for agents: a pool of regions with owners, which outgrows itself by eviction."""

from __future__ import annotations

from .config import EvictionPolicy, MemoryConfig
from .errors import (
    BackingStoreError,
    BackingStoreFullError,
    MemoryConfigError,
    MemoryLimitError,
    NotOwnerError,
    PoolFullError,
    RegionBusyError,
    RegionRangeError,
    UnknownRegionError,
)
from .manager import MemoryManager
from .region import AgentId
from .stats import AgentUsage, MemoryStats, RegionInfo

__all__ = [
    "AgentId",
    "AgentUsage",
    "BackingStoreError",
    "BackingStoreFullError",
    "EvictionPolicy",
    "MemoryConfig",
    "MemoryConfigError",
    "MemoryLimitError",
    "MemoryManager",
    "MemoryStats",
    "NotOwnerError",
    "PoolFullError",
    "RegionBusyError",
    "RegionInfo",
    "RegionRangeError",
    "UnknownRegionError",
]

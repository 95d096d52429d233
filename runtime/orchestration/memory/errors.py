"""What can go wrong with regions."""

from __future__ import annotations

from ..errors import OrchestrationError


class MemoryConfigError(OrchestrationError, ValueError):
    """A configuration that describes no pool."""


class UnknownRegionError(OrchestrationError, KeyError):
    """No region has this id: it was freed, has expired, or never was."""

    __str__ = OrchestrationError.__str__  # KeyError's shows the repr


class RegionRangeError(OrchestrationError, IndexError):
    """Bytes that are not in the region."""


class RegionBusyError(OrchestrationError):
    """The region is pinned, or an array shows its bytes: it cannot be freed now."""


class NotOwnerError(OrchestrationError):
    """The region belongs to another agent than was said."""


class MemoryLimitError(OrchestrationError):
    """An agent would own more than it may, or there would be more agents than there may be."""


class PoolFullError(OrchestrationError):
    """There is no room in the pool, and too little that could be evicted."""


class BackingStoreError(OrchestrationError):
    """What is evicted cannot be written to the backing store, or not be read from it."""


class BackingStoreFullError(BackingStoreError):
    """What should be evicted does not fit in the backing store."""

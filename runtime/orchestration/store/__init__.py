"""What happened and what is so, kept in one SQLite file that survives a crash at any point."""

from __future__ import annotations

from .errors import (
    DuplicateKeyError,
    DuplicateTaskError,
    IllegalTransitionError,
    InvalidEventError,
    StoreAccessError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreVersionError,
)
from .reader import StoreReader
from .records import (
    AgentRecord,
    Cleaned,
    ExecutionRecord,
    MessageRecord,
    StoreStats,
    WorkflowRecord,
)
from .store import Store

__all__ = [
    "AgentRecord",
    "Cleaned",
    "DuplicateKeyError",
    "DuplicateTaskError",
    "ExecutionRecord",
    "IllegalTransitionError",
    "InvalidEventError",
    "MessageRecord",
    "Store",
    "StoreAccessError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreReader",
    "StoreStats",
    "StoreVersionError",
    "WorkflowRecord",
]

"""What happened and what is so, kept in one SQLite file that survives a crash at any point."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    TaskSummary,
    WorkflowRecord,
)
from .store import Store

if TYPE_CHECKING:
    from ..state_manager import StateManager

__all__ = [
    "AgentRecord",
    "Cleaned",
    "DuplicateKeyError",
    "DuplicateTaskError",
    "ExecutionRecord",
    "IllegalTransitionError",
    "InvalidEventError",
    "MessageRecord",
    "StateManager",
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
    "TaskSummary",
    "WorkflowRecord",
]


def __getattr__(name: str) -> object:
    if name != "StateManager":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ..state_manager import StateManager  # it imports this package

    return StateManager

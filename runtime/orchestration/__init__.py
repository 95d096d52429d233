"""Tasks, agents, memory, messages, workflows and pipelines over the swarm runtime.

Names are imported when they are first used: a part costs nothing to those who do without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tasks import Task, TaskBuilder, TaskPriority, TaskRecord, TaskState

__all__ = ["Task", "TaskBuilder", "TaskPriority", "TaskRecord", "TaskState"]

_HOMES = {
    "Task": ".tasks",
    "TaskBuilder": ".tasks",
    "TaskPriority": ".tasks",
    "TaskRecord": ".tasks",
    "TaskState": ".tasks",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

"""Agents of the registry that stand for workers in processes of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import TaskError
from ..tasks import Task, TaskContext

_joins = itertools.count(1)


def pin_of(worker_id: str) -> str:
    """The capability that this worker alone has: tasks that require it run there or nowhere."""
    return f"worker:{worker_id}"


class RemoteAgent:
    """An ``Agent``. Its attempts are run by a :class:`~..engine.dask.DaskEngine`.

    Args:
        id: the worker's; the same when it comes back.
        capabilities: what tasks may require of it, its executors' names included.
        resources: what there is for tasks to occupy.
        capacity: how many tasks it runs at once.
    """

    kind = "worker"

    def __init__(
        self, id: str, name: str, capabilities: Iterable[str], capacity: int,
        resources: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.id = id
        self.name = name
        self.capabilities = frozenset(capabilities)
        self.capacity = capacity
        self.resources: Mapping[str, float] = dict(resources or {})
        #: Under which the engine knows it: another one each time it joins, so that nothing of an
        #: earlier time is taken for its own.
        self.place = f"{id}/{next(_joins)}"

    def __repr__(self) -> str:
        return f"<RemoteAgent {self.name} ({self.place})>"

    def execute(self, task: Task, context: TaskContext) -> Any:
        """Not in this process."""
        raise TaskError(f"worker {self.name} is another process, and only its engine reaches it")

    def close(self) -> None:
        """Nothing is held here."""

"""A worker: an agent of this process that has executors, and runs several tasks at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from .errors import TaskError
from .interfaces import Executor
from .tasks import Task, TaskContext, new_id


class Worker:
    """An ``Agent``.

    Args:
        name: for people.
        executors: what it can run; their names are capabilities of it.
        max_concurrent_tasks: how many tasks it runs at once.
        capabilities: others that it has.
        resources: what there is for tasks to occupy.
        default: executor of tasks that name none; None: its only one, if it has one.
        owns: whether :meth:`close` closes the executors.
    """

    kind = "worker"

    def __init__(
        self,
        name: str,
        executors: Iterable[Executor],
        *,
        max_concurrent_tasks: int = 4,
        capabilities: Iterable[str] = (),
        resources: Mapping[str, float] | None = None,
        default: str | None = None,
        owns: bool = True,
        id: str | None = None,
    ) -> None:
        self.name = name
        self.id = id or new_id("worker")
        self.capacity = max_concurrent_tasks
        self.resources: Mapping[str, float] = dict(resources or {})
        self._executors = {executor.name: executor for executor in executors}
        self.capabilities = frozenset(capabilities) | self._executors.keys()
        only = next(iter(self._executors)) if len(self._executors) == 1 else None
        self._default = only if default is None else default
        self._owns = owns

    @property
    def executors(self) -> dict[str, Executor]:
        """By name."""
        return dict(self._executors)

    def execute(self, task: Task, context: TaskContext) -> Any:
        """Run a task by its executor.

        Raises:
            TaskError: it did not succeed; or it names none, and there are several.
        """
        name = task.executor or self._default
        executor = self._executors.get(name) if name is not None else None
        if executor is None:
            what = f"no executor {name!r}" if name is not None else "no default executor"
            there = ", ".join(self._executors) or "none"
            raise TaskError(
                f"worker {self.name} has {what}", retry=False, hint=f"it has {there}"
            )
        return executor.run(task, context)

    def close(self) -> None:
        """Close the executors, if they are its own."""
        if self._owns:
            for executor in self._executors.values():
                executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

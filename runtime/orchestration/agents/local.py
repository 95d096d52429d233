"""Agents of this process: what they have in common, and whether they are well."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ClosedError, OrchestrationError, TaskError
from ..interfaces import Executor
from ..tasks import Task, TaskContext, new_id

#: Seconds that an attempt may go on after it should have ended before its agent counts as hanging.
GRACE = 2.0


@dataclass(eq=False, slots=True)
class _Attempt:
    context: TaskContext
    told: float | None = None  # when it was first seen to be cancelled

    def overdue(self, grace: float) -> bool:
        """Whether it goes on although it should have ended so long ago."""
        now = self.context.clock()
        if self.context.cancelled.is_set() and self.told is None:
            self.told = now
        if self.told is not None and now - self.told > grace:
            return True
        return now - self.context.deadline > grace


class LocalAgent:
    """An agent whose tasks run in threads of this process. Subclasses say how, in :meth:`_run`.

    Args:
        name: what people call it; the id is made up.
        kind: ``neural``, ``quantum``, ``generic``.
        capabilities: what tasks may require of it, besides names of executors.
        capacity: tasks at a time.
        resources: what tasks may occupy, such as ``{"gpu": 1}``.
        executors: what tasks may name as their executor; closed with the agent.
        grace: see :data:`GRACE`.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        capabilities: Iterable[str],
        *,
        capacity: int = 1,
        resources: Mapping[str, float] | None = None,
        executors: Iterable[Executor] = (),
        grace: float = GRACE,
    ) -> None:
        if not name:
            raise OrchestrationError("an agent needs a name")
        if capacity < 1:
            raise OrchestrationError(f"capacity of {name} must be at least 1, not {capacity}")
        self.id = new_id("agent")
        self.name = name
        self.kind = kind
        self.capacity = capacity
        self.resources: Mapping[str, float] = dict(resources or {})
        self._executors = {executor.name: executor for executor in executors}
        self.capabilities = frozenset(capabilities) | self._executors.keys()
        self._grace = grace
        self._guard = threading.Lock()  # guards what follows
        self._attempts: dict[object, _Attempt] = {}
        self._trouble: BaseException | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.id})>"

    def execute(self, task: Task, context: TaskContext) -> Any:
        """Run a task by the executor that it names, or in the agent's own way.

        Raises:
            TaskError: it did not succeed.
            ClosedError: the agent is closed.
        """
        executor = None
        if task.executor is not None:
            executor = self._executors.get(task.executor)
            if executor is None:
                known = ", ".join(sorted(self._executors)) or "none"
                raise TaskError(
                    f"agent {self.name} has no executor {task.executor!r}, but {known}",
                    retry=False,
                )
        attempt = _Attempt(context)
        with self._guard:
            self._check_open()
            self._attempts[attempt] = attempt
        try:
            return self._run(task, context) if executor is None else executor.run(task, context)
        finally:
            with self._guard:
                self._attempts.pop(attempt, None)

    def ping(self) -> bool:
        """Whether it is well: not closed, not broken, nothing goes on that should have ended."""
        with self._guard:
            if self._closed or self._trouble is not None:
                return False
            return not any(attempt.overdue(self._grace) for attempt in self._attempts.values())

    def restart(self) -> None:
        """Begin again, with nothing running. A handler that hangs goes on hanging in its thread."""
        with self._guard:
            self._check_open()
            self._attempts.clear()
            self._trouble = None
        self._drop()

    def close(self) -> None:
        """Free what it holds; what it runs is interrupted if that can be done."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._drop()
        for executor in self._executors.values():
            executor.close()

    def _run(self, task: Task, context: TaskContext) -> Any:
        raise NotImplementedError

    def _drop(self) -> None:
        """Free what runs tasks; what needs it again makes it anew."""

    def _broken(self, error: BaseException) -> None:
        """Note that the agent is not well until it is restarted."""
        with self._guard:
            self._trouble = error

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"agent {self.name} is closed")

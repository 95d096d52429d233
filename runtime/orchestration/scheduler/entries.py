"""What the scheduler knows of a task that is not finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..engine import Attempt
from ..errors import DependencyCycleError, TaskError
from ..graph import find_cycles
from ..tasks import Task, TaskRecord, TaskState
from .guards import Permits
from .queue import Needs

Watcher = Callable[[TaskRecord], None]
#: Characters that are kept of an error, which executors and workers make of anything.
LONGEST = 10_000
BECAME = {TaskState.FAILED: "failed", TaskState.CANCELLED: "was cancelled"}


@dataclass(eq=False, slots=True)
class Entry:
    """A task in the scheduler. The scheduler's lock guards it.

    Args:
        needs: what it needs of an agent.
        since: when it was accepted, on the scheduler's clock, which is what it ages from.
        ready: when it last became ready.
        waiting: ids of dependencies that have not completed.
        inputs: results of those that have.
        dependents: tasks that wait for this one.
        attempt: what runs now.
        incarnation: that of its agent when it was acquired.
        permits: what circuit breakers gave for the attempt.
        failures: attempts that failed; failovers: attempts whose agent failed.
        kept: the agent that is kept for it, when last looked.
        storing: whether its end is on its way to the store.
        finals: called when it is final, with the lock held.
        watchers: called after that, by a thread that has no locks.
    """

    task: Task
    needs: Needs
    since: float
    accepted: float
    state: TaskState = TaskState.WAITING
    ready: float = 0.0
    waiting: set[str] = field(default_factory=set)
    inputs: dict[str, Any] = field(default_factory=dict)
    dependents: list[Entry] = field(default_factory=list)
    attempt: Attempt | None = None
    incarnation: int = 0
    permits: Permits = ()
    attempts: int = 0
    failures: int = 0
    failovers: int = 0
    kept: str | None = None
    agent: str | None = None
    result: Any = None
    error: str | None = None
    started: float | None = None
    finished: float | None = None
    storing: bool = False
    finals: list[Watcher] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)

    @property
    def told(self) -> TaskState:
        """The state that a user is told: an end that is not durable yet is not."""
        if self.storing:
            return TaskState.RUNNING if self.attempts else TaskState.QUEUED
        return self.state

    def record(self) -> TaskRecord:
        """What a user is told of it. What is not durable yet is not told."""
        state, result, error, finished = self.told, self.result, self.error, self.finished
        if self.storing:
            result = error = finished = None
        return TaskRecord(
            self.task, state, self.attempts, self.agent, result, error, self.accepted,
            self.started, finished,
        )  # fmt: skip


def refuse_cycles(tasks: Iterable[Task]) -> None:
    """Raise :class:`DependencyCycleError`, with the names, if some of these wait for each other."""
    by_id = {task.id: task for task in tasks if task.dependencies}
    if not by_id:
        return
    cycles = find_cycles(
        {name: [d for d in task.dependencies if d in by_id] for name, task in by_id.items()}
    )
    if cycles:
        raise DependencyCycleError(tuple(by_id[task_id].name for task_id in cycles[0]))


def describe(error: BaseException) -> str:
    """What is kept of an error: it is told in every event of its task, of which many are kept."""
    try:
        text = str(error)
    except Exception as problem:  # it is of whoever wrote the executor, as the error is
        text = f"(it cannot say what it is: {type(problem).__name__})"
    text = text if isinstance(error, TaskError) else f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"

"""Stand-ins for what parts of orchestration ask of each other: agents, logs, clocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.interfaces import Stored
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskRecord, TaskState


class FakeClock:
    """Time that stands still until it is moved."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeAgent:
    """An agent that calls a function."""

    def __init__(
        self,
        id: str,
        *capabilities: str,
        capacity: int = 1,
        resources: Mapping[str, float] | None = None,
        run: Callable[[Task, TaskContext], Any] = lambda task, context: task.payload,
    ) -> None:
        self.id = self.name = id
        self.kind = "fake"
        self.capabilities = frozenset(capabilities)
        self.resources = resources or {}
        self.capacity = capacity
        self.closed = 0
        self._run = run

    def execute(self, task: Task, context: TaskContext) -> Any:
        return self._run(task, context)

    def close(self) -> None:
        self.closed += 1


class ListLog:
    """An event log in memory."""

    def __init__(self) -> None:
        self.written: list[Event] = []

    def append(self, events: Sequence[Event]) -> None:
        self.written += events

    def append_soon(self, events: Sequence[Event], stored: Stored | None = None) -> None:
        self.written += events
        if stored is not None:
            stored(None)

    def task(self, task_id: str) -> TaskRecord | None:
        return None

    def task_by_key(self, idempotency_key: str) -> TaskRecord | None:
        return None

    def tasks(
        self, states: Iterable[TaskState] | None = None, *, workflow: str | None = None
    ) -> Iterator[TaskRecord]:
        return iter(())

    def events(
        self,
        after: int = 0,
        *,
        subject: str | None = None,
        kinds: Collection[EventKind] | None = None,
    ) -> Iterator[Event]:
        return (event for event in self.written if kinds is None or event.kind in kinds)

"""The seams: what the parts of orchestration ask of each other."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from .events import Event, EventKind
from .tasks import Task, TaskContext, TaskRecord, TaskState


class Executor(Protocol):
    """A way of running tasks: a WebAssembly module, a Python function, another program.

    Called from several threads at once.
    """

    @property
    def name(self) -> str:
        """As tasks name it in :attr:`Task.executor`; also a capability of agents that have it."""

    def run(self, task: Task, context: TaskContext) -> Any:
        """Do it and give the result.

        Raises:
            TaskError: it did not succeed. Whatever else is raised counts as a failure that may
                be retried.
        """

    def close(self) -> None:
        """Free what it holds; may be called more than once."""


class AgentState(enum.Enum):
    """Lifecycle of an agent. Tasks go to READY and BUSY ones only."""

    CREATED = "created"  #: not registered, or not started yet
    READY = "ready"
    BUSY = "busy"  #: has no room for another task
    SUSPECT = "suspect"  #: its heartbeat is late; gets no new tasks
    FAILED = "failed"  #: given up; its tasks run elsewhere. May be restarted
    RETIRED = "retired"  #: for good


class Agent(Protocol):
    """Who runs tasks: a place with capabilities, room for some tasks at a time, and executors."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """``neural``, ``quantum``, ``generic``, ``worker``…"""

    @property
    def capabilities(self) -> frozenset[str]:
        """What tasks may require of it, names of its executors included."""

    @property
    def resources(self) -> Mapping[str, float]:
        """What there is for tasks to occupy, such as ``{"gpu": 1}``."""

    @property
    def capacity(self) -> int:
        """How many tasks it runs at once."""

    def execute(self, task: Task, context: TaskContext) -> Any:
        """Run a task by the executor that it names, or by the agent's default one."""

    def close(self) -> None:
        """Free what it holds; may be called more than once."""


#: Called when events are durable, or with what went wrong.
Stored = Callable[[BaseException | None], None]


class EventLog(Protocol):
    """What the scheduler and workflows ask of a store. ``store.Store`` is one."""

    def append(self, events: Sequence[Event]) -> None:
        """Write events in one transaction, and return when they are durable.

        Raises:
            StoreError: they are not: the disk is full, the file is damaged, the store is closed.
                None of them is stored then.
        """

    def append_soon(self, events: Sequence[Event], stored: Stored | None = None) -> None:
        """Have events written, after all that were given before; return at once.

        Args:
            stored: called from the writer's thread. It must be quick and must not raise.
        """

    def task(self, task_id: str) -> TaskRecord | None:
        """What is known of a task; None if it was never accepted, or is cleaned up."""

    def task_by_key(self, idempotency_key: str) -> TaskRecord | None:
        """The task that was accepted with this key."""

    def tasks(
        self, states: Iterable[TaskState] | None = None, *, workflow: str | None = None
    ) -> Iterator[TaskRecord]:
        """Tasks in these states (None: in any), in the order in which they were accepted."""

    def events(
        self,
        after: int = 0,
        *,
        subject: str | None = None,
        kinds: Collection[EventKind] | None = None,
    ) -> Iterator[Event]:
        """Events in order, from the one behind sequence number ``after``.

        Args:
            subject: of this one only: a task, an agent, a workflow or a message.
            kinds: of these only.
        """

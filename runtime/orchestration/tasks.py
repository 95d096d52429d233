"""A task: what is asked for, how urgently, what must be done first, and what became of it."""

from __future__ import annotations

import enum
import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from numbers import Real
from typing import Any, Self

from .errors import InvalidTaskError, TaskCancelledError, TaskTimeoutError

DEFAULT_TIMEOUT = 30.0  #: seconds; 30,000 ms in manifests
DEFAULT_RETRIES = 3
_PRIORITIES = 1 << 63
#: What turns of swarms require, which a store keeps beside tasks: no scheduler runs them.
SWARM_TURN = frozenset({"swarm_turn"})


class TaskPriority(enum.IntEnum):
    """Names for some priorities; any integer is one, a higher one is served earlier."""

    LOW = -10
    NORMAL = 0
    HIGH = 10
    CRITICAL = 20


class TaskState(enum.Enum):
    """Where a task is in its life. The last three are final."""

    WAITING = "waiting"  #: for tasks that it depends on
    QUEUED = "queued"  #: ready, waiting for an agent, or for the delay before another attempt
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the task."""
        return self in _FINAL


_FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})


def new_id(prefix: str) -> str:
    """A fresh id, such as ``task-6920e4b23f9c2a7be1d0000001c5``.

    Those of a process grow, so that a store adds each at the end of its index: with 400,000 tasks
    there, one is accepted in a quarter of the time that ids without an order take.
    """
    return f"{prefix}-{int(time.time()):08x}{_process}{next(_count):08x}"


def _new_process() -> None:
    global _process
    _process = secrets.token_hex(6)


_count = itertools.count()
_process = ""
_new_process()
os.register_at_fork(after_in_child=_new_process)


def seconds(duration: float | timedelta, what: str = "timeout") -> float:
    """A duration in seconds. Raises :class:`InvalidTaskError` if it is not positive and finite."""
    if not isinstance(duration, (timedelta, Real)):
        raise InvalidTaskError(f"{what} must be seconds or a timedelta, not {duration!r}")
    value = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 < value < float("inf"):
        raise InvalidTaskError(f"{what} must be positive and finite, not {duration!r}")
    return value


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done. Made by :class:`TaskBuilder` or directly; never changes.

    Args:
        name: what people call it; need not be unique.
        payload: what its executor works on: a value as :mod:`.codec` describes. Without a store,
            any object, which is passed by reference.
        executor: name of the executor that is to run it; None: what the agent runs by default.
        requires: capabilities that the agent must have.
        resources: what it occupies of its agent while it runs, such as ``{"gpu": 1}``.
        priority: a higher one is served earlier; waiting raises it (see ``SchedulerConfig``).
        dependencies: ids of tasks that must complete first. If one fails or is cancelled, so is
            this task.
        timeout: seconds that one attempt may take.
        retries: attempts beyond the first.
        idempotency_key: submitting a second task with the key of a first gives the first's id
            and runs nothing. Executors get it too, so that what they do outside can be done once.
        workflow: id of the run of a workflow or pipeline that it belongs to.
        id: made up if not given.
        reference: what who asked for it calls it, told again in what is told of it.
    """

    name: str
    payload: Any = None
    executor: str | None = None
    requires: frozenset[str] = frozenset()
    resources: Mapping[str, float] = field(default_factory=dict)
    priority: int = TaskPriority.NORMAL
    dependencies: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES
    idempotency_key: str | None = None
    workflow: str | None = None
    id: str = field(default_factory=lambda: new_id("task"))
    reference: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidTaskError("a task needs a name")
        self._check_types()
        if not 0 < self.timeout < float("inf"):
            raise InvalidTaskError(
                f"timeout of {self.name} must be positive and finite, not {self.timeout!r}"
            )
        if not -_PRIORITIES <= self.priority < _PRIORITIES:  # so that a store can keep it
            raise InvalidTaskError(f"priority of {self.name} is out of range")
        if self.retries < 0:
            raise InvalidTaskError(f"retries of {self.name} must not be negative: {self.retries}")
        if self.id in self.dependencies:
            raise InvalidTaskError(f"{self.name} depends on itself")
        for resource, amount in self.resources.items():
            if not 0 <= amount < float("inf"):
                raise InvalidTaskError(f"{self.name} cannot need {amount!r} of {resource}")

    def _check_types(self) -> None:
        """What would fail later, where nobody could tell whose mistake it was."""
        for what, value, kinds, wanted in (
            ("name", self.name, str, "text"),
            ("priority", self.priority, int, "an int"),
            ("timeout", self.timeout, (float, int), "a number of seconds"),
            ("retries", self.retries, int, "an int"),
        ):
            if not isinstance(value, kinds):
                raise InvalidTaskError(f"{what} of {self.name} must be {wanted}, not {value!r}")
        for what, names in (("requires", self.requires), ("dependencies", self.dependencies)):
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise InvalidTaskError(f"{what} of {self.name} must be texts, not {names!r}")

    def to_data(self) -> dict[str, Any]:
        """As a value of :mod:`.codec`; what is the default is left out."""
        data: dict[str, Any] = {"id": self.id, "name": self.name}
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if value != default if name != "payload" else value is not None:
                data[name] = sorted(value) if name == "requires" else value
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The task of what :meth:`to_data` gave."""
        fields = dict(data)
        fields["requires"] = frozenset(fields.get("requires", ()))
        fields["dependencies"] = tuple(fields.get("dependencies", ()))
        return cls(**fields)


_DEFAULTS: dict[str, Any] = {
    "payload": None, "executor": None, "requires": frozenset(), "resources": {},
    "priority": 0, "dependencies": (), "timeout": DEFAULT_TIMEOUT, "retries": DEFAULT_RETRIES,
    "idempotency_key": None, "workflow": None, "reference": None,
}  # fmt: skip


class TaskBuilder:
    """A task, said step by step.

    >>> TaskBuilder("analysis").payload(b"...").priority(TaskPriority.HIGH).timeout(30).build().name
    'analysis'
    """

    def __init__(self, name: str) -> None:
        self._task = Task(name)

    def _with(self, **changes: Any) -> Self:
        self._task = replace(self._task, **changes)
        return self

    def payload(self, value: Any) -> Self:
        """What the executor works on."""
        return self._with(payload=value)

    def executor(self, name: str) -> Self:
        """Which executor runs it, such as ``wasm`` or ``php_engine``."""
        return self._with(executor=name)

    def priority(self, priority: int) -> Self:
        """A :class:`TaskPriority` or any integer; higher is earlier."""
        return self._with(priority=int(priority) if hasattr(priority, "__index__") else priority)

    def requires(self, *capabilities: str) -> Self:
        """Capabilities that the agent must have, besides those named before."""
        return self._with(requires=self._task.requires | set(capabilities))

    def resource(self, name: str, amount: float = 1) -> Self:
        """What it occupies of its agent while it runs."""
        return self._with(resources={**self._task.resources, name: amount})

    def depends_on(self, *tasks: str | Task) -> Self:
        """Tasks, or ids of tasks, that must complete first, besides those named before."""
        ids = (task.id if isinstance(task, Task) else task for task in tasks)
        return self._with(dependencies=tuple(dict.fromkeys((*self._task.dependencies, *ids))))

    def timeout(self, duration: float | timedelta) -> Self:
        """Seconds, or a timedelta, that one attempt may take."""
        return self._with(timeout=seconds(duration))

    def retries(self, count: int) -> Self:
        """Attempts beyond the first."""
        return self._with(retries=count)

    def idempotency_key(self, key: str) -> Self:
        """Of tasks with the same key, only the first is run."""
        return self._with(idempotency_key=key)

    def build(self) -> Task:
        """The task. What is built again afterwards is another task, with an id of its own."""
        task, self._task = self._task, replace(self._task, id=new_id("task"))
        return task


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is known of a task that was accepted.

    Args:
        attempts: how many have begun.
        agent: id of the agent that runs or ran the last attempt.
        result: of a completed task.
        error: of a failed or cancelled one, or of the last attempt that failed.
        accepted, started, finished: seconds since 1970; the last attempt's start.
    """

    task: Task
    state: TaskState
    attempts: int = 0
    agent: str | None = None
    result: Any = None
    error: str | None = None
    accepted: float = 0.0
    started: float | None = None
    finished: float | None = None


@dataclass(eq=False, slots=True)
class TaskContext:
    """What an executor is told of the attempt that it makes.

    Args:
        attempt: from 1.
        deadline: when the attempt times out, on ``clock``.
        inputs: results of the tasks that it depends on, by id.
        cancelled: set when nobody waits for the attempt any more: the task was cancelled or has
            timed out, its agent has failed. Executors stop soon after.
        emit: called with a kind and data for what happens meanwhile, such as a line of output.
    """

    attempt: int = 1
    deadline: float = float("inf")
    inputs: Mapping[str, Any] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    emit: Callable[[str, Any], None] = lambda kind, data: None
    clock: Callable[[], float] = time.monotonic

    def remaining(self) -> float:
        """Seconds until the deadline; not below 0."""
        return max(0.0, self.deadline - self.clock())

    def check(self) -> None:
        """Raise if the attempt should stop: TaskCancelledError or TaskTimeoutError."""
        if self.cancelled.is_set():
            raise TaskCancelledError
        if self.clock() >= self.deadline:
            raise TaskTimeoutError("timed out")


def ids_of(tasks: Iterable[Task]) -> list[str]:
    """The ids of tasks, in their order."""
    return [task.id for task in tasks]

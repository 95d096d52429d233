"""What a store tells of workflows, agents, messages, attempts, and of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..histogram import Distribution
from ..interfaces import AgentState
from ..tasks import TaskState


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """A run of a workflow or pipeline.

    Args:
        state: ``running``, ``rolling_back``, or how it ended: ``completed``, ``failed``,
            ``rolled_back``.
        error: why it was rolled back, or failed.
        compensations: ids of the tasks that undo it, once it is rolled back.
        started, finished: seconds since 1970.
        reference: what who asked for it calls it.
    """

    id: str
    name: str
    version: str | None
    manifest: Any
    state: str
    error: str | None
    compensations: tuple[str, ...]
    started: float
    finished: float | None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """A task in a list: what is short of it.

    Args:
        number: those accepted later have higher ones.
        workflow: the run or swarm that it belongs to.
    """

    number: int
    id: str
    name: str
    state: TaskState
    executor: str | None
    agent: str | None
    attempts: int
    error: str | None
    workflow: str | None


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """An agent as it was last heard of.

    Args:
        registered, changed: seconds since 1970.
    """

    id: str
    name: str
    kind: str
    capabilities: frozenset[str]
    state: AgentState
    reason: str | None
    registered: float
    changed: float


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message that was sent.

    Args:
        recipient: None if it is to everybody who listens to the channel.
        sent: seconds since 1970.
        delivered: when it was delivered last; None if it never was.
        deliveries: how often it was.
    """

    id: str
    channel: str
    sender: str
    recipient: str | None
    payload: Any
    sent: float
    delivered: float | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One attempt at a task.

    Args:
        attempt: from 1.
        started, finished: seconds since 1970.
        outcome: ``completed``, ``failed``, ``cancelled``; ``lost`` if its agent failed, or another
            attempt began though nothing was heard of this one; None while it runs.
    """

    task: str
    attempt: int
    agent: str | None
    started: float
    finished: float | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How much :meth:`Store.cleanup` removed."""

    tasks: int = 0
    workflows: int = 0
    agents: int = 0
    messages: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store did since it was opened.

    Args:
        events: stored.
        appends: stored; one holds one or more events.
        refused: appends that were not stored.
        commits: transactions; many appends share one under load.
        largest_commit: events of the largest.
        commit_time: seconds that each transaction took.
        waiting: appends that are not written yet, about.
        last_seq: sequence number of the latest event.
        size: bytes of the database and its write-ahead log.
    """

    events: int
    appends: int
    refused: int
    commits: int
    largest_commit: int
    commit_time: Distribution
    waiting: int
    last_seq: int
    size: int

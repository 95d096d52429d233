"""What is so now of a task, workflow, agent or message, as the writer holds it in memory."""

from __future__ import annotations

import copy
from typing import Any, Self


class Now:
    """What the kinds of subjects have in common.

    ``number`` is the sequence number of the event that made it, ``last`` that of the latest.
    """

    __slots__ = ("id", "last", "number")

    def __init__(self, id: str, number: int) -> None:
        self.id = id
        self.number = number
        self.last = 0

    def copy(self) -> Self:
        """Another with the same fields."""
        return copy.copy(self)

    @property
    def final(self) -> bool:
        """Whether nothing more can happen to it."""
        raise NotImplementedError

    def row(self) -> tuple[Any, ...]:
        """Its row, in the order of ``COLUMNS``."""
        raise NotImplementedError


class TaskNow(Now):
    """A task. ``runs`` are the rows of attempts that changed and are not written yet."""

    __slots__ = (
        "accepted", "agent", "attempts", "finished", "key", "outcome", "run", "runs", "started",
        "state", "workflow",
    )  # fmt: skip
    COLUMNS = (
        "number", "id", "state", "attempts", "agent", "accepted", "started", "finished",
        "idempotency_key", "workflow", "outcome", "run", "last",
    )  # fmt: skip
    CHANGING = ("state", "attempts", "agent", "started", "finished", "outcome", "run", "last")
    RUN_COLUMNS = ("seq", "task", "attempt", "agent", "started", "finished", "outcome")
    RUN_CHANGING = ("finished", "outcome")

    def __init__(self, id: str, number: int, state: str, accepted: float) -> None:
        super().__init__(id, number)
        self.state = state
        self.attempts = 0
        self.agent: str | None = None
        self.accepted = accepted
        self.started: float | None = None
        self.finished: float | None = None
        self.key: str | None = None
        self.workflow: str | None = None
        self.outcome = 0
        self.run = 0
        self.runs: dict[int, tuple[Any, ...]] = {}

    def copy(self) -> Self:
        other = copy.copy(self)
        other.runs = dict(self.runs)
        return other

    @property
    def final(self) -> bool:
        return self.finished is not None

    def row(self) -> tuple[Any, ...]:
        return (
            self.number, self.id, self.state, self.attempts, self.agent, self.accepted,
            self.started, self.finished, self.key, self.workflow, self.outcome, self.run, self.last,
        )  # fmt: skip

    def end_run(self, at: float, outcome: str) -> None:
        """The attempt that runs, if one does, ended so."""
        if self.run:
            self.runs[self.run] = (
                self.run, self.number, self.attempts, self.agent, self.started, at, outcome,
            )  # fmt: skip
            self.run = 0


class WorkflowNow(Now):
    """A run of a workflow. ``rollback`` is the event that began the rollback, or 0."""

    __slots__ = ("finished", "name", "rollback", "started", "state", "version")
    COLUMNS = (
        "number", "id", "name", "version", "state", "started", "finished", "rollback", "last",
    )  # fmt: skip
    CHANGING = ("state", "finished", "rollback", "last")

    def __init__(
        self, id: str, number: int, name: str, version: str | None, started: float
    ) -> None:
        super().__init__(id, number)
        self.name = name
        self.version = version
        self.state = "running"
        self.started = started
        self.finished: float | None = None
        self.rollback = 0

    @property
    def final(self) -> bool:
        return self.finished is not None

    def row(self) -> tuple[Any, ...]:
        return (
            self.number, self.id, self.name, self.version, self.state, self.started,
            self.finished, self.rollback, self.last,
        )  # fmt: skip


class AgentNow(Now):
    """An agent. ``described`` is the event of its latest registration."""

    __slots__ = ("changed", "described", "kind", "name", "registered", "state")
    COLUMNS = (
        "number", "id", "name", "kind", "state", "registered", "changed", "described", "last",
    )  # fmt: skip
    CHANGING = ("name", "kind", "state", "registered", "changed", "described", "last")

    def __init__(self, id: str, number: int) -> None:
        super().__init__(id, number)
        self.name = self.kind = self.state = ""
        self.registered = self.changed = 0.0
        self.described = number

    @property
    def final(self) -> bool:
        return False  # a retired one may register again

    def row(self) -> tuple[Any, ...]:
        return (
            self.number, self.id, self.name, self.kind, self.state, self.registered,
            self.changed, self.described, self.last,
        )  # fmt: skip


class MessageNow(Now):
    """A message."""

    __slots__ = ("channel", "delivered", "deliveries", "recipient", "sender", "sent")
    COLUMNS = (
        "number", "id", "channel", "sender", "recipient", "sent", "delivered", "deliveries",
        "last",
    )  # fmt: skip
    CHANGING = ("delivered", "deliveries", "last")

    def __init__(
        self, id: str, number: int, channel: str, sender: str, recipient: str | None, sent: float
    ) -> None:
        super().__init__(id, number)
        self.channel = channel
        self.sender = sender
        self.recipient = recipient
        self.sent = sent
        self.delivered: float | None = None
        self.deliveries = 0

    @property
    def final(self) -> bool:
        return self.recipient is not None and self.deliveries > 0

    def row(self) -> tuple[Any, ...]:
        return (
            self.number, self.id, self.channel, self.sender, self.recipient, self.sent,
            self.delivered, self.deliveries, self.last,
        )  # fmt: skip

"""Graceful degradation: under load, what matters less waits outside; the rest has room.

Two things follow from how full the queue of waiting tasks is. *Who is let in*: as it fills, first
tasks of low priority are refused, then all but those of high priority. *Who begins*: while it is
so full, a part of the agents' capacity is left to tasks of high priority. What was accepted is
never dropped.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..errors import OrchestrationError, QueueFullError
from ..tasks import TaskPriority


class OverloadedError(QueueFullError):
    """The task was not accepted because more urgent ones wait.

    Args:
        level: how loaded the scheduler is.
    """

    def __init__(self, message: str, level: LoadLevel) -> None:
        super().__init__(message, hint="submit it later, or with a higher priority")
        self.level = level


class LoadLevel(enum.IntEnum):
    """How loaded a scheduler is."""

    NORMAL = 0  #: everything is accepted
    ELEVATED = 1  #: low priorities are refused
    CRITICAL = 2  #: only high priorities are accepted


@dataclass(frozen=True, slots=True)
class ShedPolicy:
    """When load is shed, and whose.

    Args:
        elevated, critical: share of the queue that is full from which the level is so; above 1:
            never.
        relief: how much emptier it must be before the level is so no more, so that it does not
            change with every task.
        elevated_least, critical_least: least priority that is accepted then.
        reserve: share of the capacity that is left to tasks of ``critical_least`` and more, unless
            the level is NORMAL.
    """

    elevated: float = 0.6
    critical: float = 0.85
    relief: float = 0.1
    elevated_least: int = TaskPriority.NORMAL
    critical_least: int = TaskPriority.HIGH
    reserve: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.relief < self.elevated <= self.critical:
            raise OrchestrationError(f"relief, elevated and critical must rise: {self}")
        if self.elevated_least > self.critical_least or not 0 <= self.reserve < 1:
            raise OrchestrationError(
                f"critical_least must not be below elevated_least, and reserve in [0, 1): {self}"
            )

    @classmethod
    def off(cls) -> ShedPolicy:
        """Accept everything as long as there is room."""
        return cls(elevated=2.0, critical=2.0, reserve=0.0)


@dataclass(frozen=True, slots=True)
class ShedStatistics:
    """Counts: tasks refused at each level, starts put off for the reserve, changes of level."""

    level: LoadLevel
    refused_elevated: int
    refused_critical: int
    held: int
    changes: int


class LoadShedder:
    """Says whose tasks are accepted and begin now. The scheduler's lock guards it.

    A scheduler calls :meth:`check` before it accepts a task, :meth:`may_start` before it gives one
    to an agent, and :meth:`update` when tasks have left the queue.
    """

    def __init__(self, policy: ShedPolicy | None = None) -> None:
        self.policy = policy or ShedPolicy()
        self.level = LoadLevel.NORMAL
        self._refused = [0, 0, 0]
        self._held = self._changes = 0

    def update(self, waiting: int, limit: int) -> LoadLevel:
        """Note how many tasks wait, of how many that may; the level that follows."""
        policy, full = self.policy, waiting / limit
        level = LoadLevel.NORMAL
        for other, threshold in (
            (LoadLevel.ELEVATED, policy.elevated), (LoadLevel.CRITICAL, policy.critical)
        ):  # fmt: skip
            if full >= threshold - (policy.relief if self.level >= other else 0.0):
                level = other
        if level is not self.level:
            self._changes += 1
            self.level = level
        return level

    def least(self) -> int | None:
        """The least priority that is accepted; None: all are."""
        if self.level is LoadLevel.NORMAL:
            return None
        critical = self.level is LoadLevel.CRITICAL
        return self.policy.critical_least if critical else self.policy.elevated_least

    def check(self, name: str, priority: int, waiting: int, limit: int) -> None:
        """Refuse a task that matters too little at such a load.

        Raises:
            OverloadedError: it does.
        """
        level = self.update(waiting, limit)
        least = self.least()
        if least is not None and priority < least:
            self._refused[level] += 1
            raise OverloadedError(
                f"{name} has priority {priority}, and only {least} and higher are accepted while"
                f" {waiting} of {limit} tasks wait (load {level.name.lower()})", level,
            )  # fmt: skip

    def may_start(self, priority: int, running: int, capacity: int) -> bool:
        """Whether a task may take one of the places that are left.

        Args:
            running, capacity: of all agents that could run it, or of the scheduler.
        """
        if self.level is LoadLevel.NORMAL or priority >= self.policy.critical_least:
            return True
        kept = int(self.policy.reserve * capacity)  # of few places none is kept
        if running < capacity - kept:
            return True
        self._held += 1
        return False

    def stats(self) -> ShedStatistics:
        """Counts as they are now."""
        return ShedStatistics(
            self.level, self._refused[1], self._refused[2], self._held, self._changes
        )

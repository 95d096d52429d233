"""Errors of the orchestration layers."""

from __future__ import annotations

from ...errors import SwarmcError


class OrchestrationError(SwarmcError):
    """Base of what a user of tasks, agents, workflows or pipelines can cause."""


class InvalidTaskError(OrchestrationError):
    """A task that says something impossible: a negative timeout, an unknown dependency."""


class DependencyCycleError(InvalidTaskError):
    """Tasks that wait for each other.

    Args:
        cycle: names of the tasks, each depending on the next, the first repeated at the end.
    """

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(f"tasks depend on each other in a cycle: {' -> '.join(cycle)}")
        self.cycle = cycle


class QueueFullError(OrchestrationError):
    """The queue holds as many tasks as it may: wait, or submit fewer."""


class UnknownTaskError(OrchestrationError, KeyError):
    """No task has this id."""

    __str__ = OrchestrationError.__str__  # KeyError's shows the repr


class UnknownAgentError(OrchestrationError, KeyError):
    """No agent has this id."""

    __str__ = OrchestrationError.__str__


class ClosedError(OrchestrationError):
    """What was asked to work has been closed."""


class TaskError(OrchestrationError):
    """A task that ran and did not succeed. Raised by executors; kept with the task.

    Args:
        retry: whether another attempt may succeed. False for what will fail every time, such
            as parameters of a wrong type: no retry is spent on it.
    """

    def __init__(self, message: str, *, retry: bool = True, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry = retry


class TaskTimeoutError(TaskError):
    """An attempt took longer than its task allows."""


class TaskCancelledError(TaskError):
    """The task was cancelled while it ran; executors raise it when they notice."""

    def __init__(self, message: str = "the task was cancelled") -> None:
        super().__init__(message, retry=False)

"""What can be set of a scheduler, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import RetryCallState, wait_exponential

from ..errors import OrchestrationError
from ..histogram import Distribution
from .strategies import AgentSelectionStrategy


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Settings of a scheduler.

    Args:
        selection_strategy: which of several agents gets a task.
        max_concurrent_tasks: how many run at once, over all agents.
        task_queue_size: how many may wait; more are refused.
        load_balancing: False: an agent is chosen by order of registration, whatever the strategy.
        dependency_resolution: False: tasks with dependencies are refused.
        aging: seconds of waiting that weigh as much as one step of priority.
        reserve_after: seconds that a task is ready, until what it needs of an agent's resources is
            kept free of tasks whose turn is after its own.
        retry_delay: seconds before the second attempt; doubles with each one after.
        max_retry_delay: at most.
        max_failovers: how often a task is given to another agent because its own failed, before
            the task counts as the cause. Retries are not spent on this.
        keep_finished: without a store, how many finished tasks are remembered.
    """

    selection_strategy: AgentSelectionStrategy = AgentSelectionStrategy.LOAD_BALANCED
    max_concurrent_tasks: int = 512
    task_queue_size: int = 10_000
    load_balancing: bool = True
    dependency_resolution: bool = True
    aging: float = 1.0
    reserve_after: float = 1.0
    retry_delay: float = 0.1
    max_retry_delay: float = 30.0
    max_failovers: int = 5
    keep_finished: int = 100_000

    def __post_init__(self) -> None:
        if not isinstance(self.selection_strategy, AgentSelectionStrategy):
            raise OrchestrationError(
                "selection_strategy must be an AgentSelectionStrategy,"
                f" not {self.selection_strategy!r}"
            )
        for name in ("max_concurrent_tasks", "task_queue_size", "keep_finished", "max_failovers"):
            if not isinstance(getattr(self, name), int):
                raise OrchestrationError(f"{name} must be an int, not {getattr(self, name)!r}")
        for name in ("max_concurrent_tasks", "task_queue_size", "keep_finished"):
            if getattr(self, name) < 1:
                raise OrchestrationError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("aging", "reserve_after", "retry_delay", "max_retry_delay"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise OrchestrationError(
                    f"{name} must be a number of seconds, positive and finite, not {value!r}"
                )
        if self.max_failovers < 0:
            raise OrchestrationError(f"max_failovers must not be negative: {self.max_failovers}")

    def delay(self, failures: int) -> float:
        """Seconds to wait for the next attempt after so many have failed."""
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = failures
        return float(wait_exponential(self.retry_delay, self.max_retry_delay)(state))


@dataclass(frozen=True, slots=True)
class SchedulerStats:
    """A scheduler at one moment. Counts are since it was made.

    Args:
        waiting: for other tasks; queued: for an agent; delayed: for their next attempt.
        unplaced: of those queued, how many need what no agent offers.
        running: now.
        storing: done, and about to be durable.
        failovers: tasks that were given to another agent because theirs failed.
        late: results that came when nobody waited for them any more.
        throughput: tasks completed a second, over the last ten seconds.
        queue_time: seconds between being ready and the start of an attempt.
        run_time: seconds between the start and the end of one.
    """

    accepted: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    timed_out: int
    failovers: int
    late: int
    waiting: int
    queued: int
    delayed: int
    unplaced: int
    running: int
    storing: int
    throughput: float
    queue_time: Distribution
    run_time: Distribution

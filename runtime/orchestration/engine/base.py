"""What the scheduler asks of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..interfaces import Agent
from ..tasks import Task, TaskContext


@dataclass(eq=False, slots=True)
class Attempt:
    """One run of a task by an agent. Equal only to itself: it fences results of earlier ones."""

    task: Task
    agent: Agent
    context: TaskContext
    started: float = 0.0  #: on the scheduler's clock, when the agent began; 0: it has not


#: Called once an attempt, from the engine's thread: with its result, or with what it raised.
Done = Callable[[Attempt, Any, BaseException | None], None]
#: Called right before the agent begins, from the same thread.
Started = Callable[[Attempt], None]


class Engine(Protocol):
    """Runs attempts, many at once."""

    def open(self, started: Started, done: Done) -> None:
        """Say where to report; called once, before anything is launched."""

    def launch(self, attempt: Attempt) -> None:
        """Run it soon, and return at once. May be called from within ``done``."""

    def abandon(self, attempt: Attempt) -> None:
        """Nobody waits for it any more. It may still run, as code that cannot be stopped does."""

    def close(self, timeout: float) -> bool:
        """Take no more, wait for what runs, this many seconds at most; whether all has ended."""

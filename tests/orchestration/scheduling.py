"""A scheduler whose clock and engine do what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.agents.breaker import BreakerPolicy, Breakers
from swarmc.runtime.orchestration.agents.shedding import LoadShedder
from swarmc.runtime.orchestration.engine import Attempt
from swarmc.runtime.orchestration.engine.base import Done, Started
from swarmc.runtime.orchestration.interfaces import EventLog
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.tasks import Task, TaskContext


class Worker:
    """An agent that does what a function says."""

    kind = "test"

    def __init__(
        self, name: str, capabilities: Any = frozenset(), capacity: Any = 1,
        resources: Mapping[str, float] | None = None,
        run: Callable[[Task, TaskContext], Any] = lambda task, context: task.payload,
    ) -> None:  # fmt: skip
        self.id = self.name = name
        self.capabilities = capabilities
        self.capacity = capacity
        self.resources = resources or {}
        self.run = run

    def execute(self, task: Task, context: TaskContext) -> Any:
        return self.run(task, context)

    def close(self) -> None:
        pass


class ManualEngine:
    """Attempts begin at once and end when the test says so."""

    def __init__(self) -> None:
        self.running: dict[str, Attempt] = {}  #: by task's name
        self.begun: list[tuple[str, str]] = []  #: task's name, agent
        self.abandoned: list[str] = []

    def open(self, started: Started, done: Done) -> None:
        self._started, self._done = started, done

    def launch(self, attempt: Attempt) -> None:
        self._started(attempt)
        self.running[attempt.task.name] = attempt
        self.begun.append((attempt.task.name, attempt.agent.id))

    def abandon(self, attempt: Attempt) -> None:
        self.abandoned.append(attempt.task.name)

    def close(self, timeout: float) -> bool:
        return not self.running

    def end(self, name: str, result: Any = None) -> None:
        attempt = self.running.pop(name)
        failed = isinstance(result, BaseException)
        self._done(attempt, None if failed else result, result if failed else None)

    def order(self) -> list[str]:
        return [name for name, _ in self.begun]


class Bench:
    """A scheduler, its engine and its clock."""

    def __init__(
        self, *workers: Worker, store: EventLog | None = None, paused: bool = False,
        breakers: BreakerPolicy | None = None, shedder: LoadShedder | None = None, **config: Any,
    ) -> None:  # fmt: skip
        self.now = 100.0
        self.engine = ManualEngine()
        self.registry = AgentRegistry(clock=self.clock)
        for worker in workers or (Worker("w"),):
            self.registry.register(worker)
        self.scheduler = Scheduler(
            self.registry, store, SchedulerConfig(**config), engine=self.engine, clock=self.clock,
            breakers=Breakers(breakers, self.clock) if breakers else None, shedder=shedder,
            paused=paused, timer=False,
        )  # fmt: skip

    def clock(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.scheduler.tick()

    def run_all(self) -> list[str]:
        """Let every task end as soon as it has begun; the order in which they began."""
        while self.engine.running:
            self.engine.end(next(iter(self.engine.running)))
        return self.engine.order()

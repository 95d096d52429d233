"""Everything at once: submitters, cancellations, timeouts, failing agents, a store, a recovery.

What happens is drawn from a seed; when it happens is the machine's. Whatever the order, what
docs/orchestration/promises.md says of tasks holds.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.agents.breaker import BreakerPolicy, Breakers
from swarmc.runtime.orchestration.agents.shedding import LoadShedder
from swarmc.runtime.orchestration.engine import LocalEngine
from swarmc.runtime.orchestration.errors import QueueFullError, TaskError
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.interfaces import AgentState
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .scheduling import Worker

SUBMITTERS, TASKS, AGENTS = 8, 120, 5
LONG = 60.0
_ENDS = {EventKind.TASK_COMPLETED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED}
_NEXT: dict[EventKind | None, set[EventKind]] = {  # which events of a task may follow which
    None: {EventKind.TASK_ACCEPTED},
    EventKind.TASK_ACCEPTED: {EventKind.TASK_STARTED, EventKind.TASK_CANCELLED},
    EventKind.TASK_STARTED: {EventKind.TASK_RETRIED, EventKind.TASK_STARTED, *_ENDS},
    EventKind.TASK_RETRIED: {EventKind.TASK_STARTED, EventKind.TASK_CANCELLED,
                             EventKind.TASK_FAILED},
    EventKind.TASK_COMPLETED: set(), EventKind.TASK_FAILED: set(), EventKind.TASK_CANCELLED: set(),
}  # fmt: skip


def execute(task: Task, context: TaskContext) -> Any:
    """Do what the payload says; the result follows from the task and its inputs alone."""
    does, number = task.payload
    if does == "fails" or (does == "fails once" and context.attempt == 1):
        raise ValueError("on purpose")
    if does == "hopeless":
        raise TaskError("on purpose", retry=False)
    if does == "hangs":
        context.cancelled.wait(LONG)
        context.check()
    if does == "sleeps":
        time.sleep(0.003)
    return number + sum(context.inputs.values())


class Storm:
    """A scheduler in use by several threads that do what a seed says."""

    def __init__(self, seed: int, store: Store | None) -> None:
        self.seed, self.store = seed, store
        self.engine = LocalEngine(threads=16)
        self.registry = AgentRegistry(store)
        for number in range(AGENTS):
            capabilities = frozenset({"even"} if number % 2 == 0 else {"odd"})
            self.registry.register(
                Worker(f"w{number}", capabilities, 3, {"slots": 2.5}, execute)
            )  # fmt: skip
        self.breakers = Breakers(BreakerPolicy(consecutive=8, minimum=20, open_for=0.02, probes=2))
        self.scheduler = Scheduler(
            self.registry, store,
            SchedulerConfig(task_queue_size=60, retry_delay=0.002, max_retry_delay=0.01,
                            max_failovers=1000),
            engine=self.engine, breakers=self.breakers, shedder=LoadShedder(),
        )  # fmt: skip
        self.accepted: dict[str, Task] = {}
        self.watched: Counter[str] = Counter()
        self.problems: list[BaseException] = []
        self.over = threading.Event()

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._guarded, args=(self._submit, number))
            for number in range(SUBMITTERS)
        ]
        around = [
            threading.Thread(target=self._guarded, args=(act, number))
            for number, act in enumerate((self._cancel, self._fail_agents, self._look))
        ]
        for thread in (*threads, *around):
            thread.start()
        for thread in threads:
            thread.join(LONG)
        self.over.set()
        for thread in around:
            thread.join(LONG)
        assert not any(thread.is_alive() for thread in (*threads, *around))
        assert self.problems == []
        for entry in self.registry:
            if entry.state is AgentState.FAILED:
                self.registry.restart(entry.id)

    def _guarded(self, act: Any, number: int) -> None:
        try:
            act(random.Random(f"{self.seed} {act.__name__} {number}"))
        except BaseException as error:
            self.problems.append(error)

    def _submit(self, draw: random.Random) -> None:
        earlier: list[str] = []
        left = TASKS
        while left > 0:
            batch = [self._task(draw, earlier) for _ in range(draw.choice((1, 1, 1, 4)))]
            try:
                ids = self.scheduler.submit_many(batch, timeout=draw.choice((0.0, 0.05)))
            except QueueFullError:
                time.sleep(0.002)
                continue
            left -= len(batch)
            for task, task_id in zip(batch, ids, strict=True):
                if task_id == task.id:
                    self.accepted[task_id] = task
                    self.scheduler.watch(task_id, lambda record: self.watched.update(
                        [record.task.id] if record.state.final else []))  # fmt: skip
                earlier.append(task_id)

    def _task(self, draw: random.Random, earlier: list[str]) -> Task:
        does = draw.choices(
            ("returns", "sleeps", "fails once", "fails", "hopeless", "hangs"),
            (12, 4, 3, 1, 1, 1),
        )[0]
        return Task(
            does, (does, draw.randrange(1000)),
            requires=frozenset(draw.choice(((), (), ("even",), ("odd",)))),
            resources=draw.choice(({}, {}, {"slots": 0.1}, {"slots": 2.4})),
            priority=draw.choice((-10, 0, 0, 10)),
            dependencies=tuple(draw.sample(earlier, min(len(earlier), draw.choice((0, 0, 1, 3))))),
            timeout=0.03 if does == "hangs" else 30.0,
            retries=draw.choice((1, 2)),
            idempotency_key=draw.choice((None, None, None, f"key {draw.randrange(40)}")),
        )  # fmt: skip

    def _cancel(self, draw: random.Random) -> None:
        ended = 0
        while not self.over.wait(0.001):
            if len(self.watched) >= ended + 10:  # on slow machines, too, most tasks get to an end
                ended = len(self.watched)
                self.scheduler.cancel(draw.choice(list(self.accepted)))

    def _fail_agents(self, draw: random.Random) -> None:
        ended = 0
        while not self.over.wait(0.003):
            entry = draw.choice(list(self.registry))
            if entry.state in (AgentState.READY, AgentState.BUSY):
                if len(self.watched) < ended + 10:
                    continue
                ended = len(self.watched)
                act = draw.choice((self.registry.fail, self.registry.suspect))
                act(entry.id, "on purpose")
            elif entry.state is AgentState.FAILED:
                self.registry.restart(entry.id)
            elif entry.state is AgentState.SUSPECT:
                self.registry.recover(entry.id)

    def _look(self, draw: random.Random) -> None:
        while not self.over.wait(0.005):
            stats = self.scheduler.stats()
            assert stats.running <= AGENTS * 3
            assert stats.completed + stats.failed + stats.cancelled <= stats.accepted
            self.scheduler.wait_idle(0.0)
            if self.store is not None:
                assert self.scheduler.recover() == 0

    def settle(self) -> dict[str, Any]:
        """Wait for the end of everything; the records of all that was accepted."""
        for entry in self.registry:
            if entry.state is AgentState.SUSPECT:
                self.registry.recover(entry.id)
        return {r.task.id: r for r in self.scheduler.wait(list(self.accepted), LONG)}

    def check(self, records: dict[str, Any]) -> None:
        """What is promised of tasks."""
        for task_id, record in records.items():
            task = self.accepted[task_id]
            needed = [self.scheduler.record(d) for d in record.task.dependencies]
            if record.state is TaskState.COMPLETED:
                assert all(other.state is TaskState.COMPLETED for other in needed)
                assert record.result == task.payload[1] + sum(o.result for o in set_of(needed))
            if any(other.state is not TaskState.COMPLETED for other in needed):
                assert record.state is TaskState.CANCELLED
            if record.state is TaskState.FAILED:
                assert record.attempts and task.name != "returns"
        states = Counter(record.state for record in records.values())
        stats = self.scheduler.stats()
        assert (stats.completed, stats.failed, stats.cancelled) == (
            states[TaskState.COMPLETED], states[TaskState.FAILED], states[TaskState.CANCELLED]
        )  # fmt: skip
        assert states[TaskState.COMPLETED] > len(records) / 4  # else nothing was tested

    def check_nothing_is_left(self) -> None:
        life = self.scheduler._life
        assert not (life.entries or life.running or len(life.queue) or life.reserved)
        assert life.counts["storing"] == len(life.room_wanted) == 0
        for entry in self.registry:
            assert (entry.running, entry.occupied) == (0, {})
        assert self.scheduler.close(LONG)
        assert not (self.engine._threads or self.engine._abandoned)
        assert self.engine._idle == self.engine._queued == 0
        assert self.watched == Counter(dict.fromkeys(self.accepted, 1))


def set_of(records: list[Any]) -> list[Any]:
    """Each once: a key may stand for two of the tasks that were named."""
    return list({record.task.id: record for record in records}.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_without_a_store(seed: int) -> None:
    before = set(threading.enumerate())
    storm = Storm(seed, None)
    storm.run()
    storm.check(storm.settle())
    storm.check_nothing_is_left()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("seed", [3, 4])
def test_a_storm_over_a_store(seed: int, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with Store(tmp_path / "s.db", power_safe=False) as store:
        storm = Storm(seed, store)
        storm.run()
        storm.check(storm.settle())
        storm.check_nothing_is_left()
        check_histories(store, storm.accepted)
    assert set(threading.enumerate()) <= before


def test_a_storm_that_is_cut_off_is_finished_by_the_next_scheduler(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path, power_safe=False) as store:
        first = Storm(5, store)
        first.run()
        first.scheduler.close(0.0)
        ended = {r.task.id: r for r in store.tasks() if r.state.final}
    with Store(path, power_safe=False) as store:
        second = Storm(6, store)
        second.accepted = first.accepted
        second.scheduler.recover()
        records = second.settle()
        assert {task_id: records[task_id] for task_id in ended} == ended  # none has changed
        assert second.scheduler.close(LONG)
        check_histories(store, first.accepted)


def check_histories(store: Store, accepted: dict[str, Task]) -> None:
    """Each task's events are a possible history with one end."""
    last: dict[str, EventKind | None] = dict.fromkeys(accepted)
    for event in store.events():
        if event.kind.value.startswith("task."):
            assert event.kind in _NEXT[last[event.subject]], (event, last[event.subject])
            last[event.subject] = event.kind
    assert set(last) == set(accepted)
    assert set(last.values()) <= _ENDS

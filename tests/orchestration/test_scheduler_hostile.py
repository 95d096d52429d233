"""What one task, watcher or caller does wrong is no harm to the others."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.errors import InvalidTaskError, TaskError
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .scheduling import Bench, Worker

LONG = 60.0


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("says nothing")


def hostile(task: Task, context: TaskContext) -> Any:
    if task.name == "mute":
        raise Mute
    if task.name == "loud":
        raise TaskError("x" * 20_000, retry=False)
    if task.name == "digits":
        return 10**5000  # Python refuses to write it
    return task.payload


def scheduler(store: Store | None = None) -> Scheduler:
    registry = AgentRegistry()
    registry.register(Worker("w", run=hostile))
    return Scheduler(registry, store, SchedulerConfig(retry_delay=0.001))


def test_an_error_that_cannot_be_shown_fails_its_task() -> None:
    with scheduler() as working:
        (record,) = working.wait([working.submit(Task("mute", retries=1))], LONG)
    assert record.state is TaskState.FAILED
    assert record.error == "Mute: (it cannot say what it is: RuntimeError)"


def test_so_much_is_kept_of_an_error() -> None:
    with scheduler() as working:
        (record,) = working.wait([working.submit(Task("loud"))], LONG)
    assert record.error == "x" * 10_000 + " …"


def test_a_result_that_cannot_be_written_fails_its_task_and_no_other() -> None:
    with Store() as store, scheduler(store) as working:
        (record,) = working.wait([working.submit(Task("digits", retries=0))], LONG)
        (after,) = working.wait([working.submit(Task("next", payload=1))], LONG)
    assert record.state is TaskState.FAILED
    assert record.error is not None and "its result cannot be stored" in record.error
    assert after.result == 1


def test_a_result_too_large_for_the_store_fails_its_task_and_no_other() -> None:
    with Store() as store, scheduler(store) as working:
        store._writer._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
        task = Task("large", retries=0)
        working.registry.get("w").run = lambda *_: "x" * 200_000  # type: ignore[attr-defined]
        (record,) = working.wait([working.submit(task)], LONG)
        working.registry.get("w").run = hostile  # type: ignore[attr-defined]
        (after,) = working.wait([working.submit(Task("next", payload=1))], LONG)
    assert record.state is TaskState.FAILED
    assert record.error is not None and "too large" in record.error
    assert after.result == 1


def test_a_timeout_beyond_what_threads_can_wait_leaves_the_timer_alive() -> None:
    with scheduler() as working:
        working.wait([working.submit(Task("patient", timeout=1e300))], LONG)
        (record,) = working.wait([working.submit(Task("mute", retries=1))], LONG)  # needs the timer
        assert record.attempts == 2
        assert working.close(float("inf"))


@pytest.mark.parametrize("priority", [10**400, float("nan"), 1 << 63])
def test_a_priority_that_cannot_be_compared_or_kept_is_refused(priority: Any) -> None:
    with pytest.raises(InvalidTaskError):
        Task("x", priority=priority)


def test_a_watcher_that_raises_is_not_the_last_one_called(caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def broken(record: Any) -> None:
        raise ValueError("a mistake")

    with scheduler() as working:
        task = working.submit(Task("x"))
        working.watch(task, broken)
        working.watch(task, lambda record: called.set())
        assert called.wait(LONG)
    assert "a mistake" in caplog.text


def test_a_watcher_that_hangs_does_not_keep_the_scheduler_open() -> None:
    begun, release = threading.Event(), threading.Event()

    def hang(record: Any) -> None:
        begun.set()
        release.wait(LONG)

    working = scheduler()
    working.watch(working.submit(Task("x")), hang)
    assert begun.wait(LONG)
    closing = threading.Thread(target=working.close, args=(0.0,))
    closing.start()
    closing.join(30)
    closed = not closing.is_alive()
    release.set()
    closing.join()
    assert closed


def test_waiting_again_and_again_leaves_nothing_behind() -> None:
    bench = Bench()
    task = bench.scheduler.submit(Task("x"))
    for _ in range(5):
        with pytest.raises(TimeoutError):
            bench.scheduler.wait([task], 0)
    assert bench.scheduler._life.entries[task].finals == []


def test_cancelled_tasks_do_not_fill_the_queue_of_those_that_wait() -> None:
    bench = Bench(paused=True)
    bench.scheduler.submit(Task("first", priority=1000))
    for _ in range(1000):
        bench.scheduler.cancel(bench.scheduler.submit(Task("x")))
    (group,) = bench.scheduler._life.queue.classes.values()
    assert len(group.heap) < 100
    bench.scheduler.submit(Task("second"))
    bench.scheduler.resume()
    assert bench.run_all() == ["first", "second"]


def test_what_rounding_leaves_over_is_not_occupied() -> None:
    bench = Bench(Worker("w", capacity=3, resources={"bytes": 1e9}))
    amounts = {"a": 55771879.8, "b": 297763023.7, "c": 257983958.6}  # 9e-8 are left of their sum
    for name, amount in amounts.items():
        bench.scheduler.submit(Task(name, resources={"bytes": amount}))
    for name in amounts:
        bench.engine.end(name)
    bench.scheduler.submit(Task("all", resources={"bytes": 1e9}))
    assert bench.run_all() == ["a", "b", "c", "all"]


def test_an_attempt_that_never_began_is_in_no_histogram() -> None:
    begun = threading.Event()

    def run(task: Task, context: TaskContext) -> Any:
        begun.set()
        assert context.cancelled.wait(LONG)

    from swarmc.runtime.orchestration.engine import LocalEngine

    registry = AgentRegistry()
    registry.register(Worker("w", capacity=2, run=run))
    working = Scheduler(registry, engine=LocalEngine(threads=1))
    working.submit_many([Task("runs"), Task("waits for a thread")])
    assert begun.wait(LONG)
    working.close(0.0)
    stats = working.stats()
    assert stats.queue_time.count == 1 and stats.queue_time.total >= 0

"""Two threads that want the same at the same time; and nobody waits longer than there is need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.agents.shedding import LoadShedder, ShedPolicy
from swarmc.runtime.orchestration.engine import LocalEngine
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    InvalidTaskError,
    QueueFullError,
    UnknownTaskError,
)
from swarmc.runtime.orchestration.scheduler import Scheduler, admission
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .fakes import ListLog
from .scheduling import Bench, Worker

LONG = 60.0


class Beside:
    """A call in another thread, and how it ends."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except Exception as error:
            self.result = error

    def end(self) -> Any:
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        return self.result


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class SlowLog(ListLog):
    """A log whose ``append`` takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.release = threading.Event(), threading.Event()

    def append(self, events: Any) -> None:
        self.begun.set()
        assert self.release.wait(LONG)
        super().append(events)


def test_an_id_that_another_thread_is_submitting_is_taken() -> None:
    log = SlowLog()
    bench = Bench(store=log)
    first = Beside(lambda: bench.scheduler.submit(Task("x", id="same")))
    assert log.begun.wait(LONG)
    with pytest.raises(InvalidTaskError, match="already"):
        bench.scheduler.submit(Task("x", id="same"))
    log.release.set()
    assert first.end() == "same"
    assert bench.scheduler.stats().accepted == 1


def full_bench() -> Bench:
    bench = Bench(paused=True, task_queue_size=1)
    bench.scheduler.submit(Task("fills the queue", id="full"))
    return bench


def wait_for_room(bench: Bench, task: Task) -> Beside:
    waiting = Beside(lambda: bench.scheduler.submit(task, timeout=LONG))
    until(lambda: len(bench.scheduler._life.room_wanted) == 1)
    return waiting


def test_one_key_that_waits_for_room_does_not_hold_up_others() -> None:
    bench = full_bench()
    waiting = wait_for_room(bench, Task("x", id="first", idempotency_key="a"))
    with pytest.raises(QueueFullError, match="over the limit"):
        bench.scheduler.submit(Task("y", idempotency_key="b"))
    with pytest.raises(QueueFullError, match="'a' waits for room"):
        bench.scheduler.submit(Task("z", idempotency_key="a"))
    second = Beside(lambda: bench.scheduler.submit(Task("z", idempotency_key="a"), timeout=LONG))
    bench.scheduler.cancel("full")
    assert (waiting.end(), second.end()) == ("first", "first")


def test_cancelling_makes_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_LOOK", 10 * LONG)  # who only looks now and then is too late
    bench = full_bench()
    waiting = Beside(lambda: bench.scheduler.submit(Task("x"), timeout=10 * LONG))
    until(lambda: len(bench.scheduler._life.room_wanted) == 1)
    bench.scheduler.cancel("full")
    assert isinstance(waiting.end(), str)


def test_without_end_may_be_waited_for_room() -> None:
    bench = full_bench()
    waiting = Beside(lambda: bench.scheduler.submit(Task("x"), timeout=float("inf")))
    until(lambda: len(bench.scheduler._life.room_wanted) == 1)
    bench.scheduler.cancel("full")
    assert isinstance(waiting.end(), str)


def test_who_waits_for_room_waits_for_the_load_to_fall_too() -> None:
    shedder = LoadShedder(ShedPolicy(elevated=0.2, critical=1.0))
    bench = Bench(paused=True, task_queue_size=4, shedder=shedder)
    ids = bench.scheduler.submit_many([Task("x") for _ in range(2)])
    waiting = wait_for_room(bench, Task("low", priority=-10))
    bench.scheduler.cancel(ids[0])
    bench.scheduler.cancel(ids[1])
    assert isinstance(waiting.end(), str)
    assert shedder.stats().refused_elevated == 0


def test_closing_ends_when_the_last_attempt_times_out() -> None:
    bench = Bench()
    bench.scheduler.submit(Task("x", timeout=5, retries=0))
    closing = Beside(lambda: bench.scheduler.close(LONG))
    until(lambda: bench.scheduler._life.closing)
    with pytest.raises(ClosedError):
        bench.scheduler.submit(Task("y"))
    with pytest.raises(ClosedError):
        bench.scheduler.resume()
    bench.pass_time(6)
    closing.end()


def test_recovering_while_tasks_run_does_not_run_them_twice() -> None:
    runs: list[str] = []

    def run(task: Task, context: TaskContext) -> None:
        runs.append(task.id)

    registry = AgentRegistry()
    registry.register(Worker("w", capacity=4, run=run))
    with Store() as store, Scheduler(registry, store) as scheduler:
        stop = threading.Event()

        def recover() -> int:
            found = 0
            while not stop.is_set():
                found += scheduler.recover()
            return found

        recovering = Beside(recover)
        ids = [scheduler.submit(Task("x")) for _ in range(200)]
        scheduler.wait(ids, LONG)
        stop.set()
        assert recovering.end() == 0
    assert sorted(runs) == sorted(ids)


def test_waiting_for_what_was_not_recovered_is_refused() -> None:
    with Store() as store:
        Bench(store=store, paused=True).scheduler.submit(Task("x", id="x"))
        later = Bench(store=store).scheduler
        with pytest.raises(UnknownTaskError, match="earlier process"):
            later.wait(["x"], 1)
        with pytest.raises(UnknownTaskError, match="earlier process"):
            later.watch("x", lambda record: None)
        assert later.recover() == 1
        assert later.record("x").state is TaskState.RUNNING


def test_an_attempt_abandoned_as_it_ends_is_forgotten() -> None:
    from swarmc.runtime.orchestration.engine import Attempt

    engine = LocalEngine(threads=2)
    ended = threading.Event()

    def done(attempt: Attempt, result: Any, error: BaseException | None) -> None:
        engine.abandon(attempt)  # as a timer that was quicker than we are
        ended.set()

    engine.open(lambda attempt: None, done)
    engine.launch(Attempt(Task("x"), Worker("w"), TaskContext()))
    assert ended.wait(LONG)
    assert engine.close(LONG)
    assert not engine._abandoned


def test_no_more_threads_than_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("swarmc-task") and engine._threads:
            raise RuntimeError("can't start new thread")
        start(thread)

    engine = LocalEngine(threads=4)
    registry = AgentRegistry()
    registry.register(Worker("w", capacity=4))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Scheduler(registry, engine=engine) as scheduler:
        ids = scheduler.submit_many([Task("x", payload=n) for n in range(20)])
        assert [record.result for record in scheduler.wait(ids, LONG)] == list(range(20))
        assert len(engine._threads) == 1

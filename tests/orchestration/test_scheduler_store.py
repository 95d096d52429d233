"""What the scheduler promises with a store: nothing accepted is lost, nothing counts twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.errors import InvalidTaskError, OrchestrationError
from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.interfaces import Stored
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store, StoreError, StoreFullError
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .scheduling import Bench, Worker

LONG = 60.0


def kinds(store: Store, task_id: str) -> list[EventKind]:
    return [event.kind for event in store.events(subject=task_id)]


def scheduler_on(store: Store, *workers: Worker, **config: Any) -> Scheduler:
    registry = AgentRegistry(store)
    for worker in workers or (Worker("w"),):
        registry.register(worker)
    return Scheduler(registry, store, SchedulerConfig(**config))


def test_every_change_is_an_event(tmp_path: Path) -> None:
    def run(task: Task, context: TaskContext) -> object:
        if context.attempt == 1:
            raise ValueError("not yet")
        return {"sum": sum(context.inputs.values()), "payload": task.payload}

    with Store(tmp_path / "s.db") as store:
        with scheduler_on(store, Worker("w", run=run), retry_delay=0.001) as scheduler:
            task = Task("t", payload=b"\x00\xff")
            scheduler.submit(task)
            (record,) = scheduler.wait([task.id], LONG)
        assert record.result == {"sum": 0, "payload": b"\x00\xff"}
        assert kinds(store, task.id) == [
            EventKind.TASK_ACCEPTED, EventKind.TASK_STARTED, EventKind.TASK_RETRIED,
            EventKind.TASK_STARTED, EventKind.TASK_COMPLETED,
        ]  # fmt: skip
        stored = store.task(task.id)
        assert stored is not None
        assert (stored.state, stored.result, stored.attempts) == (record.state, record.result, 2)


def test_results_are_told_when_they_are_durable() -> None:
    class Slow(Store):
        """Writes when it is told to."""

        def __init__(self) -> None:
            super().__init__()
            self.held: list[tuple[Sequence[Event], Stored | None]] = []

        def append_soon(self, events: Sequence[Event], stored: Stored | None = None) -> None:
            if events[0].kind is EventKind.TASK_COMPLETED:
                self.held.append((events, stored))
            else:
                super().append_soon(events, stored)

        def release(self) -> None:
            done = threading.Event()
            for events, stored in self.held:
                super().append_soon(events, stored)
            super().append_soon((), lambda error: done.set())
            self.held.clear()
            assert done.wait(LONG)

    store = Slow()
    bench = Bench(store=store)
    first = Task("first")
    bench.scheduler.submit_many([first, Task("second", dependencies=(first.id,))])
    bench.engine.end("first", 1)
    assert bench.scheduler.record(first.id).state is TaskState.RUNNING
    assert bench.scheduler.record(first.id).result is None
    assert bench.engine.order() == ["first"]
    assert bench.scheduler.stats().storing == 1
    assert not bench.scheduler.cancel(first.id)  # it has ended, only nobody knows
    store.release()
    assert bench.scheduler.record(first.id).result == 1
    assert bench.engine.order() == ["first", "second"]
    assert bench.engine.running["second"].context.inputs == {first.id: 1}
    store.close()


def test_a_restart_takes_up_what_was_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        bench = Bench(Worker("w", capacity=2), store=store, retry_delay=1000)
        done, running, failing = Task("done"), Task("running"), Task("failing", retries=2)
        queued = Task("queued", idempotency_key="k")
        waiting = Task("waiting", dependencies=(done.id, running.id))
        bench.scheduler.submit(done)
        bench.engine.end("done", {"x": 1})
        bench.scheduler.submit(failing)
        bench.engine.end("failing", ValueError("once"))
        bench.scheduler.submit_many([running, Task("fills"), queued, waiting])
        assert bench.engine.order() == ["done", "failing", "running", "fills"]
    # The process dies here: nothing was closed but the file, and both attempts are forgotten.
    with Store(path) as store:
        bench = Bench(Worker("w", capacity=4), store=store)
        with pytest.raises(InvalidTaskError, match="call recover"):
            bench.scheduler.submit(Task("early", dependencies=(running.id,)))
        assert bench.scheduler.recover() == 5
        assert bench.scheduler.recover() == 0
        assert sorted(bench.engine.running) == ["failing", "fills", "queued", "running"]
        assert bench.engine.running["running"].context.attempt == 2
        assert bench.scheduler.submit(Task("again", idempotency_key="k")) == queued.id
        bench.engine.end("running", 5)
        bench.scheduler.wait([running.id], LONG)
        assert bench.scheduler.wait_idle(0.01) is False
        assert bench.engine.running["waiting"].context.inputs == {done.id: {"x": 1}, running.id: 5}
        for name in ("fills", "queued", "waiting", "failing"):
            bench.engine.end(name, name)
        record = bench.scheduler.wait([failing.id], LONG)[0]
        assert (record.state, record.attempts) == (TaskState.COMPLETED, 2)
        assert bench.scheduler.record(done.id).result == {"x": 1}
        assert bench.scheduler.submit(Task("again", idempotency_key="k")) == queued.id


def test_what_crashes_interrupt_has_not_failed(tmp_path: Path) -> None:
    path, task = tmp_path / "s.db", Task("t", retries=1)
    for crash in range(7):
        with Store(path) as store:
            bench = Bench(Worker("a"), Worker("b"), store=store)
            if crash == 0:
                bench.scheduler.submit(task)
                bench.registry.fail(bench.engine.begun[-1][1], "is gone")  # nor does this count
                bench.engine.running.clear()
                bench.scheduler.tick()
            else:
                assert bench.scheduler.recover() == 1
            assert bench.engine.running["t"].context.attempt == crash + 2
    with Store(path) as store:
        bench = Bench(store=store)
        bench.scheduler.recover()
        bench.engine.end("t", ValueError("once"))
    with Store(path) as store:
        bench = Bench(store=store)
        bench.scheduler.recover()
        bench.engine.end("t", ValueError("twice"))
        (record,) = bench.scheduler.wait([task.id], LONG)
        assert (record.state, record.attempts) == (TaskState.FAILED, 10)
        assert record.error == "ValueError: twice"
        outcomes = [execution.outcome for execution in store.executions(task.id)]
        assert outcomes == ["lost"] * 8 + ["failed"] * 2


def test_an_agent_that_fails_after_many_crashes_ends_the_task(tmp_path: Path) -> None:
    path, task = tmp_path / "s.db", Task("t")
    for _ in range(4):
        with Store(path) as store:
            bench = Bench(store=store, max_failovers=2)
            if not bench.scheduler.recover():
                bench.scheduler.submit(task)
            assert list(bench.engine.running) == ["t"]  # one more attempt is made always
    with Store(path) as store:
        bench = Bench(store=store, max_failovers=2)
        bench.scheduler.recover()
        bench.registry.fail("w", "is gone")
        (record,) = bench.scheduler.wait([task.id], LONG)
        assert record.state is TaskState.FAILED and "agents failed" in (record.error or "")


def test_an_id_that_was_used_before_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store, scheduler_on(store) as scheduler:
        task = Task("t")
        scheduler.wait([scheduler.submit(task)], LONG)
        with pytest.raises((InvalidTaskError, StoreError), match="already"):
            scheduler.submit(task)
        assert kinds(store, task.id)[-1] is EventKind.TASK_COMPLETED


def test_a_result_that_cannot_be_stored_fails_the_task_alone(tmp_path: Path) -> None:
    odd = Worker("w", run=lambda task, context: {1, 2} if task.name == "odd" else 1)
    with Store(tmp_path / "s.db") as store, scheduler_on(store, odd) as scheduler:
        ids = scheduler.submit_many([Task("odd"), Task("fine")])
        bad, good = scheduler.wait(ids, LONG)
    assert bad.state is TaskState.FAILED
    assert bad.error is not None
    assert "its result cannot be stored" in bad.error
    assert good.state is TaskState.COMPLETED


def test_a_payload_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store, scheduler_on(store) as scheduler:
        with pytest.raises(OrchestrationError, match="no JSON form: set"):
            scheduler.submit(Task("t", payload={1, 2}))
        assert scheduler.stats().accepted == 0
        assert scheduler.wait_idle(LONG)


def test_a_store_that_is_full_stops_the_scheduler(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", max_size=200_000) as store:
        scheduler = scheduler_on(store, Worker("w", run=lambda task, context: "x" * 50_000))
        accepted = []
        with pytest.raises(OrchestrationError) as error:
            for _ in range(100):
                accepted.append(scheduler.submit(Task("t", payload="y" * 1000)))
                scheduler.wait(accepted[-1:], LONG)
        chain = [error.value, error.value.__cause__]
        assert any(isinstance(link, StoreFullError) for link in chain)
        assert scheduler.close(LONG)
        known = {record.task.id for record in store.tasks()}
        assert set(accepted) <= known


def test_keys_are_safe_from_several_threads(tmp_path: Path) -> None:
    worker = Worker("w", capacity=4)
    with Store(tmp_path / "s.db") as store, scheduler_on(store, worker) as scheduler:
        ids: list[str] = []

        def submit() -> None:
            for number in range(10):
                ids.append(scheduler.submit(Task("t", idempotency_key=str(number))))

        threads = [threading.Thread(target=submit) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        scheduler.wait(ids, LONG)
        assert len(set(ids)) == 10
        assert len(list(store.tasks())) == 10

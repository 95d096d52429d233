"""A store keeps what it acknowledged, and refuses what cannot have happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.interfaces import AgentState, EventLog
from swarmc.runtime.orchestration.store import (
    DuplicateTaskError,
    ExecutionRecord,
    IllegalTransitionError,
    Store,
    StoreClosedError,
    StoreError,
)
from swarmc.runtime.orchestration.store.records import TaskSummary
from swarmc.runtime.orchestration.tasks import Task, TaskRecord, TaskState

from .storing import accepted, completed, started

ACCEPTED, STARTED = EventKind.TASK_ACCEPTED, EventKind.TASK_STARTED
COMPLETED, FAILED = EventKind.TASK_COMPLETED, EventKind.TASK_FAILED
RETRIED, CANCELLED = EventKind.TASK_RETRIED, EventKind.TASK_CANCELLED


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.db" if request.param == "file" else None) as store:
        yield store


def test_it_is_an_event_log(store: Store) -> None:
    log: EventLog = store
    log.append([])
    assert list(log.events()) == []


def test_life_of_a_task(store: Store) -> None:
    task = Task("t", {"x": [1, b"2"]}, requires=frozenset("c"), idempotency_key="k", workflow="w")
    store.append([accepted(task)])
    assert store.task(task.id) == TaskRecord(task, TaskState.QUEUED, accepted=1.0)
    store.append([started(task)])
    running = store.task_by_key("k")
    assert running == TaskRecord(task, TaskState.RUNNING, 1, "a1", accepted=1.0, started=2.0)
    store.append([Event(RETRIED, task.id, {"error": "no", "attempt": 1, "delay": 0.5}, 2.5)])
    queued = store.task(task.id)
    assert queued is not None
    assert (queued.state, queued.error) == (TaskState.QUEUED, "no")
    store.append([started(task, 2, 4.0), completed(task, {"y": 1.5}, 5.0)])
    done = TaskRecord(task, TaskState.COMPLETED, 2, "a1", {"y": 1.5}, None, 1.0, 4.0, 5.0)
    assert list(store.tasks()) == [done]
    assert store.executions(task.id) == [
        ExecutionRecord(task.id, 1, "a1", 2.0, 2.5, "failed"),
        ExecutionRecord(task.id, 2, "a1", 4.0, 5.0, "completed"),
    ]
    history = [ACCEPTED, STARTED, RETRIED, STARTED, COMPLETED]
    assert [(e.seq, e.kind) for e in store.events(subject=task.id)] == list(enumerate(history, 1))
    assert store.task("no") is None
    assert store.task_by_key("no") is None


def test_the_newest_tasks(store: Store) -> None:
    swarm = Task("turn", id="turn-1", workflow="swarm-1")
    tasks = [Task(f"t{n}", "x", "wasm") for n in range(1_200)]
    of_run = Task("symbol", id="run/symbol", workflow="run")
    store.append([accepted(task) for task in [*tasks, swarm, of_run]])
    store.append([started(tasks[3]), started(tasks[4]), completed(tasks[4], "large")])
    why = {"error": "no", "attempt": 1}
    store.append([started(tasks[5]), Event(EventKind.TASK_FAILED, tasks[5].id, why)])

    def names(limit: int, *states: TaskState, **more: Any) -> list[str]:
        return [task.name for task in store.newest_tasks(limit, states or None, **more)]

    assert names(3) == ["symbol", "t1199", "t1198"]
    assert names(2, submitted=True) == ["t1199", "t1198"]
    assert len(names(2_000)) == 1_201
    assert names(9, TaskState.RUNNING, TaskState.FAILED) == ["t5", "t3"]
    assert names(1, TaskState.COMPLETED) == ["t4"]
    (failed,) = store.newest_tasks(9, [TaskState.FAILED])
    assert failed == TaskSummary(
        failed.number, tasks[5].id, "t5", TaskState.FAILED, "wasm", "a1", 1, "no", None
    )
    assert names(2, submitted=True, before=failed.number) == ["t4", "t3"]
    # What somebody knows better than the store: few of them, and too many for one query.
    few = {tasks[7].id, tasks[4].id}
    assert names(9, TaskState.RUNNING, among=few) == ["t7"]
    assert names(9, TaskState.RUNNING, TaskState.COMPLETED, among=few) == ["t7", "t4"]
    many = {task.id for task in tasks[:600]}
    assert names(3, TaskState.RUNNING, among=many) == ["t599", "t598", "t597"]
    assert len(names(2_000, TaskState.RUNNING, among=many)) == 598
    assert names(9, TaskState.RUNNING, among=()) == []


def test_tasks_by_state_and_workflow(store: Store) -> None:
    first = Task("first", workflow="w")
    second = Task("second", dependencies=(first.id,), workflow="w")
    third = Task("third")
    store.append([accepted(first), accepted(second), accepted(third), started(third)])
    store.append([Event(FAILED, third.id, {"error": "broken"})])

    def names(*states: TaskState, **where: str) -> list[str]:
        return [record.task.name for record in store.tasks(states or None, **where)]

    assert names() == ["first", "second", "third"]
    assert names(TaskState.WAITING, TaskState.QUEUED) == ["first", "second"]
    assert names(TaskState.WAITING) == ["second"]
    assert names(TaskState.FAILED, TaskState.QUEUED) == ["first", "third"]
    assert names(workflow="w") == ["first", "second"]
    assert list(store.tasks([])) == []
    assert next(store.tasks({TaskState.FAILED})).error == "broken"
    assert store.task_counts()[TaskState.FAILED] == 1
    assert store.record_counts() == {
        "state": 0, "executions": 1, "tasks": 3, "nodes": 0, "workflows": 0, "messages": 0,
        "events": 5,
    }  # fmt: skip


def test_more_than_a_page(store: Store) -> None:
    tasks = [Task(str(number)) for number in range(1300)]
    store.append([accepted(task) for task in tasks])
    assert [record.task for record in store.tasks()] == tasks
    assert [event.subject for event in store.events(after=1000)] == [t.id for t in tasks[1000:]]


def test_arrays_come_back(store: Store) -> None:
    task = Task("t", np.arange(6.0).reshape(2, 3))
    store.append([accepted(task), started(task), completed(task, (np.array([1, 2]), float("inf")))])
    record = store.task(task.id)
    assert record is not None
    assert record.task.payload.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert record.result[0].tolist() == [1, 2]
    assert record.result[1] == float("inf")


def test_append_soon_is_in_order_and_says_when(store: Store) -> None:
    tasks = [Task(str(number)) for number in range(200)]
    heard: list[tuple[str, BaseException | None]] = []
    for task in tasks:
        for event in (accepted(task), started(task), completed(task)):
            store.append_soon([event], lambda error, id=task.id: heard.append((id, error)))  # type: ignore[misc]
    store.append([])
    assert heard == [(task.id, None) for task in tasks for _ in range(3)]
    stats = store.stats()
    assert (stats.events, stats.appends, stats.refused, stats.last_seq) == (600, 601, 0, 600)
    assert stats.waiting == 0


def test_agents(store: Store) -> None:
    data = {"name": "n", "kind": "neural", "capabilities": ["c", "b"]}
    store.append([Event(EventKind.AGENT_REGISTERED, "a", data, 1.0)])
    ready = Event(EventKind.AGENT_STATE, "a", {"state": "ready"}, 2.0)
    store.append([ready])
    (agent,) = store.agents()
    assert agent == store.agent("a")
    assert (agent.capabilities, agent.state) == (frozenset("bc"), AgentState.READY)
    assert (agent.registered, agent.changed, agent.reason) == (1.0, 2.0, None)
    store.append([Event(EventKind.AGENT_STATE, "a", {"state": "retired", "reason": "old"}, 3.0)])
    with pytest.raises(IllegalTransitionError, match="cannot become ready: it is retired"):
        store.append([ready])
    with pytest.raises(IllegalTransitionError, match="cannot become ready: it never registered"):
        store.append([Event(EventKind.AGENT_STATE, "b", {"state": "ready"})])
    store.append([Event(EventKind.AGENT_REGISTERED, "a", data | {"name": "m"}, 4.0)])
    again = store.agent("a")
    assert again is not None
    assert (again.name, again.state, again.reason) == ("m", AgentState.CREATED, None)
    assert len(list(store.events(subject="a"))) == 4


def test_workflows(store: Store) -> None:
    start = Event(
        EventKind.WORKFLOW_STARTED, "w", {"name": "n", "version": "1", "manifest": [1]}, 1.0
    )
    roll = Event(
        EventKind.WORKFLOW_ROLLING_BACK, "w", {"error": "e", "compensations": ["x", "y"]}, 2.0
    )
    end = Event(EventKind.WORKFLOW_FINISHED, "w", {"state": "rolled_back"}, 3.0)
    with pytest.raises(IllegalTransitionError, match="it never started"):
        store.append([roll])
    store.append([start])
    assert [w.id for w in store.workflows(["running"])] == ["w"]
    store.append([roll])
    with pytest.raises(IllegalTransitionError, match="cannot roll back: it is rolling_back"):
        store.append([roll])
    store.append([end])
    for event in (end, roll):
        with pytest.raises(IllegalTransitionError, match="it is rolled_back"):
            store.append([event])
    with pytest.raises(DuplicateTaskError):
        store.append([start])
    workflow = store.workflow("w")
    assert workflow is not None
    assert (workflow.manifest, workflow.state, workflow.error) == ([1], "rolled_back", "e")
    assert (workflow.compensations, workflow.finished) == (("x", "y"), 3.0)
    assert list(store.workflows(["running"])) == []


def test_messages(store: Store) -> None:
    def sent(id: str, recipient: str | None) -> Event:
        data = {"channel": "c", "sender": "s", "recipient": recipient, "payload": b"p"}
        return Event(EventKind.MESSAGE_SENT, id, data, 1.0)

    def delivered(id: str) -> Event:
        return Event(EventKind.MESSAGE_DELIVERED, id, {"recipient": "r"}, 2.0)

    store.append([sent("direct", "r"), sent("all", None), sent("late", "r")])
    store.append([delivered("direct"), delivered("all")])
    store.append([delivered("all")])
    for id, why in (("direct", "was delivered already"), ("none", "was never sent")):
        with pytest.raises(IllegalTransitionError, match=why):
            store.append([delivered(id)])
    with pytest.raises(DuplicateTaskError):
        store.append([sent("direct", "r")])
    assert [(m.id, m.deliveries) for m in store.messages()] == [
        ("direct", 1), ("all", 2), ("late", 0),
    ]  # fmt: skip
    assert [m.id for m in store.messages(channel="c", delivered=False)] == ["late"]
    assert [m.id for m in store.messages(recipient="r", delivered=True)] == ["direct"]
    message = store.message("direct")
    assert message is not None
    assert (message.payload, message.sent, message.delivered) == (b"p", 1.0, 2.0)
    assert store.message("none") is None


def test_state(store: Store) -> None:
    assert store.get_state("k") is None
    store.set_state("k", {"a": [1, b"x"]})
    store.set_state("k2", None)
    assert store.get_state("k") == {"a": [1, b"x"]}
    assert store.get_state("k2", 1) is None
    assert store.state_keys() == ["k", "k2"]
    assert store.delete_state("k")
    assert not store.delete_state("k")
    assert store.record_counts()["state"] == 1


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    first, second = Task("first"), Task("second", idempotency_key="k")
    with Store(tmp_path / "s.db") as store:
        store.append([accepted(first), started(first), accepted(second), started(second)])
        store.append([completed(first, 7)])
        store.set_state("x", 1)
        records, events = list(store.tasks()), list(store.events())
    with Store(tmp_path / "s.db") as store:
        assert list(store.tasks()) == records
        assert list(store.events()) == events
        assert store.get_state("x") == 1
        with pytest.raises(IllegalTransitionError):
            store.append([completed(first, 8)])
        store.append([completed(second, 9)])
        assert [event.seq for event in store.events(subject=second.id)] == [3, 4, 6]


def test_after_closing(store: Store) -> None:
    store.append_soon([accepted(Task("t"))])
    store.close()
    store.close()
    heard: list[BaseException | None] = []
    store.append_soon([accepted(Task("t"))], heard.append)
    assert [type(error) for error in heard] == [StoreClosedError]
    with pytest.raises(StoreClosedError):
        store.append([accepted(Task("t"))])
    with pytest.raises(StoreClosedError):
        store.set_state("k", 1)
    with pytest.raises(StoreClosedError):
        store.task("t")


def test_what_is_told_must_not_wait(store: Store) -> None:
    heard: list[StoreError] = []
    waits: list[Callable[[], None]] = [
        lambda: store.append([]), lambda: store.set_state("k", 1), store.close,
    ]  # fmt: skip

    def stored(error: BaseException | None) -> None:
        assert list(store.tasks()) != []  # what was acknowledged is seen
        for wait in waits:
            try:
                wait()
            except StoreError as refusal:
                heard.append(refusal)

    store.append_soon([accepted(Task("t"))], stored)
    store.append([])
    assert [error.hint for error in heard] == ["use append_soon"] * 3


def test_cleanup_keeps_what_is_needed(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", clock=lambda: 1000.0) as store:
        old, recent, running = Task("old", idempotency_key="k"), Task("recent"), Task("running")
        needed = Task("needed")
        waiting = Task("waiting", dependencies=(needed.id,))
        for task in (old, recent, running, needed, waiting):
            store.append([accepted(task, 1.0)])
        for task, at in ((old, 10.0), (recent, 990.0), (needed, 10.0)):
            store.append([started(task), completed(task, at=at)])
        store.append([started(running)])
        last = store.stats().last_seq
        cleaned = store.cleanup(timedelta(seconds=100))
        assert (cleaned.tasks, cleaned.events) == (1, 3)
        assert [r.task.name for r in store.tasks()] == ["recent", "running", "needed", "waiting"]
        assert store.executions(old.id) == []
        assert store.record_counts()["executions"] == 3
        again = Task("again", idempotency_key="k")
        store.append([accepted(again)])
        assert next(store.events(subject=again.id)).seq == last + 1
        store.append([completed(running)])
        assert store.cleanup(0).tasks == 2
        assert store.rebuild() == len(list(store.events()))

"""Tasks of clients: accepted, waited for, told of, ended; and again after the router was lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.router import task_pages
from swarmc.runtime.orchestration.router.client import (
    CommandRejectedError,
    MessageTooLargeError,
    RouterClient,
)
from swarmc.runtime.orchestration.router.protocol import Code, Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import (
    TaskCancel,
    TaskInfo,
    TaskSpec,
    TaskState,
    TaskStatus,
    TaskSubmit,
    TaskWanted,
    WorkflowDeploy,
    WorkflowStatus,
)

from .routing import LONG, Holding, RunningDispatcher, RunningRouter, collect, until


def spec(name: str = "task", operation: str = "echo", **more: Any) -> TaskSpec:
    """A task for the executor ``internal``; ``value`` is a parameter."""
    parameters = {"operation": operation, "value": more.pop("value", None)}
    payload = msgspec.Raw(dumps({"parameters": parameters}).encode())
    return TaskSpec(name=name, executor="internal", payload=payload, **more)


def submit(client: RouterClient, *specs: TaskSpec, reference: str | None = None) -> list[str]:
    wanted = TaskSubmit(tasks=list(specs), reference=reference)
    ids: list[str] = client.call("task_submit", wanted).task_ids
    return ids


def status(client: RouterClient, *ids: str, wait: float = LONG) -> list[TaskInfo]:
    wanted = TaskStatus(task_ids=list(ids), wait_ms=round(wait * 1000))
    tasks: list[TaskInfo] = client.call("task_status", wanted).tasks
    return tasks


def result(task: TaskInfo) -> Any:
    assert isinstance(task.result, msgspec.Raw), task
    return loads(bytes(task.result))


def test_values_go_there_and_back(client: RouterClient) -> None:
    values = [None, b"\0\xff", float("inf"), {"$bytes": "mine"}, [1, {"a": "ü"}], 1 << 70]
    ids = submit(client, *(spec(value=value) for value in values))
    assert [result(task) for task in status(client, *ids)] == values


def test_what_happens_is_told_in_order(client: RouterClient) -> None:
    client.subscribe()
    first, second = submit(
        client, spec("first", value=1, task_id="one"),
        spec("second", operation="inputs", dependencies=["one"], priority=3), reference="r-1",
    )  # fmt: skip
    assert first == "one"
    assert result(status(client, second)[0]) == {"one": 1}
    events = collect(client, lambda e: e.data["task"].get("state") == "completed"
                     and e.data["task"]["name"] == "second")  # fmt: skip
    assert {event.type for event in events} == {"task_changed"}
    assert {event.reference for event in events} == {"r-1"}
    seqs = [event.seq for event in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    states = [(e.data["task"]["name"], e.data["task"]["state"]) for e in events]
    ready = ["queued", "running", "completed"]
    assert [state for name, state in states if name == "first"] == ready
    assert [state for name, state in states if name == "second"] == ["waiting", *ready]
    assert not any("result" in event.data["task"] for event in events)
    assert events[-1].data["task"]["agent"] == "worker-node-1"


def test_failures_are_told(client: RouterClient) -> None:
    (failed,) = submit(client, spec("bad", operation="fail", retries=0))
    (task,) = status(client, failed)
    assert (task.state, task.attempts, task.result) == ("failed", 1, msgspec.UNSET)
    assert task.error


def test_waiting_holds_no_thread(
    host: RunningDispatcher, client: RouterClient, holding: Holding
) -> None:
    """A hundred wait on one connection, and the router answers others meanwhile."""
    ids = submit(client, spec(operation="hold", value=7))
    answers: list[list[TaskInfo]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(status(client, *ids))) for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    assert holding.begun.acquire(timeout=LONG)
    began = time.monotonic()
    assert status(client, *ids, wait=0.05)[0].state == "running"
    assert time.monotonic() - began >= 0.05
    assert client.call("status", Nothing()).tasks.running == 1
    assert not answers
    holding.go.set()
    for thread in threads:
        thread.join(LONG)
    assert [result(tasks[0]) for tasks in answers] == [7] * 100


def listed(client: RouterClient, *states: TaskState, **more: Any) -> list[str]:
    wanted = TaskWanted(states=list(states), **more)
    return [task.name for task in client.call("task_list", wanted).tasks]


def test_tasks_are_listed(client: RouterClient, holding: Holding) -> None:
    submit(client, *(spec(f"a{n}") for n in range(5)))
    (bad,) = submit(client, spec("bad", operation="fail", retries=0))
    (held,) = submit(client, spec("held", operation="hold", task_id="h"))
    (last,) = submit(client, spec("last", dependencies=["h"]))
    assert holding.begun.acquire(timeout=LONG)
    status(client, bad)
    workflow = {"name": "w", "symbols": [{"name": "only", "type": "action"}]}
    run = client.call(
        "workflow_deploy", WorkflowDeploy(manifest=msgspec.Raw(dumps(workflow).encode()))
    ).workflow_id
    client.call("workflow_status", WorkflowStatus(workflow_id=run, wait_ms=10_000))
    mine = ["last", "held", "bad", "a4", "a3", "a2", "a1", "a0"]
    assert listed(client) == ["only", *mine]
    assert listed(client, submitted=True) == mine
    assert listed(client, "running") == ["held"]
    assert listed(client, "waiting", "running") == ["last", "held"]
    assert listed(client, "queued", "cancelled") == []
    found = client.call("task_list", TaskWanted(states=["failed"], submitted=True))
    assert found.next is None
    (task,) = found.tasks
    assert task == msgspec.structs.replace(status(client, bad)[0], result=msgspec.UNSET)
    (task,) = client.call("task_list", TaskWanted(states=["running"])).tasks
    assert (task.task_id, task.agent, task.attempts) == (held, "worker-node-1", 1)
    holding.go.set()
    status(client, last)
    assert listed(client, "running", "waiting", "queued") == []


def test_lists_have_pages(client: RouterClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = submit(client, *(spec(f"t{n}", operation="fail", retries=0) for n in range(7)))
    status(client, *ids)

    def pages(limit: int) -> list[list[str]]:
        found: list[list[str]] = []
        before = None
        while True:
            page = client.call("task_list", TaskWanted(limit=limit, before=before))
            found.append([task.task_id for task in page.tasks])
            before = page.next
            if before is None:
                return found

    latest = ids[::-1]
    assert pages(3) == [latest[:3], latest[3:6], latest[6:]]
    assert pages(7) == [latest]
    monkeypatch.setattr(task_pages, "MAX_ERRORS", 1)
    assert pages(5) == [[one] for one in latest]
    with pytest.raises(CommandRejectedError, match="limit"):
        client.call("task_list", TaskWanted(limit=1001))


def test_a_list_and_the_events_behind_it_are_all(client: RouterClient) -> None:
    """Whatever happens meanwhile: a list, and from its number on events, lead to what is so."""
    client.subscribe()
    chain = [spec(f"c{n}", task_id=f"c{n}", dependencies=[f"c{n - 1}"] * (n > 0))
             for n in range(60)]  # fmt: skip
    submit(client, *chain)
    pages = [client.call("task_list", TaskWanted(limit=100)) for _ in range(20)]
    status(client, "c59")
    events = collect(client, lambda e: e.data["task"]["task_id"] == "c59"
                     and e.data["task"]["state"] == "completed")  # fmt: skip
    for page in pages:
        known = {task.task_id: task.state for task in page.tasks}
        before = {e.data["task"]["task_id"]: e.data["task"]["state"]
                  for e in events if e.seq <= page.seq}  # fmt: skip
        order = ["waiting", "queued", "running", "completed"]
        assert all(order.index(known[task]) >= order.index(before[task]) for task in before)
        for event in events:
            if event.seq > page.seq:
                known[event.data["task"]["task_id"]] = event.data["task"]["state"]
        assert known == {f"c{n}": "completed" for n in range(60)}


def test_cancelling(client: RouterClient, holding: Holding) -> None:
    held, after = submit(
        client, spec(operation="hold", task_id="h"), spec(dependencies=["h"], task_id="after")
    )
    assert holding.begun.acquire(timeout=LONG)
    cancel = TaskCancel(task_ids=[held], reason="not needed")
    assert client.call("task_cancel", cancel).task_ids == [held]
    ended = status(client, held, after)
    assert [(task.state, task.error) for task in ended] == [
        ("cancelled", "not needed"), ("cancelled", "task, which it needs, was cancelled"),
    ]  # fmt: skip
    assert client.call("task_cancel", cancel).task_ids == []


def test_keys_run_once(client: RouterClient) -> None:
    (first,) = submit(client, spec(value=1, idempotency_key="k"))
    (again,) = submit(client, spec(value=2, idempotency_key="k"))
    assert again == first
    assert result(status(client, first)[0]) == 1


@pytest.mark.parametrize(
    ("specs", "why"),
    [
        ([spec(dependencies=["nobody"])], "depends on 'nobody', which is no known task"),
        ([spec(task_id="a", dependencies=["b"]), spec(task_id="b", dependencies=["a"])], "cycle"),
        ([spec(task_id="a"), spec(task_id="a")], "two of these tasks have one id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_run_is_rejected(
    client: RouterClient, specs: list[TaskSpec], why: str
) -> None:
    client.subscribe()
    with pytest.raises(CommandRejectedError, match=why) as caught:
        submit(client, *specs, reference="r-2")
    assert caught.value.code == Code.REJECTED
    (event,) = collect(client, lambda event: True)
    assert (event.type, event.reference) == ("command_rejected", "r-2")
    assert event.data["command"] == "task_submit"
    assert client.call("status", Nothing()).database["tasks"] == 0


def test_who_asks_for_nothing_is_told(client: RouterClient) -> None:
    with pytest.raises(CommandRejectedError, match="no task 'nobody'"):
        status(client, "nobody")
    with pytest.raises(CommandRejectedError, match="payload: not a value"):
        submit(client, TaskSpec(name="x", payload=msgspec.Raw(b'{"$bytes": 5}')))


def test_results_that_no_message_can_carry(client: RouterClient) -> None:
    large = "x" * (8 << 20)
    with pytest.raises(MessageTooLargeError, match="has at most 16,777,216 bytes"):
        submit(client, spec(value=large), spec(value=large))
    ids = submit(client, spec(value=large)) + submit(client, spec(value=large))
    for name in ids:
        assert len(result(status(client, name)[0])) == len(large)
    with pytest.raises(CommandRejectedError, match="ask for fewer tasks at once"):
        status(client, *ids)


def test_answers_that_do_not_fit_into_one_frame(client: RouterClient) -> None:
    """Each fits; together, as the router joins what it sends, they would not."""
    large = "x" * (9 << 20)
    (name,) = submit(client, spec(value=large))
    status(client, name)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(result(status(client, name)[0]))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert found == [len(large)] * 4


def test_a_router_takes_up_what_it_accepted(tmp_path: Path) -> None:
    """Tasks wait in the store while there is no router, and go on by themselves."""
    held = Holding()
    host = RunningDispatcher(tmp_path, held.table())
    with host:
        with host.client() as client:
            ids = submit(
                client, spec(operation="hold", value=1, task_id="a"), spec(dependencies=["a"])
            )
            assert held.begun.acquire(timeout=LONG)
        host.patience = 0
        host.stop()
        held.go.set()
        host.start_again()
        with host.client() as client:
            tasks = status(client, *ids)
            assert [task.state for task in tasks] == ["completed", "completed"]
            assert tasks[0].attempts == 2


def test_references_and_inputs_outlive_the_router(tmp_path: Path) -> None:
    held = Holding()
    host = RunningDispatcher(tmp_path, held.table())
    with host:
        with host.client() as client:
            last = spec("last", operation="inputs", dependencies=["first", "held"], task_id="last")
            submit(client, spec(value=7, task_id="first"), reference="other")
            status(client, "first")
            submit(client, spec(operation="hold", value=8, task_id="held"), last, reference="mine")
            assert held.begun.acquire(timeout=LONG)
        host.patience = 0
        host.stop()
        host.start_again()
        with host.client() as client:
            client.subscribe()
            held.go.set()
            events = collect(client, lambda e: e.data["task"]["task_id"] == "last"
                             and e.data["task"]["state"] == "completed")  # fmt: skip
            assert {event.reference for event in events} == {"mine"}
            assert result(*status(client, "last")) == {"first": 7, "held": 8}


def test_what_ended_long_ago_is_removed(tmp_path: Path) -> None:
    with RunningDispatcher(tmp_path, settings={"retention": 1}) as host:
        with host.client() as client:
            (name,) = submit(client, spec())
            status(client, name)
        host.restart()  # it looks for it when it begins, and every ten minutes
        until(lambda: host.dispatcher.store.record_counts()["tasks"] == 0)
        with host.client() as client, pytest.raises(CommandRejectedError, match="no task"):
            status(client, name)


def test_a_database_that_takes_long_to_count_is_counted_seldom(
    host: RunningDispatcher, client: RouterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask: one of them at a time, and nobody again for ten times as long."""
    count, counted = host.dispatcher.status, list[float]()

    def slowly() -> Any:
        counted.append(time.monotonic())
        time.sleep(0.15)
        return count()

    monkeypatch.setattr(host.dispatcher, "status", slowly)
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: client.call("status", Nothing()), range(8)))
    assert len(counted) == 1
    assert {status.workers.idle for status in told} == {1}
    until(lambda: client.call("status", Nothing()) and len(counted) == 2)
    assert counted[1] - counted[0] > 1.5


def test_a_reference_stays_with_who_has_the_id(client: RouterClient, holding: Holding) -> None:
    submit(client, spec(operation="hold", task_id="h"), reference="first")
    with pytest.raises(CommandRejectedError, match="there is a task 'h' already"):
        submit(client, spec(task_id="h"), reference="second")
    client.subscribe()
    holding.go.set()
    events = collect(client, lambda event: event.data["task"]["state"] == "completed")
    assert {event.reference for event in events} == {"first"}


def test_a_router_without_a_dispatcher_says_so(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as alone, alone.client() as client:
        with pytest.raises(CommandRejectedError, match="swarms only, and not task_submit"):
            submit(client, spec())


def test_an_id_that_only_the_store_knows_is_not_given_twice(host: RunningDispatcher) -> None:
    with host.client() as client:
        submit(client, spec(value=1, task_id="one"))
        status(client, "one")
    host.restart()
    with host.client() as client, pytest.raises(CommandRejectedError, match="stored already") as no:
        submit(client, spec(value=2, task_id="one"))
    assert no.value.code == Code.REJECTED


def test_what_only_turns_of_swarms_require_is_refused(client: RouterClient) -> None:
    """It would be accepted, and after a restart nobody would run it."""
    with pytest.raises(CommandRejectedError, match="swarm_turn is what turns of swarms require"):
        submit(client, spec(requires=["swarm_turn"]))

"""Workflows and metrics of clients: deployed, told of, rolled back; after a loss, gone on with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import pytest

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.counts import SAMPLED
from swarmc.runtime.orchestration.router.protocol import Code, Event, Launch, Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import (
    MetricsHistory,
    MetricsWanted,
    Workflow,
    WorkflowCancel,
    WorkflowDeploy,
    WorkflowStatus,
    WorkflowTask,
    WorkflowWanted,
)

from .routing import LONG, Holding, RunningDispatcher, collect, until


def symbol(name: str, operation: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    parameters = {"operation": operation, **more.pop("parameters", {})}
    return {
        "name": name, "type": "action", "parameters": parameters,
        "dependencies": list(dependencies), **more,
    }  # fmt: skip


def manifest(*symbols: dict[str, Any]) -> dict[str, Any]:
    return {"name": "w", "version": "2.0.0", "symbols": list(symbols)}


def deploy(
    client: RouterClient, data: Any, reference: str | None = None, name: str | None = None
) -> str:
    raw = msgspec.Raw(dumps(data).encode())
    wanted = WorkflowDeploy(manifest=raw, reference=reference, workflow_id=name)
    run_id: str = client.call("workflow_deploy", wanted).workflow_id
    return run_id


def status(client: RouterClient, run_id: str, wait: float = LONG) -> Workflow:
    wanted = WorkflowStatus(workflow_id=run_id, wait_ms=round(wait * 1000), results=True)
    found: Workflow = client.call("workflow_status", wanted)
    return found


def result(task: WorkflowTask) -> Any:
    return loads(bytes(task.result)) if isinstance(task.result, msgspec.Raw) else None


def runs(client: RouterClient, **wanted: Any) -> list[Workflow]:
    found: list[Workflow] = client.call("workflow_list", WorkflowWanted(**wanted)).workflows
    return found


TWO = manifest(
    symbol("a", "echo", parameters={"value": [1, float("-inf")]}), symbol("b", "inputs", "a")
)


def test_a_workflow_from_deploy_to_its_end(client: RouterClient) -> None:
    client.subscribe()
    run_id = deploy(client, TWO, "c-1")
    run = status(client, run_id)
    assert (run.name, run.version, run.state, run.error) == ("w", "2.0.0", "completed", None)
    assert run.duration_ms is not None
    a, b = run.tasks
    assert (a.task_id, a.symbol, a.dependencies) == (f"{run_id}/a", "a", [])
    assert (b.dependencies, b.executor, b.agent) == ([a.task_id], "internal", "worker-node-1")
    assert result(b) == {"a": [1, float("-inf")]}
    events = collect(client, lambda e: e.type == "workflow_changed"
                     and e.data["workflow"]["state"] == "completed")  # fmt: skip
    assert [e.seq for e in events] == list(range(events[0].seq, events[0].seq + len(events)))
    assert {event.reference for event in events} == {"c-1"}
    assert events[0].data["workflow"]["state"] == "running"
    assert _states(events) == [
        ("a", "queued"), ("b", "waiting"), ("a", "running"), ("a", "completed"),
        ("b", "queued"), ("b", "running"), ("b", "completed"),
    ]  # fmt: skip
    assert all(e.data["task"]["workflow_id"] == run_id for e in events if "task" in e.data)
    assert "inf" not in str([event.data for event in events])
    (listed,) = runs(client)
    assert (listed.workflow_id, listed.state, listed.tasks) == (run_id, "completed", [])
    assert runs(client, active=True) == []


def _states(events: list[Event]) -> list[tuple[str, str]]:
    tasks = [event.data["task"] for event in events if event.type == "task_changed"]
    return [(task["name"], task["state"]) for task in tasks]


def test_what_fails_is_rolled_back_and_told(client: RouterClient) -> None:
    client.subscribe()
    undo = {"name": "undo", "type": "action", "parameters": {"operation": "noop"}}
    run_id = deploy(client, manifest(
        symbol("a", "noop", rollback=undo),
        symbol("b", "fail", "a", retries=0, parameters={"message": "nobody listens"}),
    ))  # fmt: skip
    run = status(client, run_id)
    assert (run.state, run.error) == ("rolled_back", "b failed: nobody listens")
    rollback = run.tasks[-1]
    assert (rollback.symbol, rollback.rollback, rollback.state) == ("undo", True, "completed")
    assert rollback.dependencies == [f"{run_id}/a"]
    events = collect(client, lambda e: e.type == "workflow_changed"
                     and e.data["workflow"]["state"] == "rolled_back")  # fmt: skip
    told = [e.data["workflow"]["state"] for e in events if e.type == "workflow_changed"]
    assert told == ["running", "rolling_back", "rolled_back"]


def test_cancelling(client: RouterClient, holding: Holding) -> None:
    run_id = deploy(client, manifest(symbol("a", "hold"), symbol("b", "noop", "a")))
    assert holding.begun.acquire(timeout=LONG)
    assert status(client, run_id, wait=0.05).state == "running"
    assert [run.workflow_id for run in runs(client, active=True)] == [run_id]
    assert client.call("status", Nothing()).workflows == 1
    cancel = WorkflowCancel(workflow_id=run_id, reason="wrong database")
    assert client.call("workflow_cancel", cancel).cancelled
    run = status(client, run_id)
    assert (run.state, run.error) == ("failed", "wrong database")
    assert not client.call("workflow_cancel", cancel).cancelled


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "'name' is missing"),
        (manifest(symbol("a", "noop", "b"), symbol("b", "noop", "a")), "cycle: a -> b -> a"),
        (manifest(symbol("a", "noop", dispatch="php")), "there is no executor 'php'"),
        (manifest(symbol("a", "noop", dispatch="php_engine")), "php_engine"),
        (manifest(), "symbols.* must not be empty"),
        (5, "<manifest>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_manifest_is_rejected(client: RouterClient, data: Any, why: str) -> None:
    client.subscribe()
    with pytest.raises(CommandRejectedError, match=why) as caught:
        deploy(client, data, "c-2")
    assert caught.value.code == Code.REJECTED
    (event,) = collect(client, lambda event: True)
    assert (event.type, event.reference) == ("command_rejected", "c-2")
    assert runs(client) == []


def test_runs_that_are_not_there(client: RouterClient) -> None:
    with pytest.raises(CommandRejectedError, match="no run 'nobody'"):
        status(client, "nobody")
    with pytest.raises(CommandRejectedError, match="no run 'nobody'"):
        client.call("workflow_cancel", WorkflowCancel(workflow_id="nobody"))


def test_lists_have_the_latest(client: RouterClient) -> None:
    ids = [deploy(client, manifest(symbol("a", "noop"))) for _ in range(4)]
    for run_id in ids:
        status(client, run_id)
    assert [run.workflow_id for run in runs(client, limit=2)] == ids[2:]


def test_a_router_goes_on_with_workflows(tmp_path: Path) -> None:
    first = Holding()
    host = RunningDispatcher(tmp_path, first.table())
    with host:
        with host.client() as client:
            run_id = deploy(client, manifest(
                symbol("a", "hold", parameters={"value": 4}), symbol("b", "inputs", "a")
            ))  # fmt: skip
            assert first.begun.acquire(timeout=LONG)
        host.patience = 0
        host.stop()
        first.go.set()
        host.start_again()
        with host.client() as client:
            run = status(client, run_id)
            assert (run.state, result(run.tasks[1])) == ("completed", {"a": 4})
            assert [task.attempts for task in run.tasks] == [2, 1]


# Metrics


def test_metrics(host: RunningDispatcher, client: RouterClient) -> None:
    status(client, deploy(client, TWO))
    found = client.call("metrics", Nothing())
    assert found.values["swarmc_tasks_completed_total"] == 2
    assert found.values['swarmc_router_connections{role="client"}'] == 1
    assert found.values["swarmc_router_events_total"] >= 9
    assert found.values['swarmc_agents{state="ready"}'] == 1
    assert found.values["swarmc_store_events_total"] > 0
    assert found.values["swarmc_process_threads"] > 1
    assert set(found.values) <= {
        f"{line.rpartition(' ')[0]}" for line in found.text.splitlines() if line[0] != "#"
    }
    with urlopen(f"http://127.0.0.1:{host.server.port}/metrics", timeout=LONG) as page:
        assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "swarmc_tasks_completed_total 2.0\n" in page.read().decode()


def test_samples_of_before_are_told(host: RunningDispatcher, client: RouterClient) -> None:
    status(client, deploy(client, TWO))

    def told(since: float) -> MetricsHistory:
        history = client.call("metrics", MetricsWanted(since=since)).history
        assert isinstance(history, MetricsHistory)
        return history

    def counted() -> MetricsHistory | None:
        history = told(0)
        done = history.values["swarmc_tasks_completed_total"]
        return history if len(done) >= 2 and done[-1] == 2 else None

    history = until(counted)
    assert history is not None
    assert history.times == sorted(set(history.times))
    assert set(history.values) == set(SAMPLED)
    found = client.call("metrics", Nothing())
    assert found.history is None
    # A node that is busy and a turn that failed have names only when there was one.
    absent = {name for name in SAMPLED if name not in found.values}
    assert absent <= {'swarmc_router_nodes{state="busy"}'}
    assert history.values["swarmc_process_memory_bytes"][0] > 1 << 20
    assert all(len(values) == len(history.times) for values in history.values.values())
    after = told(history.times[-2])
    assert after.times[0] == history.times[-1]


def test_metrics_need_the_token(tmp_path: Path) -> None:
    with RunningDispatcher(tmp_path, token="secret") as host:
        url = f"http://127.0.0.1:{host.server.port}/metrics"
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            with pytest.raises(HTTPError, match="401") as caught:
                urlopen(Request(url, headers=header), timeout=LONG)
            caught.value.close()
        known = Request(url, headers={"Authorization": "Bearer secret"})
        with urlopen(known, timeout=LONG) as page:
            assert b"swarmc_router_swarms 0.0\n" in page.read()


def test_an_id_of_ones_own_runs_once(
    host: RunningDispatcher, client: RouterClient, holding: Holding
) -> None:
    held = manifest(symbol("a", "hold"))
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(deploy, client, held, "c", "mine-1") for _ in range(8)]
        assert {one.result(LONG) for one in asked} == {"mine-1"}
    with pytest.raises(CommandRejectedError, match="mine-1 is the id of another workflow's run"):
        deploy(client, TWO, name="mine-1")
    host.provider.start = False
    swarm = client.call("swarm_launch", Launch(module="m.wasm")).swarm_id
    with pytest.raises(CommandRejectedError, match=f"{swarm} is the id of a swarm"):
        deploy(client, TWO, name=swarm)
    holding.go.set()
    run = status(client, "mine-1")
    assert (run.state, run.tasks[0].attempts) == ("completed", 1)
    assert deploy(client, held, name="mine-1") == "mine-1"
    host.restart()
    with host.client() as again:
        assert deploy(again, held, name="mine-1") == "mine-1"
        assert [(one.workflow_id, one.state) for one in runs(again)] == [("mine-1", "completed")]


def test_references_of_runs_outlive_the_router(tmp_path: Path) -> None:
    held = Holding()
    undone = {"name": "undo", "type": "action", "parameters": {"operation": "echo"}}
    failing = manifest(symbol("a", "hold", rollback=undone), symbol("b", "nothing_like_it", "a"))
    host = RunningDispatcher(tmp_path, held.table())
    with host:
        with host.client() as client:
            run_id = deploy(client, failing, "mine")
            assert held.begun.acquire(timeout=LONG)
        host.patience = 0
        host.stop()
        host.start_again()
        with host.client() as client:
            client.subscribe()
            held.go.set()
            events = collect(client, lambda e: e.type == "workflow_changed"
                             and e.data["workflow"]["state"] == "rolled_back")  # fmt: skip
            assert {event.reference for event in events} == {"mine"}
            names = {e.data["task"]["task_id"] for e in events if e.type == "task_changed"}
            assert names == {f"{run_id}/{name}" for name in ("a", "b", "a/rollback")}

"""Nodes that are lost, restarted, drained and given up, and what becomes of their turns."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from swarmc.runtime.cli_router_client import RouterOptions, list_swarms
from swarmc.runtime.orchestration.providers import Job, JobState, JobStatus, NodeStatus
from swarmc.runtime.orchestration.providers.workspace import conclude
from swarmc.runtime.orchestration.router.client import (
    CommandRejectedError,
    RouterClient,
    RouterUnavailableError,
)
from swarmc.runtime.orchestration.router.node import NodeConfig, NodeWorker
from swarmc.runtime.orchestration.router.protocol import (
    PROTOCOL,
    Event,
    Hello,
    Inject,
    Launch,
    Node,
    Nothing,
    OfSwarm,
    TurnRun,
)

from .routing import LONG, RunningRouter, ThreadProvider, collect, until

HELLO = str(Path(__file__).parents[3] / "corpus" / "hello.wasm")


class SayingProvider(ThreadProvider):
    """Says of nodes what the test wants, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[int, NodeStatus] = {}
        self.looks: list[list[str]] = []
        self.searches = 0

    def status(self, job_id: str) -> JobStatus:
        nodes = range(self.specs[job_id].nodes)
        said = [self.nodes.get(n, NodeStatus(n, JobState.RUNNING)) for n in nodes]
        return conclude(job_id, said, cancelled=job_id in self.cancelled)

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        self.looks.append(list(job_ids))
        return {job_id: self.status(job_id) for job_id in self.looks[-1]}

    def jobs(self) -> list[Job]:
        self.searches += 1
        return [
            Job(job_id, spec.swarm_id, spec.nodes, "runs", self.name, "1", 0.0)
            for job_id, spec in self.specs.items()
        ]

    def adopt(self, swarm_id: str) -> Job | None:
        return next((job for job in self.jobs() if job.swarm_id == swarm_id), None)


def nodes_of(client: RouterClient, swarm: str) -> list[Node]:
    found: list[Node] = client.call("swarm_status", OfSwarm(swarm_id=swarm)).nodes
    return found


def becomes(event: Event, state: str) -> bool:
    return event.type == "node_changed" and event.data["node"]["state"] == state


def worker_hello(running: RunningRouter, swarm: str, **more: Any) -> Hello:
    token = running.provider.specs["job-1"].secrets["SWARMC_TOKEN"]
    return Hello(protocol=PROTOCOL, role="worker", swarm_id=swarm, node=0, token=token, **more)


def test_a_node_that_has_failed(tmp_path: Path) -> None:
    """What waits there fails by name; injections go to the others."""
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider, poll=0.1) as running, running.client() as client:
        client.subscribe()
        swarm = client.call("swarm_launch", Launch(nodes=2, module=HELLO)).swarm_id
        turns = client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x", reference="r")).turns
        why = "was killed by signal 9, after 5 restarts in a row"
        provider.nodes[0] = NodeStatus(0, JobState.FAILED, why, restarts=7)
        events = collect(client, lambda event: event.type == "turn_complete")
        (changed,) = (event for event in events if becomes(event, "failed"))
        assert (changed.data["reason"], changed.data["node"]["restarts"]) == (why, 7)
        assert (events[-1].turn_id, events[-1].reference) == (turns[0], "r")
        assert events[-1].data == {"outcome": "failed", "error": f"node 0 has failed: {why}"}
        assert client.call("swarm_status", OfSwarm(swarm_id=swarm)).status == "degraded"
        more = client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x")).turns
        assert set(more) == {1}
        with pytest.raises(CommandRejectedError, match=rf"node 0 of swarm {swarm} has failed: was"):
            client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x", nodes=[1, 0]))
        provider.nodes[1] = NodeStatus(1, JobState.FAILED, "exited with 1")
        events = collect(client, lambda event: event.type == "swarm_terminated")
        failed = [event.turn_id for event in events if event.type == "turn_complete"]
        assert failed == [turns[1], more[1]]
        assert events[-1].data["swarm"]["reason"].endswith(f"node_00: {why} (and 1 more)")
        with running._store as store:
            record = store.task(turns[0])
            assert record is not None
            assert record.error == f"node 0 has failed: {why}"


def test_restarts_are_told(tmp_path: Path) -> None:
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider, poll=0.1) as running, running.client() as client:
        client.subscribe()
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        provider.nodes[0] = NodeStatus(0, JobState.RUNNING, "exited with 3", restarts=1)
        until(lambda: nodes_of(client, swarm)[0].restarts == 1)
        (node,) = nodes_of(client, swarm)
        assert (node.state, node.reason) == ("starting", "its worker exited with 3")
        hello = worker_hello(running, swarm, restarts=2, restart_reason="was killed by signal 9")
        running.client(hello=hello).close()
        events = collect(client, lambda event: becomes(event, "idle"))
        told = events[-1].data
        assert told["node"]["restarts"] == 2
        assert told["reason"] == "its worker was killed by signal 9"


def test_list_shows_restarts_and_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider, poll=0.1) as running, running.client() as client:
        swarm = client.call("swarm_launch", Launch(nodes=3, module=HELLO)).swarm_id
        provider.nodes[1] = NodeStatus(1, JobState.RUNNING, "exited with 3", restarts=2)
        provider.nodes[2] = NodeStatus(2, JobState.FAILED, "exited with 1", restarts=5)
        until(lambda: nodes_of(client, swarm)[2].state == "failed")
        list_swarms(RouterOptions(running.url))
        table, *lines = capsys.readouterr().out.splitlines()[1:]
        assert "2 starting, 1 failed; 7 restarts" in table
        assert lines == [
            f"{swarm} node 1 is starting, 2 restarts: its worker exited with 3",
            f"{swarm} node 2 is failed, 5 restarts: exited with 1",
        ]


def test_a_machine_that_is_lost(tmp_path: Path) -> None:
    """Its node stays lost: nobody knows whether its worker runs."""
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider, poll=0.05) as running, running.client() as client:
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        with running.client(hello=worker_hello(running, swarm)):
            provider.nodes[0] = NodeStatus(0, JobState.RUNNING, host="n3", machine="down*")
            looks = len(provider.looks)
            until(lambda: len(provider.looks) > looks + 2)
            (node,) = nodes_of(client, swarm)
            assert (node.state, node.reason) == ("idle", None)  # its worker is heard
        until(lambda: "machine" in (nodes_of(client, swarm)[0].reason or ""))
        (node,) = nodes_of(client, swarm)
        assert (node.state, node.reason) == (
            "lost", "its machine n3 is down*: no other worker can be started for it within its job",
        )  # fmt: skip
        turns = client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x")).turns
        assert set(turns) == {0}  # a turn belongs to its node: it waits


def test_all_jobs_are_looked_at_with_one_question(tmp_path: Path) -> None:
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider, poll=0.05) as running, running.client() as client:
        swarms = [client.call("swarm_launch", Launch(module=HELLO)).swarm_id for _ in range(20)]
        begun = len(provider.looks)
        until(lambda: len(provider.looks) > begun + 1)
        assert sorted(provider.looks[-1]) == sorted(provider.workers)
        running.restart()
        begun, searched = len(provider.looks), provider.searches
        until(lambda: len(provider.looks) > begun and len(provider.looks[-1]) == 20)
        assert provider.searches == searched + 1  # and found again with one, too
    assert len(set(swarms)) == 20


def test_what_is_terminated_before_its_job_is_found_is_ended(tmp_path: Path) -> None:
    provider = SayingProvider()
    provider.start = False
    with RunningRouter(tmp_path, provider) as running:
        with running.client() as client:
            swarm = client.call("swarm_launch", Launch(module=HELLO)).swarm_id
        running.restart()
        with running.client() as client:
            client.call("swarm_terminate", OfSwarm(swarm_id=swarm))
        assert provider.cancelled == ["job-1"]


def test_a_worker_that_drains_takes_no_more(tmp_path: Path) -> None:
    """Its turn ends and is told; what waits stays for the next worker of its node."""
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        held = HeldWorker(running, swarm)
        held.begin()
        turns = [client.call("swarm_inject", Inject(swarm_id=swarm, prompt=p)).turns[0]
                 for p in "ab"]  # fmt: skip
        assert held.running.wait(LONG)
        held.worker.drain()
        until(lambda: running.router.swarms[swarm].nodes[0].draining)
        held.going.set()
        held.thread.join(LONG)
        events = collect(client, lambda event: becomes(event, "ended"))
        assert [e.turn_id for e in events if e.type == "turn_complete"] == turns[:1]
        assert [e.turn_id for e in events if e.type == "turn_started"] == turns[:1]
        (node,) = nodes_of(client, swarm)
        assert (node.queued, node.reason) == (1, "its worker was drained")
        with pytest.raises(CommandRejectedError, match="have failed or ended"):
            client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x"))
        running.provider.begin("job-1", 0)
        events = collect(client, lambda event: event.type == "turn_complete")
        assert (events[-1].turn_id, events[-1].data["outcome"]) == (turns[1], "completed")
        assert [e.data["attempt"] for e in events if e.type == "turn_started"] == [1]


class HeldWorker:
    """A worker in a thread that runs turns when it is let."""

    def __init__(self, running: RunningRouter, swarm: str, patience: float = LONG) -> None:
        token = running.provider.specs["job-1"].secrets["SWARMC_TOKEN"]
        self.worker = NodeWorker(NodeConfig(running.url, swarm, 0, token, patience=patience))
        self.running, self.going = threading.Event(), threading.Event()
        self.runs: list[str] = []
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self._dispatch = self.worker._dispatch
        self.worker._dispatch = self._held  # type: ignore[method-assign]

    def begin(self) -> None:
        self.thread.start()

    def _held(self, turn: TurnRun) -> Any:
        self.runs.append(turn.turn_id)
        self.running.set()
        self.going.wait(LONG)
        return self._dispatch(turn)


def cut(running: RunningRouter, swarm: str) -> None:
    """Have the worker connect again."""
    (node,) = running.router.swarms[swarm].nodes
    connection = node.connection
    assert connection is not None
    running._loop.call_soon_threadsafe(connection.cut)
    until(lambda: node.connection not in (None, connection))


def test_a_turn_whose_worker_comes_back_is_run_once(tmp_path: Path) -> None:
    """Connections are lost three times, the router's process once: it stays the first attempt."""
    with RunningRouter(tmp_path) as running:
        with running.client() as client:
            running.provider.start = False
            swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
            held = HeldWorker(running, swarm)
            held.begin()
            turn = client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x")).turns[0]
            assert held.running.wait(LONG)
            for _ in range(3):
                cut(running, swarm)
                until(lambda: nodes_of(client, swarm)[0].state == "busy")
        running.restart()
        with running.client() as client:
            client.subscribe(0)
            until(lambda: nodes_of(client, swarm)[0].state == "busy")
            held.going.set()
            events = collect(client, lambda event: event.type == "turn_complete")
            assert (events[-1].turn_id, events[-1].data["outcome"]) == (turn, "completed")
            texts = [e.data["text"] for e in events if e.type == "assistant_delta"]
            assert texts == ["hello, swarm\n"]
            assert [e.data["attempt"] for e in events if e.type == "turn_started"] == [1]
            assert held.runs == [turn]
            held.worker.drain()
            held.thread.join(LONG)


def test_an_answer_that_comes_while_its_worker_is_missed(tmp_path: Path) -> None:
    """Nobody hears the events that came with it: all of it is told again."""
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        held = HeldWorker(running, swarm)
        held.begin()
        client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x"))
        assert held.running.wait(LONG)
        entry = running.router.swarms[swarm]
        (node,) = entry.nodes

        def answer() -> None:
            connection, turn = node.connection, node.running
            assert connection is not None and turn is not None
            (number,) = connection._asked
            event = {"turn_id": turn.task.id, "type": "assistant_delta",
                     "data": {"agent": 0, "text": "unheard"}}  # fmt: skip
            connection.receive(json.dumps([
                {"jsonrpc": "2.0", "method": "turn_event", "params": event},
                {"jsonrpc": "2.0", "id": number, "result": {"outcome": "completed"}},
            ]))  # fmt: skip
            running.router.leave(entry, node, "its heartbeat is missing")

        running._loop.call_soon_threadsafe(answer)
        held.going.set()
        events = collect(client, lambda event: event.type == "turn_complete")
        texts = [e.data["text"] for e in events if e.type == "assistant_delta"]
        assert texts == ["hello, swarm\n"]
        held.worker.drain()
        held.thread.join(LONG)


def test_a_connection_that_breaks_off_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: object, **options: object) -> None:
        raise ConnectionClosedError(None, None)

    monkeypatch.setattr("swarmc.runtime.orchestration.router.client.connect", connect)
    with pytest.raises(RouterUnavailableError, match="no router answers at ws://x"):
        RouterClient("ws://x")


def test_the_patience_of_a_worker_begins_when_its_connection_ends(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        held = HeldWorker(running, swarm, patience=0.5)
        held.begin()
        until(lambda: nodes_of(client, swarm)[0].state == "idle")
        time.sleep(0.7)
        cut(running, swarm)  # which waits until it is back
        held.worker.drain()
        held.thread.join(LONG)


def test_a_turn_that_three_workers_were_lost_with(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
        turns = [client.call("swarm_inject", Inject(swarm_id=swarm, prompt=p)).turns[0]
                 for p in "ab"]  # fmt: skip
        for number in range(3):
            hello = worker_hello(running, swarm, instance=f"w{number}")
            with running.client(hello=hello):
                events = collect(client, lambda event: event.type == "turn_started")
                assert events[-1].data["attempt"] == number + 1
            collect(client, lambda event: becomes(event, "lost"))
        running.provider.begin("job-1", 0)
        events = collect(client, lambda event: event.type == "turn_complete")
        assert (events[-1].turn_id, events[-1].data) == (turns[0], {
            "outcome": "failed", "error": "3 workers were lost while they ran it",
        })  # fmt: skip
        events = collect(client, lambda event: event.type == "turn_complete")
        assert (events[-1].turn_id, events[-1].data["outcome"]) == (turns[1], "completed")


def test_references_outlive_the_router(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running:
        running.provider.start = False
        with running.client() as client:
            swarm = client.call("swarm_launch", Launch(module=HELLO)).swarm_id
            client.call("swarm_inject", Inject(swarm_id=swarm, prompt="x", reference="mine"))
        running.restart()
        with running.client() as client:
            client.subscribe()
            running.provider.begin("job-1", 0)
            events = collect(client, lambda event: event.type == "turn_complete")
            assert events[-1].reference == "mine"
            assert client.call("status", Nothing()).completed == 1


def test_a_node_trusts_the_certificate_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from swarmc.runtime.orchestration.router import node

    given: list[Any] = []

    def connect(url: str, **options: Any) -> Any:
        given.append(options["certificate"])
        raise RouterUnavailableError("nobody is there")

    monkeypatch.setattr(node, "RouterClient", connect)
    config = NodeConfig("wss://h:1", "swarm-1", 0, "token", Path("own.pem"), patience=-1.0)
    assert NodeWorker(config).run() is False
    assert given == [Path("own.pem")]

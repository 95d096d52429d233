"""Swarms are launched, injected, listed and terminated, and every event tells of it."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.router.client import CommandRejectedError
from swarmc.runtime.orchestration.router.node import NodeConfig, NodeWorker
from swarmc.runtime.orchestration.router.protocol import (
    PROTOCOL,
    Code,
    Event,
    Hello,
    Inject,
    Launch,
    Nothing,
    OfSwarm,
    SwarmList,
)

from .routing import RunningRouter, collect, until

ROOT = Path(__file__).parents[3]
ECHO = str(ROOT / "corpus" / "wasi.wasm")
HELLO = str(ROOT / "corpus" / "hello.wasm")


def turns_complete(count: int):  # type: ignore[no-untyped-def]
    left = [count]

    def last(event: Event) -> bool:
        left[0] -= event.type == "turn_complete"
        return left[0] == 0

    return last


def test_the_whole_way(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        swarm = client.call("swarm_launch", Launch(nodes=2, module=HELLO, agents=3, prompt="p"))
        assert (swarm.node_count, swarm.job_id) == (2, "job-1")
        injected = client.call(
            "swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x", reference="mine")
        )
        assert set(injected.turns) == {0, 1}
        events = collect(client, turns_complete(2))
        for node, turn in injected.turns.items():
            kinds = [event.type for event in events if event.turn_id == turn]
            assert (kinds[0], kinds[-2:]) == ("turn_started", ["usage", "turn_complete"])
            assert set(kinds[1:-2]) == {"command_started", "assistant_delta", "command_completed"}
            assert kinds.count("command_started") == kinds.count("command_completed") == 15
            assert {e.node for e in events if e.turn_id == turn} == {node}
            assert {e.reference for e in events if e.turn_id == turn} == {"mine"}
        texts = [e.data["text"] for e in events if e.type == "assistant_delta"]
        assert texts == ["hello, swarm\n"] * 6
        usage = next(e.data for e in events if e.type == "usage")
        assert usage["agents"] == 3
        assert usage["instructions"] > 0
        assert [event.seq for event in events] == list(
            range(events[0].seq, events[0].seq + len(events))
        )
        listed: SwarmList = client.call("swarm_list", Nothing())
        assert [(s.status, [n.state for n in s.nodes]) for s in listed.swarms] == [
            ("running", ["idle", "idle"])
        ]
        ended = client.call("swarm_terminate", OfSwarm(swarm_id=swarm.swarm_id, reason="done"))
        assert (ended.status, ended.reason) == ("terminated", "done")
        assert running.provider.cancelled == ["job-1"]
        with pytest.raises(CommandRejectedError, match="is terminated") as error:
            client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x"))
        assert error.value.code == Code.REJECTED
        assert error.value.data["type"] == "command_rejected"


def test_injections_to_a_node_queue_in_order_and_nodes_run_beside_each_other(
    tmp_path: Path,
) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        swarm = client.call("swarm_launch", Launch(nodes=2, module=HELLO))
        order = [
            client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt=str(n), nodes=[1]))
            .turns[1]
            for n in range(5)
        ]
        events = collect(client, turns_complete(5))
        assert [e.turn_id for e in events if e.type == "turn_started"] == order
        running_now = 0
        for event in events:
            running_now += (event.type == "turn_started") - (event.type == "turn_complete")
            assert running_now <= 1
        status = client.call("swarm_status", OfSwarm(swarm_id=swarm.swarm_id))
        assert [node.turns for node in status.nodes] == [0, 5]


def test_a_worker_that_is_lost_and_comes_back_runs_its_turn_again(tmp_path: Path) -> None:
    with RunningRouter(tmp_path, heartbeat_timeout=2.0) as running, running.client() as client:
        client.subscribe()
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO))
        client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x"))
        silent = running.client(hello=Hello(
            protocol=PROTOCOL, role="worker", swarm_id=swarm.swarm_id, node=0,
            token=running.provider.specs["job-1"].secrets["SWARMC_TOKEN"],
        ))  # fmt: skip
        events = collect(
            client, lambda e: e.type == "node_changed" and e.data["node"]["state"] == "lost"
        )
        assert Counter(event.type for event in events)["turn_started"] == 1
        until(lambda: silent.gone)
        running.provider.begin("job-1", 0)
        events = collect(client, turns_complete(1))
        assert [e.data["attempt"] for e in events if e.type == "turn_started"] == [2]
        assert events[-1].data["outcome"] == "completed"
        silent.close()


def test_a_restart_of_the_router_keeps_swarms_and_turns(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running:
        with running.client() as client:
            running.provider.start = False
            swarm = client.call("swarm_launch", Launch(nodes=2, module=HELLO, name="kept"))
            turns = client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x")).turns
            seq = client.call("swarm_list", Nothing()).seq
        running.restart()
        with running.client() as client:
            assert client.welcome.seq >= seq
            assert not client.subscribe(after=seq).complete
            (again,) = client.call("swarm_list", Nothing()).swarms
            assert (again.swarm_id, again.name, again.job_id) == (swarm.swarm_id, "kept", "job-1")
            for node in range(2):
                running.provider.begin("job-1", node)
            events = collect(client, turns_complete(2))
            done = {e.node: e.turn_id for e in events if e.type == "turn_complete"}
            assert done == turns


def test_workers_find_a_router_that_was_restarted(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running:
        with running.client() as client:
            swarm = client.call("swarm_launch", Launch(nodes=2, module=HELLO))
            until(lambda: client.call("status", Nothing()).idle == 2)
        running.restart()
        with running.client() as client:
            until(lambda: client.call("status", Nothing()).idle == 2)
            client.subscribe()
            client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x"))
            assert len(collect(client, turns_complete(2))) > 4


def test_terminated_swarms_stay_for_a_while(tmp_path: Path) -> None:
    with RunningRouter(tmp_path, retention=0.3) as running, running.client() as client:
        swarm = client.call("swarm_launch", Launch(module=HELLO))
        client.subscribe()
        client.call("swarm_terminate", OfSwarm(swarm_id=swarm.swarm_id))
        assert [s.status for s in client.call("swarm_list", Nothing()).swarms] == ["terminated"]
        collect(client, lambda event: event.type == "swarm_removed")
        assert client.call("swarm_list", Nothing()).swarms == []


def test_what_is_refused(tmp_path: Path) -> None:
    with RunningRouter(tmp_path, token="secret") as running:
        with pytest.raises(CommandRejectedError, match="needs a token"):
            running.client()
        with pytest.raises(CommandRejectedError, match=r"speaks codeswarm\.router\.v1, not 'v9'"):
            running.client(hello=Hello(protocol="v9", token="secret"))
        with pytest.raises(CommandRejectedError, match="no worker of a swarm"):
            running.client(hello=Hello(protocol=PROTOCOL, role="worker", swarm_id="x", node=0))
        with running.client(token="secret") as client:
            for launch in (Launch(), Launch(module=None)):
                with pytest.raises(CommandRejectedError, match="no module was named"):
                    client.call("swarm_launch", launch)
            with pytest.raises(CommandRejectedError, match="no swarm 'nobody'"):
                client.call("swarm_terminate", OfSwarm(swarm_id="nobody"))
            with pytest.raises(CommandRejectedError, match="not for a client"):
                client.call("heartbeat", Nothing())
            with pytest.raises(CommandRejectedError, match=r">= 1 - at `\$\.nodes`"):
                client.call("swarm_launch", Launch(nodes=0))


def test_injections_at_once_run_in_their_order_after_a_restart_too(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running:
        running.provider.start = False
        with running.client() as client:
            swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO))
            frames = [
                {"jsonrpc": "2.0", "id": 100 + n, "method": "swarm_inject",
                 "params": {"swarm_id": swarm.swarm_id, "prompt": str(n)}}
                for n in range(20)
            ]  # fmt: skip
            client._socket.send(json.dumps(frames), text=True)  # in one frame
            until(lambda: client.call("status", Nothing()).queued == 20)
        running.restart()
        turns = [turn.task.payload["data"] for turn in
                 running.router.swarms[swarm.swarm_id].nodes[0].queue]  # fmt: skip
        assert [base64.b64decode(data).decode() for data in turns] == [str(n) for n in range(20)]


def test_a_worker_whose_swarm_has_ended_ends(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO))
        client.call("swarm_terminate", OfSwarm(swarm_id=swarm.swarm_id))
        token = running.provider.specs["job-1"].secrets["SWARMC_TOKEN"]
        worker = NodeWorker(NodeConfig(running.url, swarm.swarm_id, 0, token))
        with pytest.raises(CommandRejectedError, match="is terminated"):
            worker.run()

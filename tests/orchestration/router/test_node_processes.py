"""Workers of nodes as processes: killed while there is no router, and drained."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.providers.node import start_time
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import Event, Inject, Launch, Node, OfSwarm
from swarmc.runtime.tools.chaos_swarms import Chaos, Options
from swarmc.runtime.tools.swarm_module import given

from .routing import LONG, collect, until

SECOND = 150_000_000  # turns of the agent that take about a second


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    with Chaos(tmp_path, Options()) as chaos:  # a router's process, to which nothing happens
        chaos.router.start()
        yield chaos


def launch(client: RouterClient, nodes: int = 1) -> tuple[str, str]:
    """A swarm that is there; its id and its job's."""
    swarm = client.call("swarm_launch", Launch(nodes=nodes))
    until(lambda: all(n.state == "idle" for n in nodes_of(client, swarm.swarm_id)))
    return swarm.swarm_id, swarm.job_id


def nodes_of(client: RouterClient, swarm: str) -> list[Node]:
    found: list[Node] = client.call("swarm_status", OfSwarm(swarm_id=swarm)).nodes
    return found


def inject(client: RouterClient, swarm: str, spin: int, text: str) -> dict[int, str]:
    data = base64.b64encode(given(spin, text)).decode()
    turns: dict[int, str] = client.call("swarm_inject", Inject(swarm_id=swarm, data=data)).turns
    return turns


def record(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_bytes())
    return found


def worker_of(folder: Path) -> int:
    """The process of a node, once it is on record."""
    until(lambda: "worker" in record(folder, "started.json"))
    return int(record(folder, "started.json")["worker"][0])


def is_complete(event: Event) -> bool:
    return event.type == "turn_complete"


def test_a_worker_that_is_killed_while_there_is_no_router(chaos: Chaos) -> None:
    """Its supervisor starts another one, which runs what waits when the router is back."""
    with RouterClient(chaos.direct) as client:
        swarm, job = launch(client, nodes=2)
    folders = [chaos.folder / "runs" / job / f"node_{node:02d}" for node in range(2)]
    chaos.router.kill()
    first = worker_of(folders[1])
    os.kill(first, signal.SIGKILL)
    until(lambda: record(folders[1], "started.json")["restarts"] == 1)
    until(lambda: worker_of(folders[1]) != first)
    chaos.router.start()
    with RouterClient(chaos.direct) as client:
        client.subscribe()
        turns = inject(client, swarm, 1, "hello ")
        done: dict[int | None, tuple[str | None, str]] = {}
        while set(done) != {0, 1}:
            event = collect(client, is_complete)[-1]
            done[event.node] = (event.turn_id, event.data["outcome"])
        assert done == {node: (turn, "completed") for node, turn in turns.items()}
        nodes = nodes_of(client, swarm)
        assert [node.restarts for node in nodes] == [0, 1]
        assert nodes[1].reason == "its worker was killed by signal 9"
        client.call("swarm_terminate", OfSwarm(swarm_id=swarm))
    until(lambda: (folders[1] / "exit.json").exists())
    time.sleep(0.3)  # longer than the first pause before a restart
    assert record(folders[1], "started.json")["restarts"] == 1
    assert record(folders[1], "exit.0.json")["code"] == -signal.SIGKILL


def test_sigterm_drains_a_worker(chaos: Chaos) -> None:
    """The turn that runs ends and is told, what waits stays, and the exit code is 0."""
    with RouterClient(chaos.direct) as client:
        client.subscribe()
        swarm, job = launch(client)
        folder = chaos.folder / "runs" / job / "node_00"
        inject(client, swarm, 1, "so that it is compiled ")
        collect(client, is_complete)
        running = inject(client, swarm, SECOND, "runs ")[0]
        waiting = inject(client, swarm, 1, "waits ")[0]
        collect(client, lambda event: event.turn_id == running and event.type == "turn_started")
        pid = worker_of(folder)
        began = start_time(pid)
        os.kill(pid, signal.SIGTERM)
        events = collect(client, lambda event: event.type == "node_changed"
                         and event.data["node"]["state"] == "ended")  # fmt: skip
        told = [(e.turn_id, e.data["outcome"]) for e in events if is_complete(e)]
        assert told == [(running, "completed")]
        assert any(e.type == "assistant_delta" and "runs " in e.data["text"] for e in events)
        until(lambda: (folder / "exit.json").exists())
        ended = record(folder, "exit.json")
        assert (ended["code"], ended["restarts"], ended["cancelled"]) == (0, 0, False)
        assert start_time(pid) != began
        found = client.call("swarm_status", OfSwarm(swarm_id=swarm))
        if found.ended is None:  # its job has ended with its only node, which is seen soon
            assert (found.nodes[0].queued, found.nodes[0].reason) == (1, "its worker was drained")
        assert waiting not in [e.turn_id for e in events if e.type == "turn_started"]
        collect(client, lambda event: event.type == "swarm_terminated")


def test_a_worker_that_cannot_begin_fails_its_node(tmp_path: Path) -> None:
    """After so many restarts in a row, which the cluster's configuration says."""
    cluster = {"environment": {"PYTHONHOME": "/nowhere"}}  # where no Python is
    with Chaos(tmp_path, Options(), cluster=cluster) as chaos:
        path = tmp_path / "cluster.json"
        restarts = {"limit": 2, "first": 10}
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "restarts": restarts}))
        chaos.router.start()
        with RouterClient(chaos.direct, timeout=LONG) as client:
            client.subscribe()
            swarm = client.call("swarm_launch", Launch(nodes=1)).swarm_id
            turn = inject(client, swarm, 1, "never ")[0]
            event = collect(client, is_complete)[-1]
            assert event.turn_id == turn
            why = "exited with 1, after 2 restarts in a row"
            assert event.data["error"] == f"node 0 has failed: {why}"
            ended = collect(client, lambda event: event.type == "swarm_terminated")[-1]
            swarm_data = ended.data["swarm"]
            assert swarm_data["status"] == "failed"
            assert swarm_data["reason"].endswith(f"failed: node_00: {why}")

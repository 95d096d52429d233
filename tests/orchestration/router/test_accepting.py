"""Turns run when they are durable, not sooner; those that cannot be stored do not run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm
from swarmc.runtime.orchestration.store import StoreError

from .routing import LONG, RunningRouter, collect, until

HELLO = str(Path(__file__).parents[3] / "corpus" / "hello.wasm")


class HeldStore:
    """Holds what is accepted back, until it is let go, or fails."""

    def __init__(self, running: RunningRouter) -> None:
        self.going = threading.Event()
        self.error: StoreError | None = None
        self.asked = threading.Event()
        self._append_soon = running.router.store.append_soon

    def append_soon(self, events: Any, stored: Any = None) -> None:
        if any(event.kind is EventKind.TASK_ACCEPTED for event in events):
            self.asked.set()
            threading.Thread(target=self._later, args=(events, stored), daemon=True).start()
        else:
            self._append_soon(events, stored)

    def _later(self, events: Any, stored: Any) -> None:
        self.going.wait(LONG)
        if self.error is not None:
            stored(self.error)
        else:
            self._append_soon(events, stored)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningRouter]:
    with RunningRouter(tmp_path, heartbeat_timeout=600.0) as router:
        router.provider.start = False
        yield router


def begin(
    running: RunningRouter, client: RouterClient, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, HeldStore, Future[Any]]:
    """A swarm whose idle node has a turn that is not durable yet."""
    swarm = client.call("swarm_launch", Launch(nodes=1, module=HELLO)).swarm_id
    held = HeldStore(running)
    monkeypatch.setattr(running.router.store, "append_soon", held.append_soon)
    answer: Future[Any] = Future()

    def inject() -> None:
        try:
            with running.client() as other:
                answer.set_result(other.call("swarm_inject", Inject(swarm_id=swarm, prompt="x")))
        except CommandRejectedError as error:
            answer.set_exception(error)

    threading.Thread(target=inject, daemon=True).start()
    assert held.asked.wait(LONG)
    running.provider.begin("job-1", 0)

    def states() -> list[str]:
        found = client.call("swarm_status", OfSwarm(swarm_id=swarm))
        return [node.state for node in found.nodes]

    until(lambda: states() != ["starting"])
    assert states() == ["idle"]
    assert client.call("status", Nothing()).queued == 1
    return swarm, held, answer


def test_no_turn_runs_before_it_is_durable(
    running: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running.client() as client:
        client.subscribe()
        _, held, answer = begin(running, client, monkeypatch)
        held.going.set()
        events = collect(client, lambda event: event.type == "turn_complete")
        assert answer.result(LONG).turns == {0: events[-1].turn_id}


def test_a_turn_that_cannot_be_stored_does_not_run(
    running: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running.client() as client:
        client.subscribe()
        swarm, held, answer = begin(running, client, monkeypatch)
        held.error = StoreError("the disk is full")
        held.going.set()
        with pytest.raises(CommandRejectedError, match="the disk is full"):
            answer.result(LONG)
        assert client.call("status", Nothing()).queued == 0
        held.error = None
        turns = client.call("swarm_inject", Inject(swarm_id=swarm, prompt="y")).turns
        events = collect(client, lambda event: event.type == "turn_complete")
        assert [e.turn_id for e in events if e.type == "turn_started"] == [turns[0]]

"""Tasks that are tied to their client end when it has gone, and only then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol_tasks import TaskSpec, TaskSubmit
from swarmc.runtime.orchestration.router.tied import TiedTasks

from .routing import LONG, Holding, RunningDispatcher, until
from .test_tasks_desk import spec, status

SWEEPS = 0.4  # seconds in which a router looks several times


def tied(client: RouterClient, *specs: TaskSpec, patience: int | None = 0) -> list[str]:
    wanted = TaskSubmit(tasks=list(specs), while_connected_ms=patience)
    ids: list[str] = client.call("task_submit", wanted).task_ids
    return ids


def states(client: RouterClient, *ids: str) -> list[str]:
    return [task.state for task in status(client, *ids, wait=0)]


def ties(host: RunningDispatcher) -> int:
    return sum(key.startswith("router/tied/") for key in host.dispatcher.store.state_keys())


def test_they_end_with_their_connection(host: RunningDispatcher, holding: Holding) -> None:
    with host.client() as watching:
        with host.client() as client:
            ids = tied(client, spec(operation="hold", task_id="a"), spec(dependencies=["a"]))
            done = tied(client, spec())
            (free,) = tied(client, spec(operation="hold"), patience=None)
            status(client, *done)
            assert holding.begun.acquire(timeout=LONG)
        until(lambda: states(watching, *ids) == ["cancelled", "cancelled"])
        first, _ = status(watching, *ids)
        assert first.error == "its client has been away for 0 s"
        assert states(watching, *done) == ["completed"]
        assert states(watching, free) == ["running"]
        until(lambda: ties(host) == 0)


def test_they_last_as_long_as_one_connection_of_the_client(host: RunningDispatcher) -> None:
    with host.client() as watching:
        with host.client(instance="c-1"):
            with host.client(instance="c-1") as client:
                (held,) = tied(client, spec(operation="hold"))
            time.sleep(SWEEPS)
            assert states(watching, held) == ["running"]
        until(lambda: states(watching, held) == ["cancelled"])


def test_a_client_may_come_back_in_time(host: RunningDispatcher) -> None:
    with host.client(instance="c-2") as client:
        soon = tied(client, spec(operation="hold"), patience=300)
        late = tied(client, spec(operation="hold"), patience=60_000)
    with host.client() as watching:
        until(lambda: states(watching, *soon) == ["cancelled"])
        assert states(watching, *late) == ["running"]


def test_earlier_tasks_are_tied_to_all_who_asked_for_them(
    host: RunningDispatcher, holding: Holding
) -> None:
    def ask(client: RouterClient, key: str, patience: int | None = 0) -> str:
        wanted = spec(operation="hold", idempotency_key=key)
        return tied(client, wanted, patience=patience)[0]

    with host.client() as second:
        with host.client() as first:
            both, freed = ask(first, "both"), ask(first, "freed")
            assert ask(second, "both") == both and ask(second, "freed", None) == freed
        time.sleep(SWEEPS)
        assert states(second, both, freed) == ["running", "running"]
    with host.client() as watching:
        until(lambda: states(watching, both) == ["cancelled"])
        assert states(watching, freed) == ["running"]
        holding.go.set()
        assert [task.state for task in status(watching, freed)] == ["completed"]


def test_a_restart_of_the_router_does_not_free_them(tmp_path: Path) -> None:
    held = Holding()
    host = RunningDispatcher(tmp_path, held.table())
    with host:
        with host.client(instance="c-3") as client:
            (gone,) = tied(client, spec(operation="hold"), patience=2000)
            (kept,) = tied(client, spec(operation="hold"), patience=60_000)
            host.patience = 0
            host.stop()
        host.start_again()
        with host.client() as watching:
            until(lambda: states(watching, gone) == ["cancelled"])
            until(lambda: ties(host) == 1)
            held.go.set()
            assert [task.state for task in status(watching, kept)] == ["completed"]
            until(lambda: ties(host) == 0)


def test_that_somebody_wants_them_unconditionally_is_stored(tmp_path: Path) -> None:
    held = Holding()
    host = RunningDispatcher(tmp_path, held.table())

    def wanted(name: str) -> TaskSpec:
        return spec(operation="hold", idempotency_key=name)

    with host:
        with host.client() as first, host.client() as second:
            freed, other = tied(first, wanted("freed"), wanted("other"))
            assert tied(second, wanted("freed"), patience=None) == [freed]
            host.patience = 0
            host.stop()
        host.start_again()
        with host.client() as watching:
            until(lambda: states(watching, other) == ["cancelled"])
            held.go.set()
            assert [task.state for task in status(watching, freed)] == ["completed"]


def test_what_is_refused_is_tied_to_nobody(host: RunningDispatcher) -> None:
    with host.client() as watching:
        with host.client() as owner:
            (name,) = tied(owner, spec(operation="hold", task_id="mine"), patience=None)
            with host.client() as client, pytest.raises(CommandRejectedError, match="mine"):
                tied(client, spec(task_id="mine"))
            time.sleep(SWEEPS)
        assert states(watching, name) == ["running"]
        until(lambda: ties(host) == 0)


def test_what_is_tied_to_one_client_ends_together() -> None:
    """Else what waits would begin where what is tied a moment longer has not ended yet."""
    now, there, ended = [0.0], [SimpleNamespace(client="c")], list[set[str]]()

    async def call(function: Any, *args: Any) -> None:
        pass  # of the store

    tied = TiedTasks(SimpleNamespace(store=SimpleNamespace(set_state=None)))  # type: ignore[arg-type]
    tied.router = SimpleNamespace(  # type: ignore[assignment]
        clock=lambda: now[0], call=call, spawn=lambda work: None,
        events=SimpleNamespace(connections=there),
    )  # fmt: skip
    tied._cancel = lambda due: ended.append(  # type: ignore[assignment, method-assign, return-value]
        {task_id for tie in due for task_id in tie.ids}
    )

    def submit(task_id: str) -> None:
        async def work() -> None:
            await tied.accept(await tied.tie("c", 1.0, [task_id]), [task_id])

        asyncio.run(work())

    submit("first")
    tied.sweep()
    now[0] = 0.9
    submit("second")
    there.clear()  # before it was seen again
    for when in (1.5, 1.8, 1.95, 2.1):
        now[0] = when
        tied.sweep()
    assert ended == [{"first", "second"}]

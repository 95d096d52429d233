"""Workers that would be, or get, what is another's; and what happens while they join."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.cluster.authority import Authority, KeyPair
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import PROTOCOL, Code, Hello, Nothing
from swarmc.runtime.orchestration.router.protocol_workers import Worker, WorkerExclude, WorkerJoin
from swarmc.runtime.orchestration.router.workers import WorkerDesk

from ..router.routing import RunningDispatcher, until

KEY = "17" * 32


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningDispatcher]:
    pytest.importorskip("distributed")
    with RunningDispatcher(tmp_path) as host:
        yield host


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def worker(host: RunningDispatcher) -> RouterClient:
    return host.client(hello=Hello(protocol=PROTOCOL, role="task_worker"))


def join(client: RouterClient, name: str, key: str = KEY, **more: Any) -> str:
    wanted = WorkerJoin(
        name=name, public_key=key, certificate_request=KeyPair(name).request, **more
    )
    worker_id: str = client.call("worker_join", wanted).worker_id
    return worker_id


def listed(host: RunningDispatcher) -> dict[str, Worker]:
    with host.client() as client:
        return {one.name: one for one in client.call("worker_list", Nothing()).workers}


def desk_of(host: RunningDispatcher) -> WorkerDesk:
    (desk,) = (desk for desk in host.router.desks if isinstance(desk, WorkerDesk))
    return desk


@pytest.mark.parametrize("field", ["capabilities", "executors", "targets"])
def test_nobody_is_able_to_what_is_pinned_to_another(
    host: RunningDispatcher, ending: ExitStack, field: str
) -> None:
    with pytest.raises(CommandRejectedError, match="worker:other is no capability to choose"):
        join(ending.enter_context(worker(host)), "thief", KEY, **{field: ["worker:other"]})


def test_two_workers_have_two_keys(host: RunningDispatcher, ending: ExitStack) -> None:
    """Else no certificate would show anything of either: whose signature is it?"""
    first, second = (ending.enter_context(worker(host)) for _ in range(2))
    join(first, "first")
    with pytest.raises(CommandRejectedError, match="worker first has this key"):
        join(second, "second")
    first.close()
    until(lambda: listed(host)["first"].state == "lost")
    join(second, "second")
    assert [*listed(host)] == ["second"]


def test_a_second_process_of_a_name_waits_for_the_first(
    host: RunningDispatcher, ending: ExitStack
) -> None:
    """Else each would take the other's place, and no task would ever end."""
    first, second, again = (ending.enter_context(worker(host)) for _ in range(3))
    worker_id = join(first, "w", host="a", pid=1)
    with pytest.raises(CommandRejectedError, match="another process is worker w") as refused:
        join(second, "w", host="a", pid=2)
    assert refused.value.code == Code.INTERNAL  # which workers take for: try again
    assert not first.gone
    assert join(again, "w", host="a", pid=1) == worker_id  # by another connection
    until(lambda: first.gone)
    again.close()
    until(lambda: listed(host)["w"].state == "lost")
    assert join(second, "w", host="a", pid=2) == worker_id


@pytest.mark.parametrize("wrong", [{"name": "w\n"}, {"name": "w", "public_key": KEY + "\n"}])
def test_a_line_feed_makes_no_other_name_or_key(wrong: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, WorkerJoin)


def test_who_joins_again_while_it_is_excluded_is_excluded(
    host: RunningDispatcher, ending: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_id = join(ending.enter_context(worker(host)), "liar")
    again = ending.enter_context(worker(host))
    add = desk_of(host)._excluded.add

    def adding(*what: Any) -> Any:
        assert join(again, "liar") == worker_id
        return add(*what)

    monkeypatch.setattr(desk_of(host)._excluded, "add", adding)
    with host.client() as client:
        which = WorkerExclude(worker_id=worker_id, reason="it lied")
        assert client.call("worker_exclude", which).state == "excluded"
    until(lambda: again.gone)
    assert listed(host)["liar"].state == "excluded"


def test_many_that_come_at_once_have_one_authority(
    host: RunningDispatcher, ending: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    opens, both = Authority.open, threading.Barrier(2)

    def opening(path: Path) -> Authority:
        opened.append(path)
        time.sleep(0.3)  # time for others to come, too
        return opens(path)

    monkeypatch.setattr(Authority, "open", opening)

    def come(number: int) -> None:
        client = ending.enter_context(worker(host))
        both.wait(60)
        join(client, f"w{number}", f"{number + 1:064x}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(come, range(2)))
    assert len(opened) == 1


def test_who_says_hello_and_is_gone_is_not_counted(host: RunningDispatcher) -> None:
    from swarmc.runtime.orchestration.router.wire import Connection

    hello = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":"%s"}}'

    async def come_and_go() -> bool:
        connection = Connection(host.router, lambda data: None, lambda: None, "somebody")
        connection.receive(hello % PROTOCOL.encode())
        connection.closed()  # what it said is still worked on
        while connection._working:
            await asyncio.sleep(0)
        return connection in host.router.events.connections

    assert asyncio.run_coroutine_threadsafe(come_and_go(), host._loop).result(60) is False

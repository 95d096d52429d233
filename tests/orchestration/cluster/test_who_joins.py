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

from swarmc.runtime.orchestration.cluster.authority import Authority
from swarmc.runtime.orchestration.coordinator.signing import Ed25519Signer
from swarmc.runtime.orchestration.router import workers
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import PROTOCOL, Code
from swarmc.runtime.orchestration.router.protocol_workers import WorkerExclude, WorkerJoin
from swarmc.runtime.orchestration.router.workers import WorkerDesk

from ..router.routing import RunningDispatcher, until
from ..router.task_workers import KEY, OTHER, joining, listed, worker


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningDispatcher]:
    pytest.importorskip("distributed")
    with RunningDispatcher(tmp_path) as host:
        yield host


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def join(client: RouterClient, name: str, key: Ed25519Signer = KEY, **more: Any) -> str:
    worker_id: str = client.call("worker_join", joining(client, name, key, **more)).worker_id
    return worker_id


def desk_of(host: RunningDispatcher) -> WorkerDesk:
    (desk,) = (desk for desk in host.router.desks if isinstance(desk, WorkerDesk))
    return desk


@pytest.mark.parametrize("field", ["capabilities", "executors", "targets"])
def test_nobody_is_able_to_what_is_pinned_to_another(
    host: RunningDispatcher, ending: ExitStack, field: str
) -> None:
    with pytest.raises(CommandRejectedError, match="worker:other is no capability to choose"):
        join(ending.enter_context(worker(host)), "thief", KEY, **{field: ["worker:other"]})


def test_a_worker_has_the_key_that_it_announces(
    host: RunningDispatcher, ending: ExitStack
) -> None:
    client, other, late = (ending.enter_context(worker(host)) for _ in range(3))
    assert client.welcome.challenge != other.welcome.challenge
    overheard = joining(other, "w")
    wrong = {
        "there is no proof": [joining(client, "w", proof=None)],
        "no signature by public_key": [
            joining(client, "w", by=OTHER), overheard, joining(client, "w", proof="00" * 64),
            joining(client, "w", certificate_request=overheard.certificate_request),
            msgspec.structs.replace(joining(client, "w"), name="v"),
            joining(client, "w", public_key="ff" * 32),  # which is no point of the curve
        ],
    }  # fmt: skip
    for why, joins in wrong.items():
        for join_of in joins:
            with pytest.raises(CommandRejectedError, match=why) as refused:
                client.call("worker_join", join_of)
            assert refused.value.code == Code.REJECTED
    assert listed(host) == {}
    worker_id = other.call("worker_join", overheard).worker_id
    with pytest.raises(CommandRejectedError, match="no signature by public_key"):
        late.call("worker_join", overheard)
    other.close()
    until(lambda: listed(host)["w"].state == "lost")
    with pytest.raises(CommandRejectedError, match="no signature by public_key"):
        late.call("worker_join", overheard)
    assert join(late, "w") == worker_id


def test_clients_are_given_no_challenge(host: RunningDispatcher) -> None:
    with host.client() as client:
        assert client.welcome.challenge is None


def test_a_name_with_another_key_is_another_worker(
    host: RunningDispatcher, ending: ExitStack
) -> None:
    """What is asked of one by its id, and whom evidence names, is who has its key."""
    first, second = (ending.enter_context(worker(host)) for _ in range(2))
    before = join(first, "w")
    first.close()
    until(lambda: listed(host)["w"].state == "lost")
    assert join(second, "w", OTHER) != before
    assert listed(host)["w"].public_key == OTHER.public_key.hex()


def test_there_are_so_many_workers_and_no_more(
    host: RunningDispatcher, ending: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is kept for a while after it was lost: names without end would fill the memory."""
    monkeypatch.setattr(workers, "MAX_WORKERS", 2)
    keys = [Ed25519Signer() for _ in range(4)]
    clients = [ending.enter_context(worker(host)) for _ in keys]
    for number in range(2):
        join(clients[number], f"w{number}", keys[number])
    with pytest.raises(CommandRejectedError, match="there are 2 workers, and no room"):
        join(clients[2], "w2", keys[2])
    for number in (1, 0):
        clients[number].close()
        until(lambda name=f"w{number}": listed(host)[name].state == "lost")  # type: ignore[misc]
    join(clients[2], "w2", keys[2])
    assert set(listed(host)) == {"w0", "w2"}  # w1 was lost for longest
    which = WorkerExclude(worker_id=listed(host)["w2"].worker_id, reason="it lied")
    join(again := ending.enter_context(worker(host)), "w0", keys[0])
    with host.client() as client:
        client.call("worker_exclude", which)
    join(clients[3], "w3", keys[3])  # who is excluded is not there, and stays excluded
    found = {name: one.state for name, one in listed(host).items()}
    assert set(found) == {"w0", "w2", "w3"}
    assert found["w2"] == "excluded"
    assert not again.gone


def test_a_worker_says_so_much_of_itself(host: RunningDispatcher, ending: ExitStack) -> None:
    client = ending.enter_context(worker(host))
    with pytest.raises(CommandRejectedError, match="at most 8,192 bytes of itself"):
        join(client, "w", capabilities=["x" * 200] * 50)
    assert join(client, "w", capabilities=["x" * 200] * 30)


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


@pytest.mark.parametrize("wrong", [{"name": "w\n"}, {"name": "w", "public_key": "17" * 32 + "\n"}])
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
        join(client, f"w{number}", (KEY, OTHER)[number])

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

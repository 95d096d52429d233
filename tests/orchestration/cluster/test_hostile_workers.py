"""Workers that have a certificate and mean harm, and strangers that stay: what the engine bears."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("distributed")

import msgpack  # type: ignore[import-untyped]
from distributed.comm.core import connect

from swarmc.runtime.orchestration import TaskState
from swarmc.runtime.orchestration.cluster import dask_tls, parcel
from swarmc.runtime.orchestration.cluster.agent import RemoteAgent
from swarmc.runtime.orchestration.cluster.dask_tls import security
from swarmc.runtime.orchestration.errors import TaskError
from swarmc.runtime.orchestration.executors.calls import Call

from .joining import LONG, Fleet, Waiting, ask, echo, fleet, until

OPERATIONS = {"echo": echo}


def test_a_worker_may_do_only_what_workers_do() -> None:
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        mine = cluster.credentials(cluster.agents["w1"].place)
        for message in (
            {"op": "run_function", "function": b"", "args": b"", "kwargs": b""},
            {"op": "terminate"},
            {"op": "register-client", "client": "c", "reply": False},
            {"op": "register-worker", "address": "tls://127.0.0.1:1", "name": "w2/1"},
            {"op": "unregister", "address": cluster.runners["w1"]._worker.address},
        ):
            answer = ask(cluster.address, mine, **message)
            assert "may not ask for" in str(answer["exception"]), answer
        assert cluster.run("echo", value=1).result == 1


class Bomb:
    """What runs code where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_nothing_of_a_worker_is_unpickled(tmp_path: Path) -> None:
    from distributed.protocol.serialize import ToPickle, to_serialize

    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        mine = cluster.credentials(cluster.agents["w1"].place)
        bomb = Bomb(tmp_path / "boom")
        imported = {"__Enum__": True, "name": "X", "module": "antigravity", "type": "X"}
        for more in (ToPickle(bomb), to_serialize(bomb), imported):
            with pytest.raises(OSError):
                ask(cluster.address, mine, op="identity", more=more)
        assert "antigravity" not in sys.modules
        assert list(tmp_path.iterdir()) == []
        text = {"__Pickled__": 1, "__Serialized__": 2, "__Enum__": 3}  # a result may look like that
        assert cluster.run("echo", value=text).result == text


def test_a_worker_says_nothing_of_what_another_one_runs() -> None:
    from swarmc.runtime.orchestration.cluster.parcel import pack_outcome

    waiting = Waiting()
    with fleet() as cluster:
        cluster.join("w1", {"wait": waiting})
        task_id = cluster.submit("wait")
        assert waiting.begun.wait(LONG)
        liar = cluster.join("w2", OPERATIONS)
        (key,) = cluster.engine._running

        said = {"op": "swarmc-outcome", "key": key, "data": pack_outcome(1, None), "more": False}
        victim = cluster.runners["w1"]._worker.address

        def lie() -> None:
            erred = {"op": "task-erred", "key": key}
            place = cluster.agents["w1"].place
            for message in (
                said, {**said, "worker": victim}, {**said, "place": place},
                erred, {**erred, "worker": victim},
            ):  # fmt: skip
                liar._worker.batched_stream.send(message)

        liar._thread.post(lie)
        cluster.registry.suspect("w1", "so that w2 runs what follows")
        assert cluster.run("echo", value=1).result == 1  # it comes behind what was said
        assert cluster.scheduler.record(task_id).state is TaskState.RUNNING
        assert not waiting.stopped.is_set()
        cluster.scheduler.cancel(task_id)


def test_what_a_worker_says_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from swarmc.runtime.orchestration.cluster import carrier, runner

    monkeypatch.setattr(carrier, "MAX_OUTCOME", 10_000)
    monkeypatch.setattr(runner, "_PIECE", 4_000)
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        record = cluster.run("echo", value="x" * 20_000, retries=3)
        assert (record.state, record.attempts) == (TaskState.FAILED, 1)
        assert record.error == "the worker sends more than a result may have"
        assert cluster.run("echo", value="x" * 9_000).result == "x" * 9_000


Talk = Callable[[Any, str], Awaitable[None]]


def talking(cluster: Fleet, talk: Talk, name: str = "liar") -> None:
    """Connect with a worker's certificate, and have ``talk`` say what it likes under its place."""
    agent = cluster.agents[name] = RemoteAgent(name, name, ["internal"], 2)
    cluster.came[agent.place] = threading.Event()
    cluster.engine.admit(agent)
    arguments = security(cluster.credentials(agent.place)).get_connection_args("client")

    async def run() -> None:
        comm = await connect(cluster.address, **arguments)
        try:
            await asyncio.wait_for(talk(comm, agent.place), LONG)
        finally:
            comm.abort()

    asyncio.run(run())


async def register(comm: Any, place: str, **wrong: Any) -> None:
    """Register as Dask's workers do, but for what is wrong."""
    await comm.write({
        "op": "register-worker", "reply": False, "address": "tls://127.0.0.1:1", "name": place,
        "status": "running", "server_id": "x", "nthreads": 1, "now": 0.0, "resources": {},
        "memory_limit": 0, "metrics": {}, "services": {}, "local_directory": "", "versions": {},
        "nanny": None, "extra": {}, "stimulus_id": "x", **wrong,
    })  # fmt: skip
    assert (await comm.read())["status"] == "OK"


async def cut_off(comm: Any) -> None:
    """Wait until the other end has cut the connection."""
    with pytest.raises(OSError):
        while True:
            await comm.read()


def workers_of(cluster: Fleet) -> list[str]:
    carrier = cluster.engine._carrier
    assert carrier is not None
    return [str(one.name) for one in carrier._scheduler.workers.values()]


@pytest.mark.parametrize("wrong", [
    {"versions": 5, "nthreads": "x"}, {"metrics": {"bandwidth": 0}}, {"status": 7, "extra": 1},
    {"address": "tls://slow.invalid:1"},
])  # fmt: skip
def test_what_a_worker_says_of_itself_is_not_believed(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    find = socket.getaddrinfo

    def finding(host: Any, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return find(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", finding)
    with fleet() as cluster:

        async def talk(comm: Any, place: str) -> None:
            await register(comm, place, **wrong)

        talking(cluster, talk)
        cluster.join("w1", OPERATIONS)  # others come as before
        assert cluster.run("echo", value=1).result == 1
        until(lambda: workers_of(cluster) == [cluster.agents["w1"].place])
        assert "slow.invalid" not in asked


def test_who_is_dropped_is_cut_off_however_it_clings() -> None:
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)

        async def talk(comm: Any, place: str) -> None:
            arguments = security(cluster.credentials(place)).get_connection_args("client")
            waiting = await connect(cluster.address, **arguments)  # and registers later
            await register(comm, place)
            cluster.engine.drop(cluster.agents["liar"])
            await cut_off(comm)
            await cut_off(waiting)
            with pytest.raises(OSError):
                await register(await connect(cluster.address, **arguments), place)

        talking(cluster, talk)
        until(lambda: workers_of(cluster) == [cluster.agents["w1"].place])


def test_a_worker_has_few_connections() -> None:
    with fleet() as cluster:

        async def talk(comm: Any, place: str) -> None:
            arguments = security(cluster.credentials(place)).get_connection_args("client")
            more = [await connect(cluster.address, **arguments) for _ in range(4)]
            await cut_off(more[-1])
            await register(comm, place)

        talking(cluster, talk)


@pytest.mark.parametrize("what", [
    "a long message", "a million objects", "a million arrays", "an empty piece", "no bytes",
    "two at once",
])  # fmt: skip
def test_who_sends_what_no_worker_sends_is_cut_off(what: str) -> None:
    with fleet() as cluster:
        tasks: list[str] = []

        async def talk(comm: Any, place: str) -> None:
            await register(comm, place)
            cluster.registry.register(cluster.agents["liar"])
            tasks.extend(cluster.submit("echo", value=1) for _ in range(2))
            keys: list[str] = []
            while len(keys) < 2:
                keys += [message["key"] for message in await comm.read()]
            piece = {"op": "swarmc-outcome", "key": keys[0], "data": b"x", "more": True}
            if what == "a long message":
                await comm.stream.write(struct.pack("Q", 1 << 40))
            elif what.startswith("a million"):  # of a byte each, and 64 when they are read
                many: Any = [[{} if what.endswith("objects") else []] * 1000] * 1000
                await comm.write([{"op": "keep-alive", "more": many}])
            elif what == "an empty piece":
                await comm.write([{**piece, "data": b""}])
            elif what == "no bytes":
                await comm.write([{**piece, "data": 5}])
            else:
                await comm.write([piece, {**piece, "key": keys[1]}])
            await cut_off(comm)

        talking(cluster, talk)
        until(lambda: cluster.registry.state("liar").value == "failed")
        cluster.join("w1", OPERATIONS)
        records = cluster.scheduler.wait(tasks, LONG)
        assert [(record.result, record.agent) for record in records] == [(1, "w1"), (1, "w1")]


def test_what_is_large_travels_in_messages_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    loads = msgpack.loads

    def loading(data: Any, **options: Any) -> Any:
        sizes.append(len(data))
        return loads(data, **options)

    value = bytes(range(256)) * (80 << 10)  # 20 MiB, and 27 as text
    with fleet() as cluster:
        cluster.join("w1", {"make": lambda call: value})
        monkeypatch.setattr(msgpack, "loads", loading)
        assert cluster.run("make").result == value
        assert sum(sizes) > 26 << 20
        assert max(sizes) < 9 << 20


def test_nothing_is_kept_of_who_is_gone() -> None:
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        assert cluster.run("echo", value="x" * 100_000).state is TaskState.COMPLETED
        carrier = cluster.engine._carrier
        assert carrier is not None
        (there,) = carrier._there.values()
        stream = weakref.ref(there.stream)
        del there
        cluster.engine.drop(cluster.agents["w1"])
        until(lambda: cluster.registry.state("w1").value == "failed")
        until(lambda: gc.collect() >= 0 and stream() is None)
        assert not carrier._there
        assert not carrier._orders
        assert not carrier._scheduler._of
        assert not carrier._scheduler.admitted


def test_who_never_says_who_it_is_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_tls, "_HANDSHAKE", 0.2)
    monkeypatch.setattr(dask_tls, "_MOST_STRANGERS", 3)
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        where = urlsplit(cluster.address)
        assert where.hostname is not None and where.port is not None
        there = (where.hostname, where.port)
        strangers = [socket.create_connection(there, LONG) for _ in range(6)]
        for stranger in strangers:
            with stranger:
                assert stranger.recv(1) == b""
        assert cluster.run("echo", value=1).result == 1
        cluster.join("w2", OPERATIONS)


def test_a_cancel_that_comes_as_the_attempt_ends_leaves_nothing() -> None:
    """Else the worker would believe that a thread hangs, and run one task more at a time."""
    with fleet() as cluster:
        runner = cluster.join("w1", OPERATIONS, capacity=1)
        finished = threading.Event()

        def finish(key: str, outcome: bytes) -> None:
            runner._cancel(key)
            finished.set()

        runner._finish = finish  # type: ignore[method-assign]
        task_id = cluster.submit("echo", value=1)
        assert finished.wait(LONG)
        cluster.scheduler.cancel(task_id)
        del runner._finish
        assert cluster.run("echo", value=1).result == 1
        assert not runner._engine._abandoned


def test_an_error_that_is_made_of_anything_is_told() -> None:
    def fail(call: Call) -> None:
        raise TaskError(Path("gone"), retry=False, hint=object)  # type: ignore[arg-type]

    class Unsayable(dict[str, Any]):
        def items(self) -> Any:
            raise LookupError("not today")

    with fleet() as cluster:
        cluster.join("w1", {"fail": fail, "unsayable": lambda call: Unsayable(a=1)})
        assert cluster.run("fail").error.startswith("gone")
        assert "not today" in cluster.run("unsayable").error


def test_a_task_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "MAX_ORDER", 1 << 20)
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        record = cluster.run("echo", value="x" * (2 << 20), retries=3)
        assert (record.state, record.attempts) == (TaskState.FAILED, 1)
        assert "its payload cannot travel: it has 2 MiB, and at most 1 travel" in record.error


def test_attempts_end_even_if_who_hears_of_the_loss_fails() -> None:
    waiting = Waiting()
    with fleet() as cluster:
        runner = cluster.join("w1", {"wait": waiting})

        def went(place: str) -> None:
            raise LookupError("of all things")

        cluster.engine.watch(cluster._came, went)
        task_id = cluster.submit("wait")
        assert waiting.begun.wait(LONG)
        runner.close()
        (record,) = cluster.scheduler.wait([task_id], LONG)
        assert record.error == "the worker that ran it is gone"

"""The desk of workers, asked by connections that say what workers say: joining, beats, modules."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.cluster.errors import ModuleError
from swarmc.runtime.orchestration.cluster.modules import ModuleCache, ModuleFolder
from swarmc.runtime.orchestration.codec import dumps
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import Code, Nothing
from swarmc.runtime.orchestration.router.protocol_workers import (
    ModuleGet,
    ModulePut,
    StateDelete,
    StateGet,
    StateSet,
    WorkerExclude,
    WorkerJoined,
)

from .routing import RunningDispatcher, until
from .task_workers import OTHER, joining, listed, worker


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningDispatcher]:
    with RunningDispatcher(tmp_path, heartbeat_timeout=2.0) as host:
        yield host


def join(client: RouterClient, name: str = "w1", **more: Any) -> WorkerJoined:
    wanted = joining(client, name, **{"host": "n1", "executors": ["wasm"], **more})
    joined: WorkerJoined = client.call("worker_join", wanted)
    return joined


def test_a_worker_joins_and_has_to_be_in_the_engine(host: RunningDispatcher) -> None:
    with worker(host) as client:
        with pytest.raises(CommandRejectedError, match="the first request is worker_join"):
            client.call("worker_ready", Nothing())
        joined = join(client)
        assert joined.engine.startswith("tls://127.0.0.1:")
        assert joined.place.startswith(f"{joined.worker_id}/")
        assert "BEGIN CERTIFICATE" in joined.certificate
        assert listed(host)["w1"].state == "joining"
        with pytest.raises(CommandRejectedError, match="it is not in the engine"):
            client.call("worker_ready", Nothing())
        with pytest.raises(CommandRejectedError, match="was said already"):
            join(client)
    until(lambda: listed(host)["w1"].state == "lost")


def test_joins_that_are_refused(host: RunningDispatcher) -> None:
    with worker(host) as client:
        for wrong, why in (
            ({"certificate_request": None, "public_key": None}, "no certificate_request"),
            ({"certificate_request": "nonsense", "public_key": None}, "not a certificate req"),
        ):
            with pytest.raises(CommandRejectedError, match=why) as refused:
                join(client, **wrong)
            assert refused.value.code == Code.REJECTED
    with host.client() as client, pytest.raises(CommandRejectedError, match="not for a client"):
        join(client)


def test_a_name_is_one_workers_and_its_key_shows_whose(host: RunningDispatcher) -> None:
    with worker(host) as first, worker(host) as second, worker(host) as third:
        before = join(first)
        with pytest.raises(CommandRejectedError, match="of another key is here"):
            join(second, key=OTHER)
        after = join(third)  # it came back sooner than it was missed
        assert after.worker_id == before.worker_id
        assert after.place != before.place
        until(lambda: first.gone)
        assert listed(host)["w1"].state == "joining"


def test_who_does_not_beat_is_lost(host: RunningDispatcher) -> None:
    with worker(host) as silent, worker(host) as well:
        join(silent, "silent")
        join(well, "well", key=OTHER)
        end = time.monotonic() + 30

        def missed() -> bool:
            well.tell("heartbeat", Nothing())
            assert time.monotonic() < end
            return listed(host)["silent"].state == "lost"

        until(missed)
        found = listed(host)
        assert found["silent"].reason == "its heartbeat is missing"
        assert found["well"].state == "joining"
        assert silent.gone or until(lambda: silent.gone)


def test_who_is_excluded_is_refused_by_name_and_by_key(host: RunningDispatcher) -> None:
    with worker(host) as liar, host.client() as client:
        joined = join(liar)
        which = WorkerExclude(worker_id=joined.worker_id, reason="it lied")
        assert client.call("worker_exclude", which).state == "excluded"
        until(lambda: liar.gone)
    host.restart()
    with worker(host) as again:
        for other in ({"key": OTHER}, {"name": "other"}):
            with pytest.raises(CommandRejectedError, match="worker w1 is excluded: it lied"):
                join(again, **other)
        assert join(again, "other", key=OTHER)
    assert listed(host)["w1"].state == "excluded"


def test_modules_by_their_digests(host: RunningDispatcher, tmp_path: Path) -> None:
    data = b"\0asm\1\0\0\0"
    digest = hashlib.sha256(data).hexdigest()
    with host.client() as client, worker(host) as asking:
        with pytest.raises(CommandRejectedError, match="the first request is worker_join"):
            asking.call("module_get", ModuleGet(digest=digest))
        join(asking)
        put = ModulePut(data=base64.b64encode(data).decode())
        assert client.call("module_put", put).digest == digest
        assert client.call("module_put", put).digest == digest
        found = asking.call("module_get", ModuleGet(digest=digest)).data
        assert base64.b64decode(found) == data
        with pytest.raises(CommandRejectedError, match="no module 00"):
            asking.call("module_get", ModuleGet(digest="00" * 32))
        with pytest.raises(CommandRejectedError, match="module_put: data"):
            client.call("module_put", ModulePut(data="no base64"))
    (kept,) = (tmp_path / "swarm-modules").iterdir()
    assert kept.name == f"{digest}.wasm"
    kept.write_bytes(b"something else")
    with worker(host) as asking:
        join(asking)
        with pytest.raises(CommandRejectedError, match="is something else"):
            asking.call("module_get", ModuleGet(digest=digest))


def test_a_worker_fetches_a_module_once_and_looks_at_what_it_gets() -> None:
    asked: list[str] = []
    folder = ModuleFolder(None)
    first, second = folder.put(b"first" * 100), folder.put(b"second" * 100)

    def fetch(digest: str) -> bytes:
        asked.append(digest)
        return folder.get(digest)

    cache = ModuleCache(fetch, kept=1000)
    assert cache.get(first) == cache.get(first) == b"first" * 100
    assert cache.get(second) == b"second" * 100  # there is no room for both
    assert cache.get(first) == b"first" * 100
    assert asked == [first, second, first]
    with pytest.raises(ModuleError, match="is something else"):
        ModuleCache(lambda digest: b"another one").get(first)
    with pytest.raises(ModuleError, match="module_put gives it"):
        folder.get("00" * 32)


def test_state_is_the_dispatchers_but_for_the_routers_own(host: RunningDispatcher) -> None:
    with worker(host) as client:
        with pytest.raises(CommandRejectedError, match="the first request is worker_join"):
            client.call("state_set", StateSet(key="k"))
        join(client)
        assert not client.call("state_get", StateGet(key="k")).found
        value = {"bytes": b"\0", "list": [1, None]}
        client.call("state_set", StateSet(key="k", value=msgspec.Raw(dumps(value).encode())))
        assert host.dispatcher.store.get_state("k") == value
        assert client.call("state_get", StateGet(key="k")).found
        client.call("state_delete", StateDelete(key="k"))
        assert host.dispatcher.store.get_state("k", "gone") == "gone"
        for wrong in (b'{"$bytes": "%"}', b'{"$array": null}', b'{"$float": "x"}'):
            with pytest.raises(CommandRejectedError, match="state_set: value") as refused:
                client.call("state_set", StateSet(key="k", value=msgspec.Raw(wrong)))
            assert refused.value.code == Code.INVALID_PARAMS
        for key in ("swarm/swarm-1", "router/seq", "cluster/excluded"):
            for method, kind in (
                ("state_get", StateGet), ("state_set", StateSet), ("state_delete", StateDelete),
            ):  # fmt: skip
                with pytest.raises(CommandRejectedError, match="the router's own"):
                    client.call(method, kind(key=key))


def test_a_damaged_module_is_kept_anew(tmp_path: Path) -> None:
    folder = ModuleFolder(tmp_path)
    digest = folder.put(b"module")
    (tmp_path / f"{digest}.wasm").write_bytes(b"mod")
    with pytest.raises(ModuleError, match="is something else"):
        folder.get(digest)
    assert folder.put(b"module") == digest
    assert folder.get(digest) == b"module"

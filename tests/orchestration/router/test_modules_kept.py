"""A router keeps so many modules, those that tasks need among them, and clients give them again."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from swarmc.runtime.orchestration.cluster.errors import ModuleError
from swarmc.runtime.orchestration.cluster.modules import ModuleFolder
from swarmc.runtime.orchestration.codec import dumps
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import Code
from swarmc.runtime.orchestration.router.protocol_tasks import TaskCancel, TaskSpec, TaskSubmit
from swarmc.runtime.orchestration.router.protocol_workers import ModulePut
from swarmc.runtime.orchestration.shards.modules import ModuleMissingError
from swarmc.runtime.orchestration.shards.router_place import RouterPlace
from swarmc.runtime.orchestration.tasks import Task

from .routing import RunningDispatcher

PAGE = 4096  # what a small module counts as


def module(number: int, size: int = 100) -> bytes:
    return bytes([number]) * size


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kept(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_those_used_longest_ago_go_unless_a_task_needs_them(tmp_path: Path, where: str) -> None:
    modules = ModuleFolder(tmp_path / "m" if where == "disk" else None, 3 * PAGE)
    first, second, third = (modules.put(module(n)) for n in range(3))
    modules.require("task-1", second)
    assert modules.get(first) == module(0)
    modules.put(module(3))  # the third one is that which nobody has used for longest
    with pytest.raises(ModuleError, match=f"no module {third} is kept"):
        modules.get(third)
    with pytest.raises(ModuleError, match=f"no module {third} is kept"):
        modules.require("task-2", third)
    assert modules.get(first) == module(0) and modules.get(second) == module(1)
    modules.require("task-3", second)
    for task, gone in (("task-1", False), ("task-3", True)):  # two tasks needed it
        modules.release(task)
        for n in range(10, 13):
            modules.put(module(n))
        if gone:
            with pytest.raises(ModuleError, match="no module"):
                modules.get(second)
        else:
            assert modules.get(second) == module(1)
    if where == "disk":
        assert len(kept(tmp_path / "m")) == 3


def test_what_tasks_need_is_not_removed_for_others(tmp_path: Path) -> None:
    modules = ModuleFolder(tmp_path, 3 * PAGE)
    digests = [modules.put(module(n, PAGE)) for n in range(3)]
    for number, name in enumerate(digests):
        modules.require(f"task-{number}", name)
    with pytest.raises(ModuleError, match=r"need 12,288 of the 12,288 bytes .* for modules"):
        modules.put(module(9))
    assert modules.put(module(1, PAGE)) == digests[1]  # again is always possible
    assert kept(tmp_path) == set(digests)
    modules.release("task-1")
    modules.put(module(9))
    assert digests[1] not in kept(tmp_path)


def test_the_order_survives_the_process(tmp_path: Path) -> None:
    before = ModuleFolder(tmp_path, 3 * PAGE)
    digests = [before.put(module(n)) for n in range(3)]
    for age, name in zip((50, 90, 70), digests, strict=True):
        os.utime(tmp_path / f"{name}.wasm", (age, age))
    (tmp_path / ".begun.1.2").write_bytes(b"half")
    os.utime(tmp_path / ".begun.1.2", (1, 1))
    after = ModuleFolder(tmp_path, 3 * PAGE)
    assert after.get(digests[0]) == module(0)  # used now
    after.put(module(3))
    assert kept(tmp_path) == {digests[0], digests[1], digest(module(3))}


def shard(name: str, task_id: str) -> TaskSpec:
    payload = msgspec.Raw(dumps({"module": name, "agents": 1}).encode())
    return TaskSpec(name="shard", executor="shard", payload=payload, task_id=task_id)


def put(client: RouterClient, data: bytes) -> str:
    encoded = base64.b64encode(data).decode()
    name: str = client.call("module_put", ModulePut(data=encoded)).digest
    return name


def test_a_task_keeps_its_module_and_is_refused_without(tmp_path: Path) -> None:
    large = [module(n, 10 << 20) for n in range(2)]
    settings = {"module_storage_mib": 16}
    with RunningDispatcher(tmp_path, settings=settings) as host, host.client() as client:
        names = [put(client, large[0]), digest(large[1])]
        with pytest.raises(CommandRejectedError, match=f"no module {names[1]}") as refused:
            client.call("task_submit", TaskSubmit(tasks=[shard(n, n[:8]) for n in names]))
        assert refused.value.code == Code.MODULE_MISSING
        assert refused.value.data["data"]["command"] == "task_submit"
        assert put(client, large[1]) == names[1]  # what was refused holds nothing
        client.call("task_submit", TaskSubmit(tasks=[shard(names[1], "needs")]))
        with pytest.raises(CommandRejectedError, match="needs"):  # there is one of that id
            client.call("task_submit", TaskSubmit(tasks=[shard(names[1], "needs")]))
        with pytest.raises(CommandRejectedError, match="there is no room for a module"):
            put(client, large[0])
        host.restart()
        with host.client() as again:
            with pytest.raises(CommandRejectedError, match="there is no room for a module"):
                put(again, large[0])
            again.call("task_cancel", TaskCancel(task_ids=["needs"]))
            assert put(again, large[0]) == names[0]
        assert kept(tmp_path / "swarm-modules") == {names[0]}


def test_a_client_is_told_that_a_module_must_be_given_again(tmp_path: Path) -> None:
    with RunningDispatcher(tmp_path) as host:
        place = RouterPlace(host.client, patience=float("inf"))
        task = Task("shard", {"module": digest(module(1))}, "shard", idempotency_key="k")
        with pytest.raises(ModuleMissingError, match="is kept here"):
            place.submit([task])
        place.put_module(module(1))
        assert place.submit([task]) == place.submit([task]) == [task.id]
        place.close()

"""The executor ``shard``: what it refuses, keeps and interrupts; where modules come from."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.errors import TaskError, TaskTimeoutError
from swarmc.runtime.orchestration.executors.shard import ShardExecutor
from swarmc.runtime.orchestration.shards import (
    ModuleCache,
    ModuleMissingError,
    ModuleTable,
    RunOptions,
    SchedulerPlace,
    Shard,
    ShardFailedError,
    run_shards,
    split,
)
from swarmc.runtime.orchestration.shards.payload import from_payload, to_payload
from swarmc.runtime.orchestration.tasks import Task, TaskContext
from swarmc.runtime.values import Slots

from .sharding import Travelling, program, workers

TRAPS = program("traps")
FINE = Shard(TRAPS, 4, "fine", [[n] for n in range(4)])


def execute(executor: ShardExecutor, payload: Any, **context: Any) -> Any:
    return executor.run(Task("t", payload), TaskContext(**context))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agnets": 3}, "no field 'agnets'"),
        ({"module": "../../etc/passwd"}, "64 hexadecimal digits"),
        ({"agents": "4"}, "agents of a shard is a str"),
        ({"agents": True}, "agents of a shard is a bool"),
        ({"agents": 5000}, "5,000 agents: it may have 1,024"),
        ({"agents": -1}, "it may have 1,024"),
        ({"args": [[1]]}, "args of a shard is a list"),
        ({"args": np.ones((4, 2), np.uint64)}, "2 slots, it takes 1"),
        ({"args": np.full((4, 1), 1 << 40, np.uint64)}, "no bit pattern of i32"),
        ({"args": np.ones((3, 1), np.uint64)}, "3 rows for 4 agents"),
        ({"stdin": {"data": np.zeros(3, np.uint8), "lengths": np.array([9])}}, "lengths"),
        ({"entry_point": "nowhere"}, "no function 'nowhere'"),
        ({"fuel": 0}, "fuel must be"),
        ({"memories": [0, 1 << 30]}, "more than the 8,388,608 that a result may have"),
        ({"memories": [0, 70000]}, "not in"),
        ({"memories": [0]}, "an offset and a length"),
        ({"attest": True}, "no key to sign with"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    modules = ModuleTable()
    modules.put(TRAPS)
    payload = {**to_payload(split(FINE).shards[0]), **change}
    executor = ShardExecutor(modules, target="cpu")
    with pytest.raises(TaskError, match=message) as caught:
        execute(executor, payload)
    assert not caught.value.retry
    executor.close()


def test_a_module_that_cannot_be_had_may_be_had_later() -> None:
    executor = ShardExecutor(ModuleTable(), target="cpu")
    with pytest.raises(TaskError, match="there is no module") as caught:
        execute(executor, to_payload(split(FINE).shards[0]))
    assert caught.value.retry


def test_payloads_are_what_they_were() -> None:
    run = Shard(
        TRAPS, 3, "fine", [5], [b"a", b"", b"ccc"], stdin=[b"", b"x", b"yy"],
        argv=[["a"], ["b", "c"], []], env=[{"A": "1"}, {}, {"B": "2"}], fuel=7, seed=8, clock=9,
        max_memory=1 << 17, output_size=99, first=40, heap=1 << 16, call_depth=77,
        missing_imports="trap",
    )  # fmt: skip
    (shard,) = split(run).shards
    request = from_payload(to_payload(shard, memories=(3, 4), attest=True))
    assert request.shard.inputs_digest == shard.inputs_digest
    assert (request.memories, request.attest) == ((3, 4), True)
    assert request.shard.inputs_digest != Shard(b"", 3, "fine", shard.args).inputs_digest


def test_what_a_run_says_must_fit_its_agents() -> None:
    wrong: dict[str, Any]
    for wrong in ({"stdin": [b""]}, {"argv": [["a"]]}, {"env": [{}]}, {"memory": [b""]}):
        with pytest.raises(ArgumentError, match="1 given for 4 agents"):
            split(Shard(TRAPS, 4, "fine", [1], **wrong))
    with pytest.raises(ArgumentError, match="takes 1 argument"):
        split(Shard(TRAPS, 4, "fine"))
    with pytest.raises(ArgumentError, match="no bit pattern"):
        split(Shard(TRAPS, 4, "fine", Slots(np.full((1, 1), 1 << 33, np.uint64))))


def test_swarms_are_kept_for_shards_of_the_same_program() -> None:
    modules = ModuleTable()
    modules.put(TRAPS)
    executor = ShardExecutor(modules, target="cpu", kept=2)
    made = []
    make = executor._make
    executor._make = lambda shard: (made.append(shard.first), make(shard))[1]  # type: ignore[method-assign, func-returns-value]
    plan = split(Shard(TRAPS, 12, "fine", [[n] for n in range(12)]), 4)
    for shard in reversed(plan.shards):  # ids go back, too
        columns = execute(executor, to_payload(shard))
        assert columns["results"][:, 0].tolist() == [2 * (shard.first + n) for n in range(4)]
    assert len(made) == 1
    executor.close()


def test_an_attempt_that_takes_too_long_is_interrupted() -> None:
    modules = ModuleTable()
    modules.put(TRAPS)
    executor = ShardExecutor(modules, target="cpu")
    (shard,) = split(Shard(TRAPS, 2, "loop_forever", fuel=10**15)).shards
    execute(executor, {**to_payload(shard), "fuel": 5})  # compiled
    started = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        execute(executor, to_payload(shard), deadline=started + 0.2)
    assert time.monotonic() - started < 10


def test_a_shard_that_fails_ends_the_run_by_name() -> None:
    with workers(Travelling) as place:
        run = Shard(TRAPS, 8, "fine", [1], fuel=0)
        with pytest.raises(ShardFailedError, match="agents 0 to 3 on w0: shard 1 of 2: fuel must"):
            run_shards(place, run, RunOptions(shard_size=4))


class Liar(Travelling):
    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        return {**super().run(task, context), "counts": np.zeros(3, np.int64)}


def test_columns_of_other_agents_are_refused() -> None:
    with workers(Liar) as place, pytest.raises(ShardFailedError, match="no columns of 4 agents"):
        run_shards(place, FINE)


def test_who_gives_up_cancels_what_has_not_run() -> None:
    class Impatient(SchedulerPlace):
        def finished(self, task_ids: Any, timeout: float) -> Any:
            raise KeyboardInterrupt

    modules = ModuleTable()
    with workers(Travelling, modules=modules) as there:
        place = Impatient(there._scheduler, modules)
        run = Shard(TRAPS, 40, "loop_forever", fuel=10**15)
        with pytest.raises(KeyboardInterrupt):
            run_shards(place, run, RunOptions(shard_size=4, at_once=10))
        assert there._scheduler.wait_idle(10)
        assert there._scheduler.stats().cancelled == 10


def test_the_same_run_is_not_run_twice() -> None:
    options = RunOptions(shard_size=2, key="nightly")
    with workers(Travelling) as place:
        first = run_shards(place, FINE, options)
        again = run_shards(place, FINE, options)
        assert place._scheduler.stats().completed == 2
        other = run_shards(place, Shard(TRAPS, 4, "fine", [7]), options)
    assert np.array_equal(first.results_array(), again.results_array())
    assert other.results_array().tolist() == [14] * 4


def test_modules_are_fetched_once_and_kept_in_a_folder(tmp_path: Path) -> None:
    table = ModuleTable()
    digests = [table.put(bytes([n]) * 100) for n in range(4)]
    fetched: list[str] = []

    def fetch(digest: str) -> bytes:
        fetched.append(digest)
        return table(digest)

    cache = ModuleCache(fetch, tmp_path / "modules", limit=250, in_memory=1)
    threads = [threading.Thread(target=cache, args=(digests[0],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == digests[:1]
    assert cache(digests[1]) == b"\1" * 100
    os.utime(tmp_path / "modules" / f"{digests[0]}.wasm", (1, 1))
    for name in ("tmpnow", "tmpold"):  # of processes that were killed
        (tmp_path / "modules" / name).write_bytes(b"half")
    os.utime(tmp_path / "modules" / "tmpold", (1, 1))
    cache(digests[2])  # the oldest has to go
    assert not (tmp_path / "modules" / f"{digests[0]}.wasm").exists()
    assert {path.name for path in (tmp_path / "modules").glob("tmp*")} == {"tmpnow"}
    again = ModuleCache(fetch, tmp_path / "modules")
    assert again(digests[1]) == b"\1" * 100 and fetched == digests[:3]
    (tmp_path / "modules" / f"{digests[2]}.wasm").write_bytes(b"damaged")
    assert again(digests[2]) == b"\2" * 100 and fetched == [*digests[:3], digests[2]]


def test_another_module_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    cache = ModuleCache(lambda digest: b"something else", tmp_path)
    with pytest.raises(ModuleMissingError, match="is another module"):
        cache("0" * 64)
    with pytest.raises(ModuleMissingError, match="no digest"):
        cache("../x")
    assert list(tmp_path.iterdir()) == []

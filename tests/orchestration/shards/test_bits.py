"""Shards give the bits of one dispatch: whatever the program, the size of shards, the seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc import Columns
from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.shards import (
    RunOptions,
    SchedulerPlace,
    Shard,
    UnsplittableError,
    merge,
    run_shards,
    split,
)
from swarmc.runtime.results import SwarmResult

from .sharding import Travelling, assert_same, at_once, program, workers

WASI = program("wasi")
COMMANDS: list[list[str]] = [
    ["args", "a", "b"], ["env"], ["cat"], ["exit", "3"], ["stderr", "x"], ["random", "24"],
    ["clock"], ["abort"], ["flood", "700"], ["random", "1"],
]  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[SchedulerPlace]:
    with workers(Travelling, Travelling) as there:
        yield there


def command_run(picks: list[int], seed: int) -> Shard:
    """Each agent of the WASI program does something of its own."""
    count = len(picks)
    return Shard(
        WASI, agents=count, seed=seed, clock=seed * 10**9 + 7, output_size=512, fuel=10**6,
        argv=[["wasi", *COMMANDS[pick]] for pick in picks],
        stdin=[f"input of {n}\n".encode() * (n % 5) for n in range(count)],
        env=[{"AGENT": str(n), "TWICE": str(2 * n)} for n in range(count)],
    )  # fmt: skip


@given(
    picks=st.lists(st.integers(0, len(COMMANDS) - 1), min_size=1, max_size=60),
    size=st.integers(1, 64), seed=st.integers(0, 2**64 - 1),
)  # fmt: skip
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
def test_commands_in_shards(
    place: SchedulerPlace, picks: list[int], size: int, seed: int
) -> None:
    run = command_run(picks, seed % 2**40)
    assert_same(run_shards(place, run, RunOptions(shard_size=size)), at_once(run), ())


LIBRARIES: list[tuple[str, str, Any, int]] = [
    ("traps", "divide", [(n, n % 3) for n in range(50)], 1),
    ("traps", "load", [n * 3000 for n in range(50)], 1),
    ("traps", "descend", [0], 1),
    ("traps", "loop_forever", None, 0),
    ("multivalue", "types", np.arange(50), 4),
    ("floats", "sweep", Columns(np.linspace(-3, 3, 50), 40), 1),
    ("floats", "halve_and_double", np.array([0x7FC00001 + n for n in range(50)], np.uint32).view(
        np.float32), 1),
    ("memory", "grow", [n % 9 for n in range(50)], 1),
    ("memory", "hash", (3, 100), 1),
    ("start", "add", list(range(50)), 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "entry", "args", "results"), LIBRARIES)
def test_libraries_in_shards(
    place: SchedulerPlace, name: str, entry: str, args: Any, results: int
) -> None:
    memory = [bytes([n]) * 64 for n in range(50)] if name == "memory" else None
    run = Shard(
        program(name), 50, entry, args, memory, fuel=20_000, max_memory=4 << 16, seed=5
    )
    found = run_shards(place, run, RunOptions(shard_size=17))
    assert_same(found, at_once(run), range(results))
    assert [shard.first for shard in found.shards] == [0, 17, 34]


def test_random_numbers_are_those_of_the_agents_place() -> None:
    """Not those of its place in the shard, which would repeat in every shard."""
    run = Shard(WASI, agents=9, argv=["wasi", "random", "8"], seed=99)
    with workers(Travelling) as place:
        found = run_shards(place, run, RunOptions(shard_size=3))
    assert len(set(found.agent_outputs.values())) == 9
    assert found.agent_outputs == at_once(run).agent_outputs


def test_a_run_that_begins_in_the_middle(place: SchedulerPlace) -> None:
    whole = Shard(WASI, agents=12, argv=["wasi", "random", "8"], seed=3)
    half = Shard(WASI, agents=6, argv=["wasi", "random", "8"], seed=3, first=6)
    found = run_shards(place, half, RunOptions(shard_size=4))
    outputs = at_once(whole).agent_outputs
    assert found.agent_outputs == {n: outputs[n] for n in range(6, 12)}


def test_no_agents_at_all(place: SchedulerPlace) -> None:
    found = run_shards(place, Shard(program("lib"), agents=0, entry_point="fib", args=[3]))
    assert len(found) == 0 and found.to_dict()["agents"] == []


def test_memories_on_demand(place: SchedulerPlace) -> None:
    run = Shard(program("memory"), 10, "slide", [(n, n) for n in range(10)],
                memory=[bytes([n]) * 8 for n in range(10)])  # fmt: skip
    found = run_shards(place, run, RunOptions(shard_size=4, memories=(0, 8)))
    assert found.memories is not None and found.memories.shape == (10, 8)
    with run.manager("cpu") as swarm:
        run.run(swarm)
        assert np.array_equal(found.memories, swarm.get_agent_memories(None, 0, 8))


def test_a_run_that_was_given_up_is_done_when_its_name_is_given_again(
    place: SchedulerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Shard(program("memory"), 20, "slide", [(i, 3) for i in range(20)])
    options = RunOptions(shard_size=5, key="nightly")

    def give_up(*what: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(place, "finished", give_up)
        with pytest.raises(KeyboardInterrupt):
            run_shards(place, run, options)
    for _ in range(2):
        assert_same(run_shards(place, run, options), at_once(run))


def test_no_shards_at_once_would_never_end() -> None:
    with pytest.raises(ArgumentError, match="at_once is 1 or more, not 0"):
        RunOptions(at_once=0)


def test_agents_that_write_to_each_other_run_in_one_shard(place: SchedulerPlace) -> None:
    run = Shard(program("swarm/election"), 12)
    with pytest.raises(UnsplittableError, match="run in one shard: 12 do not fit in one of 4"):
        split(run, 4)
    found = run_shards(place, run, RunOptions(shard_size=12))
    wanted = at_once(run)
    assert_same(found, wanted, ())
    assert found.mail == wanted.mail and found.mail is not None and found.mail.sent > 0
    again = run_shards(place, run, RunOptions(shard_size=12))  # by the same swarm
    assert again.mail == found.mail


def test_merging_by_hand() -> None:
    run = command_run(list(range(10)), 4)
    plan = split(run, 4)
    parts: list[SwarmResult] = []
    for shard in plan.shards:
        with shard.manager("cpu") as swarm:
            parts.append(shard.run(swarm))
    assert_same(merge(parts, 1.0), at_once(run), ())

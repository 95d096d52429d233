"""A trace of the host calls that agents make, which changes nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.errors import ArgumentError, CapacityError, SwarmStateError, TargetError
from swarmc.runtime import SwarmManager
from swarmc.runtime.host_calls import HostCall
from swarmc.runtime.program import Program
from swarmc.runtime.tools.trace_check import MODULE, check_traces, run_traced
from swarmc.targets import records
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.base import Dispatch, Target, TraceShape
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.cpu import target as cpu_target
from swarmc.targets.ptx.target import PtxTarget

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
PROGRAM = bytes(wat2wasm(MODULE))
WASI = "wasi_snapshot_preview1"

#: Agents write as often as they are told.
WRITER = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\03\\00\\00\\00")
  (data (i32.const 16) "abc")
  (func (export "go") (param $n i32)
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"""

Make = Callable[..., SwarmManager]


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWARMC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("make", [lambda layout: CpuTarget(), lambda layout: PtxTarget(layout)],
                         ids=["cpu", "ptx"])  # fmt: skip
def test_agents_do_the_same_with_a_trace(make: Callable[[MemoryLayout], Target]) -> None:
    found = check_traces(make, 40, limit=8)
    assert found["calls"] > found["noted"] == sum(
        min(8, count) for count in expected_counts(40)
    )  # fmt: skip


def expected_counts(agents: int) -> Iterator[int]:
    for n in range(agents):
        after = {3: 1, 5: 1, 6: 4}.get(n % 7, 5)  # the call that ends the agent is the last
        yield 3 + n % 9 + after


def calls_of(agent: int, limit: int = 64) -> list[HostCall]:
    _, (calls, counts) = run_traced(PROGRAM, "cpu", MemoryLayout.FLAT, agent + 1, limit)
    assert list(counts.values()) == list(expected_counts(agent + 1))
    found: list[HostCall] = calls[agent]
    return found


def test_what_is_noted_of_a_call() -> None:
    calls = calls_of(9)  # n % 9 == 0, n % 7 == 2: returns
    assert [call.name for call in calls] == [
        "id", "fd_write", "random_get", "fd_close", "fd_sync", "send", "touch", "mix"
    ]  # fmt: skip
    identity, write, random, close, sync, send, touch, mix = calls
    assert swarmc.HostCall is HostCall
    assert identity == HostCall("swarm", "id", (), 9, None, None, None, 0, 0)
    assert write == HostCall(WASI, "fd_write", (1, 0, 1, 8), 0, "success", None, None, 6, 0)
    assert (random.args, random.result, random.stdout) == ((64, 8), 0, 6)
    assert (close.args, close.result, close.errno) == ((5,), 8, "badf")
    assert sync.args == (1,) and sync.errno == "badf"
    assert send == HostCall("swarm", "send", (7, 16, 6), 0, None, None, None, 6, 0)
    assert touch == HostCall("env", "touch", (9,), None, None, None, None, 6, 0)
    wide = 9 * -0x123456789AB
    assert mix.args == (9, wide, -3.0, 9 / 7)
    low = (wide & 0xFFFF_FFFF) - (wide & 0x8000_0000) * 2
    assert mix.result == (9 / 7 - 3, low) and mix.returned
    assert str(write) == f"{WASI}.fd_write(1, 0, 1, 8) = success"
    assert str(touch) == "env.touch(9)"


def test_output_has_its_place_among_the_calls() -> None:
    calls = calls_of(8)
    written = [(call.args[0], call.stdout, call.stderr) for call in calls if "write" in call.name]
    assert written == [(1, 6, 0), *((2, 6, 6 * n) for n in range(1, 9))]


def test_calls_that_end_the_agent() -> None:
    by_trap = calls_of(3)[-1]
    assert by_trap.name == "fd_write" and by_trap.args == (1, -8, 1, 8)
    assert by_trap.trap == "out of bounds memory access" and by_trap.result is None
    assert not by_trap.returned and by_trap.errno is None
    exited = calls_of(5)[-1]
    assert (exited.name, exited.args, exited.exit_code) == ("proc_exit", (5,), 5)
    assert str(exited) == f"{WASI}.proc_exit(5) exited with 5"
    own = calls_of(8)[-1]
    assert (own.name, own.trap, own.args[0]) == ("mix", "host function trapped: 8", 8)
    outside = calls_of(6)[-1]
    assert (outside.name, outside.args) == ("touch", (6,))
    assert outside.trap == "out of bounds memory access"


@pytest.mark.parametrize("limit", [1, 3, 10_000])
def test_calls_beyond_the_limit_are_counted(limit: int) -> None:
    _, (calls, counts) = run_traced(PROGRAM, "cpu", MemoryLayout.FLAT, 20, limit)
    assert list(counts.values()) == list(expected_counts(20))
    assert [len(some) for some in calls.values()] == [min(limit, n) for n in expected_counts(20)]
    _, (all_calls, _) = run_traced(PROGRAM, "cpu", MemoryLayout.FLAT, 20, 64)
    assert calls == {agent: some[:limit] for agent, some in all_calls.items()}


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_waves_give_what_one_dispatch_gives(make_swarm: Make, target: str) -> None:
    args = [[1 + n % 5] for n in range(12)]
    found = []
    for slots in (12, 5, 1):
        swarm = make_swarm(WRITER, target=target, max_agents=slots, trace_host_calls=3)
        result = swarm.run_agents(12, args=args, waves=True)
        found.append((result.host_calls, result.host_call_counts, result.agent_outputs))
        again = swarm.run_agents(2, args=args[:2], waves=True)
        assert list(again.host_calls.values()) == list(result.host_calls.values())[:2]
    assert found[0] == found[1] == found[2]
    assert list(found[0][1].values()) == [count for (count,) in args]


@pytest.mark.parametrize("arguments", [
    ["args", "two words"], ["env"], ["cat"], ["exit", "3"], ["abort"], ["stderr"], ["random", "40"],
    ["clock"], ["flood", "3"], ["open"], ["unheard of"],
], ids=lambda arguments: arguments[0])  # fmt: skip
def test_programs_of_the_corpus_do_the_same(make_swarm: Make, arguments: list[str]) -> None:
    wasm = (CORPUS / "wasi.wasm").read_bytes()
    plain, traced = (
        make_swarm(wasm, trace_host_calls=limit, env={"A": "1"}, stdin=b"line\n" * 99)
        for limit in (None, 5)
    )
    outcomes = [swarm.run_agents(2, argv=["wasi", *arguments]) for swarm in (plain, traced)]
    one, two = (
        {**result.to_dict(), "total_time_ms": 0, "traps": result.traps} for result in outcomes
    )
    for agent in two["agents"]:
        assert agent.pop("host_call_count") >= len(agent.pop("host_calls")) > 0
    assert one == two


def test_start_functions_and_dispatches_one_after_the_other(make_swarm: Make) -> None:
    swarm = make_swarm("""(module (import "swarm" "id" (func $id (result i32)))
      (func $start (drop (call $id))) (start $start)
      (func (export "f") (result i32) (call $id)) (func (export "g")))""", trace_host_calls=4)
    swarm.spawn_agents(3, "f")
    assert list(swarm.dispatch().host_call_counts.values()) == [2, 2, 2]
    assert list(swarm.dispatch().host_call_counts.values()) == [1, 1, 1]
    result = swarm.dispatch([2, 0], "g")
    assert result.host_calls == {2: [], 0: []}


def test_programs_without_host_calls(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, trace_host_calls=4)
    swarm.spawn_agents(2, "tick")
    result = swarm.dispatch()
    assert result.host_calls == {0: [], 1: []} and result.host_call_counts == {0: 0, 1: 0}


@pytest.mark.parametrize("off", [None, 0])
def test_without_a_trace(make_swarm: Make, off: int | None) -> None:
    swarm = make_swarm(CORPUS.joinpath("hello.wasm").read_bytes(), trace_host_calls=off)
    result = swarm.run_agents(1)
    for name in ("host_calls", "host_call_counts"):
        with pytest.raises(SwarmStateError, match="host calls were not traced"):
            getattr(result, name)
    assert "host_calls" not in result.to_dict()["agents"][0]
    with pytest.raises(ArgumentError, match="trace_host_calls must be an integer"):
        SwarmManager(trace_host_calls=-1)


def test_json(make_swarm: Make) -> None:
    source = """(module (import "env" "f" (func $f (param f64) (result f64)))
      (func (export "g") (result f64) (call $f (f64.const nan))))"""
    double = swarmc.host_function("env", "f", "f64(f64)")(lambda x: x * math.inf)
    swarm = make_swarm(source, trace_host_calls=1, host_functions=[double])
    (agent,) = swarm.run_agents(1).to_dict()["agents"]
    assert agent["host_call_count"] == 1
    assert json.loads(json.dumps(agent["host_calls"], allow_nan=False)) == [
        {"module": "env", "name": "f", "args": ["nan"], "result": "nan"}
    ]


def test_the_program_on_the_cpu_is_the_same(tmp_path: Path) -> None:
    wasm = (CORPUS / "hello.wasm").read_bytes()
    stored = set()
    for limit in (None, 16):
        with SwarmManager.from_wasm(wasm, trace_host_calls=limit, cache=tmp_path) as swarm:
            stored.add(swarm.executable.to_bytes())
    (data,) = stored
    assert b'"traced"' not in data
    assert len(list(tmp_path.glob("*.swarmc"))) == 1


def test_a_program_that_contains_its_host_functions(make_swarm: Make) -> None:
    plain = make_swarm(WRITER, target="ptx").executable
    traced = make_swarm(WRITER, target="ptx", trace_host_calls=2).executable
    assert traced.traced and not plain.traced
    assert type(traced).from_bytes(traced.to_bytes()) == traced
    assert replace(traced, traced=False, objects=()) == replace(plain, objects=())
    swarm = SwarmManager(target="ptx", trace_host_calls=2)
    with pytest.raises(TargetError, match="compiled without a trace of host calls"):
        swarm.load_executable(plain)
    with SwarmManager(target="ptx") as other:  # what can note calls need not
        other.load_executable(traced)
        assert other.run_agents(2, args=[2]).agent_outputs == {0: b"abcabc", 1: b"abcabc"}


def test_agents_of_a_better_program_are_traced_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_target, "LARGE_PROGRAM", 1)
    wasm = bytes(wat2wasm(WRITER))
    with SwarmManager.from_wasm(wasm, cache=tmp_path, trace_host_calls=3) as swarm:
        upgrade = swarm._upgrade
        assert upgrade is not None and swarm.executable.provisional
        swarm.spawn_agents(2, args=[[2], [4]])
        before = swarm.dispatch().host_calls
        with monkeypatch.context() as patch:  # it comes when the second has not begun
            patch.setattr(upgrade, "_watching", lambda request: nullcontext([1]))
            patch.setattr(upgrade._program, "run", without_second(upgrade._program))
            assert swarm.dispatch().host_calls == before
        assert upgrade.apply(seconds=120.0) and not swarm.executable.provisional
        assert swarm.dispatch().host_calls == before


def without_second(program: Program) -> Callable[[Dispatch], Any]:
    """What runs agents, but for the second of two."""
    run = program.run

    def some(request: Dispatch) -> Any:
        outcome, interruption = run(request)
        if len(request.slots) == 2:
            assert outcome.trace is not None and outcome.trace[1, 0] == 4
            outcome.trace[1] = 0
        return outcome, interruption

    return some


def test_a_trace_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "zeros", full)
    with pytest.raises(CapacityError, match=r"16,777,216 host calls of each of 9 agents"):
        records._trace(TraceShape(1 << 24, 40), 9)

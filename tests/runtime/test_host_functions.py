"""Host functions of one's own, on every target and layout."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.errors import LinkError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.host_api import HostFunction
from swarmc.runtime.hosts import imports_of
from swarmc.targets.executable import CompileOptions

PAGE = 65536
PLACES = [("cpu", "flat"), ("cpu", "interleaved:4"), ("cpu", "interleaved:16"), ("ptx", None)]


def importing(*imports: str, body: str) -> bytes:
    """A module with a page of memory that imports functions: ``name params results``."""
    lines = []
    for item in imports:
        name, params, results = item.split("|")
        lines.append(
            f'(import "env" "{name}" (func ${name} (param {params}) (result {results})))'
        )
    memory = '(memory (export "memory") 1 2)'
    return bytes(wat2wasm(f"(module {' '.join(lines)} {memory} {body})"))


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def place(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    found: tuple[str, str | None] = request.param
    return found


Make = Callable[..., SwarmManager]


@pytest.fixture
def make(place: tuple[str, str | None], shared_cache: Path) -> Iterator[Make]:
    made: list[SwarmManager] = []

    def swarm_of(wasm: bytes, *functions: HostFunction, **options: Any) -> SwarmManager:
        target, layout = place
        made.append(SwarmManager.from_wasm(
            wasm, target=target, layout=layout, cache=shared_cache, host_functions=functions,
            **options,
        ))  # fmt: skip
        return made[-1]

    yield swarm_of
    for swarm in made:
        swarm.close()


def run(swarm: SwarmManager, name: str, rows: list[list[Any]]) -> Any:
    ids = swarm.spawn_agents(len(rows), name, rows)
    return ids, swarm.dispatch(ids)


@swarmc.host_function("env", "mix", "f64(i32, i64, f32, f64)")
def mix(a: Any, b: Any, c: Any, d: Any) -> Any:
    return a + b + c * d


def test_every_type_goes_in(make: Make) -> None:
    wasm = importing("mix|i32 i64 f32 f64|f64", body="""
        (func (export "go") (param i32 i64 f32 f64) (result f64)
          (call $mix (local.get 0) (local.get 1) (local.get 2) (local.get 3)))""")
    _, result = run(make(wasm, mix), "go", [[-1, 1 << 40, 0.5, 3.0], [7, -(1 << 60), -2.0, 1e9]])
    assert result.results_array().tolist() == [mix(-1, 1 << 40, 0.5, 3.0),
                                               mix(7, -(1 << 60), -2.0, 1e9)]


@swarmc.host_function("env", "both", "(i64, f32)(i64, f32)")
def both(a: Any, b: Any) -> Any:
    return a * 3, b


def test_several_results_and_wrapping(make: Make) -> None:
    wasm = importing("both|i64 f32|i64 f32", body="""
        (func (export "go") (param i64 f32) (result i64 f32)
          (call $both (local.get 0) (local.get 1)))""")
    _, result = run(make(wasm, both), "go", [[5, 0.25], [1 << 62, -0.0]])
    assert result.results_array(0).tolist() == [15, -(1 << 62)]
    assert result.results_array(1).tobytes() == struct.pack("<2f", 0.25, -0.0)


@swarmc.host_function("env", "same", "f32(f32)")
def same(x: Any) -> Any:
    return x


@swarmc.host_function("env", "bits", "(i32)")
def bits(agent: Any, address: Any) -> None:
    agent.store_i32(address + 4, agent.load_i32(address))
    agent.store_f32(address + 8, agent.load_f32(address))
    agent.store_f64(address + 16, agent.load_f32(address))


def test_nans_that_come_out_are_canonical_and_bits_are_kept(make: Make) -> None:
    wasm = importing("same|f32|f32", "bits|i32|", body="""
        (func (export "go") (param i32) (result i32)
          (i32.reinterpret_f32 (call $same (f32.reinterpret_i32 (local.get 0)))))
        (func (export "keep") (param i32)
          (i32.store (i32.const 8) (local.get 0)) (call $bits (i32.const 8)))""")
    patterns = [0x7FA0_0001, -1, 0x7F80_0000, -0x8000_0000, 0x0000_0001]
    swarm = make(wasm, same, bits)
    _, result = run(swarm, "go", [[one] for one in patterns])
    canonical = [0x7FC0_0000, 0x7FC0_0000, *patterns[2:]]
    assert result.results_array().tolist() == canonical
    ids, _ = run(swarm, "keep", [[one] for one in patterns])
    for agent, pattern, nan in zip(ids.tolist(), patterns, canonical, strict=True):
        found = struct.unpack("<3i", swarm.get_agent_memory(agent, 8, 12))
        assert found == (pattern, pattern, nan)
    (double,) = struct.unpack("<Q", swarm.get_agent_memory(int(ids[0]), 24, 8))
    assert double == 0x7FF8_0000_0000_0000


@swarmc.host_function("env", "all", "i64(i32)")
def every_access(agent: Any, p: Any) -> Any:
    agent.store_i8(p, -2)
    agent.store_i16(p + 1, -3)
    agent.store_i32(p + 3, -4)
    agent.store_i64(p + 7, -5)
    agent.store_f32(p + 15, 1.5)
    agent.store_f64(p + 19, 2.5)
    agent.copy(p + 28, p, 27)
    agent.copy(p + 30, p + 28, 27)  # they overlap
    agent.fill(p + 60, 0x1FF, 3)
    total = agent.load_i8(p) + agent.load_u8(p) * 10 + agent.load_i16(p + 1) * 100
    total += agent.load_u16(p + 1) + agent.load_i32(p + 3) + agent.load_u32(p + 3)
    total += agent.load_i64(p + 7) + int(agent.load_f32(p + 15)) + int(agent.load_f64(p + 19))
    return total + agent.load_i8(p + 60) + agent.memory_size


def test_memory_is_read_and_written_at_any_alignment(make: Make) -> None:
    wasm = importing("all|i32|i64", body="""
        (func (export "go") (param i32) (result i64) (call $all (local.get 0)))""")
    swarm = make(wasm, every_access)
    ids, result = run(swarm, "go", [[101], [104], [PAGE - 70]])
    total = -2 + 2540 - 300 + 65533 - 4 + (1 << 32) - 4 - 5 + 1 + 2 - 1 + PAGE
    assert result.results_array().tolist() == [total] * 3
    data = struct.pack("<bhiqfd", -2, -3, -4, -5, 1.5, 2.5)
    for agent, at in zip(ids.tolist(), (101, 104, PAGE - 70), strict=True):
        assert swarm.get_agent_memory(agent, at, 27) == data
        assert swarm.get_agent_memory(agent, at + 30, 27) == data
        assert swarm.get_agent_memory(agent, at + 59, 5) == b"\0\xff\xff\xff\0"


@swarmc.host_function("env", "peek", "i32(i32, i32)")
def peek(agent: Any, address: Any, width: Any) -> Any:
    if width == 1:
        return agent.load_u8(address)
    if width == 8:
        return agent.load_i64(address)
    if width == -1:
        agent.fill(0, 1, address)
    return agent.load_i32(address)


def test_out_of_bounds_is_a_trap_of_that_agent_alone(make: Make) -> None:
    wasm = importing("peek|i32 i32|i32", body="""
        (func (export "go") (param i32 i32) (result i32)
          (i32.store (i32.const 0) (i32.const 9))
          (call $peek (local.get 0) (local.get 1)))""")
    swarm = make(wasm, peek)
    good = [[0, 4], [PAGE - 4, 4], [PAGE - 1, 1], [PAGE - 8, 8]]
    bad = [[PAGE - 3, 4], [PAGE, 1], [PAGE - 7, 8], [-1, 1], [-(1 << 31), 4], [PAGE + 1, -1],
           [-5, -1]]  # fmt: skip
    ids, result = run(swarm, "go", good + bad)
    assert sorted(result.agent_results) == ids[:4].tolist()
    assert {trap.code for trap in result.traps.values()} == {Trap.MEMORY_OUT_OF_BOUNDS}
    assert sorted(result.traps) == ids[4:].tolist()
    for agent in ids.tolist():
        assert swarm.get_agent_memory(agent, 0, 4) == b"\x09\0\0\0"


@swarmc.host_function("env", "scribble", "()")
def scribble(agent: Any) -> None:
    for address in range(agent.memory_size):
        agent.store_i8(address, agent.id)


def test_an_agent_s_host_function_touches_no_other_agent(make: Make) -> None:
    wasm = importing("scribble||", body='(func (export "go") (call $scribble))')
    swarm = make(wasm, scribble)
    ids = swarm.spawn_agents(70, "go")
    swarm.dispatch(ids[3::7])
    for agent in ids.tolist():
        wanted = bytes([agent & 0xFF if agent % 7 == 3 else 0]) * PAGE
        assert swarm.get_agent_memory(agent) == wanted


def _deep(x: Any, left: Any) -> Any:
    if left == 0:
        swarmc.trap(x)
    return x + left


@numba.njit
def _compiled(x: Any) -> Any:
    return _deep(x, x - 5)


@swarmc.host_function("env", "end", "i32(i32)")
def end(x: Any) -> Any:
    if x < 0:
        swarmc.trap()
    return _compiled(x)


def test_trap_ends_the_agent_from_any_depth_with_its_number(make: Make) -> None:
    wasm = importing("end|i32|i32", body="""
        (func (export "go") (param i32) (result i32) (call $end (local.get 0)))""")
    ids, result = run(make(wasm, end), "go", [[4], [5], [-1], [6]])
    assert result.results_array().tolist() == [3, 0, 0, 7]
    traps = [result.traps[agent] for agent in ids[1:3].tolist()]
    assert [trap.code for trap in traps] == [Trap.HOST] * 2
    assert [trap.host_code for trap in traps] == [5, 0]
    assert traps[0].message == "host function trapped: 5"
    assert traps[0].function == "go" and traps[0].offset is not None


TABLE = np.array([1.5, 2.5, 4.0])


@swarmc.host_function("env", "look", "f64(i32)")
def look(place: Any) -> Any:
    return TABLE[place]


def test_arrays_that_a_function_refers_to_are_checked(make: Make) -> None:
    wasm = importing("look|i32|f64", body="""
        (func (export "go") (param i32) (result f64) (call $look (local.get 0)))""")
    ids, result = run(make(wasm, look), "go", [[0], [2], [3], [1 << 30], [-4]])
    assert result.results_array().tolist() == [1.5, 4.0, 0, 0, 0]
    assert {result.traps[agent].code for agent in ids[2:].tolist()} == {Trap.HOST}


@swarmc.host_function("env", "odd", "i64(i64, i64, f64)")
def odd(a: Any, b: Any, x: Any) -> Any:
    return (a << b) + (a >> b) + a // b + a % b + int(x)


def test_what_python_leaves_to_no_processor_has_a_meaning(make: Make) -> None:
    wasm = importing("odd|i64 i64 f64|i64", body="""
        (func (export "go") (param i64 i64 f64) (result i64)
          (call $odd (local.get 0) (local.get 1) (local.get 2)))""")
    low = -(1 << 63)
    _, result = run(make(wasm, odd), "go", [
        [-9, 2, 1e300], [-9, 64, 0.0], [low, -1, math.nan], [5, 0, -1e300], [7, -2, 3.9],
    ])  # fmt: skip
    high = (1 << 63) - 1
    wanted = [
        -36 - 3 - 5 + 1 + high,
        -1 - 1 + 55,  # everything is shifted out
        -1,  # the quotient is 0
        5 + 5 + low,  # division by 0 gives 0
        -4 - 1 + 3,
    ]
    wrapped = [(one - low) % (1 << 64) + low for one in wanted]
    assert result.results_array().tolist() == wrapped


def fill(x: Any) -> Any:
    """Has the name of a method that other functions use."""
    raise ValueError(x)


def test_attributes_are_not_functions_of_the_same_name(make: Make) -> None:
    @swarmc.host_function("env", "same", "f32(f32)")
    def fills(agent: Any, x: Any) -> Any:
        agent.fill(0, 1, 2)
        return x

    wasm = importing("same|f32|f32", body="""
        (func (export "go") (result f32) (call $same (f32.const 4)))""")
    _, result = run(make(wasm, fills), "go", [[]])
    assert result.results_array().tolist() == [4.0]


def test_one_instance_has_host_functions_too(shared_cache: Path) -> None:
    wasm = importing("same|f32|f32", body="""
        (func (export "go") (param f32) (result f32) (call $same (local.get 0)))""")
    runtime = swarmc.WASMRuntime.from_wasm(wasm, host_functions=[same], cache=shared_cache)
    assert runtime.call("go", 2.5) == 2.5


def test_options_tell_other_processes_what_may_be_imported() -> None:
    options = CompileOptions(host_functions=imports_of([mix, both]))
    again = CompileOptions.from_json(json.loads(json.dumps(options.to_json())))
    assert again == options and again.host_functions[1].type == mix.type
    assert imports_of([both, mix]) == options.host_functions


def test_a_host_call_costs_one_unit(make: Make) -> None:
    wasm = importing("same|f32|f32", body="""
        (func (export "go") (drop (call $same (f32.const 1))))
        (func $own (param f32) (result f32) local.get 0)
        (func (export "own") (drop (call $own (f32.const 1))))""")
    swarm = make(wasm, same)
    agent = swarm.spawn_agent("go")
    assert swarm.dispatch([agent]).instruction_counts[agent] == 3
    assert swarm.dispatch([agent], "own").instruction_counts[agent] == 5


@swarmc.host_function("env", "same", "f64(f64)")
def other_same(x: Any) -> Any:
    return x


def test_another_type_than_imported_is_a_link_error(make: Make) -> None:
    wasm = importing("same|f32|f32", body='(func (export "go") (drop (call $same (f32.const 1))))')
    with pytest.raises(LinkError) as caught:
        make(wasm, other_same)
    assert "env.same" in str(caught.value)
    assert "(f32) -> (f32)" in str(caught.value) and "(f64) -> (f64)" in str(caught.value)
    with pytest.raises(LinkError, match="nothing provides these imports"):
        make(wasm, mix)


def test_a_function_takes_the_place_of_one_of_wasi(make: Make) -> None:
    @swarmc.host_function("wasi_snapshot_preview1", "random_get", "i32(i32, i32)")
    def constant(agent: Any, to: Any, length: Any) -> Any:
        agent.fill(to, 7, length)
        return 0

    wasm = bytes(wat2wasm("""(module
        (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "go") (result i64)
          (drop (call $r (i32.const 8) (i32.const 8))) (i64.load (i32.const 8))))"""))
    swarm = make(wasm, constant)
    agent = swarm.spawn_agent("go")
    assert swarm.dispatch().agent_results[agent] == 0x0707_0707_0707_0707

"""Every kind of trap through the whole of swarmc, by a GPU's code: as on the CPU and wasmtime.

One agent each; between them one that traps nowhere, so that traps of neighbours are seen to end
nobody else.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.results import SwarmResult
from swarmc.runtime.tools.differential import compare
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.ptx import PtxTarget

#: What traps, by the trap. All take an i32, which is 0.
BODIES = {
    Trap.UNREACHABLE: "unreachable",
    Trap.MEMORY_OUT_OF_BOUNDS: "(drop (i32.load offset=65533 (local.get 0)))",
    Trap.TABLE_OUT_OF_BOUNDS: "(drop (table.get $t (i32.add (local.get 0) (i32.const 3))))",
    Trap.UNDEFINED_ELEMENT: "(call_indirect $t (i32.sub (local.get 0) (i32.const 1)))",
    Trap.UNINITIALIZED_ELEMENT: "(call_indirect $t (i32.add (local.get 0) (i32.const 2)))",
    Trap.INDIRECT_CALL_TYPE_MISMATCH: "(call_indirect $t (result i64) (local.get 0)) (drop)",
    Trap.INTEGER_OVERFLOW: """(drop (i32.div_s (i32.or (local.get 0) (i32.const 0x80000000))
        (i32.const -1)))""",
    Trap.INTEGER_DIVIDE_BY_ZERO: """(drop (i64.rem_u (i64.const 5)
        (i64.extend_i32_u (local.get 0))))""",
    Trap.INVALID_CONVERSION: """(drop (i32.trunc_f64_s (f64.div
        (f64.convert_i32_s (local.get 0)) (f64.convert_i32_s (local.get 0)))))""",
    Trap.CALL_STACK_EXHAUSTED: "(call $deep (local.get 0)) (drop)",
    Trap.OUT_OF_FUEL: "(loop $l (br $l))",
    Trap.MISSING_IMPORT: "(call $missing)",
    Trap.NULL_REFERENCE: "(drop (ref.as_non_null (global.get $any)))",
    Trap.NULL_FUNCTION_REFERENCE: "(call_ref $v (global.get $func))",
    Trap.NULL_STRUCTURE_REFERENCE: "(drop (struct.get $pair 1 (global.get $pair)))",
    Trap.NULL_ARRAY_REFERENCE: "(drop (array.len (global.get $bytes)))",
    Trap.NULL_I31_REFERENCE: "(drop (i31.get_s (global.get $i31)))",
    Trap.CAST_FAILURE: "(drop (ref.cast (ref $pair) (ref.i31 (local.get 0))))",
    Trap.ARRAY_OUT_OF_BOUNDS: """(drop (array.get_u $bytes
        (array.new_default $bytes (i32.const 4)) (i32.add (local.get 0) (i32.const 4))))""",
    Trap.NULL_EXCEPTION_REFERENCE: "(throw_ref (global.get $exn))",
    Trap.UNCAUGHT_EXCEPTION: "(throw $tag (local.get 0))",
    Trap.HEAP_EXHAUSTED: """(local (ref null $bytes)) (loop $l
        (local.set 1 (array.new_default $bytes (i32.const 1000))) (br $l))""",
}
#: Traps that only the host can bring about.
BY_HOST = {Trap.HOST: "(call $host (local.get 0))", Trap.INTERRUPTED: "(loop $l (br $l))"}
FUEL = 200_000


def module_of(bodies: dict[Trap, str], imports: str = "") -> bytes:
    """A module that exports a function for each trap, which first changes memory, and ``fine``."""
    functions = "".join(
        f'(func (export "{trap.slug}") (param i32) {_before(body)})'
        for trap, body in bodies.items()
    )
    return bytes(wat2wasm(f"""(module {imports}
      (type $v (func)) (type $pair (struct (field i32) (field f64))) (type $bytes (array (mut i8)))
      (import "nowhere" "missing" (func $missing)) (memory (export "memory") 1)
      (table $t 3 funcref) (elem (table $t) (i32.const 0) func $f $f) (tag $tag (param i32))
      (global $any (mut anyref) (ref.null any)) (global $func (mut (ref null $v)) (ref.null $v))
      (global $pair (mut (ref null $pair)) (ref.null $pair))
      (global $bytes (mut (ref null $bytes)) (ref.null $bytes))
      (global $i31 (mut i31ref) (ref.null i31)) (global $exn (mut exnref) (ref.null exn))
      (func $f) (func (export "set") (global.set $any (ref.i31 (i32.const 0)))
        (global.set $func (ref.func $f)) (global.set $pair (struct.new_default $pair))
        (global.set $bytes (array.new_default $bytes (i32.const 1)))
        (global.set $i31 (ref.i31 (i32.const 0))))
      (func $deep (param i32) (result i32) (i32.add (i32.const 1)
        (call $deep (i32.add (local.get 0) (i32.const 1)))))
      (func (export "fine") (param i32) (i32.store (i32.const 7) (i32.const 0x01020304)))
      {functions})"""))


def _before(body: str) -> str:
    """A function's body, with a store that is not aligned before it, behind its locals."""
    locals_, body = (body[: body.index("))") + 2], body[body.index("))") + 2 :]) \
        if body.startswith("(local (") else ("", body)
    return f"{locals_} (i32.store (i32.const 5) (i32.const 0x0a0b0c0d)) {body}"


@swarmc.host_function("env", "host", "(i32)")
def host(value: Any) -> None:
    swarmc.trap()


PLACES = [("cpu", "flat"), ("ptx", "flat"), ("ptx", "interleaved:4"), ("ptx", "interleaved:8"),
          ("ptx", "interleaved:16")]


def run(target: str, layout: str, cache: Path) -> Iterator[object]:
    """What becomes of the agents: results, memory, and the text of a trap."""
    options = {"missing_imports": "trap", "heap": 1 << 16, "fuel": FUEL, "call_depth": 100}
    wasm = module_of(BODIES)
    with SwarmManager.from_wasm(
        wasm, target=target, layout=layout, cache=cache, **options
    ) as swarm:
        agents = []
        for trap in BODIES:
            agents += [swarm.spawn_agent(name, args=[0]) for name in (trap.slug, "fine")]
        result = swarm.dispatch()
        traps = iter(BODIES)
        for agent in agents:
            trapped = result.traps.get(agent)
            assert (trapped.code if trapped else None) == (
                None if agent in agents[1::2] else next(traps))
            yield (trapped, result.instruction_counts[agent], result.agent_results.get(agent),
                   bytes(swarm.get_agent_memory(agent, 0, 64)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_all_traps_are_here() -> None:
    assert {*BODIES, *BY_HOST} == set(Trap)


@pytest.mark.parametrize(("target", "layout"), PLACES[1:])
def test_traps_are_those_of_the_cpu(target: str, layout: str, cache: Path) -> None:
    expected = list(run(*PLACES[0], cache))
    assert list(run(target, layout, cache)) == expected


@pytest.mark.parametrize("layout", [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8], ids=str)
def test_traps_are_those_of_wasmtime(layout: MemoryLayout) -> None:
    data, setup = module_of(BODIES), Setup(missing_imports="trap")
    scripts = tuple(Script((Call(trap.slug, (0,)), Call("fine", (0,)))) for trap in BODIES
                    if trap is not Trap.HEAP_EXHAUSTED)
    workload = Workload(scripts, FUEL)
    expected = Oracle().load(data, setup).run(workload)
    subject = TargetExecutor(PtxTarget(layout), opt_level=2).load(data, setup)
    found = compare(expected, subject.run(workload), workload, "ptx")
    assert found is None, str(found)


@pytest.mark.parametrize(("target", "layout"), PLACES[1:3])
def test_traps_of_the_host(target: str, layout: str, cache: Path) -> None:
    wasm = module_of(BY_HOST, '(import "env" "host" (func $host (param i32)))')
    with SwarmManager.from_wasm(
        wasm, target=target, layout=layout, cache=cache, host_functions=[host], fuel=1 << 62,
        missing_imports="trap",
    ) as swarm:
        fine, ended = (swarm.spawn_agent(name, args=[0]) for name in ("fine", Trap.HOST.slug))
        result = swarm.dispatch()
        assert {agent: trap.code for agent, trap in result.traps.items()} == {ended: Trap.HOST}
        endless = swarm.spawn_agent(Trap.INTERRUPTED.slug, args=[0])
        timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            swarm.dispatch([endless, fine])
        last = swarm.last_result
        assert isinstance(last, SwarmResult)
        assert last.traps[endless].code is Trap.INTERRUPTED
        assert swarm.dispatch([fine]).agent_results == {fine: None}

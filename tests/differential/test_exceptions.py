"""Exceptions as wasmtime has them: who catches what, with which values, for how much fuel."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.ir import exceptions
from swarmc.ir.analysis.throwing import Throwing
from swarmc.ir.types import EntityId, Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.compile import read_module, to_program
from swarmc.runtime.tools.differential import check, compare
from swarmc.runtime.tools.execution import Call, Executor, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions
from swarmc.targets.ptx import PtxTarget

HEAD = """(tag $i (param i32)) (tag $other (param i32)) (tag $none)
  (tag $all (param i32 i64 f32 f64 v128 funcref externref))
  (global $g (export "g") (mut i32) (i32.const 0)) (memory (export "m") 1)
  (func $note (param i32) (global.set $g (i32.add (i32.mul (global.get $g) (i32.const 10))
    (local.get 0))))
  (func $throw (param i32) (call $note (i32.const 1))
    (if (local.get 0) (then (throw $i (local.get 0)))) (call $note (i32.const 2)))
  (type $t (func (param i32)))
  (table 3 funcref) (elem (i32.const 0) $throw $note)"""

#: Bodies of ``f``, which takes an i32 and gives one.
BODIES = {
    "uncaught here": "(throw $i (local.get 0))",
    "uncaught from a callee": "(call $throw (local.get 0)) (i32.const 5)",
    "another tag": """(block $b (result i32) (try_table (result i32) (catch $other $b)
      (call $throw (local.get 0)) (i32.const 7)))""",
    "caught": """(block $b (result i32) (try_table (result i32) (catch $i $b)
      (call $throw (local.get 0)) (i32.const 7)))""",
    "caught by all": """(block $b (try_table (catch_all $b) (call $throw (local.get 0))
      (return (i32.const 7)))) (i32.const 8)""",
    "first clause that fits": """(block $a (result i32) (block $b (try_table (catch $other $a)
      (catch_all $b) (catch $i $a) (call $throw (local.get 0))) (return (i32.const 1)))
      (i32.const 2))""",
    "static, next clause": """(block $a (result i32) (block $b (try_table (catch $other $a)
      (catch_all $b) (catch $i $a) (throw $i (local.get 0))) (return (i32.const 1)))
      (i32.const 2))""",
    "outer try_table": """(block $a (result i32) (try_table (result i32) (catch $i $a)
      (block $b (result i32) (try_table (result i32) (catch $other $b)
        (call $throw (local.get 0)) (i32.const 3)))))""",
    "thrown again": """(block $a (result i32) (try_table (result i32) (catch $i $a)
      (block $b (result exnref) (try_table (result exnref) (catch_all_ref $b)
        (call $throw (local.get 0)) (return (i32.const 4)))) (throw_ref)))""",
    "thrown again, uncaught": """(block $b (result exnref) (try_table (result exnref)
      (catch_all_ref $b) (call $throw (local.get 0)) (return (i32.const 4)))) (throw_ref)""",
    "null": "(throw_ref (ref.null exn))",
    "reference with its values": """(block $b (result i32 exnref) (try_table (result i32 exnref)
      (catch_ref $i $b) (call $throw (local.get 0)) (i32.const 9) (ref.null exn)))
      (ref.is_null) (i32.add)""",
    "made for its reference": """(block $b (result i32 exnref) (try_table (result i32 exnref)
      (catch_ref $i $b) (throw $i (local.get 0)))) (ref.is_null) (i32.add)""",
    "locals at the throw": """(local i32) (local.set 1 (i32.const 10))
      (block $b (try_table (catch_all $b) (local.set 1 (i32.const 20))
        (call $throw (i32.and (local.get 0) (i32.const 1))) (local.set 1 (i32.const 30))
        (call $throw (i32.and (local.get 0) (i32.const 2))) (local.set 1 (i32.const 40))))
      (local.get 1)""",
    "loop": """(local i32) (block $out (loop $l (block $b (result i32) (try_table (catch $i $b)
      (call $throw (local.get 0))) (br $out)) (local.set 1 (i32.add (local.get 1)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br $l))) (local.get 1)""",
    "label of a loop": """(local i32) (loop $l (local.set 1 (i32.add (local.get 1) (i32.const 1)))
      (try_table (catch_all $l) (call $throw (i32.lt_u (local.get 1) (local.get 0)))))
      (local.get 1)""",
    "label of the function": "(try_table (catch $i 0) (call $throw (local.get 0))) (i32.const 3)",
    "in a handler": """(block $a (result i32) (try_table (result i32) (catch $i $a)
      (block $b (result i32) (try_table (result i32) (catch $i $b) (call $throw (local.get 0))
        (i32.const 3))) (call $throw (i32.const 6))))""",
    "through a table": """(block $b (result i32) (try_table (result i32) (catch $i $b)
      (call_indirect (type $t) (i32.const 5) (local.get 0)) (i32.const 7)))""",
    "through a table, uncaught":
        "(call_indirect (type $t) (i32.const 5) (local.get 0)) (i32.const 7)",
    "trap in a try_table": """(block $b (try_table (catch_all $b)
      (drop (i32.div_u (i32.const 8) (local.get 0))))) (i32.const 3)""",
    "endless recursion in a try_table": """(block $b (result i32) (try_table (result i32)
      (catch $i $b) (call $deep (i32.mul (local.get 0) (i32.const 300)))))""",
    "tail call in a try_table":
        "(try_table (catch $i 0) (return_call $tail (local.get 0))) (i32.const 1)",
    "tail call of what throws": """(block $b (result i32) (try_table (result i32) (catch $i $b)
      (call $tail (local.get 0))))""",
    "many tags": """(block $a (block $b (result i32) (block $c (result i32) (try_table
      (catch $i $b) (catch $other $c) (catch $none $a) (call $some (local.get 0)))
      (return (i32.const 1))) (return (i32.add (i32.const 100)))) (return)) (i32.const 55)""",
    "parameters": """(i32.const 3) (i64.const 4) (try_table (param i32 i64) (result i32)
      (drop) (call $throw (local.get 0)))""",
    "all types": """(block $b (result i32 i64 f32 f64 v128 funcref externref)
      (try_table (catch $all $b) (call $every (local.get 0))) (return (i32.const 1)))
      (drop) (ref.is_null) (drop) (i64x2.extract_lane 1) (i32.wrap_i64) (local.set 0) (drop)
      (i32.reinterpret_f32) (local.set 1) (i32.wrap_i64) (i32.add) (i32.add (local.get 0))
      (i32.add (local.get 1))""".replace("(block", "(local i32) (block", 1),
}
FUNCTIONS = """
  (func $deep (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (throw $i (i32.const 4))))
    (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $tail (param i32) (result i32) (return_call $thrower (local.get 0) (i64.const 3)))
  (func $thrower (param i32 i64) (result i32) (call $throw (local.get 0)) (i32.const 6))
  (func $some (param i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $other (i32.const 11))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $none)))
    (if (i32.eq (local.get 0) (i32.const 5)) (then (throw $i (i32.const 12)))))
  (func $every (param i32) (if (local.get 0) (then (throw $all (local.get 0) (i64.const -7)
    (f32.const nan:0x200001) (f64.const 3) (v128.const i64x2 5 6) (ref.func $throw)
    (ref.null extern)))))"""
EXECUTORS: list[Executor] = [InterpreterExecutor(level=0), InterpreterExecutor(level=2),
             TargetExecutor(CpuTarget(), opt_level=0), TargetExecutor(CpuTarget(), opt_level=2),
             TargetExecutor(PtxTarget(MemoryLayout.FLAT), opt_level=1),
             TargetExecutor(PtxTarget(MemoryLayout.INTERLEAVED_8), opt_level=2)]


def module_of(body: str) -> bytes:
    return bytes(wat2wasm(f"""(module {HEAD} {FUNCTIONS}
      (func (export "f") (param i32) (result i32) {body}))"""))


@pytest.mark.parametrize("name", BODIES)
def test_every_budget_of_fuel(name: str) -> None:
    data = module_of(BODIES[name])
    scripts = tuple(Script((Call("f", (value,)), Call("f", (value,)))) for value in (0, 1, 2, 5))
    oracle = Oracle().load(data, Setup())
    workloads = [Workload(scripts, fuel) for fuel in (20_000, *range(1, 30))]
    expected = [(workload, oracle.run(workload)) for workload in workloads]
    for executor in EXECUTORS:
        loaded = executor.load(data, Setup())
        for workload, runs in expected[:: 2 if executor is EXECUTORS[0] else 9]:
            found = compare(runs, loaded.run(workload), workload, executor.name)
            assert found is None, f"{executor.name}, fuel {workload.fuel}: {found}"


LOOP = """(module (tag $t (param i64 i64)) (tag $n)
  (func $thrower (param i32) (if (i32.and (local.get 0) (i32.const 1)) (then (throw $n)))
    (throw $t (i64.const 1) (i64.const 2)))
  (func (export "f") (param i32) (result i32) (local i32)
    (loop $l
      {handler}
      (local.set 1 (i32.add (local.get 1) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get 1) (local.get 0))))
    (local.get 1)))"""
CAUGHT = """(block $a (block $b (result i64 i64) (try_table (catch $t $b) (catch $n $a)
  (call $thrower (local.get 1))) unreachable) (drop) (drop))"""
CAUGHT_BY_ALL = "(block $a (try_table (catch_all $a) (call $thrower (local.get 1))) unreachable)"
KEPT = """(block $a (result exnref) (try_table (result exnref) (catch_all_ref $a)
  (call $thrower (local.get 1)) unreachable)) (drop)"""


@pytest.mark.parametrize("handler", [CAUGHT, CAUGHT_BY_ALL], ids=["tags", "all"])
def test_exceptions_that_are_caught_leave_the_heap(handler: str) -> None:
    wasm = bytes(wat2wasm(LOOP.replace("{handler}", handler)))
    with SwarmManager.from_wasm(wasm, cache=False) as swarm:
        agent = swarm.spawn_agent("f", args=[1_000_000])
        assert swarm.dispatch().agent_results == {agent: 1_000_000}


def test_exceptions_that_are_referred_to_stay() -> None:
    wasm = bytes(wat2wasm(LOOP.replace("{handler}", KEPT)))
    with SwarmManager.from_wasm(wasm, cache=False) as swarm:
        few, many = (swarm.spawn_agent("f", args=[count]) for count in (10_000, 1_000_000))
        result = swarm.dispatch()
    assert result.agent_results == {few: 10_000}
    assert result.traps[many].code is Trap.HEAP_EXHAUSTED


def test_a_reference_outlives_what_is_caught_later() -> None:
    """What a reference points to is not overwritten by exceptions that come and go."""
    text = """(module (tag $t (param i32)) (global $kept (mut exnref) (ref.null exn))
      (func $thrower (param i32) (throw $t (local.get 0)))
      (func $catch (param i32) (result i32) (block $b (result i32)
        (try_table (catch $t $b) (call $thrower (local.get 0))) unreachable))
      (func (export "f") (param i32) (result i32)
        (global.set $kept (block $b (result exnref) (try_table (result exnref) (catch_all_ref $b)
          (call $thrower (local.get 0)) unreachable)))
        (drop (call $catch (i32.const 99)))
        (block $b (result i32) (try_table (catch $t $b) (throw_ref (global.get $kept)))
          unreachable)
        (drop (call $catch (i32.const 98)))
        (drop (block $b (result i32) (try_table (catch $t $b) (throw_ref (global.get $kept)))
          unreachable))
        (i32.add (block $b (result i32) (try_table (catch $t $b) (throw_ref (global.get $kept)))
          unreachable))))"""
    scripts = tuple(Script((Call("f", (n,)), Call("f", (n + 1,)))) for n in range(4))
    for executor in EXECUTORS:
        found = check(Oracle(), executor, bytes(wat2wasm(text)), Setup(), Workload(scripts))
        assert found is None, str(found)


def test_an_uncaught_exception_has_a_place() -> None:
    with SwarmManager.from_wasm(module_of(BODIES["uncaught from a callee"]), cache=False) as swarm:
        ended, returned = (swarm.spawn_agent("f", args=[n]) for n in (3, 0))
        result = swarm.dispatch()
    trap = result.traps[ended]
    assert (trap.code, trap.message, trap.function) == (
        Trap.UNCAUGHT_EXCEPTION, "uncaught exception", "throw")
    assert module_of(BODIES["uncaught from a callee"])[trap.offset or 0] == 0x08
    assert result.agent_results == {returned: 5}


def test_an_exception_that_leaves_the_start_function() -> None:
    text = '(module (tag $t) (func $s (throw $t)) (start $s) (func (export "f")))'
    workload = Workload((Script((Call("f"),)),))
    for executor in EXECUTORS:
        (run,) = executor.load(bytes(wat2wasm(text)), Setup()).run(workload)
        assert [outcome.trap for outcome in run.outcomes] == [Trap.UNCAUGHT_EXCEPTION]


def test_which_functions_return_exceptions() -> None:
    text = """(module (tag $t) (type $v (func)) (type $w (func (param i32)))
      (table 4 funcref) (elem (i32.const 0) $tabled $harmless $other)
      (func $thrower (export "0") (throw $t))
      (func $caller (export "1") (call $thrower))
      (func $catcher (export "2") (block $b (try_table (catch_all $b) (call $caller))))
      (func $tabled (export "3") (call $catcher) (call $caller))
      (func $harmless (export "4"))
      (func $indirect (export "5") (call_indirect (type $v) (i32.const 0)))
      (func $tail (export "6") (return_call $end))
      (func $end (export "7"))
      (func $tailer (export "8") (param i32) (if (local.get 0) (then (return_call $tail)))
        (call $indirect))
      (func $other (export "9") (param i32))
      (func $typed (export "10") (call_indirect (type $w) (i32.const 1) (i32.const 2)))
      (func $outside (export "11") (call $catcher) (call $other (i32.const 1))))"""
    program = to_program(read_module(bytes(wat2wasm(text))), CompileOptions("cpu", opt_level=0))
    throwing = Throwing(program)
    ids = [EntityId(0, n) for n in range(12)]
    assert [id_.index for id_ in ids if throwing.may_throw(id_)] == [0, 1, 3, 5, 8]
    # 4 is called where 3 is; 6 and 7 are the end of 8.
    assert [id_.index for id_ in ids if throwing.returns_exception(id_)] == [0, 1, 3, 4, 5, 6, 7, 8]


def test_a_program_that_does_not_throw_returns_no_exceptions() -> None:
    text = """(module (tag $t) (table 1 funcref) (elem (i32.const 0) $f) (func $f (export "f")
      (block $b (try_table (catch_all $b) (call $f) (call_indirect (i32.const 0))))))"""
    program = to_program(read_module(bytes(wat2wasm(text))), CompileOptions("cpu", opt_level=0))
    assert not Throwing(program).functions
    assert not Throwing(program).returns_exception(EntityId(0, 0))
    assert exceptions.HEAP in program.memories  # its handlers would look there
    text = CpuTarget().llvm_text(program, CompileOptions("cpu"), optimised=False)
    assert "define internal fastcc i64 @f0.0(" in text

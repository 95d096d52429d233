"""The oracle reports what wasmtime does, to the bit."""

from __future__ import annotations

import importlib.metadata
from unittest.mock import MagicMock

import pytest
import wasmtime
from wasmtime import wat2wasm

from swarmc.errors import TargetError
from swarmc.ir.types import Trap
from swarmc.runtime.tools.differential import Tally, compare
from swarmc.runtime.tools.execution import (
    AgentRun,
    Call,
    Outcome,
    Rejected,
    Script,
    Setup,
    Workload,
)
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import WASMTIME_VERSION, Oracle, _Instance

NAN = 0x7FA00001  # signalling


def run(text: str, *calls: Call, fuel: int = 10_000, setup: Setup | None = None) -> AgentRun:
    loaded = Oracle().load(bytes(wat2wasm(text)), setup or Setup())
    return loaded.run(Workload((Script(calls),), fuel))[0]


def test_nan_bits_pass_unchanged() -> None:
    text = '(module (global (export "g") f32 (f32.const nan:0x200001)) (func (export "f")'\
           " (param f32 f64) (result f32 f64) (local.get 0) (local.get 1)))"
    agent = run(text, Call("f", (NAN, 0xFFF4000000000001)))
    assert agent.outcomes[0].results == (NAN, 0xFFF4000000000001)
    assert agent.state.globals == {"g": NAN}


def test_nan_results_are_canonical() -> None:
    text = '(module (func (export "f") (param f32) (result f32) '\
           "(f32.add (local.get 0) (f32.const 1))))"
    assert run(text, Call("f", (0xFFA00001,))).outcomes[0].results == (0x7FC00000,)


def test_references_are_handles() -> None:
    agent = run("""(module
      (table (export "funcs") 3 funcref) (table (export "hosts") 2 externref)
      (elem (i32.const 1) $b) (func $a) (func $b (export "b"))
      (func (export "f") (param externref) (result funcref externref)
        (table.set 1 (i32.const 1) (local.get 0))
        (table.get 0 (i32.const 1)) (local.get 0)))""", Call("f", (5,)))
    assert agent.outcomes[0].results == (2, 5)
    assert agent.state.tables == {"funcs": (0, 2, 0), "hosts": (0, 5)}


TRAPS = """(module (memory 1) (table 1 funcref) (type $t (func)) (type $u (func (param i32)))
  (elem (i32.const 0) $wrong) (table $null 1 funcref)
  (func $wrong (param i32))
  (func (export "unreachable") unreachable)
  (func (export "memory_out_of_bounds") (drop (i32.load (i32.const 65533))))
  (func (export "table_out_of_bounds") (drop (table.get 0 (i32.const 1))))
  (func (export "undefined_element") (call_indirect (type $t) (i32.const 1)))
  (func (export "uninitialized_element") (call_indirect $null (type $t) (i32.const 0)))
  (func (export "indirect_call_type_mismatch") (call_indirect (type $t) (i32.const 0)))
  (func (export "integer_overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
  (func (export "integer_divide_by_zero") (drop (i32.rem_u (i32.const 1) (i32.const 0))))
  (func (export "invalid_conversion") (drop (i32.trunc_f32_s (f32.const nan))))
  (func (export "out_of_fuel") (loop (br 0)))
  (func $deep (export "call_stack_exhausted") (call $deep)))"""


@pytest.mark.parametrize("trap", [trap for trap in Trap if trap <= Trap.OUT_OF_FUEL])
def test_traps(trap: Trap) -> None:
    outcome = run(TRAPS, Call(trap.slug), fuel=10**7).outcomes[0]
    assert outcome.trap is trap
    assert outcome.results is None and outcome.fuel is None


def test_trap_offset_is_that_of_the_instruction() -> None:
    data = bytes(wat2wasm('(module (func (export "f") (nop) (unreachable)))'))
    outcome = Oracle().load(data, Setup()).run(Workload((Script((Call("f"),)),)))[0].outcomes[0]
    assert outcome.offset is not None
    assert data[outcome.offset - 1 : outcome.offset + 1] == b"\x01\x00"


def test_folded_load_traps_at_its_own_offset() -> None:
    data = bytes(wat2wasm("""(module (memory 1) (func (export "f") (param i32) (result i32)
      (i32.gt_s (local.get 0) (i32.load (i32.const 65533)))))"""))
    outcome = Oracle().load(data, Setup()).run(
        Workload((Script((Call("f", (0,)),)),)))[0].outcomes[0]
    assert outcome.offset is not None
    assert data[outcome.offset] == 0x28  # i32.load


def test_missing_import_traps() -> None:
    text = '(module (import "a" "b" (func)) (func (export "f") (call 0)))'
    assert run(text, Call("f"), setup=Setup(missing_imports="trap")).outcomes == [
        Outcome(trap=Trap.MISSING_IMPORT)]
    with pytest.raises(Rejected) as refused:
        run(text, Call("f"))
    assert refused.value.stage == "link"


def test_fuel_of_a_call_and_state_between_calls() -> None:
    text = """(module (global (export "n") (mut i32) (i32.const 5)) (func (export "f")
      (global.set 0 (i32.add (global.get 0) (i32.const 1)))))"""
    agent = run(text, Call("f"), Call("f"))
    assert [outcome.fuel for outcome in agent.outcomes] == [5, 5]
    assert agent.state.globals == {"n": 7}


@pytest.mark.parametrize(("limit", "pages"), [(None, 17), (0, 1), (3 << 16, 3), (200_000, 3)])
def test_memory_grows_to_the_limit(limit: int | None, pages: int) -> None:
    text = """(module (memory (export "m") 1) (func (export "f")
      (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))))"""
    agent = run(text, Call("f"), setup=Setup(max_memory=limit))
    assert len(agent.state.memories["m"]) == pages << 16


def test_wasi_streams_and_exit_code() -> None:
    text = """(module
      (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 50))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $exit (i32.const 7))))"""
    loaded = Oracle().load(bytes(wat2wasm(text)), Setup())
    scripts = tuple(Script((Call("_start"),), stdin=b"agent %d" % n) for n in range(3))
    runs = loaded.run(Workload(scripts))
    assert [agent.state.stdout for agent in runs] == [b"agent 0", b"agent 1", b"agent 2"]
    assert [agent.outcomes[0].exit_code for agent in runs] == [7, 7, 7]


def test_start_that_traps_is_a_rejection() -> None:
    with pytest.raises(Rejected) as refused:
        run("(module (func $f unreachable) (start $f))")
    assert refused.value.stage == "instantiate"


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "49.0.0")
    with pytest.raises(TargetError, match=f"pinned to wasmtime {WASMTIME_VERSION}"):
        Oracle()


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(TargetError, match="needs wasmtime") as error:
        Oracle()
    assert WASMTIME_VERSION in str(error.value)


def test_missing_memories_tables_and_globals_are_the_instances_own() -> None:
    text = """(module
      (import "a" "memory" (memory 1)) (import "a" "table" (table 2 funcref))
      (import "a" "global" (global (mut i32))) (import "a" "f" (func))
      (export "memory" (memory 0)) (export "table" (table 0)) (export "global" (global 0))
      (func (export "f") (i32.store8 (i32.const 3) (i32.const 1))
        (global.set 0 (i32.add (global.get 0) (i32.const 1)))
        (drop (memory.grow (i32.const 30)))))"""
    loaded = Oracle().load(bytes(wat2wasm(text)), Setup(missing_imports="trap"))
    for agent in loaded.run(Workload((Script((Call("f"),)),) * 2)):
        assert agent.outcomes[0].results == ()
        assert agent.state.globals == {"global": 1}
        assert agent.state.tables == {"table": (0, 0)}
        assert agent.state.memories["memory"] == bytes(3) + b"\1" + bytes(65532)


def test_objects_for_which_there_is_no_room() -> None:
    wasm = bytes(wat2wasm("""(module (type $a (array (mut i32)))
        (func (export "f") (param i32) (result i32)
          (array.len (array.new_default $a (local.get 0)))))"""))
    workload = Workload((Script((Call("f", (0x7FFF_FFFF,)),)), Script((Call("f", (5,)),))), 1 << 60)
    runs = Oracle().load(wasm, Setup()).run(workload)
    assert [run.outcomes[0].trap for run in runs] == [Trap.HEAP_EXHAUSTED, None]
    ours = InterpreterExecutor(level=0).load(wasm, Setup(heap=65536)).run(workload)
    tally = Tally()
    assert compare(runs, ours, workload, "interpreter", tally) is None
    assert (tally.exempt, tally.returned) == (1, 1)


def test_a_heap_that_is_full_is_an_end_like_others() -> None:
    error = wasmtime.WasmtimeError("while executing\n\nCaused by:\n GC heap out of memory: no room")
    found = _Instance._error(MagicMock(**{"module.oracle._wasmtime": wasmtime}), error)
    assert found.trap is Trap.HEAP_EXHAUSTED

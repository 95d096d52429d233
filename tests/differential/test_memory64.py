"""Memories and tables with 64-bit addresses, and several memories: as on wasmtime, fuel too."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.errors import TargetError
from swarmc.runtime.tools.differential import check
from swarmc.runtime.tools.execution import Call, Executor, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.cpu import CpuTarget

PAGE = 65536
EDGES = (0, 1, PAGE - 8, PAGE - 4, PAGE - 1, PAGE, 2 * PAGE - 4, 2 * PAGE, 3 * PAGE, 2**31,
         2**32 - 4, 2**32, 2**32 + 8, 2**48, 2**63 - 1, 2**63, 2**64 - PAGE, 2**64 - 8, 2**64 - 1)
#: Offsets that are wider than 32 bits, or that make the sum wrap around.
OFFSETS = (0, 4, PAGE - 4, PAGE, 2**31, 2**32 - 4, 2**32, 2**63, 2**64 - 5, 2**64 - 4, 2**64 - 1)

#: Fields of a module with one function f of an i64 (and, in some, another i64).
ONE = {
    **{f"load at offset {offset:#x}":
       f'(func (export "f") (param i64) (result i32) (i32.load offset={offset} (local.get 0)))'
       for offset in OFFSETS},
    **{f"store at offset {offset:#x}":
       f'(func (export "f") (param i64) (i64.store offset={offset} (local.get 0) (i64.const -2)))'
       for offset in OFFSETS},
    "neighbours": """(func (export "f") (param i64) (result i32 i32 i32)
        (i32.load8_u (local.get 0)) (i32.load8_u offset=3 (i64.add (local.get 0) (i64.const 4)))
        (i32.load8_u (i64.sub (local.get 0) (i64.const 1))))""",
    "growing and loading": """(func (export "f") (param i64) (result i64 i64 i32 i64)
        (i64.store8 (i64.const 2) (i64.const 9))
        (memory.grow (i64.const 1)) (memory.size) (i32.load (local.get 0)) (memory.size $small))""",
    "growing": '(func (export "f") (param i64) (result i64 i64) (memory.grow (local.get 0)) '
               "(memory.size))",
    "growing by constants": """(func (export "f") (param i64) (result i64 i64 i64)
        (memory.grow (i64.const 128)) (memory.grow (i64.const 129))
        (memory.grow (i64.const -1)))""",
    "filling by constants": """(func (export "f") (param i64)
        (memory.fill (local.get 0) (i32.const 7) (i64.const 128))
        (memory.fill (local.get 0) (i32.const 7) (i64.const 129)))""",
    "growing a table": """(func (export "f") (param i64) (result i64 i64)
        (table.grow (ref.func $g) (local.get 0)) (table.size 0))""",
    "an element": '(func (export "f") (param i64) (result i32) '
                  "(ref.is_null (table.get (local.get 0))))",
    "setting an element": '(func (export "f") (param i64) (table.set (local.get 0) (ref.func $g)))',
    "calling an element": '(func (export "f") (param i64) (result i64) '
                          "(call_indirect (type $t) (local.get 0)))",
    "vectors": """(func (export "f") (param i64) (result v128)
        (v128.store32_lane offset=4 2 (local.get 0) (v128.load (i64.const 96)))
        (v128.load16_lane offset=2 7 (local.get 0) (v128.load32_splat (local.get 0))))""",
}
TWO = {
    "filling": '(func (export "f") (param i64 i64) '
               "(memory.fill (local.get 0) (i32.const 0x15a) (local.get 1)))",
    "copying": """(func (export "f") (param i64 i64)
        (memory.copy (local.get 0) (i64.const 100) (local.get 1)))""",
    "copying from elsewhere": """(func (export "f") (param i64 i64)
        (memory.copy (i64.const 65000) (local.get 0) (local.get 1)))""",
    "copying into the small memory": """(func (export "f") (param i64 i64)
        (memory.copy $small 0 (i32.const 50000) (local.get 0) (i32.wrap_i64 (local.get 1))))""",
    "copying from the small memory": """(func (export "f") (param i64 i64)
        (memory.copy 0 $small (local.get 0) (i32.const 50000) (i32.wrap_i64 (local.get 1))))""",
    "initialising": """(func (export "f") (param i64 i64)
        (memory.init 0 (local.get 0) (i32.const 1) (i32.wrap_i64 (local.get 1))))""",
    "filling a table": '(func (export "f") (param i64 i64) '
                       "(table.fill (local.get 0) (ref.func $g) (local.get 1)))",
    "copying in a table": """(func (export "f") (param i64 i64)
        (table.copy (local.get 0) (i64.const 1) (local.get 1)))""",
    "copying between tables": """(func (export "f") (param i64 i64)
        (table.copy 0 1 (local.get 0) (i32.const 1) (i32.wrap_i64 (local.get 1))))""",
    "initialising a table": """(func (export "f") (param i64 i64)
        (table.init 0 0 (local.get 0) (i32.const 0) (i32.wrap_i64 (local.get 1))))""",
}
COUNTS = (0, 1, 4, 5, 200, PAGE, 2**32 - 1, 2**32, 2**64 - 1)
FRAME = """(module (type $t (func (result i64)))
    (memory (export "m") i64 2) (memory $small (export "s") 1 1)
    (table (export "t") i64 5 20 funcref) (table (export "u") 4 funcref)
    (func $g (export "g") (result i64) (i64.const 77)) (func $h (export "h"))
    (data $d "passive bytes") (data (i64.const 96) "0123456789abcdefghij")
    (data (memory $small) (i32.const 50000) "small")
    (elem $e funcref (ref.func $h) (ref.null func) (ref.func $g))
    (elem (i64.const 2) func $g $h) (elem (table 1) (i32.const 1) func $g) %s)"""


def setups() -> list[Executor]:
    """Both executors of ours, with and without optimisation."""
    return [InterpreterExecutor(level=0), InterpreterExecutor(level=2),
            TargetExecutor(CpuTarget(), opt_level=0), TargetExecutor(CpuTarget())]


def compare(fields: str, args: list[tuple[int, ...]]) -> None:
    """Run f with each of the arguments, in an agent of its own."""
    data = bytes(wat2wasm(FRAME % fields))
    workload = Workload(tuple(Script((Call("f", values),)) for values in args), 500_000)
    oracle = Oracle()
    for executor in setups():
        found = check(oracle, executor, data, Setup(max_memory=4 * PAGE), workload)
        assert found is None, str(found)


@pytest.mark.parametrize("name", ONE)
def test_one_operand(name: str) -> None:
    compare(ONE[name], [(value,) for value in (*EDGES, *range(2, 8), 15)])


@pytest.mark.parametrize("name", TWO)
def test_two_operands(name: str) -> None:
    compare(TWO[name], [(value, count) for value in (*EDGES, 3) for count in COUNTS])


def test_host_functions_work_on_the_memory_that_is_exported_as_memory() -> None:
    data = bytes(wat2wasm("""(module
        (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "other") 1) (memory $m (export "memory") 1)
        (data (i32.const 8) "wrong") (data (memory $m) (i32.const 8) "right")
        (func (export "f") (result i32 i32 i32) (i32.store $m (i32.const 0) (i32.const 8))
            (i32.store $m (i32.const 4) (i32.const 5))
            (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20))
            (i32.load $m (i32.const 20)) (i32.load (i32.const 20))))"""))
    workload = Workload((Script((Call("f"),)),) * 2)
    target = TargetExecutor(CpuTarget())
    found = check(Oracle(), target, data, Setup(), workload)
    assert found is None, str(found)
    assert [run.state.stdout for run in target.load(data, Setup()).run(workload)] == [b"right"] * 2


@pytest.mark.parametrize("pages", [2**48, 2**30 + 1])
def test_more_memory_than_can_be_reserved_is_refused(pages: int) -> None:
    data = bytes(wat2wasm(f'(module (memory i64 {pages}) (func (export "f")))'))
    with pytest.raises(TargetError, match=f"a memory has {pages:,} pages at least"):
        TargetExecutor(CpuTarget()).load(data, Setup())

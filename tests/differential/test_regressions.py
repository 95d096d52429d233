"""Differences that were found once: each module is the smallest that showed it."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.runtime.tools.differential import check
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.cpu import CpuTarget

SNAN32, SNAN64 = 0x7F800001, 0xFFF0000000000001

CASES: dict[str, tuple[str, list[tuple[int, ...]]]] = {
    # wasmtime had no limit for tables, once tables had initial values.
    "a table that grows to the limit": (
        '(table (export "t") 1 funcref) (func (export "f") (param i32) (result i32)'
        " (table.grow 0 (ref.null func) (local.get 0)))",
        [(4096,), (4097,), (1 << 20,)],
    ),
    # The third float was returned in an x87 register, which quietens signalling NaNs.
    "signalling NaN as third result": (
        '(func (export "f") (param f32 f64) (result f32 f64 f32 f64)'
        " (f32.const 0) (f64.const 0) (local.get 0) (local.get 1))",
        [(SNAN32, SNAN64)],
    ),
    "signalling NaN as third result of a call": (
        "(func $g (param f32 f64) (result f32 f64 f32 f64)"
        " (f32.const 0) (f64.const 0) (local.get 0) (local.get 1))"
        '(func (export "f") (param f32 f64) (result i64 i32) (local f32 f64)'
        " (call $g (local.get 0) (local.get 1)) (local.set 3) (local.set 2) (drop) (drop)"
        " (i64.reinterpret_f64 (local.get 3)) (i32.reinterpret_f32 (local.get 2)))",
        [(SNAN32, SNAN64)],
    ),
    # LLVM's code for minimum and maximum overlooked a signalling NaN if the other operand
    # cannot be a NaN.
    "minimum of a signalling NaN and a converted integer": (
        '(func (export "f") (param f32 f64 i32) (result f32 f32 f64 f64)'
        " (f32.min (local.get 0) (f32.convert_i32_s (local.get 2)))"
        " (f32.max (f32.convert_i32_s (local.get 2)) (local.get 0))"
        " (f64.min (local.get 1) (f64.convert_i32_s (local.get 2)))"
        " (f64.max (f64.convert_i32_s (local.get 2)) (local.get 1)))",
        [(SNAN32, SNAN64, 1), (0x7FC00000, 0x7FF8000000000000, 0), (0x80000000, 1 << 63, 0)],
    ),
    # Removed functions had no place in the table of signatures.
    "indirect call beside functions that nothing reaches": (
        "(type $t (func (result i32))) (table 4 funcref) (elem (i32.const 2) $b)"
        "(func $dead (param f32)) (func $alsodead (param i64))"
        '(func $b (result i32) (i32.const 7)) (func (export "f") (param i32) (result i32)'
        " (call_indirect (type $t) (local.get 0)))",
        [(2,), (1,), (9,)],
    ),
    # The specification's deterministic profile rounds twice here, wasmtime once: so do we.
    "relaxed multiply-add": (
        '(func (export "f") (param f32 f32 f32 f64 f64 f64) (result v128 v128 v128 v128)'
        " (f32x4.relaxed_madd (f32x4.splat (local.get 0)) (f32x4.splat (local.get 1))"
        " (f32x4.splat (local.get 2)))"
        " (f32x4.relaxed_nmadd (f32x4.splat (local.get 0)) (f32x4.splat (local.get 1))"
        " (f32x4.splat (local.get 2)))"
        " (f64x2.relaxed_madd (f64x2.splat (local.get 3)) (f64x2.splat (local.get 4))"
        " (f64x2.splat (local.get 5)))"
        " (f64x2.relaxed_nmadd (f64x2.splat (local.get 3)) (f64x2.splat (local.get 4))"
        " (f64x2.splat (local.get 5))))",
        [(0x3F800001, 0x3F800001, 0xBF800001, 0x3FF0000000000001, 0x3FF0000000000001,
          0xBFF0000000000001),
         (0x7F7FFFFF, 0x40000000, 0xFF7FFFFF, 0x7FEFFFFFFFFFFFFF, 1 << 62, 0xFFEFFFFFFFFFFFFF),
         (0x00800001, 0x3F000000, 0x00000001, 0x0010000000000001, 0x3FE0000000000000, 1),
         (SNAN32, 0, 0x7F800000, SNAN64, 0x7FF0000000000000, 0)],
    ),
    # Products of bytes that both are -128 are the only ones whose sums do not fit 16 bits.
    "relaxed dot product": (
        '(func (export "f") (param v128 v128 v128) (result v128 v128)'
        " (i16x8.relaxed_dot_i8x16_i7x16_s (local.get 0) (local.get 1))"
        " (i32x4.relaxed_dot_i8x16_i7x16_add_s (local.get 0) (local.get 1) (local.get 2)))",
        [(int.from_bytes(b"\x80" * 8 + b"\x7f" * 8), int.from_bytes(b"\x80" * 12 + b"\x7f" * 4),
          (1 << 128) - 1), (int.from_bytes(bytes(range(120, 136))), (1 << 128) // 3, 1 << 127)],
    ),
}


@pytest.mark.parametrize("level", [0, 1, 2, 3, None])
@pytest.mark.parametrize("name", CASES)
def test_cpu(name: str, level: int | None) -> None:
    text, args = CASES[name]
    data = bytes(wat2wasm(f'(module (memory (export "memory") 1) {text})'))
    workload = Workload(tuple(Script((Call("f", values),)) for values in args))
    found = check(Oracle(), TargetExecutor(CpuTarget(), opt_level=level), data, Setup(), workload)
    assert found is None, str(found)


@pytest.mark.parametrize("name", CASES)
def test_interpreter(name: str) -> None:
    text, args = CASES[name]
    data = bytes(wat2wasm(f'(module (memory (export "memory") 1) {text})'))
    workload = Workload(tuple(Script((Call("f", values),)) for values in args))
    found = check(Oracle(), InterpreterExecutor(level=2), data, Setup(), workload)
    assert found is None, str(found)

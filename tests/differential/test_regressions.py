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

"""What counts as executed: what stands in a basic block that was entered."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import BY_NAME
from swarmc.runtime.tools.coverage import Coverage
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.fuzz_report import FuzzReport

WORKLOAD = Workload((Script((Call("f", (1,)),)),), 1000)


def covered(body: str) -> Coverage:
    data = bytes(wat2wasm(f'(module (memory 1) (func (export "f") (param i32) {body}))'))
    names = {row.name for func in decode(data).funcs for row in func.body.ops}
    coverage = Coverage()
    coverage.add(data, names, Setup(), WORKLOAD)
    return coverage


@pytest.mark.parametrize(("body", "executed", "not_executed"), [
    ("(if (local.get 0) (then (nop)) (else (drop (i32.const 1))))",
     {"local.get", "if", "nop", "end"}, {"drop", "i32.const"}),
    ("(if (i32.eqz (local.get 0)) (then (nop)) (else (drop (f32.const 1))))",
     {"i32.eqz", "drop", "f32.const"}, {"nop"}),
    ("(block (br 0) (nop) (drop (i64.const 1)))", {"block", "br"}, {"nop", "drop", "i64.const"}),
    ("(block (br_if 0 (local.get 0)) (drop (i64.clz (i64.const 1)))) (i32.store (local.get 0)"
     " (i32.const 1))", {"br_if", "i32.store"}, {"i64.clz", "i64.const", "drop"}),
    ("(return) (nop)", {"return"}, {"nop"}),
    ("(loop (nop) (drop (memory.grow (i32.const 1))))", {"loop", "nop", "memory.grow"}, set()),
    ("(unreachable) (drop (i32.const 1))", {"unreachable"}, {"drop"}),
])
def test_executed(body: str, executed: set[str], not_executed: set[str]) -> None:
    found = covered(body).executed
    assert executed <= found
    assert not not_executed & found


def test_functions_that_nobody_calls_are_generated_only() -> None:
    data = bytes(wat2wasm('(module (func (export "f") (param i32)) (func (drop (f64.const 1))))'))
    coverage = Coverage()
    coverage.add(data, {"drop", "f64.const", "end"}, Setup(), WORKLOAD)
    assert coverage.generated == {"drop", "f64.const", "end"}
    assert coverage.executed == {"end"}


def test_what_instantiation_evaluates_is_executed() -> None:
    text = '(module (global f64 (f64.const 1)) (func (export "f") (param i32)))'
    coverage = Coverage()
    coverage.add(bytes(wat2wasm(text)), {"end", "f64.const"}, Setup(), WORKLOAD)
    assert "f64.const" in coverage.executed


def test_a_module_that_cannot_be_instantiated_executes_nothing() -> None:
    text = '(module (memory 1) (data (i32.const 65536) "a") (func (export "f") (param i32)))'
    coverage = Coverage()
    coverage.add(bytes(wat2wasm(text)), {"end"}, Setup(), WORKLOAD)
    assert coverage.executed == set()


def test_report() -> None:
    report = FuzzReport(1)
    report.coverage.generated |= {"nop", "drop"}
    report.coverage.executed |= {"nop"}
    assert report.not_executed == ["drop"]
    assert len(report.not_generated) == len(BY_NAME) - 2
    text = str(report)
    assert f"2 of {len(BY_NAME)} generated, 1 executed" in text
    assert "not executed drop\n" in text
    assert report.to_json()["instructions"] == {
        "total": len(BY_NAME), "generated": 2, "executed": 1,
        "executed_means": "stands in a basic block that the IR interpreter entered",
        "not_generated": report.not_generated, "not_executed": ["drop"]}

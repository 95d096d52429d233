"""The validator: what it refuses, in which words, and where."""

from __future__ import annotations

import re

import pytest
import wasmtime

from swarmc.compiler.wasm import rules
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import OPCODES
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import ValidationError

_FIELD = re.compile(r"\((tag|func|import|memory|table|global|data|elem|export|start)\b")


def check(text: str) -> None:
    """Validate a module's text; a bare list of instructions is the body of its only function."""
    if not _FIELD.match(text):
        text = f"(func {text})"
    validate(decode(bytes(wasmtime.wat2wasm(f"(module {text})"))))


@pytest.mark.parametrize("text", [
    "i32.const 1 i32.const 2 i32.add drop",
    "unreachable i32.add drop",
    "unreachable select drop",
    "unreachable i64.const 1 i32.const 1 select drop",
    "block (result i32) unreachable br 0 end drop",
    "(param i32) (result i64) local.get 0 if (result i64) i64.const 1 else i64.const 2 end",
    "i32.const 1 loop (param i32) i32.const 0 br_if 1 drop end",
    "block (result i32) block (result i32) i32.const 1 i32.const 2 br_table 0 1 end end drop",
    "unreachable block (result f32) block (result i32) unreachable br_table 0 1 end drop "
    "f32.const 0 end drop",
    "(result i32 i64) i32.const 1 i64.const 2",
    "ref.null func ref.is_null drop",
    "ref.null extern ref.null extern i32.const 1 select (result externref) drop",
    "(local externref) local.get 0 local.tee 0 local.set 0",
    "(func) (func ref.func 0 drop) (export \"f\" (func 0))",
    "(func) (func ref.func 0 drop) (elem declare func 0)",
    "(import \"\" \"\" (global i32)) (global i32 (global.get 0)) (memory 1) "
    "(data (global.get 0) \"x\")",
    "(memory 1) (data \"x\") (func i32.const 0 i32.const 0 i32.const 0 memory.init 0 data.drop 0)",
    "(table 1 funcref) (table 1 externref) (func (param externref) "
    "i32.const 0 local.get 0 table.set 1)",
    "(memory i64 0x1000000000000) (func i64.const 0 i32.load offset=0xffffffffffffffff drop)",
    "(memory i64 1) (memory 1) (data \"x\")"
    " (func i64.const 0 i32.const 0 i32.const 0 memory.copy 0 1"
    " i32.const 0 i64.const 0 i32.const 0 memory.copy 1 0 i64.const 0 memory.grow memory.grow drop"
    " i64.const 0 i32.const 0 memory.size memory.fill"
    " i64.const 0 i32.const 0 i32.const 0 memory.init 0)",
    "(table i64 1 0xffffffffffffffff funcref) (table 1 funcref) (func table.size table.get drop"
    " i64.const 0 i64.const 0 table.get table.set i64.const 0 call_indirect (type 0)"
    " ref.null func i64.const 0 table.grow drop i64.const 0 ref.null func i64.const 0 table.fill"
    " i64.const 0 i32.const 0 i32.const 0 table.copy 0 1"
    " i32.const 0 i64.const 0 i32.const 0 table.copy 1 0"
    " i64.const 0 i32.const 0 i32.const 0 table.init 0) (elem func) (elem (i64.const 0) func)",
])
def test_valid(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text, message", [
    ("i32.add drop", "type mismatch: expected i32, found an empty stack"),
    ("i32.const 1 i64.const 2 i32.add drop", "type mismatch: expected i32, found i64"),
    ("i32.const 1", "type mismatch: expected an empty stack, found i32"),
    ("drop", "type mismatch"),
    ("v128.const i32x4 0 0 0 0 f32x4.extract_lane 4 drop", "invalid lane index 4"),
    ("v128.const i32x4 0 0 0 0 i32.const 0 i8x16.replace_lane 16 drop", "invalid lane index 16"),
    ("v128.const i32x4 0 0 0 0 v128.const i32x4 0 0 0 0 i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 "
     "12 13 14 32 drop", "invalid lane index 32"),
    ("(memory 1) (func i32.const 0 v128.const i32x4 0 0 0 0 v128.store64_lane 2)",
     "invalid lane index 2"),
    ("(memory 1) (func i32.const 0 v128.load8x8_s align=16 drop)",
     "alignment must not be larger than natural"),
    ("i32.const 0 i64x2.splat drop", "type mismatch: expected i64, found i32"),
    ("block i32.const 1 end", "type mismatch"),
    ("i32.const 1 block drop end", "type mismatch"),
    ("unreachable i64.const 1 i32.add drop", "type mismatch"),
    ("unreachable i32.const 1 i64.const 2 i32.const 3 select drop", "type mismatch"),
    ("ref.null func ref.null func i32.const 1 select drop", "type mismatch: expected a number"),
    ("i32.const 1 ref.is_null drop", "type mismatch: expected a reference"),
    ("i32.const 1 if (result i32) i32.const 1 end drop", "type mismatch"),
    ("block (result i32) block i32.const 1 i32.const 2 br_table 0 1 end i32.const 1 end drop",
     "type mismatch: labels"),
    ("br 1", "unknown label 1"),
    ("local.get 0 drop", "unknown local 0"),
    ("(local i32) i32.const 0 local.set 1", "unknown local 1"),
    ("(local i32) i64.const 0 local.set 0", "type mismatch"),
    ("call 1", "unknown function 1"),
    ("global.get 3 drop", "unknown global 3"),
    ("i32.const 0 i32.load drop", "unknown memory 0"),
    ("memory.size drop", "unknown memory 0"),
    ("i32.const 0 table.get 0 drop", "unknown table 0"),
    ("i32.const 0 call_indirect (type 0)", "unknown table 0"),
    ("return_call 1", "unknown function 1"),
    ("i32.const 0 return_call_indirect (type 0)", "unknown table 0"),
    ("(func (result i32) i32.const 0 i32.const 0 return_call 1) (func (result i64) unreachable)",
     "type mismatch"),
    ("(func (result i32 i32) i32.const 0 return_call 1) (func (result i32) unreachable)",
     "type mismatch: the callee of a tail call"),
    ("(func return_call 1) (func (param i32))", "type mismatch"),
    ("throw 0", "unknown tag 0"),
    ("i32.const 0 throw_ref", "type mismatch"),
    ("(tag (param i32)) (func i64.const 1 throw 0)",
     "type mismatch: instruction requires [i32] but stack has [i64]"),
    ("(tag (param i32 i64)) (func i32.const 1 throw 0)",
     "type mismatch: instruction requires [i32 i64] but stack has [i32]"),
    ("(tag (result i32))", "non-empty tag result type"),
    ("(tag (type 5))", "unknown type 5"),
    ("(export \"a\" (tag 0))", "unknown tag 0"),
    ("try_table (catch_all 5) end", "unknown label 5"),
    ("try_table (catch 0 0) end", "unknown tag 0"),
    ("(tag (param i32)) (func try_table (catch 0 0) end)",
     "type mismatch: a clause gives 1 values where its label takes 0"),
    ("(func block (result i32) try_table (catch_all_ref 0) end unreachable end drop)",
     "type mismatch: expected i32, found (ref exn)"),
    ("block (type 7) end", "unknown type 7"),
    ("data.drop 0", "unknown data segment 0"),
    ("elem.drop 2", "unknown elem segment 2"),
    ("unreachable select (result i32 i32) drop", "invalid result arity"),
    ("(func) (func ref.func 0 drop)", "undeclared function reference 0"),
    ("(global i32 (i32.const 0)) (func i32.const 0 global.set 0)", "immutable global"),
    ("(memory 1) (func i32.const 0 i32.load align=8 drop)",
     "alignment must not be larger than natural"),
    ("(table 1 externref) (func i32.const 0 call_indirect (type 0))", "type mismatch"),
    ("(table 1 externref) (elem (i32.const 0) func)", "type mismatch"),
    ("(memory 65537)", "memory size must be at most 65536 pages (4GiB)"),
    ("(memory i64 0x1000000000001)", "memory size must be at most 2^48 pages"),
    ("(memory i64 2 1)", "size minimum must not be greater than maximum"),
    ("(memory 1) (memory 1) (func i32.const 0 i32.load 2 drop)", "unknown memory 2"),
    ("(memory 1) (func i64.const 0 i32.load drop)", "type mismatch: expected i32, found i64"),
    ("(memory i64 1) (func i32.const 0 i32.load drop)", "type mismatch: expected i64, found i32"),
    ("(memory i64 1) (func i32.const 0 i32.const 0 i32.store)", "type mismatch: expected i64"),
    ("(memory i64 1) (func (result i32) memory.size)", "type mismatch: expected i32, found i64"),
    ("(memory i64 1) (func i64.const 0 memory.grow i32.eqz drop)", "type mismatch: expected i32"),
    ("(memory i64 1) (func i64.const 0 i32.const 0 i32.const 0 memory.fill)",
     "type mismatch: expected i64, found i32"),
    ("(memory i64 1) (memory 1) (func i64.const 0 i32.const 0 i64.const 0 memory.copy 0 1)",
     "type mismatch: expected i32, found i64"),
    ("(memory i64 1) (func i64.const 0 i64.const 0 i32.const 0 memory.copy)",
     "type mismatch: expected i64, found i32"),
    ("(memory i64 1) (data \"x\") (func i64.const 0 i32.const 0 i64.const 0 memory.init 0)",
     "type mismatch: expected i32, found i64"),
    ("(memory i64 1) (data (i32.const 0) \"x\")", "type mismatch: expected i64, found i32"),
    ("(memory 1) (func i32.const 0 i32.load offset=0x100000000 drop)", "offset out of range"),
    ("(memory i64 1) (func i64.const 0 i64.const 0 v128.load8_lane 16 drop)", "invalid lane"),
    ("(table i64 1 funcref) (func i32.const 0 table.get drop)", "type mismatch: expected i64"),
    ("(table i64 1 funcref) (func i32.const 0 call_indirect (type 0))",
     "type mismatch: expected i64"),
    ("(table i64 1 funcref) (func ref.null func i32.const 1 table.grow drop)", "type mismatch"),
    ("(table i64 1 funcref) (elem (i32.const 0) func)", "type mismatch: expected i64"),
    ("(memory 2 1)", "size minimum must not be greater than maximum"),
    ("(table 2 1 funcref)", "size minimum must not be greater than maximum"),
    ("(func (param i32)) (start 0)", "start function"),
    ("(start 0)", "unknown function 0"),
    ("(func) (export \"a\" (func 0)) (export \"a\" (func 0))", "duplicate export name 'a'"),
    ("(export \"a\" (memory 0))", "unknown memory 0"),
    ("(import \"\" \"\" (func (type 5)))", "unknown type 5"),
    ("(func (type 5))", "unknown type 5"),
    ("(global i32 (i64.const 0))", "type mismatch"),
    ("(global i32 (i32.const 0) (i32.const 0))", "type mismatch"),
    ("(global i32 (i32.const 0) (nop))", "constant expression required"),
    ("(import \"\" \"\" (global (mut i32))) (global i32 (global.get 0))",
     "constant expression required"),
    ("(data (i32.const 0) \"\")", "unknown memory 0"),
    ("(elem (i32.const 0) func)", "unknown table 0"),
    ("(table 1 funcref) (elem (i32.const 0) func 4)", "unknown function 4"),
])
def test_invalid(text: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(text)
    assert caught.value.message.startswith(message)


def test_error_says_where() -> None:
    data = bytes(wasmtime.wat2wasm('(module (func) (func (export "bad") nop i32.const 1))'))
    with pytest.raises(ValidationError) as caught:
        validate(decode(data))
    assert caught.value.function == "bad"
    assert caught.value.offset == len(data) - 1  # the final end
    assert data[-3:] == b"\x41\x01\x0b"


def test_locals_beyond_the_listed_ones() -> None:
    locals_ = "(local" + " i32" * 2000 + " f64" * 2000 + ")"
    check(f"(param i64) {locals_} local.get 3000 f64.neg drop local.get 2000 i32.eqz drop "
          "f64.const 0 local.set 4000")
    with pytest.raises(ValidationError, match="unknown local 4001"):
        check(f"(param i64) {locals_} local.get 4001 drop")
    with pytest.raises(ValidationError, match="expected f64, found i32"):
        check(f"(param i64) {locals_} local.get 2000 f64.neg drop")


def test_operand_stack_is_bounded() -> None:
    results = "(result" + " i32" * 1000 + ")"
    text = f"(func $f {results} unreachable) (func {'call $f ' * 2000} unreachable)"
    with pytest.raises(ValidationError, match="operands on the stack"):
        check(text)


def test_every_row_has_its_rule() -> None:
    for row in OPCODES:
        rule = rules._RULE_OF[row.index]
        assert rule is not None or (row.params is not None and row.results is not None)

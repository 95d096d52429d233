"""The printer: text that wasmtime accepts, and that means the module it was printed from."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.feature_report import module_features
from swarmc.compiler.wasm.features import WEBASSEMBLY_2
from swarmc.compiler.wasm.module import Body, Module
from swarmc.compiler.wasm.opcodes import OPCODES, Opcode
from swarmc.compiler.wasm.printer import print_wat
from swarmc.compiler.wasm.validator import validate

_EVERYTHING = """(module
  (type $t (func (param i32) (result i32)))
  (import "a\\00\\"b" "\\c3\\a9" (func $import (type $t)))
  (import "env" "table" (table 1 funcref))
  (memory 1 3)
  (table 2 externref)
  (global $g (mut f64) (f64.const nan:0x4))
  (global f32 (f32.const -0))
  (func $f (export "f") (type $t) (local i64 i64) (local f32)
    local.get 0
    if (result i32)
      i32.const -2147483648
      i64.const 9223372036854775807
      i64.store32 offset=17 align=2
      f32.const 0x1.fffffep+127
      f64.const -inf
      drop
      drop
      call $f
    else
      block
        loop
          i32.const 1
          br_table 0 1 2 1
        end
      end
      i32.const 0
      i32.const 3
      call_indirect (type $t)
    end)
  (func (param externref) (result i32 i32)
    local.get 0
    local.get 0
    i32.const 1
    select (result externref)
    ref.is_null
    i32.const 0
    i32.load8_s
    i32.const 1 i32.const 2 i32.const 3 memory.copy
    i32.const 1 i32.const 2 i32.const 3 memory.fill
    i32.const 1 i32.const 2 i32.const 3 memory.init 1
    i32.const 1 i32.const 2 i32.const 3 table.init 0 1
    i32.const 1 i32.const 2 i32.const 3 table.copy 0 0
    i32.const 1 ref.null extern i32.const 3 table.fill 1
    ref.func $f drop
    elem.drop 1
    data.drop 1
    f64.const 0.1
    i32.trunc_sat_f64_s
    drop)
  (elem (i32.const 0) $f $import)
  (elem funcref (ref.func $f) (ref.null func))
  (elem declare func $f)
  (elem (table 1) (i32.const 1) externref (ref.null extern))
  (data (i32.const 8) "text\\n\\00\\"\\\\")
  (data "\\ff passive"))"""


def _meaning(module: Module) -> list[Any]:
    """Everything that text can say, with what may be spelled in several ways spelled in one."""
    def body(item: Body) -> list[Any]:
        # A block type with an index may come back as the value type that it is equal to.
        return [(row.name, module.types[imm] if row.imm.name == "BLOCK" and isinstance(imm, int)
                 else imm) for row, imm in zip(item.ops, item.imms, strict=True)]
    return [
        module.types,
        [(item.module, item.name, item.type) for item in module.imports],
        module.func_types, module.tables, module.memories, module.start,
        [(item.type, body(item.init)) for item in module.globals],
        [(item.name, item.kind, item.index) for item in module.exports],
        [(item.mode, item.type, [body(x) for x in item.items], item.table,
          item.init_offset and body(item.init_offset)) for item in module.elems],
        [(item.mode, item.data, item.init_offset and body(item.init_offset))
         for item in module.data],
        [([type_ for count, type_ in func.locals for _ in range(count)], body(func.body))
         for func in module.funcs],
    ]


def _round_trip(data: bytes) -> None:
    module = decode(data)
    text = print_wat(module)
    again = decode(bytes(wasmtime.wat2wasm(text)))
    assert _meaning(again) == _meaning(module)
    assert print_wat(module) == text


def test_round_trip_of_everything() -> None:
    _round_trip(bytes(wasmtime.wat2wasm(_EVERYTHING)))


def test_round_trip_of_several_and_wide_memories() -> None:
    _round_trip(bytes(wasmtime.wat2wasm("""(module (import "" "" (memory 1)) (memory i64 2 3)
        (memory 0) (table i64 1 funcref) (table i64 2 0x1000000000 externref)
        (data (memory 1) (i64.const 7) "x") (data "y") (elem (i64.add (i64.const 0) (i64.const 0))
        func) (func (drop (memory.size 1)) (drop (memory.grow 2 (i32.const 1)))
        (memory.fill 1 (i64.const 0) (i32.const 1) (i64.const 2))
        (memory.copy 2 1 (i32.const 0) (i64.const 1) (i32.const 2))
        (memory.init 1 1 (i64.const 0) (i32.const 1) (i32.const 2))
        (i32.store8 2 offset=3 (i32.const 0) (i32.const 1))
        (drop (v128.load8_lane 1 offset=0xffffffffffffffff 4
            (i64.const 0) (v128.load 2 (i32.const 1))))))""")))


def test_round_trip_of_corpus(corpus_modules: list[tuple[str, bytes]]) -> None:
    for _, data in corpus_modules:
        _round_trip(data)


def test_round_trip_of_suite(suite: list[tuple[str, str, bytes, str]]) -> None:
    seen: set[Opcode] = set()
    for _, kind, data, _ in suite:
        if kind == "module":
            _round_trip(data)
            seen.update(row for func in decode(data).funcs for row in func.body.ops)
    assert seen == {row for row in OPCODES if row.proposal in WEBASSEMBLY_2}


def test_text() -> None:
    module = decode(bytes(wasmtime.wat2wasm(
        '(module (memory 1) (func $add (export "add") (param i32) (result f32) (local i64)'
        " block (result f32) local.get 0 f32.load offset=4 f32.const 0.5 f32.add end))")))
    assert print_wat(module) == """\
(module
  (type (;0;) (func (param i32) (result f32)))
  (memory (;0;) 1)
  (export "add" (func 0))
  (func $add (;0;) (type 0) (param i32) (result f32)
    (local i64)
    block (result f32)
      local.get 0
      f32.load offset=4
      f32.const 0x1p-1 (;=0.5;)
      f32.add
    end
  )
  ;; custom section "name": 8 bytes
)
"""


def test_names_that_are_no_identifiers_are_numbers() -> None:
    module = decode(bytes(wasmtime.wat2wasm("(module (func call 1) (func call 0) (func call 2))")))
    module.names = {0: "has space", 1: "twin", 2: "twin"}
    assert "$" not in print_wat(module)


def test_deep_nesting_prints_in_linear_space() -> None:
    depth = 20_000
    text = "(module (func" + " block" * depth + " end" * depth + "))"
    printed = print_wat(decode(bytes(wasmtime.wat2wasm(text))))
    assert len(printed) < 2 * depth * 100


@pytest.mark.parametrize("text, features", [
    ("(func) (table 1 funcref) (elem (i32.const 0) 0)", []),
    ("(global (mut i32) (i32.const 0)) (export \"g\" (global 0))", ["mutable-globals"]),
    ("(import \"\" \"\" (global (mut i32)))", ["mutable-globals"]),
    ("(func i32.const 0 i32.extend8_s drop)", ["sign-extension"]),
    ("(func f32.const 0 i64.trunc_sat_f32_u drop)", ["nontrapping-float-to-int"]),
    ("(func (result i32 i32) unreachable)", ["multi-value"]),
    ("(type (func (param i32))) (func i32.const 0 block (type 0) drop end)", ["multi-value"]),
    ("(data \"\")", ["bulk-memory"]),
    ("(memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.fill)", ["bulk-memory"]),
    ("(table 1 externref)", ["reference-types"]),
    ("(func (param externref))", ["reference-types"]),
    ("(func v128.const i32x4 1 2 3 4 i8x16.popcnt drop)", ["simd"]),
    ("(func (local v128))", ["simd"]),
    ("(import \"\" \"\" (global v128))", ["simd"]),
    ("(table 1 funcref) (func) (elem (table 0) (i32.const 0) funcref (ref.func 0))",
     ["reference-types"]),
])
def test_features(text: str, features: list[str]) -> None:
    module = decode(bytes(wasmtime.wat2wasm(f"(module {text})")))
    validate(module)
    assert module_features(module) == features

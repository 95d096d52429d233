"""The decoder agrees with wasm-tob, an independent one, wherever that one can read.

wasm-tob reads WebAssembly 1.0. Of a later module it gets sections without later features right,
so that the bodies that hold only 1.0 instructions are compared there, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import wasm_tob
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.feature_report import module_features
from swarmc.compiler.wasm.module import (
    Body,
    Func,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    TableType,
)
from swarmc.compiler.wasm.opcodes import OPCODES, Imm, Opcode
from swarmc.compiler.wasm.types import FuncType
from swarmc.ir.types import Type

#: What wasm-tob calls by the names of drafts; the rest has its name of today.
_RENAMED = {
    "local.get": "get_local", "local.set": "set_local", "local.tee": "tee_local",
    "global.get": "get_global", "global.set": "set_global",
    "memory.size": "current_memory", "memory.grow": "grow_memory",
    "i32.wrap_i64": "i32.wrap/i64", "f32.demote_f64": "f32.demote/f64",
    "f64.promote_f32": "f64.promote/f32",
    **{f"{to}.{verb}_{of}_{sign}": f"{to}.{verb}_{sign}/{of}"
       for verb in ("trunc", "extend", "convert") for to in ("i32", "i64", "f32", "f64")
       for of in ("i32", "i64", "f32", "f64") for sign in "su"},
    **{f"{to}.reinterpret_{of}": f"{to}.reinterpret/{of}"
       for to, of in (("i32", "f32"), ("i64", "f64"), ("f32", "i32"), ("f64", "i64"))},
}
_TYPES = {-0x01: Type.I32, -0x02: Type.I64, -0x03: Type.F32, -0x04: Type.F64,
          -0x10: Type.FUNCREF, -0x11: Type.EXTERNREF}
_KINDS = ("func", "table", "memory", "global")


def _known(body: Body) -> bool:
    """Whether a body holds only what wasm-tob can read."""
    return all(row.proposal == "mvp" and not (row.imm is Imm.BLOCK and isinstance(imm, int))
               for row, imm in zip(body.ops, body.imms, strict=True))


def _immediate(row: Opcode, imm: Any) -> Any:
    """An instruction's immediate as wasm-tob's, from the structure that it decodes."""
    if imm is None:
        return None
    match row.imm:
        case Imm.BLOCK:
            return _TYPES.get(imm.sig) if imm.sig != -0x40 else ()
        case Imm.BR_TABLE:
            return tuple(imm.target_table), imm.default_target
        case Imm.CALL_INDIRECT:
            return imm.type_index, imm.reserved
        case Imm.MEMARG:
            return imm.flags, imm.offset
        case Imm.I32:
            return imm.value & 0xFFFF_FFFF
        case Imm.I64:
            return imm.value & 0xFFFF_FFFF_FFFF_FFFF
    (field,) = (name for name in ("relative_depth", "function_index", "local_index",
                                  "global_index", "reserved", "value") if hasattr(imm, name))
    return getattr(imm, field)


def _ours(row: Opcode, imm: Any) -> Any:
    if row.imm is Imm.BLOCK:
        return imm.results[0] if imm.results else ()
    return imm[:2] if row.imm is Imm.MEMARG else imm


def compare_code(body: Body, instructions: Iterable[Any]) -> None:
    """The instructions of a body are those that wasm-tob decoded: opcode, name, immediates."""
    rows = [(row.code, _RENAMED.get(row.name, row.name), _ours(row, imm))
            for row, imm in zip(body.ops, body.imms, strict=True)]
    theirs = [(item.op.id, item.op.mnemonic, _immediate(row, item.imm))
              for row, item in zip(body.ops, instructions, strict=True)]
    assert rows == theirs


def compare_bodies(module: Module, data: bytes) -> int:
    """Compare the bodies that wasm-tob can read; the number of instructions compared."""
    count = 0
    for func in module.funcs:
        if _known(func.body):
            raw = data[func.body.offsets[0]:func.end]
            compare_code(func.body, wasm_tob.decode_bytecode(raw))
            count += len(func.body.ops)
    return count


def _limits(raw: Any) -> Limits:
    return Limits(raw.initial, raw.maximum if raw.flags & 1 else None)


def _table(raw: Any) -> TableType:
    return TableType(_TYPES[raw.element_type], _limits(raw.limits))


def _memory(raw: Any) -> MemoryType:
    return MemoryType(_limits(raw.limits))


def _global(raw: Any) -> GlobalType:
    return GlobalType(_TYPES[raw.content_type], bool(raw.mutability))


def _func_type(raw: Any) -> FuncType:
    params = tuple(_TYPES[code] for code in raw.param_types or ())
    return FuncType(params, (_TYPES[raw.return_type],) if raw.return_count else ())


def _import(raw: Any) -> tuple[str, str, str, Any]:
    kind = raw.kind
    read = (lambda item: item.type, _table, _memory, _global)[kind]
    return _text(raw.module_str), _text(raw.field_str), _KINDS[kind], read(raw.type)


def _text(raw: Any) -> str:
    return bytes(raw).decode("utf-8")


def _entries(payload: Any, field: str = "entries") -> list[Any]:
    return list(getattr(payload, field)) if payload.count else []


def compare_sections(module: Module, data: bytes) -> None:
    """All sections of a 1.0 module are what wasm-tob reads in them."""
    payloads = {section.data.id: section.data.payload
                for section in list(wasm_tob.decode_module(data))[1:] if section.data.id}

    def entries(id_: int, field: str = "entries") -> list[Any]:
        return _entries(payloads[id_], field) if id_ in payloads else []

    def imported(item: Import) -> tuple[str, str, str, Any]:
        return item.module, item.name, item.kind, item.type

    assert [type_.composite for type_ in module.types] == [_func_type(raw) for raw in entries(1)]
    assert [imported(item) for item in module.imports] == [_import(raw) for raw in entries(2)]
    assert module.func_types == entries(3, "types")
    assert [table.type for table in module.tables] == [_table(raw) for raw in entries(4)]
    assert module.memories == [_memory(raw) for raw in entries(5)]
    globals_ = entries(6, "globals")
    assert [item.type for item in module.globals] == [_global(raw.type) for raw in globals_]
    for global_, raw in zip(module.globals, globals_, strict=True):
        compare_code(global_.init, raw.init)
    assert [(item.name, item.kind, item.index) for item in module.exports] == [
        (_text(raw.field_str), _KINDS[raw.kind], raw.index) for raw in entries(7)]
    assert module.start == (payloads[8].index if 8 in payloads else None)
    _compare_segments(module, entries(9), entries(11))
    for func, raw in zip(module.funcs, entries(10, "bodies"), strict=True):
        _compare_function(func, raw)


def _compare_segments(module: Module, elems: list[Any], data: list[Any]) -> None:
    for elem, raw in zip(module.elems, elems, strict=True):
        assert (elem.mode, elem.table) == ("active", raw.index)
        assert elem.init_offset is not None
        compare_code(elem.init_offset, raw.offset)
        items = list(raw.elems) if raw.num_elem else []
        assert [item.imms[0] for item in elem.items] == items
    for segment, raw in zip(module.data, data, strict=True):
        assert (segment.mode, segment.memory) == ("active", raw.index)
        assert segment.init_offset is not None
        compare_code(segment.init_offset, raw.offset)
        assert segment.data == bytes(raw.data)


def _compare_function(func: Func, raw: Any) -> None:
    locals_ = [(run.count, _TYPES[run.type]) for run in raw.locals] if raw.local_count else []
    assert list(func.locals) == locals_
    assert func.end - func.start == raw.body_size
    code = bytes(raw.code)
    assert len(code) == func.end - func.body.offsets[0]
    compare_code(func.body, wasm_tob.decode_bytecode(code))


def _is_first_version(module: Module, data: bytes) -> bool:
    """Whether wasm-tob can read the module: 1.0 in opcodes, types and flags of segments."""
    inits = [item.init for item in module.globals]
    inits += [elem.init_offset for elem in module.elems if elem.init_offset is not None]
    inits += [item.init_offset for item in module.data if item.init_offset is not None]
    flags = [data[elem.offset] for elem in module.elems]
    flags += [data[segment.offset] for segment in module.data]
    return not any(flags) and not set(module_features(module)) - {"mutable-globals"} and all(
        _known(body) for body in (*inits, *(func.body for func in module.funcs)))


def test_every_instruction_of_the_first_version() -> None:
    by_id = {op.id: op.mnemonic for op in wasm_tob.opcodes.OPCODES}
    rows = {row.code: _RENAMED.get(row.name, row.name) for row in OPCODES
            if row.proposal == "mvp"}
    assert rows == by_id


def test_text_module() -> None:
    data = bytes(wasmtime.wat2wasm("""(module
        (import "env" "f" (func (param i32 i64) (result f32)))
        (import "env" "g" (global i64))
        (table 2 5 funcref) (memory 1 9)
        (global (mut f64) (f64.const -0x1.8p-3))
        (export "m" (memory 0)) (export "g" (global 0))
        (start 1)
        (func (local i32 i32 f64)
            (block (loop (br_if 1 (i32.const -5)) (br_table 0 1 0 (local.get 0))))
            (drop (if (result i64) (i32.const 70000) (then (i64.const -9)) (else (global.get 0))))
            (f32.store offset=300 align=2 (i32.const 0) (call 0 (i32.const 1) (i64.const 2)))
            (call_indirect (i32.const 1)))
        (elem (i32.const 1) 0)
        (data (i32.const 7) "bytes"))"""))
    module = decode(data)
    assert _is_first_version(module, data)
    compare_sections(module, data)


def test_corpus(corpus_modules: list[tuple[str, bytes]]) -> None:
    whole, instructions = 0, 0
    for _, data in corpus_modules:
        module = decode(data)
        if _is_first_version(module, data):
            compare_sections(module, data)
            whole += 1
        instructions += compare_bodies(module, data)
    assert whole >= 3
    assert instructions > 50_000


def test_suite(suite: list[tuple[str, str, bytes, str]]) -> None:
    compared = 0
    for _, kind, data, _ in suite:
        if kind == "module":
            module = decode(data)
            if _is_first_version(module, data):
                compare_sections(module, data)
                compared += 1
            else:
                compare_bodies(module, data)
    assert compared > 300

"""The inverse of the decoder: writes a module as a WebAssembly binary.

Driven by the opcode table's immediates. Byte offsets in the module are ignored; they are what the
encoding gives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from ...compiler.wasm.module import (
    Body,
    Catch,
    Data,
    Elem,
    Global,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    Table,
    TableType,
    TagType,
)
from ...compiler.wasm.opcodes import Imm, Opcode
from ...compiler.wasm.types import ValueType
from ...ir.types import Type
from .leb128 import s, u, vector
from .type_encoder import TypeEncoder

MAGIC = b"\0asm\1\0\0\0"

_KINDS = {"func": 0, "table": 1, "memory": 2, "global": 3, "tag": 4}
_END = 0x0B
_MULTI_MEMORY_FLAG = 0x40


def encode(module: Module) -> bytes:
    """The module as a binary, its custom sections left out.

    Raises:
        ValidationError: it speaks of a type that it does not define.
    """
    types = TypeEncoder(module.types)
    sections = [
        (1, types.groups()),
        (2, [_import(item, types) for item in module.imports]),
        (3, [u(index) for index in module.func_types]),
        (4, [_table(table, types) for table in module.tables]),
        (5, [_limits(memory.limits) for memory in module.memories]),
        (13, [_tag(tag) for tag in module.tags]),
        (6, [_global(item, types) for item in module.globals]),
        (7, [_name(e.name) + bytes([_KINDS[e.kind]]) + u(e.index) for e in module.exports]),
        (8, None if module.start is None else u(module.start)),
        (9, [_elem(item, types) for item in module.elems]),
        (12, None if module.data_count is None else u(module.data_count)),
        (10, [_func(f.locals, f.body, types) for f in module.funcs]),
        (11, [_data(item, types) for item in module.data]),
    ]
    out = [MAGIC]
    for number, content in sections:
        if not content:
            continue
        payload = content if isinstance(content, bytes) else vector(content)
        out += (bytes([number]), u(len(payload)), payload)
    return b"".join(out)


def _name(text: str) -> bytes:
    data = text.encode()
    return u(len(data)) + data


def _limits(limits: Limits) -> bytes:
    flags = 4 if limits.index_type is Type.I64 else 0
    if limits.maximum is None:
        return bytes([flags]) + u(limits.minimum)
    return bytes([flags | 1]) + u(limits.minimum) + u(limits.maximum)


def _table_type(table: TableType, types: TypeEncoder) -> bytes:
    return types.value(table.element) + _limits(table.limits)


def _table(table: Table, types: TypeEncoder) -> bytes:
    if table.init is None:
        return _table_type(table.type, types)
    return b"\x40\0" + _table_type(table.type, types) + encode_body(table.init, types)


def _global_type(type_: GlobalType, types: TypeEncoder) -> bytes:
    return types.value(type_.type) + bytes([type_.mutable])


def _global(item: Global, types: TypeEncoder) -> bytes:
    return _global_type(item.type, types) + encode_body(item.init, types)


def _import(item: Import, types: TypeEncoder) -> bytes:
    head = _name(item.module) + _name(item.name) + bytes([_KINDS[item.kind]])
    match item.type:
        case TableType():
            return head + _table_type(item.type, types)
        case MemoryType():
            return head + _limits(item.type.limits)
        case GlobalType():
            return head + _global_type(item.type, types)
        case TagType():
            return head + _tag(item.type)
        case int():
            return head + u(item.type)


def _tag(tag: TagType) -> bytes:
    return b"\0" + u(tag.type_index)


def _elem(item: Elem, types: TypeEncoder) -> bytes:
    """An element segment in the general form: element type and constant expressions."""
    items = vector([encode_body(body, types) for body in item.items])
    tail = types.value(item.type) + items
    if item.mode == "passive":
        return u(5) + tail
    if item.mode == "declarative":
        return u(7) + tail
    assert item.init_offset is not None
    return u(6) + u(item.table) + encode_body(item.init_offset, types) + tail


def _data(item: Data, types: TypeEncoder) -> bytes:
    content = u(len(item.data)) + item.data
    if item.mode == "passive":
        return u(1) + content
    assert item.init_offset is not None
    if item.memory:
        return u(2) + u(item.memory) + encode_body(item.init_offset, types) + content
    return u(0) + encode_body(item.init_offset, types) + content


def _func(locals_: Iterable[tuple[int, ValueType]], body: Body, types: TypeEncoder) -> bytes:
    runs = vector([u(count) + types.value(type_) for count, type_ in locals_])
    code = runs + encode_body(body, types)
    return u(len(code)) + code


def encode_body(body: Body, types: TypeEncoder) -> bytes:
    """A sequence of instructions; the final ``end`` is among them."""
    return b"".join([
        encode_inst(op, imm, types) for op, imm in zip(body.ops, body.imms, strict=True)])


def encode_inst(op: Opcode, imm: Any, types: TypeEncoder) -> bytes:
    """One instruction with its immediate."""
    head = bytes([op.code]) if op.prefix is None else bytes([op.prefix]) + u(op.code)
    if op.imm in _TYPE_IMMEDIATES:
        return head + _TYPE_IMMEDIATES[op.imm](types, imm)
    return head + _IMMEDIATES[op.imm](imm)


def _memarg(imm: tuple[int, int, int]) -> bytes:
    align, offset, memory = imm
    if memory:
        return u(align | _MULTI_MEMORY_FLAG) + u(memory) + u(offset)
    return u(align) + u(offset)


def _memarg_lane(imm: tuple[int, int, int, int]) -> bytes:
    return _memarg(imm[:3]) + bytes(imm[3:])


def _pair(imm: tuple[int, int]) -> bytes:
    return u(imm[0]) + u(imm[1])


def _br_table(imm: tuple[tuple[int, ...], int]) -> bytes:
    return vector([u(label) for label in imm[0]]) + u(imm[1])


def _catch(clause: Catch) -> bytes:
    tag = b"" if clause.tag is None else u(clause.tag)
    return bytes([clause.ref | (clause.tag is None) << 1]) + tag + u(clause.label)


_IMMEDIATES: dict[Imm, Callable[[Any], bytes]] = {
    Imm.NONE: lambda imm: b"",
    **dict.fromkeys((Imm.LABEL, Imm.TYPE, Imm.FUNC, Imm.LOCAL, Imm.GLOBAL, Imm.TABLE, Imm.MEMORY,
                     Imm.DATA, Imm.ELEM, Imm.TAG), u),
    **dict.fromkeys((Imm.CALL_INDIRECT, Imm.MEMORY_INIT, Imm.MEMORY_COPY, Imm.TABLE_INIT,
                     Imm.TABLE_COPY, Imm.FIELD, Imm.TYPE_COUNT, Imm.TYPE_DATA, Imm.TYPE_ELEM,
                     Imm.TYPE_PAIR), _pair),
    Imm.BR_TABLE: _br_table,
    Imm.MEMARG: _memarg,
    Imm.I32: lambda imm: s(imm, 32),
    Imm.I64: lambda imm: s(imm, 64),
    Imm.F32: lambda imm: struct.pack("<I", imm),
    Imm.F64: lambda imm: struct.pack("<Q", imm),
    Imm.V128: lambda imm: imm.to_bytes(16, "little"),
    Imm.LANE: lambda imm: bytes([imm]),
    Imm.LANES: bytes,
    Imm.MEMARG_LANE: _memarg_lane,
}
#: Those that speak of types.
_TYPE_IMMEDIATES: dict[Imm, Callable[[TypeEncoder, Any], bytes]] = {
    Imm.BLOCK: TypeEncoder.block,
    Imm.SELECT_TYPES: TypeEncoder.values,
    **dict.fromkeys((Imm.REF_TYPE, Imm.NON_NULL_TYPE, Imm.NULLABLE_TYPE), TypeEncoder.heap),
    Imm.CAST: TypeEncoder.cast,
    Imm.TRY_TABLE: lambda types, imm: types.block(imm[0]) + vector([_catch(c) for c in imm[1]]),
}
assert not set(Imm) - set(_IMMEDIATES) - set(_TYPE_IMMEDIATES)

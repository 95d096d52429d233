"""Validation rules of instructions on memories and tables: what they address may take i32 or i64.

The table of instructions has i32 wherever the memory or table decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import ValidationError
from ...ir.types import Type
from .opcodes import Imm, Opcode
from .operands import Operands, mismatch, unknown
from .types import matches

_I32, _I64 = Type.I32, Type.I64


# Memories.


def _access(v: Operands, row: Opcode, imm: tuple[int, ...]) -> None:
    """Loads and stores; the fourth immediate is a lane."""
    address = v.memory(imm[2])
    if 1 << imm[0] > row.width:
        raise ValidationError("alignment must not be larger than natural")
    if imm[1] >> address.bits:
        raise ValidationError("offset out of range")
    if len(imm) > 3:
        check_lane(v, row, imm[3])
    assert row.params is not None and row.results is not None
    v.pop_all(row.params if address is _I32 else (address, *row.params[1:]))
    v.stack += row.results


def check_lane(v: Operands, row: Opcode, lane: int) -> None:
    """Check that the row's vectors have a lane of this number."""
    assert row.shape is not None
    if lane >= row.shape.lanes:
        raise ValidationError(f"invalid lane index {lane}")


def _memory_size(v: Operands, row: Opcode, imm: int) -> None:
    v.stack.append(v.memory(imm))


def _memory_grow(v: Operands, row: Opcode, imm: int) -> None:
    pages = v.memory(imm)
    v.pop(pages)
    v.stack.append(pages)


def _memory_fill(v: Operands, row: Opcode, imm: int) -> None:
    address = v.memory(imm)
    v.pop_all((address, _I32, address))


def _memory_copy(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    _pop_copy(v, v.memory(imm[0]), v.memory(imm[1]))


def _pop_copy(v: Operands, to: Type, source: Type) -> None:
    """Pop two addresses and a length, which fits the smaller of the two."""
    v.pop_all((to, source, _I64 if to is source is _I64 else _I32))


def check_data(v: Operands, row: Opcode, imm: int) -> None:
    """Check that there is a data segment of this number."""
    if imm >= v.context.data:
        raise unknown("data segment", imm)


def _memory_init(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    address = v.memory(imm[1])
    check_data(v, row, imm[0])
    v.pop_all((address, _I32, _I32))


# Tables.


def _table_get(v: Operands, row: Opcode, imm: int) -> None:
    element = v.table(imm)
    v.pop(v.table_index(imm))
    v.stack.append(element)


def _table_set(v: Operands, row: Opcode, imm: int) -> None:
    element = v.table(imm)
    v.pop_all((v.table_index(imm), element))


def _table_size(v: Operands, row: Opcode, imm: int) -> None:
    v.table(imm)
    v.stack.append(v.table_index(imm))


def _table_grow(v: Operands, row: Opcode, imm: int) -> None:
    element, index = v.table(imm), v.table_index(imm)
    v.pop_all((element, index))
    v.stack.append(index)


def _table_fill(v: Operands, row: Opcode, imm: int) -> None:
    element, index = v.table(imm), v.table_index(imm)
    v.pop_all((index, element, index))


def _table_copy(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    to, source = v.table(imm[0]), v.table(imm[1])
    if not matches(source, to):
        raise mismatch(to.value, source)
    _pop_copy(v, v.table_index(imm[0]), v.table_index(imm[1]))


def _table_init(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    table, element = v.table(imm[1]), v.elem(imm[0])
    if not matches(element, table):
        raise mismatch(table.value, element)
    v.pop_all((v.table_index(imm[1]), _I32, _I32))


Rule = Callable[[Operands, Opcode, Any], None]

#: Rules by kind of the immediate, and by name of the row.
BY_IMMEDIATE: dict[Imm, Rule] = {
    Imm.MEMARG: _access, Imm.MEMARG_LANE: _access, Imm.MEMORY_INIT: _memory_init,
    Imm.MEMORY_COPY: _memory_copy, Imm.TABLE_INIT: _table_init, Imm.TABLE_COPY: _table_copy,
}
BY_NAME: dict[str, Rule] = {
    "memory.size": _memory_size, "memory.grow": _memory_grow, "memory.fill": _memory_fill,
    "table.get": _table_get, "table.set": _table_set, "table.size": _table_size,
    "table.grow": _table_grow, "table.fill": _table_fill,
}

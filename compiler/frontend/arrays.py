"""Instructions on arrays. What handles many elements costs one unit of fuel for each."""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.function import Block, Edge, Value
from ...ir.types import Trap, Type
from ..wasm.opcodes import Opcode
from .emitter import Emitter
from .heap import UNIT
from .objects import (
    LENGTH,
    Slot,
    address_of,
    is_zero,
    new_object,
    push_object,
    read,
    write,
)
from .ssa import Node
from .storage import charge_length

_I32, _I64 = Type.I32, Type.I64
_LENGTH = Slot(LENGTH, 4, _I32)


# Sizes and places, in i64, where nothing overflows: an array has less than 2^32 elements.


def _wide(em: Emitter, value: Value, loc: int) -> Value:
    return em.value(o.EXTEND_U, None, [value], (), loc)


def _bytes(em: Emitter, count: Value, slot: Slot, loc: int) -> Value:
    """Bytes of so many (i64) elements."""
    shift = slot.width.bit_length() - 1
    if not shift:
        return count
    return em.value(o.ISHL, _I64, [count, em.const(_I64, shift, loc)], (), loc)


def _place(em: Emitter, address: Value, index: Value, slot: Slot, loc: int) -> Value:
    """What the address of an array becomes for the element at an index (i64)."""
    return em.value(o.IADD, _I64, [address, _bytes(em, index, slot, loc)], (), loc)


def _first_byte(em: Emitter, address: Value, index: Value, slot: Slot, loc: int) -> Value:
    start = _place(em, address, index, slot, loc)
    return em.value(o.IADD, _I64, [start, em.const(_I64, slot.offset, loc)], (), loc)


def _array(em: Emitter, reference: Value, loc: int) -> Value:
    return address_of(em, reference, Trap.NULL_ARRAY_REFERENCE, loc)


def _check_range(em: Emitter, start: Value, count: Value, limit: Value, trap: Trap,
                 loc: int) -> None:
    """Trap unless start + count (i64) is within a limit (i64)."""
    end = em.value(o.IADD, _I64, [start, count], (), loc)
    em.trap_if(em.value(o.IGT_U, _I64, [end, limit], (), loc), trap, loc)


def _check_elements(em: Emitter, address: Value, start: Value, count: Value, loc: int) -> None:
    limit = _wide(em, read(em, address, _LENGTH, False, loc), loc)
    _check_range(em, start, count, limit, Trap.ARRAY_OUT_OF_BOUNDS, loc)


def _repeat(em: Emitter, place: Value, count: Value, slot: Slot, value: Value, loc: int) -> None:
    """Write a value to so many (i64) elements, the first of which has an address."""
    node = em.node
    header, body, after = Block(), Block(), Block()
    index = header.add_param(_I64)
    em.terminate(o.JUMP, [], loc, (Edge(header, [em.const(_I64, 0, loc)]),))
    em.begin_block(Node(header, node, loc))
    done = em.value(o.IGE_U, _I64, [index, count], (), loc)
    em.terminate(o.BR_IF, [done], loc, (Edge(after), Edge(body)))
    em.begin_block(Node(body, node, loc))
    write(em, _place(em, place, index, slot, loc), slot, value, loc)
    following = em.value(o.IADD, _I64, [index, em.const(_I64, 1, loc)], (), loc)
    em.terminate(o.JUMP, [], loc, (Edge(header, [following]),))
    em.begin_block(Node(after, node, loc))


def _fill(em: Emitter, place: Value, count: Value, slot: Slot, value: Value, loc: int) -> None:
    """Set so many elements, the first of which has an address, to a value."""
    if slot.width != 1 and not is_zero(value):
        _repeat(em, place, count, slot, value, loc)
        return
    byte = value if slot.width == 1 else em.const(_I32, 0, loc)
    to = em.value(o.IADD, _I64, [place, em.const(_I64, slot.offset, loc)], (), loc)
    args = [to, byte, _bytes(em, count, slot, loc)]
    em.emit_trapping(o.MEMORY_FILL, _I64, args, (em.env.heap.memory,), loc)


# Making arrays.


def _new(em: Emitter, type_index: int, length: Value, loc: int) -> tuple[Value, Slot]:
    (slot,), _ = em.env.layouts[type_index]
    content = _bytes(em, _wide(em, length, loc), slot, loc)
    padded = em.value(o.IADD, _I64, [content, em.const(_I64, slot.offset + UNIT - 1, loc)], (), loc)
    mask = em.const(_I64, (1 << 64) - UNIT, loc)
    size = em.value(o.IAND, _I64, [padded, mask], (), loc)
    return new_object(em, type_index, size, length, loc), slot


def array_new(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    value, length = em.pop_many(2)
    address, slot = _new(em, imm, length, loc)
    if not is_zero(value):
        _fill(em, address, _wide(em, length, loc), slot, value, loc)
    push_object(em, address, loc)
    charge_length(em, length, loc)


def array_new_default(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    length = em.stack.pop()
    address, _ = _new(em, imm, length, loc)
    push_object(em, address, loc)
    charge_length(em, length, loc)


def array_new_fixed(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    type_index, count = imm
    values = em.pop_many(count)
    address, slot = _new(em, type_index, em.const(_I32, count, loc), loc)
    for number, value in enumerate(values):
        if not is_zero(value):
            there = slot._replace(offset=slot.offset + number * slot.width)
            write(em, address, there, value, loc)
    push_object(em, address, loc)


def array_new_segment(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """From a data or an element segment."""
    type_index, segment = imm
    start, length = em.pop_many(2)
    (slot,), _ = em.env.layouts[type_index]
    source = _Source(em, row, segment, slot, start, length, loc)
    address, _ = _new(em, type_index, length, loc)
    source.copy_to(em.value(o.IADD, _I64, [address, em.const(_I64, slot.offset, loc)], (), loc))
    push_object(em, address, loc)
    charge_length(em, length, loc)


class _Source:
    """A part of a segment, as bytes; it traps if there is no such part."""

    def __init__(self, em: Emitter, row: Opcode, segment: int, slot: Slot, start: Value,
                 count: Value, loc: int) -> None:
        self._em, self._loc = em, loc
        first, number = _wide(em, start, loc), _wide(em, count, loc)
        self._count = _bytes(em, number, slot, loc)
        if row.name.endswith("_data"):
            self._data = em.env.data[segment]
            size = em.const(_I64, em.env.data_sizes[segment], loc)
            # Once it is dropped it is smaller, which copying finds.
            _check_range(em, first, self._count, size, Trap.MEMORY_OUT_OF_BOUNDS, loc)
            self._start = first
        else:
            self._data, length = em.env.elements[segment]
            size = em.value(o.GLOBAL_GET, _I64, [], (length,), loc)
            _check_range(em, first, number, size, Trap.TABLE_OUT_OF_BOUNDS, loc)
            self._start = _bytes(em, first, slot, loc)

    def copy_to(self, address: Value) -> None:
        """Copy the part to an address on the heap."""
        em, loc = self._em, self._loc
        start = em.value(o.WRAP, None, [self._start], (), loc)
        count = em.value(o.WRAP, None, [self._count], (), loc)
        em.emit_trapping(o.MEMORY_INIT, None, [address, start, count],
                         (em.env.heap.memory, self._data), loc)


# Elements.


def _element(em: Emitter, type_index: int, reference: Value, index: Value,
             loc: int) -> tuple[Value, Slot]:
    """A checked element: address of the array moved to it, and its slot."""
    (slot,), _ = em.env.layouts[type_index]
    address = _array(em, reference, loc)
    length = read(em, address, _LENGTH, False, loc)
    beyond = em.value(o.IGE_U, _I32, [index, length], (), loc)
    em.trap_if(beyond, Trap.ARRAY_OUT_OF_BOUNDS, loc)
    return _place(em, address, _wide(em, index, loc), slot, loc), slot


def array_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    reference, index = em.pop_many(2)
    place, slot = _element(em, imm, reference, index, loc)
    em.stack.append(read(em, place, slot, row.name.endswith("_s"), loc))


def array_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    reference, index, value = em.pop_many(3)
    place, slot = _element(em, imm, reference, index, loc)
    write(em, place, slot, value, loc)


def array_len(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(read(em, _array(em, em.stack.pop(), loc), _LENGTH, False, loc))


def array_fill(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    reference, start, value, count = em.pop_many(4)
    (slot,), _ = em.env.layouts[imm]
    address = _array(em, reference, loc)
    first, number = _wide(em, start, loc), _wide(em, count, loc)
    _check_elements(em, address, first, number, loc)
    _fill(em, _place(em, address, first, slot, loc), number, slot, value, loc)
    charge_length(em, count, loc)


def array_copy(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    to, to_start, source, source_start, count = em.pop_many(5)
    (slot,), _ = em.env.layouts[imm[0]]
    to_address, source_address = _array(em, to, loc), _array(em, source, loc)
    first, other = _wide(em, to_start, loc), _wide(em, source_start, loc)
    number = _wide(em, count, loc)
    _check_elements(em, to_address, first, number, loc)
    _check_elements(em, source_address, other, number, loc)
    args = [_first_byte(em, to_address, first, slot, loc),
            _first_byte(em, source_address, other, slot, loc), _bytes(em, number, slot, loc)]
    memory = em.env.heap.memory
    em.emit_trapping(o.MEMORY_COPY, _I64, args, (memory, memory), loc)
    charge_length(em, count, loc)


def array_init(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """From a data or an element segment."""
    type_index, segment = imm
    reference, start, source_start, count = em.pop_many(4)
    (slot,), _ = em.env.layouts[type_index]
    address = _array(em, reference, loc)
    first = _wide(em, start, loc)
    _check_elements(em, address, first, _wide(em, count, loc), loc)
    source = _Source(em, row, segment, slot, source_start, count, loc)
    source.copy_to(_first_byte(em, address, first, slot, loc))
    charge_length(em, count, loc)

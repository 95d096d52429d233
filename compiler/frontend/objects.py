"""How structs and arrays lie on the heap, and how code reaches their parts.

An object begins with eight bytes: the number of its type (u32) and, of an array, its length (u32).
Fields follow in their order, and elements, each at a multiple of its size, up to 8: so a type's
fields are where its supertype has them. A reference to an object is its address; see
:mod:`.casts` for what else an ``anyref`` may be.
"""

from __future__ import annotations

from typing import NamedTuple

from ...ir import ops as o
from ...ir.function import Inst, Value
from ...ir.types import Trap, Type
from ..wasm.types import ArrayType, DefType, FieldType, Packed, StructType, lower_type
from .emitter import Emitter
from .heap import UNIT, allocate, round_up
from .references import is_null

HEADER = 8
#: Where an array's length lies.
LENGTH = 4

_I64 = Type.I64


class Slot(NamedTuple):
    """A field, or the first element of an array: where, how many bytes, and as what it is read."""

    offset: int
    width: int
    type: Type

    @property
    def align(self) -> int:
        """What its address is a multiple of."""
        return min(self.width, UNIT)


class ObjectLayout(NamedTuple):
    """Fields of a struct and its size in bytes; of an array, the first element, without it."""

    slots: tuple[Slot, ...]
    size: int


def layout_of(type_: DefType) -> ObjectLayout:
    """Layout of a struct or an array."""
    slots: list[Slot] = []
    cursor = HEADER
    match type_.composite:
        case StructType(fields):
            for field in fields:
                slot = _slot(field, cursor)
                slots.append(slot)
                cursor = slot.offset + slot.width
        case ArrayType(element):
            slots.append(_slot(element, cursor))
    return ObjectLayout(tuple(slots), round_up(cursor))


def _slot(field: FieldType, cursor: int) -> Slot:
    if isinstance(field.storage, Packed):
        width, type_ = field.storage.bits // 8, Type.I32
    else:
        type_ = lower_type(field.storage)
        width = type_.bits // 8
    align = min(width, UNIT)
    return Slot(-(-cursor // align) * align, width, type_)


# Code.


def address_of(em: Emitter, reference: Value, trap: Trap, loc: int) -> Value:
    """Address of an object; traps if the reference is null."""
    em.trap_if(is_null(em, reference, loc), trap, loc)
    return em.value(o.BITCAST, _I64, [reference], (), loc)


def read(em: Emitter, address: Value, slot: Slot, signed: bool, loc: int) -> Value:
    """Value of a field of the object, or of the element, that an address stands for."""
    attrs = (em.env.heap.memory, slot.offset, slot.width, signed, slot.align)
    return em.value(o.LOAD, slot.type, [address], attrs, loc)


def write(em: Emitter, address: Value, slot: Slot, value: Value, loc: int) -> None:
    """Set a field of an object, or an element."""
    attrs = (em.env.heap.memory, slot.offset, slot.width, slot.align)
    em.emit(o.STORE, slot.type, [address, value], attrs, loc)


def is_zero(value: Value) -> bool:
    """Whether a value is known to be zero or null, as new objects are."""
    made = value.definition
    return isinstance(made, Inst) and made.op is o.CONST and made.attrs[0] == 0


def new_object(em: Emitter, type_index: int, size: Value, length: Value | None,
               loc: int) -> Value:
    """Take an object from the heap, all zero but for its header; its address.

    Args:
        size: bytes (i64), a multiple of 8. length: of an array (i32).
    """
    start = allocate(em, size, loc)
    header = em.const(_I64, em.env.objects[type_index], loc)
    if length is not None:
        wide = em.value(o.EXTEND_U, None, [length], (), loc)
        high = em.value(o.ISHL, _I64, [wide, em.const(_I64, 32, loc)], (), loc)
        header = em.value(o.IOR, _I64, [high, header], (), loc)
    em.emit(o.STORE, _I64, [start, header], (em.env.heap.memory, 0, HEADER, UNIT), loc)
    return start


def push_object(em: Emitter, address: Value, loc: int) -> None:
    """Push the reference to an object."""
    em.stack.append(em.value(o.BITCAST, Type.ANYREF, [address], (), loc))

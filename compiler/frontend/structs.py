"""Instructions on structs."""

from __future__ import annotations

from typing import Any

from ...ir.types import Trap, Type
from ..wasm.opcodes import Opcode
from .emitter import Emitter
from .objects import address_of, is_zero, new_object, push_object, read, write


def struct_new(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    slots, size = em.env.layouts[imm]
    values = em.pop_many(len(slots))
    address = new_object(em, imm, em.const(Type.I64, size, loc), None, loc)
    for slot, value in zip(slots, values, strict=True):
        if not is_zero(value):
            write(em, address, slot, value, loc)
    push_object(em, address, loc)


def struct_new_default(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    size = em.env.layouts[imm].size
    push_object(em, new_object(em, imm, em.const(Type.I64, size, loc), None, loc), loc)


def struct_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    slot = em.env.layouts[imm[0]].slots[imm[1]]
    address = address_of(em, em.stack.pop(), Trap.NULL_STRUCTURE_REFERENCE, loc)
    em.stack.append(read(em, address, slot, row.name.endswith("_s"), loc))


def struct_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    slot = em.env.layouts[imm[0]].slots[imm[1]]
    reference, value = em.pop_many(2)
    address = address_of(em, reference, Trap.NULL_STRUCTURE_REFERENCE, loc)
    write(em, address, slot, value, loc)

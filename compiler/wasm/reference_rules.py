"""Validation rules of instructions on references: null or not, and branches on that."""

from __future__ import annotations

from ...errors import ValidationError
from ...ir.types import Type
from .memory_rules import Rule
from .opcodes import Opcode
from .operands import REFERENCE, UNKNOWN, Entry, Mark, Operands, fits, mismatch
from .types import ValueType, heap_type, ref_type


def pop_reference(v: Operands) -> Entry:
    """Pop a reference of any type."""
    entry = v.pop_any()
    if entry is UNKNOWN or entry is REFERENCE:
        return REFERENCE
    if isinstance(entry, Mark) or not entry.is_ref:
        raise mismatch("a reference", entry)
    return entry


def non_null(entry: Entry) -> Entry:
    """The type of a reference that has turned out not to be null."""
    return entry if isinstance(entry, Mark) else ref_type(False, heap_type(entry))


def _ref_null(v: Operands, row: Opcode, imm: ValueType) -> None:
    v.stack.append(imm)


def _ref_func(v: Operands, row: Opcode, imm: int) -> None:
    type_ = v.func(imm)
    if imm not in v.context.references:
        raise ValidationError(f"undeclared function reference {imm}")
    v.stack.append(ref_type(False, type_))


def _ref_is_null(v: Operands, row: Opcode, imm: None) -> None:
    pop_reference(v)
    v.stack.append(Type.I32)


def _ref_as_non_null(v: Operands, row: Opcode, imm: None) -> None:
    v.stack.append(non_null(pop_reference(v)))


def _br_on_null(v: Operands, row: Opcode, imm: int) -> None:
    entry = pop_reference(v)
    types = v.label_types(imm)
    v.pop_all(types)
    v.push_all(types)
    v.stack.append(non_null(entry))


def _br_on_non_null(v: Operands, row: Opcode, imm: int) -> None:
    types = v.label_types(imm)
    if not types or not types[-1].is_ref:
        raise ValidationError("type mismatch: the label takes no reference")
    entry = non_null(pop_reference(v))
    if not fits(entry, types[-1]):
        raise mismatch(types[-1].value, entry)
    v.pop_all(types[:-1])
    v.push_all(types[:-1])


BY_NAME: dict[str, Rule] = {
    "ref.null": _ref_null, "ref.func": _ref_func, "ref.is_null": _ref_is_null,
    "ref.as_non_null": _ref_as_non_null, "br_on_null": _br_on_null,
    "br_on_non_null": _br_on_non_null,
}

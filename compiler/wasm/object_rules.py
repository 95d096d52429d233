"""Validation rules of instructions on structs, arrays and small integers, and of casts."""

from __future__ import annotations

from ...errors import ValidationError
from ...ir.types import Type
from .memory_rules import Rule, check_data
from .opcodes import BY_NAME as ROWS
from .opcodes import Imm, Opcode
from .operands import REFERENCE, Entry, Mark, Operands, fits, mismatch, unknown
from .reference_rules import non_null, pop_reference
from .types import (
    ArrayType,
    FieldType,
    Packed,
    StructType,
    ValueType,
    heap_type,
    is_defaultable,
    is_nullable,
    matches,
    ref_type,
    storage_matches,
)

#: Operands of ``array.new_fixed`` at most; other engines have the same limit.
MAX_FIXED = 10_000

_I32 = Type.I32


def _struct(v: Operands, index: int) -> StructType:
    type_ = v.defined(index).composite
    if not isinstance(type_, StructType):
        raise ValidationError(f"type mismatch: type {index} is no struct type")
    return type_


def _array(v: Operands, index: int) -> FieldType:
    """Type of the elements of an array type."""
    type_ = v.defined(index).composite
    if not isinstance(type_, ArrayType):
        raise ValidationError(f"type mismatch: type {index} is no array type")
    return type_.element


def _mutable_array(v: Operands, index: int) -> FieldType:
    element = _array(v, index)
    if not element.mutable:
        raise ValidationError("array is immutable")
    return element


def _numeric_array(element: FieldType) -> None:
    if element.value.is_ref:
        raise ValidationError("array type is not numeric or vector")


def _ref(v: Operands, index: int) -> ValueType:
    """Type of an operand that is an object of a type, or null."""
    return ref_type(True, v.defined(index))


def _push_new(v: Operands, index: int) -> None:
    v.stack.append(ref_type(False, v.defined(index)))


def _unpacked(field: FieldType, row: Opcode) -> None:
    """Narrow fields are read with a sign, others without."""
    extends = row.name.endswith(("_s", "_u"))
    if extends != isinstance(field.storage, Packed):
        what = "is packed" if isinstance(field.storage, Packed) else "is not packed"
        raise ValidationError(f"type mismatch: {field.storage.value} {what}")


def _default(field: FieldType) -> None:
    if not is_defaultable(field.value):
        raise ValidationError(f"type mismatch: {field.value.value} has no default value")


# Structs.


def _struct_new(v: Operands, row: Opcode, imm: int) -> None:
    v.pop_all(tuple([field.value for field in _struct(v, imm).fields]))
    _push_new(v, imm)


def _struct_new_default(v: Operands, row: Opcode, imm: int) -> None:
    for field in _struct(v, imm).fields:
        _default(field)
    _push_new(v, imm)


def _field(v: Operands, imm: tuple[int, int]) -> FieldType:
    fields = _struct(v, imm[0]).fields
    if imm[1] >= len(fields):
        raise unknown("field", imm[1])
    return fields[imm[1]]


def _struct_get(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    field = _field(v, imm)
    _unpacked(field, row)
    v.pop(_ref(v, imm[0]))
    v.stack.append(field.value)


def _struct_set(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    field = _field(v, imm)
    if not field.mutable:
        raise ValidationError("field is immutable")
    v.pop_all((_ref(v, imm[0]), field.value))


# Arrays.


def _array_new(v: Operands, row: Opcode, imm: int) -> None:
    v.pop_all((_array(v, imm).value, _I32))
    _push_new(v, imm)


def _array_new_default(v: Operands, row: Opcode, imm: int) -> None:
    _default(_array(v, imm))
    v.pop(_I32)
    _push_new(v, imm)


def _array_new_fixed(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    index, count = imm
    element = _array(v, index).value
    if count > MAX_FIXED:
        raise ValidationError(f"array.new_fixed with more than {MAX_FIXED} operands")
    v.pop_all((element,) * count)
    _push_new(v, index)


def _segment(v: Operands, row: Opcode, index: int, element: FieldType) -> None:
    """Check that elements of a type can come from a segment."""
    if row.imm is Imm.TYPE_DATA:
        _numeric_array(element)
        check_data(v, row, index)
        return
    found = v.elem(index)
    if not storage_matches(found, element.storage):
        raise mismatch(element.storage.value, found)


def _array_new_segment(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    _segment(v, row, imm[1], _array(v, imm[0]))
    v.pop_all((_I32, _I32))
    _push_new(v, imm[0])


def _array_get(v: Operands, row: Opcode, imm: int) -> None:
    element = _array(v, imm)
    _unpacked(element, row)
    v.pop_all((_ref(v, imm), _I32))
    v.stack.append(element.value)


def _array_set(v: Operands, row: Opcode, imm: int) -> None:
    element = _mutable_array(v, imm)
    v.pop_all((_ref(v, imm), _I32, element.value))


def _array_fill(v: Operands, row: Opcode, imm: int) -> None:
    element = _mutable_array(v, imm)
    v.pop_all((_ref(v, imm), _I32, element.value, _I32))


def _array_copy(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    to, source = imm
    element = _mutable_array(v, to)
    if not storage_matches(_array(v, source).storage, element.storage):
        raise ValidationError("array types do not match")
    v.pop_all((_ref(v, to), _I32, _ref(v, source), _I32, _I32))


def _array_init(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    _segment(v, row, imm[1], _mutable_array(v, imm[0]))
    v.pop_all((_ref(v, imm[0]), _I32, _I32, _I32))


# Casts.


def _pop_of_hierarchy(v: Operands, type_: ValueType) -> None:
    """Pop a reference that may be of a type."""
    v.pop(heap_type(type_).ir)


def _ref_test(v: Operands, row: Opcode, imm: ValueType) -> None:
    _pop_of_hierarchy(v, imm)
    v.stack.append(_I32)


def _ref_cast(v: Operands, row: Opcode, imm: ValueType) -> None:
    _pop_of_hierarchy(v, imm)
    v.stack.append(imm)


def _br_on_cast(v: Operands, row: Opcode, imm: tuple[int, ValueType, ValueType]) -> None:
    label, source, target = imm
    if not matches(target, source):
        raise mismatch(source.value, target)
    rest = ref_type(False, heap_type(source)) if is_nullable(target) else source
    taken, stays = (target, rest) if row is _ON_CAST else (rest, target)
    types = v.label_types(label)
    if not types or not matches(taken, types[-1]):
        raise ValidationError("type mismatch: the label does not take the reference")
    v.pop(source)
    v.pop_all(types[:-1])
    v.push_all(types[:-1])
    v.stack.append(stays)


def _convert(v: Operands, row: Opcode, imm: None) -> None:
    """Between the outside's references and the inside's; null stays null."""
    source, target = _CONVERSIONS[row]
    entry: Entry = pop_reference(v)
    if entry is not REFERENCE and not fits(entry, source):
        raise mismatch(source.value, entry)
    nullable = not isinstance(entry, Mark) and is_nullable(entry)
    v.stack.append(target if nullable else non_null(target))


_ON_CAST = ROWS["br_on_cast"]
_CONVERSIONS = {ROWS["any.convert_extern"]: (Type.EXTERNREF, Type.ANYREF),
                ROWS["extern.convert_any"]: (Type.ANYREF, Type.EXTERNREF)}

BY_NAME: dict[str, Rule] = {
    "struct.new": _struct_new, "struct.new_default": _struct_new_default,
    **dict.fromkeys(("struct.get", "struct.get_s", "struct.get_u"), _struct_get),
    "struct.set": _struct_set,
    "array.new": _array_new, "array.new_default": _array_new_default,
    "array.new_fixed": _array_new_fixed,
    **dict.fromkeys(("array.new_data", "array.new_elem"), _array_new_segment),
    **dict.fromkeys(("array.get", "array.get_s", "array.get_u"), _array_get),
    "array.set": _array_set, "array.fill": _array_fill, "array.copy": _array_copy,
    **dict.fromkeys(("array.init_data", "array.init_elem"), _array_init),
    **dict.fromkeys(("ref.test", "ref.test null"), _ref_test),
    **dict.fromkeys(("ref.cast", "ref.cast null"), _ref_cast),
    **dict.fromkeys(("br_on_cast", "br_on_cast_fail"), _br_on_cast),
    **dict.fromkeys(("any.convert_extern", "extern.convert_any"), _convert),
}

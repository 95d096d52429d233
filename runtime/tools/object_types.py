"""Generates types of structs and arrays: narrow fields, super types, recursive groups."""

from __future__ import annotations

from ...compiler.wasm.types import (
    ArrayType,
    DefType,
    FieldType,
    Heap,
    Packed,
    StructType,
    ValueType,
    canonical,
    define,
    ref_type,
)
from ...ir.types import Type
from .choices import Choices
from .generator_rows import NUMERIC

_REFERENCES: tuple[ValueType, ...] = (
    Type.ANYREF, Type.FUNCREF, Type.EXTERNREF, ref_type(True, Heap.EQ), ref_type(True, Heap.I31))


def object_types(choices: Choices) -> list[DefType]:
    """Types in the order of the type section; none at times. All values have a default."""
    if not choices.chance(3, 4):
        return []
    types: list[DefType] = []
    for _ in range(1 + choices.below(2)):
        base = define(StructType(_fields(choices, types, 4)), final=False)
        _add(types, (base,))
        if choices.chance(1, 2):
            assert isinstance(base.composite, StructType)
            longer = base.composite.fields + _fields(choices, types, 2)
            _add(types, (define(StructType(longer), final=choices.chance(1, 2), supertype=base),))
    if choices.chance(1, 2):
        _add(types, _recursive(choices))
    narrow: tuple[ValueType | Packed, ...] = (Type.I32, Packed.I8, Packed.I16)
    segments: tuple[ValueType, ...] = (Type.FUNCREF, Type.EXTERNREF)
    for storage in (choices.pick(narrow), choices.pick(NUMERIC), choices.pick(_REFERENCES),
                    choices.pick(segments)):
        _add(types, (define(ArrayType(FieldType(storage, not choices.chance(1, 12)))),))
    return types


def _add(types: list[DefType], group: tuple[DefType, ...]) -> None:
    if group[0] not in types:
        types += group


def _fields(choices: Choices, types: list[DefType], most: int) -> tuple[FieldType, ...]:
    return tuple(FieldType(_storage(choices, types), not choices.chance(1, 6))
                 for _ in range(1 + choices.below(most)))


def _storage(choices: Choices, types: list[DefType]) -> ValueType | Packed:
    kind = choices.below(8)
    if kind < 4:
        return choices.pick(NUMERIC)
    if kind < 6:
        return choices.pick((Packed.I8, Packed.I16))
    if types and kind == 6:
        return ref_type(True, choices.pick(types))
    return choices.pick(_REFERENCES)


def _recursive(choices: Choices) -> tuple[DefType, ...]:
    """A list node, alone or together with the array of such nodes."""
    node, nodes = DefType(), DefType()
    fields = [FieldType(ref_type(True, node), True), *_fields(choices, [], 2)]
    if choices.chance(1, 2):
        node.fill(StructType(tuple(fields)))
        return canonical((node,))
    node.fill(StructType((*fields, FieldType(ref_type(True, nodes), True))))
    nodes.fill(ArrayType(FieldType(ref_type(True, node), True)))
    return canonical((node, nodes))

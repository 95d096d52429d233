"""Writes types in the binary format, with those that a module defines by their index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...compiler.wasm.type_reader import HEAP_TYPES, NON_NULL, NULLABLE
from ...compiler.wasm.types import (
    ArrayType,
    DefType,
    FieldType,
    FuncType,
    Heap,
    Packed,
    RefType,
    StructType,
    ValueType,
    heap_type,
    is_nullable,
)
from ...errors import ValidationError
from ...ir.types import Type
from .leb128 import s, u, vector

_HEAP_BYTES = {heap: code for code, (heap, _) in HEAP_TYPES.items()}
_TYPE_BYTES = {
    Type.I32: b"\x7f", Type.I64: b"\x7e", Type.F32: b"\x7d", Type.F64: b"\x7c", Type.V128: b"\x7b",
}
_PACKED_BYTES = {Packed.I8: b"\x78", Packed.I16: b"\x77"}
_EMPTY = b"\x40"


class TypeEncoder:
    """The encodings of types in one module; the first of equal types stands for them all."""

    def __init__(self, types: Sequence[DefType]) -> None:
        self._types = types
        self._indices: dict[DefType, int] = {}
        for index, type_ in enumerate(types):
            self._indices.setdefault(type_, index)

    def groups(self) -> list[bytes]:
        """The entries of the type section."""
        found = []
        first = 0
        while first < len(self._types):
            group = self._types[first].group
            encoder = self
            if self._indices[group[0]] != first:
                encoder = TypeEncoder(())  # it refers to its own members, not to equal ones
                encoder._indices = self._indices | {
                    member: first + place for place, member in enumerate(group)}
            entries = [encoder._definition(member) for member in group]
            found.append(entries[0] if len(group) == 1 else b"\x4e" + vector(entries))
            first += len(group)
        return found

    def _definition(self, type_: DefType) -> bytes:
        match type_.composite:
            case FuncType(params, results):
                text = b"\x60" + self.values(params) + self.values(results)
            case StructType(fields):
                text = b"\x5f" + vector([self._field(field) for field in fields])
            case ArrayType(element):
                text = b"\x5e" + self._field(element)
        if type_.final and type_.supertype is None:
            return text
        above = [] if type_.supertype is None else [u(self._indices[type_.supertype])]
        return (b"\x4f" if type_.final else b"\x50") + vector(above) + text

    def _field(self, field: FieldType) -> bytes:
        storage = field.storage
        text = _PACKED_BYTES[storage] if isinstance(storage, Packed) else self.value(storage)
        return text + bytes([field.mutable])

    def value(self, type_: ValueType) -> bytes:
        """A value type."""
        if isinstance(type_, Type) and not type_.is_ref:
            return _TYPE_BYTES[type_]
        if isinstance(type_, RefType) and not (type_.nullable and isinstance(type_.heap, Heap)):
            return bytes([NULLABLE if type_.nullable else NON_NULL]) + self.heap(type_)
        return self.heap(type_)

    def heap(self, type_: ValueType) -> bytes:
        """What a reference type refers to.

        Raises:
            ValidationError: a type that the module does not define.
        """
        heap = heap_type(type_)
        if isinstance(heap, Heap):
            return bytes([_HEAP_BYTES[heap]])
        if heap not in self._indices:
            raise ValidationError(f"unknown type {heap}")
        return s(self._indices[heap], 33)

    def cast(self, imm: tuple[int, ValueType, ValueType]) -> bytes:
        """The immediates of a branch on a cast."""
        label, source, target = imm
        flags = is_nullable(source) | is_nullable(target) << 1
        return bytes([flags]) + u(label) + self.heap(source) + self.heap(target)

    def values(self, types: Iterable[ValueType]) -> bytes:
        """A vector of value types."""
        return vector([self.value(type_) for type_ in types])

    def block(self, type_: FuncType | int) -> bytes:
        """A block type."""
        if isinstance(type_, int):
            return s(type_, 33)
        return self.value(type_.results[0]) if type_.results else _EMPTY

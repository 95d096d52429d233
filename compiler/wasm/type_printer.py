"""Prints types in the text format, with those that a module defines by their index."""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.types import Type
from .module import GlobalType, Limits, TableType
from .types import (
    ArrayType,
    DefType,
    FieldType,
    FuncType,
    Heap,
    RefType,
    StructType,
    ValueType,
    heap_type,
)


class TypePrinter:
    """The text of types, in one module.

    Types that are equal have one text: that of the first one's index.
    """

    def __init__(self, types: list[DefType]) -> None:
        self._types = types
        self._indices: dict[DefType, int] = {}
        for index, type_ in enumerate(types):
            self._indices.setdefault(type_, index)

    def definitions(self) -> Iterator[str]:
        """The lines of the type section, a group after the other."""
        first = 0
        while first < len(self._types):
            group = self._types[first].group
            printer = self
            if self._indices[group[0]] != first:
                # A group refers to its own members, even if it is equal to an earlier one.
                printer = TypePrinter([])
                printer._indices = self._indices | {
                    member: first + place for place, member in enumerate(group)}
            alone = len(group) == 1
            if not alone:
                yield "  (rec"
            for index, member in enumerate(group, first):
                yield ("  " if alone else "    ") + printer._definition(index, member)
            if not alone:
                yield "  )"
            first += len(group)

    def _definition(self, index: int, type_: DefType) -> str:
        match type_.composite:
            case FuncType() as func:
                text = f"(func{self.func(func)})"
            case StructType(fields):
                text = f"(struct{''.join(f' (field {self._field(field)})' for field in fields)})"
            case ArrayType(element):
                text = f"(array {self._field(element)})"
        if not type_.final or type_.supertype is not None:
            above = "" if type_.supertype is None else f" {self._indices[type_.supertype]}"
            text = f"(sub{' final' if type_.final else ''}{above} {text})"
        return f"(type (;{index};) {text})"

    def _field(self, field: FieldType) -> str:
        storage = field.storage
        text = self.value(storage) if isinstance(storage, RefType) else storage.value
        return f"(mut {text})" if field.mutable else text

    def value(self, type_: ValueType) -> str:
        """A value type."""
        if isinstance(type_, RefType) and isinstance(type_.heap, DefType):
            return f"(ref {'null ' if type_.nullable else ''}{self._indices[type_.heap]})"
        return type_.value

    def heap(self, type_: ValueType) -> str:
        """What a reference type refers to."""
        heap = heap_type(type_)
        return heap.value if isinstance(heap, Heap) else str(self._indices[heap])

    def values(self, keyword: str, types: tuple[ValueType, ...]) -> str:
        """Types in parentheses behind a keyword; nothing if there are none."""
        return f" ({keyword} {' '.join(map(self.value, types))})" if types else ""

    def func(self, type_: FuncType) -> str:
        """Parameters and results."""
        return self.values("param", type_.params) + self.values("result", type_.results)

    def block(self, type_: FuncType | int) -> str:
        """A block type."""
        return f" (type {type_})" if isinstance(type_, int) else self.func(type_)

    def table(self, type_: TableType) -> str:
        """A table type."""
        return f"{limits_text(type_.limits)} {self.value(type_.element)}"

    def global_(self, type_: GlobalType) -> str:
        """A global type."""
        return f"(mut {self.value(type_.type)})" if type_.mutable else self.value(type_.type)


def limits_text(limits: Limits) -> str:
    """Size limits."""
    index = "i64 " if limits.index_type is Type.I64 else ""
    return f"{index}{limits.minimum}" + (f" {limits.maximum}" if limits.maximum is not None else "")

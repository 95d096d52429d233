"""What a module under generation holds, for the bodies that refer to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...compiler.wasm.types import DefType, FuncType, Heap, RefType, ValueType, define
from ...ir.types import Type


class PlannedMemory(NamedTuple):
    """A memory: pages at first, and the type of its addresses."""

    pages: int
    address: Type


class PlannedTable(NamedTuple):
    """A table: its elements' type, how many there are at first, and the type of its indices."""

    element: ValueType
    size: int
    indices: Type


@dataclass(slots=True)
class Plan:
    """What bodies may refer to.

    Attributes:
        slots: of each table, the functions that its elements are at first (None: null).
        referable: functions that ``ref.func`` may name.
        callees: functions that spend the call budget, so that calling them comes to an end.
        budget: global that counts calls down. pointer: global that is a stack pointer.
        objects: types of structs and arrays, the first ones of the module.
        hints: constants that are used again and again. tags: what exceptions carry.
        refs: types of references.
    """

    types: list[FuncType]
    functions: list[FuncType]
    globals: list[tuple[ValueType, bool]]
    tables: list[PlannedTable]
    slots: list[list[int | None]]
    elems: list[tuple[ValueType, int]]
    data: list[int]
    memories: list[PlannedMemory]
    referable: list[int]
    budget: int
    pointer: int
    objects: list[DefType] = field(default_factory=list)
    callees: list[int] = field(default_factory=list)
    hints: dict[Type, list[int]] = field(default_factory=dict)
    tags: list[tuple[ValueType, ...]] = field(default_factory=list)
    refs: list[ValueType] = field(default_factory=lambda: [Type.FUNCREF, Type.EXTERNREF])

    def type_index(self, type_: FuncType) -> int:
        """Number of a function type, which is declared if it is new."""
        if type_ not in self.types:
            self.types.append(type_)
        return len(self.objects) + self.types.index(type_)

    def defined_types(self) -> list[DefType]:
        """All types of the module."""
        return [*self.objects, *map(define, self.types)]

    def functions_of(self, type_: RefType) -> list[int]:
        """Functions that a reference of a type may refer to."""
        heap = type_.heap
        return [number for number in self.referable if heap is Heap.FUNC or
                (isinstance(heap, DefType) and heap.composite == self.functions[number])]


@dataclass(slots=True)
class Frame:
    """A construct that is open: the types of its label and its end, and where its stack starts."""

    labels: tuple[ValueType, ...]
    ends: tuple[ValueType, ...]
    base: int
    loop: bool = False
    dead: bool = False

"""Generates what a module declares: memory, tables, globals, segments and function types."""

from __future__ import annotations

from ...compiler.wasm.module import (
    Body,
    Data,
    Elem,
    Export,
    Global,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    Table,
    TableType,
    TagType,
)
from ...compiler.wasm.opcodes import BY_NAME
from ...compiler.wasm.types import FuncType, Heap, RefType, ValueType, define, ref_type
from ...ir.module import PAGE_SIZE
from ...ir.types import Type
from .choices import Choices
from .edge_values import edge_value
from .generator_plan import Plan, PlannedMemory, PlannedTable
from .generator_rows import NUMERIC
from .object_types import object_types

_REFS = (Type.FUNCREF, Type.EXTERNREF)
_HOST = "host"


def constant(type_: ValueType, bits: int) -> Body:
    """A constant expression."""
    if type_ in NUMERIC:
        return _expression(f"{type_.value}.const", bits)
    return _expression("ref.null", type_)


def _expression(name: str, imm: object) -> Body:
    return Body([BY_NAME[name], BY_NAME["end"]], [imm, None], [0, 0])


class Declarations:
    """Declares everything but function bodies.

    Args:
        functions: most functions, the first one and imports not counted.

    Attributes:
        module: the module, in which functions are still missing. plan: the same for bodies.
        first: number of the first function with a body.
    """

    def __init__(self, choices: Choices, functions: int) -> None:
        self.choices = choices
        self.module = Module()
        self.plan = Plan([], [], [], [], [], [], [], [], [], 0, 1)
        self.plan.objects = object_types(choices)
        self._memories()
        self.first = self._signatures(functions)
        self._typed_references()
        self._tags()
        self._globals()
        self._tables()
        self._typed_table()
        self._segments()

    def _memories(self) -> None:
        """None, one or several, with equally many pages: the oracle's limit is one for all."""
        kind = self.choices.below(32)
        if kind == 31:
            return
        pages = {30: 0, 29: 2, 28: 3, 27: 2}.get(kind, 1)
        for number in range(self.choices.pick((1, 1, 1, 2, 3))):
            maximum = self.choices.pick((None, pages, pages + 1, pages + 3, 65536))
            address = self._index_type()
            self.plan.memories.append(PlannedMemory(pages, address))
            type_ = MemoryType(Limits(pages, maximum, address))
            if number == 0 and self.choices.chance(1, 20):
                self.module.imports.append(Import(_HOST, "memory", "memory", type_, 0))
            else:
                self.module.memories.append(type_)
            name = f"memory{number}" if number else "memory"
            self.module.exports.append(Export(name, "memory", number, 0))

    def _index_type(self) -> Type:
        return Type.I64 if self.choices.chance(1, 4) else Type.I32

    def _value_type(self, references: bool = True) -> ValueType:
        if references and self.choices.chance(1, 10):
            return self.choices.pick(_REFS)
        return self.choices.pick(NUMERIC)

    def _signature(self, references: bool = True) -> FuncType:
        many = self.choices.chance(1, 24)
        arity = self.choices.below(20 if many else 5)
        params = [self._value_type(references) for _ in range(arity)]
        count = self.choices.pick((1, 1, 1, 0, 2, 3)) + (self.choices.below(8) if many else 0)
        return FuncType(tuple(params),
                        tuple(self._value_type(references) for _ in range(count)))

    def _signatures(self, most: int) -> int:
        """Types of all functions: an import at times, then ``run``, then the others."""
        if self.choices.chance(1, 8):
            type_ = self._signature()
            item = Import(_HOST, "missing", "func", self.plan.type_index(type_), 0)
            self.module.imports.append(item)
            self.plan.functions.append(type_)
        first = len(self.plan.functions)
        self.plan.functions.append(self._signature(references=self.choices.chance(1, 4)))
        for _ in range(self.choices.below(most)):
            repeated = self.choices.chance(1, 3)
            self.plan.functions.append(
                self.choices.pick(self.plan.functions) if repeated else self._signature())
        for type_ in self.plan.functions:
            self.plan.type_index(type_)
        self.plan.referable = list(range(len(self.plan.functions)))
        self.plan.callees = self.plan.referable[first + 1 :]
        return first

    def _globals(self) -> None:
        if self.choices.chance(1, 10):
            self._import_global()
        self.plan.budget = len(self.plan.globals)
        self.plan.pointer = self.plan.budget + 1
        self._global(Type.I32, True, constant(Type.I32, 50))
        self._global(Type.I32, True, constant(Type.I32, 0x800))
        for type_ in NUMERIC:
            for _ in range(1 + self.choices.below(2)):
                init = self._known(type_) or self._computed(
                    type_, edge_value(self.choices, type_))
                self._global(type_, not self.choices.chance(1, 5), init)
        for type_ in _REFS:
            if self.choices.chance(1, 2):
                init = constant(type_, 0)
                if type_ is Type.FUNCREF and self.choices.chance(1, 2):
                    init = _expression("ref.func", self.choices.pick(self.plan.referable))
                self._global(type_, True, init)
        if self.plan.tags and self.choices.chance(1, 2):
            self._global(Type.EXNREF, True, constant(Type.EXNREF, 0))
        for type_ in NUMERIC:
            self.plan.hints[type_] = [edge_value(self.choices, type_) for _ in range(2)]

    def _global(self, type_: ValueType, mutable: bool, init: Body) -> None:
        self.plan.globals.append((type_, mutable))
        self.module.globals.append(Global(GlobalType(type_, mutable), init, 0))
        if not self.choices.chance(1, 4):
            number = len(self.plan.globals) - 1
            self.module.exports.append(Export(f"g{number}", "global", number, 0))

    def _import_global(self) -> None:
        """A global that nobody provides: the agent's own, zero."""
        type_, mutable = self._value_type(), self.choices.chance(1, 2)
        item = Import(_HOST, "global", "global", GlobalType(type_, mutable), 0)
        self.module.imports.append(item)
        self.plan.globals.append((type_, mutable))
        self.module.exports.append(Export("g0", "global", 0, 0))

    def _known(self, type_: ValueType) -> Body | None:
        """At times the value of an imported global, as a constant expression."""
        known = [n for n in range(self.plan.budget) if self.plan.globals[n] == (type_, False)]
        if known and self.choices.chance(1, 2):
            return _expression("global.get", known[0])
        return None

    def _computed(self, type_: Type, bits: int) -> Body:
        """A constant expression for a number, at times one that is computed."""
        if type_ not in (Type.I32, Type.I64) or not self.choices.chance(1, 6):
            return constant(type_, bits)
        name, mask = type_.value, (1 << type_.bits) - 1
        other = edge_value(self.choices, type_)
        body = self._known(type_) or constant(type_, 0)
        ops, imms = body.ops[:-1], body.imms[:-1]
        for operator, operand in (("mul", 0), ("sub", other), ("add", bits), ("add", other)):
            ops += [BY_NAME[f"{name}.const"], BY_NAME[f"{name}.{operator}"]]
            imms += [operand & mask, None]
        return Body([*ops, BY_NAME["end"]], [*imms, None], [0] * (len(ops) + 1))

    def _tables(self) -> None:
        minimum = self.choices.pick((8, 16, 3, 1, 0))  # one for all: so is the oracle's limit
        for element in self.choices.pick(((Type.FUNCREF,), (Type.FUNCREF, Type.EXTERNREF),
                                          (Type.FUNCREF, Type.FUNCREF), (Type.EXTERNREF,),
                                          (Type.FUNCREF, Type.EXTERNREF, Type.FUNCREF))):
            maximum = self.choices.pick((None, None, minimum + 2, minimum))
            number = len(self.plan.tables)
            index = self._index_type()
            type_ = TableType(element, Limits(minimum, maximum, index))
            self.plan.tables.append(PlannedTable(element, minimum, index))
            self.plan.slots.append([None] * minimum)
            if number == 0 and self.choices.chance(1, 20):
                self.module.imports.append(Import(_HOST, "table", "table", type_, 0))
            else:
                self.module.tables.append(Table(type_))
            if not self.choices.chance(1, 4):
                self.module.exports.append(Export(f"t{number}", "table", number, 0))

    def _typed_references(self) -> None:
        """References to objects, and to functions of some types, for bodies to use."""
        if self.plan.objects:
            inside = (Type.ANYREF, ref_type(True, Heap.EQ), ref_type(True, Heap.I31),
                      ref_type(True, Heap.STRUCT), ref_type(True, Heap.ARRAY))
            self.plan.refs += [*inside, *(ref_type(True, type_) for type_ in self.plan.objects)]
        for _ in range(self.choices.below(3)):
            function = self.choices.pick(self.plan.functions)
            type_ = ref_type(True, define(function))
            if type_ not in self.plan.refs:
                self.plan.refs.append(type_)

    def _tags(self) -> None:
        """In half of the modules, kinds of exceptions, some of one type."""
        for number in range(self.choices.pick((0, 0, 1, 2, 4))):
            count = self.choices.pick((1, 0, 2, 3, 9))
            types = tuple(self._value_type() for _ in range(count))
            if self.plan.tags and self.choices.chance(1, 3):
                types = self.choices.pick(self.plan.tags)
            self.plan.tags.append(types)
            self.module.tags.append(TagType(self.plan.type_index(FuncType(types, ())), 0))
            if self.choices.chance(1, 4):
                self.module.exports.append(Export(f"e{number}", "tag", number, 0))
        if self.plan.tags:
            self.plan.refs.append(Type.EXNREF)

    def _typed_table(self) -> None:
        """At times a table of such references, which begin as a function."""
        typed = [type_ for type_ in self.plan.refs if isinstance(type_, RefType)
                 and self.plan.functions_of(type_)]
        if not typed or not self.choices.chance(1, 4):
            return
        nullable = self.choices.pick(typed)
        element: ValueType = nullable
        function = self.choices.pick(self.plan.functions_of(nullable))
        if self.choices.chance(1, 3):
            element = ref_type(False, nullable.heap)
        minimum = self.plan.tables[0][1]
        self.plan.tables.append(PlannedTable(element, minimum, Type.I32))
        self.plan.slots.append([function] * minimum)
        type_ = TableType(element, Limits(minimum, self.choices.pick((None, minimum + 2))))
        self.module.tables.append(Table(type_, _expression("ref.func", function)))

    # Segments.

    def _segments(self) -> None:
        for number, table in enumerate(self.plan.tables):
            if table.size and not self.choices.chance(1, 6):
                self._active_elem(number, table)
        for _ in range(self.choices.below(3)):
            element = self.choices.pick(_REFS)
            count = self.choices.pick((4, 6, 1, 0))
            self._elem("passive", element, self._items(element, count)[0], 0, None)
        declared = tuple(_expression("ref.func", f) for f in self.plan.referable)
        self._elem("declarative", Type.FUNCREF, declared, 0, None)
        if not self.plan.memories:
            return
        for _ in range(self.choices.below(4)):
            content = self._bytes()
            number = self.choices.below(len(self.plan.memories))
            memory = self.plan.memories[number]
            room = memory.pages * PAGE_SIZE - len(content)
            if room >= 0:
                offset = room if self.choices.chance(1, 8) else self.choices.below(
                    min(room, 0x1000) + 1)
                where = self._known(memory.address) or self._computed(memory.address, offset)
                self._data("active", content, number, where)
        for _ in range(self.choices.below(3)):
            self._data("passive", self._bytes(), 0, None)
        self.module.data_count = len(self.module.data)

    def _active_elem(self, number: int, table: PlannedTable) -> None:
        element, size, index = table
        start = self.choices.below(min(size, 3))
        items, functions = self._items(element, self.choices.between(1, size - start))
        self.plan.slots[number][start : start + len(items)] = functions
        self._elem("active", element, items, number, self._computed(index, start))

    def _items(self, element: ValueType, count: int) -> tuple[tuple[Body, ...], list[int | None]]:
        """Items of a segment, and the functions they are."""
        functions: list[int | None] = [None] * count
        if element is Type.FUNCREF:
            nulls = 2 if self.choices.chance(1, 2) else 0
            functions = [self._item(nulls) for _ in range(count)]
        elif isinstance(element, RefType):
            fitting = self.plan.functions_of(element)
            functions = [
                None if element.nullable and self.choices.chance(1, 8) else
                self.choices.pick(fitting) for _ in range(count)]
        return tuple(
            constant(element, 0) if f is None else _expression("ref.func", f) for f in functions
        ), functions

    def _item(self, nulls: int) -> int | None:
        if self.choices.chance(nulls, 12):
            return None
        rare = not self.plan.callees or self.choices.chance(1, 60)
        return self.choices.pick(self.plan.referable if rare else self.plan.callees)

    def _elem(self, mode: str, element: ValueType, items: tuple[Body, ...], table: int,
              offset: Body | None) -> None:
        self.plan.elems.append((element, 0 if mode == "declarative" else len(items)))
        self.module.elems.append(Elem(mode, element, items, table, offset, 0))

    def _bytes(self) -> bytes:
        count = self.choices.pick((8, 0, 1, 40, 3))
        return bytes(self.choices.below(256) for _ in range(count))

    def _data(self, mode: str, content: bytes, memory: int, offset: Body | None) -> None:
        self.plan.data.append(len(content))
        self.module.data.append(Data(mode, content, memory, offset, 0))

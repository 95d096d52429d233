"""Generates valid modules that reach every instruction, from a source of choices.

The module's first exported function is ``run``; memory, globals and tables are exported too, so
that everything it did can be seen. Same choices, same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ...compiler.wasm.module import (
    Body,
    Data,
    Elem,
    Export,
    Func,
    Global,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    TableType,
)
from ...compiler.wasm.opcodes import BY_NAME
from ...ir.module import PAGE_SIZE
from ...ir.types import FuncType, Type
from .body_generator import NUMERIC, BodyGenerator
from .choices import Choices
from .edge_values import edge_value
from .encoder import encode
from .execution import Call, Script
from .generator_plan import Plan
from .statement_generator import statements

ENTRY = "run"
_REFS = (Type.FUNCREF, Type.EXTERNREF)
_CALL_BUDGETS = (20, 0, 3, 8, 40, 200)
_EXTERNREFS = 8


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """Bounds of what is generated.

    Attributes:
        functions: most functions, helpers not counted. size: about how many instructions in all.
    """

    functions: int = 6
    size: int = 400
    depth: int = 4


@dataclass(slots=True)
class Generated:
    """A module, its binary and its exported functions."""

    module: Module
    data: bytes
    entries: list[tuple[str, FuncType]] = field(default_factory=list)

    def opcodes(self) -> set[str]:
        """Names of the instructions in it."""
        bodies = [f.body for f in self.module.funcs]
        bodies += [item.init for item in self.module.globals]
        return {row.name for body in bodies for row in body.ops}


def generate(choices: Choices, options: GeneratorOptions | None = None) -> Generated:
    """A valid module."""
    options = options or GeneratorOptions()
    return _Generation(choices, options).generate()


def generate_args(choices: Choices, type_: FuncType) -> tuple[int, ...]:
    """Arguments: edge values mostly; for references null or a host's."""
    args = []
    for param in type_.params:
        if param is Type.FUNCREF:
            args.append(0)
        elif param is Type.EXTERNREF:
            args.append(choices.below(_EXTERNREFS))
        else:
            args.append(edge_value(choices, param))
    return tuple(args)


def generate_scripts(choices: Choices, entries: Sequence[tuple[str, FuncType]], agents: int,
                     calls: int) -> tuple[Script, ...]:
    """A script for each agent: mostly calls of ``run``, each with arguments of its own."""
    scripts = []
    for _ in range(agents):
        made = []
        for _ in range(calls):
            name, type_ = choices.pick(entries) if choices.chance(1, 4) else entries[0]
            made.append(Call(name, generate_args(choices, type_)))
        scripts.append(Script(tuple(made)))
    return tuple(scripts)


def constant(type_: Type, bits: int) -> Body:
    """A constant expression."""
    if type_ in NUMERIC:
        return _expression(f"{type_.value}.const", bits)
    return _expression("ref.null", type_)


def _expression(name: str, imm: object) -> Body:
    return Body([BY_NAME[name], BY_NAME["end"]], [imm, None], [0, 0])


class _Generation:
    """The making of one module."""

    def __init__(self, choices: Choices, options: GeneratorOptions) -> None:
        self.choices, self.options = choices, options
        self.module = Module()
        self.plan = Plan([], [], [], [], [], [], [], None, [], 0, 1)

    def generate(self) -> Generated:
        choices, module = self.choices, self.module
        self._memory()
        self._signatures()
        self._globals()
        self._tables()
        self._segments()
        count = len(self.plan.functions) - len(module.imports)
        for index in range(len(module.imports), len(self.plan.functions)):
            self._function(index, self.options.size // count)
        entries = self._exports()
        if choices.chance(1, 3):
            entries.append(self._recursion())
        if choices.chance(1, 10):
            self._start()
        module.types = self.plan.types
        return Generated(module, encode(module), entries)

    def _type_index(self, type_: FuncType) -> int:
        if type_ not in self.plan.types:
            self.plan.types.append(type_)
        return self.plan.types.index(type_)

    def _add(self, type_: FuncType, g: BodyGenerator) -> int:
        """Add a finished function; its number."""
        extra = g.locals[len(type_.params) :]
        runs = tuple((len(list(group)), t) for t, group in groupby(extra))
        g.body.offsets = [0] * len(g.body.ops)
        self.module.func_types.append(self._type_index(type_))
        self.module.funcs.append(Func(self._type_index(type_), runs, g.body, 0, 0))
        return len(self.module.imports) + len(self.module.funcs) - 1

    # Declarations.

    def _memory(self) -> None:
        kind = self.choices.below(32)
        if kind == 31:
            return
        pages = {30: 0, 29: 2, 28: 3, 27: 2}.get(kind, 1)
        maximum = self.choices.pick((None, pages, pages + 1, pages + 3, 65536))
        self.plan.pages = pages
        self.module.memories.append(MemoryType(Limits(pages, maximum)))
        self.module.exports.append(Export("memory", "memory", 0, 0))

    def _value_type(self, references: bool = True) -> Type:
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

    def _signatures(self) -> None:
        """Types of all functions: imports first, then ``run``, then the others."""
        if self.choices.chance(1, 8):
            type_ = self._signature()
            item = Import("host", "missing", "func", self._type_index(type_), 0)
            self.module.imports.append(item)
            self.plan.functions.append(type_)
        self.plan.functions.append(self._signature(references=self.choices.chance(1, 4)))
        for _ in range(self.choices.below(self.options.functions)):
            repeated = self.choices.chance(1, 3)
            self.plan.functions.append(
                self.choices.pick(self.plan.functions) if repeated else self._signature())
        for type_ in self.plan.functions:
            self._type_index(type_)
        self.plan.referable = list(range(len(self.plan.functions)))
        self.plan.callees = self.plan.referable[len(self.module.imports) + 1 :]

    def _globals(self) -> None:
        self._global(Type.I32, True, constant(Type.I32, 50))  # the call budget
        self._global(Type.I32, True, constant(Type.I32, 0x800))  # the stack pointer
        for type_ in NUMERIC:
            for _ in range(1 + self.choices.below(2)):
                init = constant(type_, edge_value(self.choices, type_))
                self._global(type_, not self.choices.chance(1, 5), init)
        for type_ in _REFS:
            if self.choices.chance(1, 2):
                init = constant(type_, 0)
                if type_ is Type.FUNCREF and self.choices.chance(1, 2):
                    init = _expression("ref.func", self.choices.pick(self.plan.referable))
                self._global(type_, True, init)
        for type_ in NUMERIC:
            self.plan.hints[type_] = [edge_value(self.choices, type_) for _ in range(2)]

    def _global(self, type_: Type, mutable: bool, init: Body) -> None:
        self.plan.globals.append((type_, mutable))
        self.module.globals.append(Global(GlobalType(type_, mutable), init, 0))
        if not self.choices.chance(1, 4):
            number = len(self.module.globals) - 1
            self.module.exports.append(Export(f"g{number}", "global", number, 0))

    def _tables(self) -> None:
        minimum = self.choices.pick((8, 16, 3, 1, 0))  # one for all: so is the oracle's limit
        for element in self.choices.pick(((Type.FUNCREF,), (Type.FUNCREF, Type.EXTERNREF),
                                          (Type.FUNCREF, Type.FUNCREF), (Type.EXTERNREF,),
                                          (Type.FUNCREF, Type.EXTERNREF, Type.FUNCREF))):
            maximum = self.choices.pick((None, None, minimum + 2, minimum))
            number = len(self.module.tables)
            self.plan.tables.append((element, minimum))
            self.plan.slots.append([None] * minimum)
            self.module.tables.append(TableType(element, Limits(minimum, maximum)))
            if not self.choices.chance(1, 4):
                self.module.exports.append(Export(f"t{number}", "table", number, 0))

    # Segments.

    def _segments(self) -> None:
        for number, (element, size) in enumerate(self.plan.tables):
            if size and not self.choices.chance(1, 6):
                self._active_elem(number, element, size)
        for _ in range(self.choices.below(3)):
            element = self.choices.pick(_REFS)
            count = self.choices.pick((4, 6, 1, 0))
            self._elem("passive", element, self._items(element, count)[0], 0, None)
        declared = tuple(_expression("ref.func", f) for f in self.plan.referable)
        self._elem("declarative", Type.FUNCREF, declared, 0, None)
        if self.plan.pages is None:
            return
        for _ in range(self.choices.below(4)):
            content = self._bytes()
            room = self.plan.pages * PAGE_SIZE - len(content)
            if room >= 0:
                offset = room if self.choices.chance(1, 8) else self.choices.below(
                    min(room, 0x1000) + 1)
                self._data("active", content, constant(Type.I32, offset))
        for _ in range(self.choices.below(3)):
            self._data("passive", self._bytes(), None)
        self.module.data_count = len(self.module.data)

    def _active_elem(self, table: int, element: Type, size: int) -> None:
        start = self.choices.below(min(size, 3))
        items, functions = self._items(element, self.choices.between(1, size - start))
        self.plan.slots[table][start : start + len(items)] = functions
        self._elem("active", element, items, table, constant(Type.I32, start))

    def _items(self, element: Type, count: int) -> tuple[tuple[Body, ...], list[int | None]]:
        """Items of a segment, and the functions they are."""
        functions: list[int | None] = [None] * count
        if element is Type.FUNCREF:
            nulls = 2 if self.choices.chance(1, 2) else 0
            functions = [self._item(nulls) for _ in range(count)]
        return tuple(
            constant(element, 0) if f is None else _expression("ref.func", f) for f in functions
        ), functions

    def _item(self, nulls: int) -> int | None:
        if self.choices.chance(nulls, 12):
            return None
        rare = not self.plan.callees or self.choices.chance(1, 60)
        return self.choices.pick(self.plan.referable if rare else self.plan.callees)

    def _elem(self, mode: str, element: Type, items: tuple[Body, ...], table: int,
              offset: Body | None) -> None:
        self.plan.elems.append((element, 0 if mode == "declarative" else len(items)))
        self.module.elems.append(Elem(mode, element, items, table, offset, 0))

    def _bytes(self) -> bytes:
        count = self.choices.pick((8, 0, 1, 40, 3))
        return bytes(self.choices.below(256) for _ in range(count))

    def _data(self, mode: str, content: bytes, offset: Body | None) -> None:
        self.plan.data.append(len(content))
        self.module.data.append(Data(mode, content, 0, offset, 0))

    # Functions.

    def _function(self, index: int, size: int) -> None:
        type_ = self.plan.functions[index]
        entry = index == len(self.module.imports)
        g = BodyGenerator(self.choices, self.plan, type_, size)
        if entry:
            g.i32(self.choices.pick(_CALL_BUDGETS))
            g.emit("global.set", self.plan.budget, pops=1)
        elif not self.choices.chance(1, 24):
            _guard(g, self.plan.budget, type_)
        statements(g, 2 + self.choices.below(14), self.options.depth)
        g.close()
        self._add(type_, g)

    def _recursion(self) -> tuple[str, FuncType]:
        """A function that calls itself as deep as its argument says; exported as ``deep``."""
        type_ = FuncType((Type.I32, Type.I64), (Type.I64,))
        number = len(self.plan.functions)
        self.plan.functions.append(type_)
        g = BodyGenerator(self.choices, self.plan, type_, 60)
        mask = self.choices.pick((0x3F, 0x1FF, 0x3FF, 0xFFF))
        g.emit("local.get", 0, push=(Type.I32,))
        g.i32(mask)
        g.emit("i32.and", pops=2, push=(Type.I32,))
        g.emit("local.tee", 0, pops=1, push=(Type.I32,))
        g.open("if", (), (Type.I64,))

        def fill() -> None:
            g.emit("local.get", 0, push=(Type.I32,))
            g.i32(1)
            g.emit("i32.sub", pops=2, push=(Type.I32,))
            g.expr(Type.I64, 2)
            g.emit("call", number, pops=2, push=(Type.I64,))
            g.expr(Type.I64, 2)
            g.emit_row(BY_NAME["i64.add"])
            g.orelse(())
            g.emit("local.get", 1, push=(Type.I64,))

        g.nested(fill)
        g.close()
        self.module.exports.append(Export("deep", "func", self._add(type_, g), 0))
        return "deep", type_

    def _start(self) -> None:
        type_ = FuncType((), ())
        self.plan.callees = []  # it must not use up the fuel
        g = BodyGenerator(self.choices, self.plan, type_, 30)
        statements(g, 4, 1, calm=True)
        g.close()
        self.module.start = self._add(type_, g)

    def _exports(self) -> list[tuple[str, FuncType]]:
        """Export ``run`` and, at times, all the others."""
        first = len(self.module.imports)
        entries = [(ENTRY, self.plan.functions[first])]
        self.module.exports.append(Export(ENTRY, "func", first, 0))
        if self.choices.chance(1, 2):
            for number in range(first + 1, len(self.plan.functions)):
                self.module.exports.append(Export(f"f{number}", "func", number, 0))
                entries.append((f"f{number}", self.plan.functions[number]))
        return entries


def _guard(g: BodyGenerator, budget: int, type_: FuncType) -> None:
    """Return at once when the call budget is spent, else spend one."""
    g.emit("global.get", budget, push=(Type.I32,))
    g.emit("i32.eqz", pops=1, push=(Type.I32,))
    g.open("if", (), ())

    def fill() -> None:
        for result in type_.results:
            g.leaf(result)
        g.emit("return")
        g.kill()

    g.nested(fill)
    g.emit("global.get", budget, push=(Type.I32,))
    g.i32(1)
    g.emit("i32.sub", pops=2, push=(Type.I32,))
    g.emit("global.set", budget, pops=1)

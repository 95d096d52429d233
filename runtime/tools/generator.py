"""Generates valid modules that reach every instruction, from a source of choices.

The module's first exported function is ``run``; memory, globals and tables are exported too, so
that everything it did can be seen. Same choices, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from ...compiler.wasm.module import Export, Func, Module
from ...compiler.wasm.opcodes import BY_NAME
from ...compiler.wasm.types import FuncType
from ...ir import types as ir
from ...ir.types import Type
from .body_generator import BodyGenerator
from .choices import Choices
from .declaration_generator import Declarations
from .edge_values import edge_value
from .encoder import encode
from .execution import Call, Script
from .statement_generator import CALM, kinds_of_module, statements

ENTRY = "run"
_CALL_BUDGETS = (20, 0, 3, 8, 40, 200)
_EXTERNREFS = 8


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """Bounds of what is generated.

    Attributes:
        functions: most functions, helpers not counted. size: about how many instructions in all,
            at times a few times as many.
        depth: how deep expressions and constructs nest.
    """

    functions: int = 6
    size: int = 400
    depth: int = 5


@dataclass(slots=True)
class Generated:
    """A module, its binary, its exported functions, and the pages its memory has at first.

    Attributes:
        main: whether the first of ``entries`` reaches most of the others.
    """

    module: Module
    data: bytes
    entries: list[tuple[str, ir.FuncType]] = field(default_factory=list)
    pages: int = 0
    main: bool = True

    def opcodes(self) -> set[str]:
        """Names of the instructions in it."""
        bodies = [f.body for f in self.module.funcs]
        bodies += [item.init for item in self.module.globals]
        return {row.name for body in bodies for row in body.ops}


def generate(choices: Choices, options: GeneratorOptions | None = None) -> Generated:
    """A valid module."""
    options = options or GeneratorOptions()
    return _Generation(choices, options).generate()


def generate_args(choices: Choices, type_: ir.FuncType) -> tuple[int, ...]:
    """Arguments: edge values mostly; for references null or a host's."""
    args = []
    for param in type_.params:
        if param is Type.EXTERNREF:
            args.append(choices.below(_EXTERNREFS))
        elif param.is_ref:
            args.append(0)
        else:
            args.append(edge_value(choices, param))
    return tuple(args)


def generate_scripts(choices: Choices, generated: Generated, agents: int,
                     calls: int) -> tuple[Script, ...]:
    """A script for each agent: mostly calls of the main entry, with arguments of its own."""
    if not generated.entries:
        calls = 0
    entries, scripts = generated.entries, []
    # The oracle runs a start function before memory can be written, swarmc after.
    writable = generated.pages and generated.module.start is None
    size = 16 if writable and choices.chance(1, 4) else 0
    for _ in range(agents):
        made = []
        for _ in range(calls):
            any_ = not generated.main or choices.chance(1, 4)
            name, type_ = choices.pick(entries) if any_ else entries[0]
            made.append(Call(name, generate_args(choices, type_)))
        memory = bytes(choices.below(256) for _ in range(size))
        scripts.append(Script(tuple(made), memory))
    return tuple(scripts)


class _Generation:
    """The making of one module."""

    def __init__(self, choices: Choices, options: GeneratorOptions) -> None:
        self.choices, self.options = choices, options
        self.declared = Declarations(choices, options.functions)
        self.module, self.plan = self.declared.module, self.declared.plan
        self.first = self.declared.first
        self.kinds = kinds_of_module(choices)
        self.scale = 1

    def generate(self) -> Generated:
        choices, module = self.choices, self.module
        self.scale = choices.pick((1, 1, 1, 2, 4))
        size = self.scale * self.options.size // (len(self.plan.functions) - self.first)
        for index in range(self.first, len(self.plan.functions)):
            self._function(index, size)
        entries = self._exports()
        if choices.chance(1, 3):
            entries.append(self._recursion())
        if choices.chance(1, 6):
            entries.append(self._tail_recursion())
        if choices.chance(1, 10):
            self._start()
        module.types = self.plan.defined_types()
        lowered = [(name, type_.lowered()) for name, type_ in entries]
        pages = self.plan.memories[0].pages if self.plan.memories else 0
        return Generated(module, encode(module), lowered, pages)

    def _add(self, type_: FuncType, g: BodyGenerator) -> int:
        """Add a finished function; its number."""
        extra = g.locals[len(type_.params) :]
        runs = tuple((len(list(group)), t) for t, group in groupby(extra))
        g.body.offsets = [0] * len(g.body.ops)
        number = self.plan.type_index(type_)
        self.module.func_types.append(number)
        self.module.funcs.append(Func(number, runs, g.body, 0, 0))
        return self.first + len(self.module.funcs) - 1

    # Functions.

    def _function(self, index: int, size: int) -> None:
        type_ = self.plan.functions[index]
        entry = index == self.first
        g = BodyGenerator(self.choices, self.plan, type_, size, self.kinds)
        if entry:
            g.i32(self.choices.pick(_CALL_BUDGETS))
            g.emit("global.set", self.plan.budget, pops=1)
        elif not self.choices.chance(1, 24):
            _guard(g, self.plan.budget, type_)
        count = 2 + self.choices.below(14 * self.scale)
        statements(g, count, self.choices.between(2, self.options.depth))
        g.close()
        self._add(type_, g)

    def _recursion(self) -> tuple[str, FuncType]:
        """A function that calls itself as deep as its argument says; exported as ``deep``."""
        type_ = FuncType((Type.I32, Type.I64), (Type.I64,))
        number = len(self.plan.functions)
        self.plan.functions.append(type_)
        g = BodyGenerator(self.choices, self.plan, type_, 60, CALM)
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

    def _tail_recursion(self) -> tuple[str, FuncType]:
        """A function that calls itself at its end, far deeper than calls may nest; ``tail``."""
        type_ = FuncType((Type.I32, Type.I64), (Type.I64,))
        number = len(self.plan.functions)
        self.plan.functions.append(type_)
        g = BodyGenerator(self.choices, self.plan, type_, 60, CALM)
        g.emit("local.get", 0, push=(Type.I32,))
        g.i32(self.choices.pick((0x7F, 0x7FF, 0x3FFF)))
        g.emit("i32.and", pops=2, push=(Type.I32,))
        g.emit("local.tee", 0, pops=1, push=(Type.I32,))
        g.open("if", (), ())

        def fill() -> None:
            g.emit("local.get", 0, push=(Type.I32,))
            g.i32(1)
            g.emit("i32.sub", pops=2, push=(Type.I32,))
            g.expr(Type.I64, 2)
            g.emit("return_call", number)
            g.kill()

        g.nested(fill)
        g.emit("local.get", 1, push=(Type.I64,))
        g.close()
        self.module.exports.append(Export("tail", "func", self._add(type_, g), 0))
        return "tail", type_

    def _start(self) -> None:
        type_ = FuncType((), ())
        self.plan.callees = []  # it must not use up the fuel
        g = BodyGenerator(self.choices, self.plan, type_, 30, CALM)
        statements(g, 4, 1)
        g.close()
        self.module.start = self._add(type_, g)

    def _exports(self) -> list[tuple[str, FuncType]]:
        """Export ``run`` and, at times, all the others."""
        first = self.first
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

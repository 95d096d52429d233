"""The part of the parser that reads a function's blocks and instructions."""

from __future__ import annotations

from .builder import BY_SIGNATURE, make, set_results, signature_results
from .function import NO_EDGES, Block, Edge, Function, Inst, Value
from .module import Module
from .ops import OPS, Op
from .text import Cursor, parse_attr
from .types import Type

_TYPES = {type_.value: type_ for type_ in Type}


class BodyParser:
    """Reads the lines between a function's braces."""

    def __init__(self, module: Module, function: Function) -> None:
        self.module = module
        self.function = function
        self.values: dict[str, Value] = {}
        self.blocks: dict[str, Block] = {}
        # Where names were used that have no definition yet.
        self.open_values: dict[str, Cursor] = {}
        self.open_blocks: dict[str, Cursor] = {}

    def parse(self, lines: list[Cursor]) -> None:
        """Read all lines.

        Raises:
            IRError: one is no instruction or block, or a name stays undefined.
        """
        for cursor in lines:
            if cursor.tokens[-1] == ":":
                self.block_head(cursor)
            elif self.function.blocks:
                self.function.blocks[-1].insts.append(self.inst(cursor))
            else:
                cursor.fail("an instruction stands before the first block")
            cursor.end()
        for name, cursor in self.open_values.items():
            cursor.fail(f"{name} is not defined")
        for name, cursor in self.open_blocks.items():
            cursor.fail(f"there is no block {name}")

    def block_head(self, cursor: Cursor) -> None:
        name = cursor.take()
        if name in self.blocks and name not in self.open_blocks:
            cursor.fail(f"block {name} is there already")
        self.open_blocks.pop(name, None)
        block = self.blocks.setdefault(name, Block())
        self.function.blocks.append(block)
        if cursor.accept("("):
            while not cursor.accept(")"):
                if block.params:
                    cursor.expect(",")
                param = cursor.take("a parameter")
                cursor.expect(":")
                block.params.append(self.define(cursor, param, Value(cursor.type(), block)))
        cursor.expect(":")

    def define(self, cursor: Cursor, name: str, value: Value) -> Value:
        """Bind a name; uses that came before got a value whose type was not known yet."""
        if name[0] != "%":
            cursor.fail(f"expected a value like %0, found '{name}'")
        if name in self.open_values:
            del self.open_values[name]
            early = self.values[name]
            early.type, early.definition = value.type, value.definition
            return early
        if name in self.values:
            cursor.fail(f"{name} is defined already")
        self.values[name] = value
        return value

    def use(self, cursor: Cursor) -> Value:
        name = cursor.take("a value")
        value = self.values.get(name)
        if value is None:
            if name[0] != "%":
                cursor.fail(f"expected a value like %0, found '{name}'")
            value = self.values[name] = Value(Type.I32)
            self.open_values[name] = cursor
        return value

    def inst(self, cursor: Cursor) -> Inst:
        names = self.result_names(cursor)
        op, type_ = self.mnemonic(cursor)
        attrs = []
        for kind in op.attrs:
            cursor.expect(kind.value)
            cursor.expect("=")
            attrs.append(parse_attr(cursor, kind, type_))
        inst = make(op, type_, [], tuple(attrs))
        if op in BY_SIGNATURE:
            set_results(inst, self.call_results(inst, cursor))
        self.operands(inst, cursor)
        while cursor.accept("!"):
            note = cursor.take("prepaid or region")
            cursor.expect("=")
            if note == "prepaid":
                inst.prepaid = cursor.natural(note)
            elif note == "region":
                inst.region = cursor.natural(note)
            else:
                cursor.fail(f"expected prepaid or region, found '{note}'")
        inst.loc = cursor.location()
        if len(names) != len(inst.results):
            cursor.fail(f"{op.name} has {len(inst.results)} results, not {len(names)}")
        defined = [self.define(cursor, *pair) for pair in zip(names, inst.results, strict=True)]
        inst.results = tuple(defined)
        return inst

    def mnemonic(self, cursor: Cursor) -> tuple[Op, Type | None]:
        """An op's name, and its controlling type behind a dot if it has one."""
        name, _, suffix = cursor.take("an op").partition(".")
        op = OPS.get(name)
        if op is None:
            cursor.fail(f"unknown op '{name}'")
        if suffix and suffix not in _TYPES:
            cursor.fail(f"unknown type '{suffix}'")
        if bool(suffix) != bool(op.types):
            cursor.fail(f"{name} {'needs a' if op.types else 'has no'} type")
        return op, _TYPES.get(suffix)

    def result_names(self, cursor: Cursor) -> list[str]:
        if cursor.peek()[0] != "%":
            return []
        names = [cursor.take()]
        while cursor.accept(","):
            names.append(cursor.take("a value"))
        cursor.expect("=")
        return names

    def call_results(self, inst: Inst, cursor: Cursor) -> tuple[Type, ...]:
        try:
            return signature_results(self.module, inst.op, inst.attrs)
        except KeyError:
            cursor.fail(f"there is no function {inst.attrs[0]}")
        except IndexError:
            cursor.fail(f"there is no type {inst.attrs[0]}")

    def operands(self, inst: Inst, cursor: Cursor) -> None:
        """Values and edges, with commas between them."""
        edges: list[Edge] = []
        while cursor.peek() not in ("", "!", "@"):
            if inst.args or edges:
                cursor.expect(",")
            if cursor.peek().startswith("%"):
                inst.args.append(self.use(cursor))
            else:
                edges.append(self.edge(cursor))
        inst.edges = edges or NO_EDGES

    def edge(self, cursor: Cursor) -> Edge:
        name = cursor.take("a block")
        if not name[0].isalpha():
            cursor.fail(f"expected a value or a block, found '{name}'")
        if name not in self.blocks:
            self.blocks[name] = Block()
            self.open_blocks[name] = cursor
        edge = Edge(self.blocks[name])
        if cursor.accept("("):
            while not cursor.accept(")"):
                if edge.args:
                    cursor.expect(",")
                edge.args.append(self.use(cursor))
        return edge

"""Values, instructions, blocks and functions of the SSA IR.

Blocks have parameters instead of phi nodes; an :class:`Edge` passes the arguments. A block's
instructions end with exactly one terminator. Plain mutable objects, made for passes to edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .ops import Op
from .types import EntityId, FuncType, Type


class Value:
    """An SSA value: a block parameter or a result of an instruction.

    Attributes:
        type: its type.
        definition: the :class:`Inst` or :class:`Block` that defines it.
    """

    __slots__ = ("definition", "type")

    def __init__(self, type_: Type, definition: Inst | Block | None = None) -> None:
        self.type = type_
        self.definition: Inst | Block | None = definition


class Edge:
    """One way out of a terminator: the block it leads to and the arguments it passes."""

    __slots__ = ("args", "block")

    def __init__(self, block: Block, args: list[Value] | None = None) -> None:
        self.block = block
        self.args: list[Value] = args if args is not None else []


NO_EDGES: tuple[Edge, ...] = ()


class Inst:
    """One instruction.

    Attributes:
        op: its row of the table.
        type: the controlling type ``T``, or None if the op has none.
        args: operands.
        attrs: immediates, in the order of ``op.attrs``.
        results: values defined.
        edges: successors, of a terminator.
        loc: byte offset of the WebAssembly instruction in its module, -1 if there is none.
        prepaid: fuel already charged for instructions that come after this one; the fuel used,
            should it trap here, is the amount charged minus this.
        region: of a load or store, which of the regions of an ``apart`` it keeps to; 0 if none.
    """

    __slots__ = ("args", "attrs", "edges", "loc", "op", "prepaid", "region", "results", "type")

    def __init__(
        self,
        op: Op,
        type_: Type | None,
        args: list[Value],
        attrs: tuple[Any, ...] = (),
        edges: Sequence[Edge] = NO_EDGES,
        loc: int = -1,
        prepaid: int = 0,
    ) -> None:
        self.op = op
        self.type = type_
        self.args = args
        self.attrs = attrs
        self.results: tuple[Value, ...] = ()
        self.edges = edges
        self.loc = loc
        self.prepaid = prepaid
        self.region = 0

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value


class Block:
    """A basic block: parameters, then instructions of which the last is the terminator."""

    __slots__ = ("insts", "params")

    def __init__(self) -> None:
        self.params: list[Value] = []
        self.insts: list[Inst] = []

    def add_param(self, type_: Type) -> Value:
        value = Value(type_, self)
        self.params.append(value)
        return value

    @property
    def terminator(self) -> Inst:
        return self.insts[-1]

    @property
    def successors(self) -> Iterator[Block]:
        """Blocks its terminator may go to, an edge after the other (with repetitions)."""
        return (edge.block for edge in self.insts[-1].edges)


class Function:
    """A function with a body. ``blocks[0]`` is the entry; its parameters are the function's.

    Attributes:
        id: (instance, index).
        sig: index of its type in ``Module.types``.
        type: that type.
        units: call-depth units that one activation costs (1 + ceil(bytes of params and
            locals / 64)); charged at entry, traps ``call_stack_exhausted``.
        name: from the name section or an export, for people; not unique.
        loc: byte offset of the body's first instruction.
    """

    __slots__ = ("blocks", "id", "loc", "name", "sig", "type", "units")

    def __init__(self, id_: EntityId, sig: int, type_: FuncType, *, units: int = 1, name: str = "",
                 loc: int = -1) -> None:
        self.id = id_
        self.sig = sig
        self.type = type_
        self.units = units
        self.name = name
        self.loc = loc
        self.blocks: list[Block] = []

    def insts(self) -> Iterator[Inst]:
        """All instructions, in block order."""
        for block in self.blocks:
            yield from block.insts

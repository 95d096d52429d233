"""Making instructions: result values come from the op's row, or from a callee's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .function import NO_EDGES, Block, Edge, Function, Inst, Value
from .module import Module
from .ops import OPS, Attr, Op
from .types import Type

#: Type of the only result of each op; None where it is ``T``. Absent: no result, or a
#: signature's.
RESULT_TYPE: dict[Op, Type | None] = {
    op: None if op.results[0] == "T" else Type(op.results[0])
    for op in OPS.values()
    if op.results and op.results[0] != "..."
}

#: Ops whose results are those of a signature.
BY_SIGNATURE = frozenset(op for op in OPS.values() if op.results == ("...",))


def make(
    op: Op,
    type_: Type | None,
    args: list[Value],
    attrs: tuple[Any, ...] = (),
    loc: int = -1,
    prepaid: int = 0,
) -> Inst:
    """An instruction, in no block yet, with the results that its row says.

    Ops in :data:`BY_SIGNATURE` come without results: see :func:`set_results`.
    """
    inst = Inst(op, type_, args, attrs, NO_EDGES, loc, prepaid)
    if op in RESULT_TYPE:
        inst.results = (Value(RESULT_TYPE[op] or type_, inst),)  # type: ignore[arg-type]
    return inst


def set_results(inst: Inst, types: Sequence[Type]) -> None:
    """Give an instruction new results of these types."""
    inst.results = tuple([Value(type_, inst) for type_ in types])


def signature_results(module: Module, op: Op, attrs: tuple[Any, ...]) -> tuple[Type, ...]:
    """Result types of the signature that a call names, by function or by number."""
    sig = module.sig_of(attrs[0]) if op.attrs[0] is Attr.FUNC else attrs[0]
    return module.types[sig].results


class Builder:
    """Appends instructions to the blocks of a function.

    Args:
        function: what is built.
        module: needed only for calls, whose results are their callee's.

    Attributes:
        current: the block that instructions are appended to.
        loc, prepaid: what the next instructions get.
    """

    __slots__ = ("current", "function", "loc", "module", "prepaid")

    def __init__(self, function: Function, module: Module | None = None) -> None:
        self.function = function
        self.module = module
        self.loc = -1
        self.prepaid = 0
        self.current: Block | None = None

    def block(self, *params: Type) -> Block:
        """A new block at the end of the function, with parameters of these types."""
        block = Block()
        for type_ in params:
            block.add_param(type_)
        self.function.blocks.append(block)
        return block

    def entry(self) -> Block:
        """The entry block with the function's parameters; instructions are appended to it."""
        assert not self.function.blocks, "the entry is the first block"
        block = self.block(*self.function.type.params)
        self.position_at(block)
        return block

    def position_at(self, block: Block) -> None:
        """Append to this block from now on."""
        self.current = block

    def inst(self, op: Op, type_: Type | None = None, args: Sequence[Value] = (),
             *attrs: Any, edges: Sequence[Edge] = NO_EDGES) -> Inst:
        """Append an instruction.

        Args:
            op: its row. type_: its controlling type, None if it has none.
            args: operands. attrs: immediates, in the order of ``op.attrs``.
            edges: successors, of a terminator.
        """
        inst = make(op, type_, list(args), attrs, self.loc, self.prepaid)
        inst.edges = edges
        if op in BY_SIGNATURE:
            assert self.module is not None, "a call's results are found through the module"
            set_results(inst, signature_results(self.module, op, attrs))
        assert self.current is not None, "no block to append to"
        self.current.insts.append(inst)
        return inst

    def value(self, op: Op, type_: Type | None = None, args: Sequence[Value] = (),
              *attrs: Any) -> Value:
        """Append an instruction that has one result, and return the result."""
        return self.inst(op, type_, args, *attrs).result

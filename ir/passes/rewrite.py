"""Edits that several passes share: renaming values, constants, dropping blocks."""

from __future__ import annotations

from ..analysis.cfg import reverse_postorder
from ..function import Block, Function, Inst, Value
from ..ops import CONST, TRAP
from ..types import Trap, Type


class Renames:
    """Values and what they are replaced by, applied to a function in one sweep.

    Replacements may chain (a by b, later b by c); chains are followed and shortened. Values are
    never replaced in a circle.
    """

    __slots__ = ("_map",)

    def __init__(self) -> None:
        self._map: dict[Value, Value] = {}

    def __bool__(self) -> bool:
        return bool(self._map)

    def replace(self, old: Value, new: Value) -> None:
        """Use ``new`` wherever ``old`` is used."""
        assert old not in self._map
        self._map[old] = new

    def resolve(self, value: Value) -> Value:
        """What is used in place of ``value``: itself, if it is not replaced."""
        renames = self._map
        final = value
        while final in renames:
            final = renames[final]
        while value is not final:  # so that the next question takes one step
            renames[value], value = final, renames[value]
        return final

    def apply(self, function: Function) -> None:
        """Rename the operands of every instruction and edge."""
        if not self._map:
            return
        renames = {old: self.resolve(old) for old in list(self._map)}
        for block in function.blocks:
            for inst in block.insts:
                rename_operands(inst, renames)


def rename_operands(inst: Inst, renames: dict[Value, Value]) -> None:
    """Rename the operands and edge arguments of one instruction; chains are not followed."""
    args = inst.args
    for i, value in enumerate(args):
        if value in renames:
            args[i] = renames[value]
    for edge in inst.edges:
        args = edge.args
        for i, value in enumerate(args):
            if value in renames:
                args[i] = renames[value]


def new_const(type_: Type, bits: int, loc: int = -1) -> Inst:
    """A constant instruction, which the caller inserts; ``bits`` is an unsigned pattern."""
    inst = Inst(CONST, type_, [], (bits,), loc=loc)
    inst.results = (Value(type_, inst),)
    return inst


def certain_trap(check: Inst, trap: Trap) -> Inst:
    """The terminator for a check that always fires: same place, same fuel."""
    return Inst(TRAP, None, [], (trap,), loc=check.loc, prepaid=check.prepaid)


def reachable_order(function: Function) -> list[Block]:
    """Reverse postorder, after dropping the blocks that are not in it."""
    order = reverse_postorder(function)
    if len(order) != len(function.blocks):
        reachable = set(order)
        function.blocks = [block for block in function.blocks if block in reachable]
    return order


def remove_unreachable(function: Function) -> bool:
    """Drop blocks that the entry does not reach; the others keep their order."""
    before = len(function.blocks)
    return len(reachable_order(function)) != before


def remove_params(block: Block, keep: list[bool], incoming: list[list[Value]]) -> None:
    """Drop parameters of a block and the arguments for them.

    Args:
        keep: which parameters stay.
        incoming: the argument lists of all edges that lead to the block. They are shorter than
            the parameters where a terminator appends its results.
    """
    for values in (block.params, *incoming):
        values[:] = [value for value, kept in zip(values, keep, strict=False) if kept]

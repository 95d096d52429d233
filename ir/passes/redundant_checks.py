"""Redundant checks: what cannot trap because of what is known already goes.

Before::

    bounds_check mem=0.0 offset=8 width=4 %0
    %2 = iadd.i32 %0, 4
    bounds_check mem=0.0 offset=0 width=8 %2
    trap_if trap=integer_divide_by_zero %3
    br_if %3, block1, block2
    block1(): ...

after::

    bounds_check mem=0.0 offset=8 width=4 %0
    %2 = iadd.i32 %0, 4
    trap_if trap=integer_divide_by_zero %3
    jump block2

A walk over the dominator tree carries what is known. Only checks that cannot fire are removed, so
every trap keeps its place, its fuel and the state it leaves behind. The reasons:

- The same address was checked with an extent no smaller: memories never shrink.
- ``v`` was checked up to ``v + extent``, and this address is ``v + k`` modulo 2^N with
  ``k + own extent <= extent``. No wrap-around is possible: a memory has at most 2^N bytes, so
  ``v + k`` lies inside it.
- The address has an upper bound, and the memory's minimum reaches beyond it.
- A condition was decided by a branch or by an earlier ``trap_if``. One that is certain to trap
  becomes the block's terminator.
"""

from __future__ import annotations

from typing import Any

from .. import ops as o
from ..analysis.cfg import incoming_edges
from ..analysis.dominators import DominatorTree
from ..analysis.ranges import upper_bound
from ..analysis.sums import split_sum
from ..function import Block, Edge, Function, Inst, Value
from ..module import PAGE_SIZE, Module
from ..ops import Op
from ..types import EntityId
from .rewrite import certain_trap, reachable_order, remove_unreachable

#: A checked address: displacement from its root modulo 2^N, and the bytes behind it that exist.
_Fact = tuple[int, int]
#: Remembered facts of one root; more than these are rare and the last ones matter most.
_MOST_FACTS = 8

_DECIDED: frozenset[Op] = frozenset({o.BOUNDS_CHECK, o.TRAP_IF, o.BR_IF})


def redundant_checks(function: Function, module: Module) -> bool:
    """Remove the redundant checks of one function."""
    before = len(function.blocks)
    order = reachable_order(function)
    if not any(inst.op in _DECIDED for block in order for inst in block.insts):
        return len(order) != before
    search = _Search(function, module, order)
    search.walk()
    if search.edges_changed:
        remove_unreachable(function)
    return search.changed or len(order) != before


class _Search:
    """What is known on the path of the dominator tree that leads to the current block.

    Attributes:
        extents: facts by (root of the address, memory).
        nonzero: whether a value is not zero, where that is known.
        undo: (dictionary, key, value before) of each change on the path.
    """

    __slots__ = ("changed", "edges_changed", "entered_by", "extents", "minimum", "nonzero",
                 "tree", "undo")

    def __init__(self, function: Function, module: Module, order: list[Block]) -> None:
        self.tree = DominatorTree(function, order)
        self.extents: dict[tuple[Value | None, EntityId], tuple[_Fact, ...]] = {}
        self.nonzero: dict[Value, bool] = {}
        self.undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self.minimum = {id_: m.minimum * PAGE_SIZE for id_, m in module.memories.items()}
        self.changed = False
        self.edges_changed = False
        self.entered_by: dict[Block, tuple[Block, Edge]] = {
            block: edges[0]
            for block, edges in incoming_edges(function).items() if len(edges) == 1
        }

    def walk(self) -> None:
        """Visit the blocks, dominators first, and forget on the way up."""
        children, undo = self.tree.children, self.undo
        stack: list[Block | int] = [self.tree.order[0]]
        while stack:
            item = stack.pop()
            if type(item) is int:
                while len(undo) > item:
                    facts, key, before = undo.pop()
                    if before is None:
                        del facts[key]
                    else:
                        facts[key] = before
                continue
            assert type(item) is Block
            stack.append(len(undo))
            self.enter(item)
            self.visit(item)
            stack.extend(reversed(children[item]))

    def set(self, facts: dict[Any, Any], key: Any, value: Any) -> None:
        self.undo.append((facts, key, facts.get(key)))
        facts[key] = value

    def enter(self, block: Block) -> None:
        """Learn what the only edge into a block says about the condition."""
        origin, edge = self.entered_by.get(block, (None, None))
        if origin is not None and origin.insts[-1].op is o.BR_IF:
            terminator = origin.insts[-1]
            self.learn(terminator.args[0], edge is terminator.edges[0])

    def learn(self, value: Value, nonzero: bool) -> None:
        """Note whether a value is zero, and what follows for the values it is computed from."""
        work = [(value, nonzero)]
        while work:
            value, nonzero = work.pop()
            if value in self.nonzero:
                continue
            self.set(self.nonzero, value, nonzero)
            inst = value.definition
            if type(inst) is not Inst:
                continue
            if inst.op is o.IEQZ:
                work.append((inst.args[0], not nonzero))
            elif (inst.op is o.IOR and not nonzero) or (inst.op is o.IAND and nonzero):
                work.extend((arg, nonzero) for arg in inst.args)

    def is_nonzero(self, value: Value) -> bool | None:
        """Whether a value is not zero; None if that is not known."""
        known = self.nonzero.get(value)
        inst = value.definition
        if known is None and type(inst) is Inst:
            if inst.op is o.IEQZ:
                known = self.nonzero.get(inst.args[0])
                return None if known is None else not known
            if inst.op is o.CONST:
                return bool(inst.attrs[0])
            if inst.op is o.IAND and any(self.nonzero.get(arg) is False for arg in inst.args):
                return False
        return known

    def visit(self, block: Block) -> None:
        """Decide the checks and the branch of one block."""
        kept: list[Inst] = []
        for inst in block.insts:
            op = inst.op
            if op is o.BOUNDS_CHECK:
                if self.in_bounds(inst):
                    continue
            elif op is o.TRAP_IF:
                known = self.is_nonzero(inst.args[0])
                if known is False:
                    continue
                if known:
                    kept.append(certain_trap(inst, inst.attrs[0]))
                    self.edges_changed = True
                    break
                self.learn(inst.args[0], False)
            elif op is o.BR_IF:
                known = self.is_nonzero(inst.args[0])
                if known is not None:
                    edge = inst.edges[0 if known else 1]
                    inst = Inst(o.JUMP, None, [], edges=[edge], loc=inst.loc)
                    self.edges_changed = self.changed = True
            kept.append(inst)
        if len(kept) != len(block.insts) or self.edges_changed:
            block.insts = kept
            self.changed = True

    def in_bounds(self, inst: Inst) -> bool:
        """Whether a bounds check cannot fire; if it can, what holds after it is noted."""
        (address,) = inst.args
        memory, offset, width = inst.attrs
        extent = offset + width
        root, displacement = split_sum(address)
        wrap = (1 << address.type.bits) - 1
        key = (root, memory)
        facts = self.extents.get(key, ())
        for checked, reach in facts:
            if (displacement - checked & wrap) + extent <= reach:
                return True
        room = self.minimum.get(memory, 0) - extent
        if room >= 0 and upper_bound(address) <= room:
            return True
        rest = tuple([fact for fact in facts if fact[0] != displacement])
        self.set(self.extents, key, ((displacement, extent), *rest)[:_MOST_FACTS])
        return False

"""Value numbering: what is computed already is not computed again.

Before::

    %2 = iadd.i32 %0, %1
    %3 = iadd.i32 %1, %0
    %4 = global_get.i32 global=0.0
    global_set.i32 global=0.0 %3
    %5 = global_get.i32 global=0.0
    %6 = isub.i32 %5, %4
    %7 = global_get.i32 global=0.0

after::

    %2 = iadd.i32 %0, %1
    %4 = global_get.i32 global=0.0
    global_set.i32 global=0.0 %2
    %6 = isub.i32 %2, %4

A walk over the dominator tree with one table of pure expressions: an entry holds in the subtree of
the block that made it. Globals and sizes of memories and tables are followed as well, along
extended basic blocks (a block takes over what is known from its only predecessor), until
something may write them.
"""

from __future__ import annotations

from typing import Any

from .. import ops as o
from ..analysis.cfg import incoming_edges
from ..analysis.dominators import DominatorTree
from ..function import Block, Function, Inst, Value
from ..module import Module
from ..ops import Effect, Op
from ..types import EntityId
from .rewrite import reachable_order, rename_operands

_PURE: frozenset[Op] = frozenset(op for op in o.OPS.values() if op.pure)
_COMMUTATIVE: frozenset[Op] = frozenset(op for op in _PURE if op.commutes)

#: What an expression is known by: op, type, operands, immediates.
_Key = tuple[Any, ...]
#: What is known of state: globals by id, sizes by (id of the entity, op).
_State = dict[EntityId | tuple[EntityId, Op], Value]

#: More than this is not copied from block to block.
_MOST_STATE = 64

_SIZES = frozenset({o.MEMORY_SIZE, o.TABLE_SIZE})
_GROWS = {o.MEMORY_GROW: o.MEMORY_SIZE, o.TABLE_GROW: o.TABLE_SIZE}
_CALLS: frozenset[Op] = frozenset(
    op for op in o.OPS.values() if op.effect & Effect.CALL and not op.is_terminator
)
_TRACKED = frozenset({o.GLOBAL_GET, o.GLOBAL_SET, *_SIZES, *_GROWS, *_CALLS})


def value_numbering(function: Function, module: Module) -> bool:
    """Number the values of one function."""
    numbering = _Numbering(function, reachable_order(function))
    numbering.walk()
    return numbering.changed


class _Numbering:
    """The tables of one walk."""

    __slots__ = ("available", "changed", "inherits", "renames", "state_after", "tree")

    def __init__(self, function: Function, order: list[Block]) -> None:
        self.tree = DominatorTree(function, order)
        self.available: dict[_Key, Value] = {}
        self.renames: dict[Value, Value] = {}
        self.state_after: dict[Block, _State] = {}
        self.changed = False
        # The block whose state a block takes over: its only predecessor, over one edge.
        self.inherits = {
            block: edges[0][0]
            for block, edges in incoming_edges(function).items()
            if len(edges) == 1 and edges[0][0].insts[-1].op.effect is Effect.TERMINATOR
        }

    def walk(self) -> None:
        """Number the blocks, dominators first."""
        available, children = self.available, self.tree.children
        stack: list[Block | list[_Key]] = [self.tree.order[0]]
        while stack:
            item = stack.pop()
            if type(item) is list:  # the subtree is done
                for key in item:
                    del available[key]
                continue
            assert type(item) is Block
            added = self.number_block(item)
            below = children[item]
            if below:
                stack.append(added)
                stack.extend(reversed(below))
            else:
                for key in added:
                    del available[key]

    def number_block(self, block: Block) -> list[_Key]:
        """Number one block; the expressions that it makes available."""
        renames, available = self.renames, self.available
        pure, commutative, tracked = _PURE, _COMMUTATIVE, _TRACKED
        inherited = self.state_after.get(self.inherits.get(block, block))
        state: _State = {}
        if inherited and len(inherited) <= _MOST_STATE:
            state.update(inherited)
        added: list[_Key] = []
        kept: list[Inst] = []
        for inst in block.insts:
            op, args = inst.op, inst.args
            for arg in args:
                if arg in renames:
                    rename_operands(inst, renames)
                    break
            if op in pure:
                if op in commutative and id(args[0]) > id(args[1]):
                    key: _Key = (op, inst.type, args[1], args[0], *inst.attrs)
                else:
                    key = (op, inst.type, *args, *inst.attrs)
                known = available.get(key)
                if known is not None:
                    renames[inst.results[0]] = known
                    continue
                available[key] = inst.results[0]
                added.append(key)
            elif op in tracked and self.track(inst, state):
                continue
            kept.append(inst)
        if len(kept) != len(block.insts):
            block.insts = kept
            self.changed = True
        for edge in block.insts[-1].edges:
            if edge.args:
                edge.args = [renames.get(arg, arg) for arg in edge.args]
        self.state_after[block] = state
        return added

    def track(self, inst: Inst, state: _State) -> bool:
        """Follow the state over an instruction; whether it is redundant."""
        op = inst.op
        if op in _CALLS:
            state.clear()
            return False
        key = inst.attrs[0] if op is o.GLOBAL_GET or op is o.GLOBAL_SET else (inst.attrs[0], op)
        known = state.get(key)
        if op is o.GLOBAL_SET:
            (value,) = inst.args
            state[key] = value
            return known is value
        if op in _GROWS:
            state.pop((inst.attrs[0], _GROWS[op]), None)
            return False
        if known is None:
            state[key] = inst.results[0]
            return False
        self.renames[inst.results[0]] = known
        return True

"""Control flow: empty blocks are skipped, blocks in a row become one, unreachable ones go.

Before::

    block0(%0: i32):
        br_if %0, block1, block2
    block1:
        jump block3
    block2:
        charge amount=2
        jump block3
    block3:
        charge amount=1
        return

after::

    block0(%0: i32):
        br_if %0, block2, block1
    block1:
        charge amount=2
        jump block2
    block2:
        charge amount=1
        return

The order of all effects on every path stays, so no amount of fuel needs a correction.
"""

from __future__ import annotations

from .. import ops as o
from ..function import Block, Edge, Function, Inst
from ..module import Module
from .rewrite import Renames, reachable_order

_TRY_CALLS = frozenset({o.TRY_CALL, o.TRY_CALL_REF})


def simplify_cfg(function: Function, module: Module) -> bool:
    """Simplify the control flow of one function."""
    before = len(function.blocks)
    order = reachable_order(function)
    changed = len(order) != before
    if _skip_empty_blocks(function, order):
        changed = True
        order = reachable_order(function)
    return _merge_rows(function, order) or changed


def _skip_empty_blocks(function: Function, order: list[Block]) -> bool:
    """Lead edges past blocks that only jump on; make branches to one place jumps."""
    empty = _skippable(function)
    changed = False
    for block in reversed(order):  # so that the jump of an empty block is led on before it is used
        terminator = block.insts[-1]
        edges = terminator.edges
        if not edges:
            continue
        if empty and terminator.op not in _TRY_CALLS:
            changed |= _lead_on(terminator, empty)
        if len(edges) > 1 and terminator.op in (o.BR_IF, o.BR_TABLE) and _all_same(terminator):
            terminator.op, terminator.type, terminator.args = o.JUMP, None, []
            terminator.edges = [edges[0]]
            changed = True
    return changed


def _all_same(terminator: Inst) -> bool:
    first = terminator.edges[0]
    return all(edge.block is first.block and edge.args == first.args
               for edge in terminator.edges)


def _skippable(function: Function) -> dict[Block, Edge]:
    """The jump of each block that only jumps, and whose parameters only that jump uses."""
    empty: dict[Block, Edge] = {}
    for block in function.blocks[1:]:
        inst = block.insts[0]
        if inst.op is o.JUMP and inst.edges[0].block is not block:
            empty[block] = inst.edges[0]
    owner = {param: block for block in empty for param in block.params}
    if not owner:
        return empty
    for block in function.blocks:
        for inst in block.insts:
            for values in (inst.args, *[edge.args for edge in inst.edges]):
                for value in values:
                    if value in owner and owner[value] is not block:
                        empty.pop(owner[value], None)
    return empty


def _lead_on(terminator: Inst, empty: dict[Block, Edge]) -> bool:
    """Lead the edges of one terminator past an empty block.

    Two edges of a terminator never come to pass different arguments to one block: a target's
    phi could not tell them apart.
    """
    edges = terminator.edges
    if not any(edge.block in empty for edge in edges):
        return False
    passed = {edge.block: edge.args for edge in edges if edge.block not in empty}
    changed = False
    for edge in edges:
        onward = empty.get(edge.block)
        if onward is None:
            continue
        values = dict(zip(edge.block.params, edge.args, strict=True))
        args = [values.get(value, value) for value in onward.args]
        if passed.setdefault(onward.block, args) == args:
            edge.block, edge.args = onward.block, list(args)
            changed = True
    return changed


def _merge_rows(function: Function, order: list[Block]) -> bool:
    """Append a block to the only one that leads to it, if that leads nowhere else."""
    entries: dict[Block, int] = dict.fromkeys(order, 0)
    for block in order:
        for edge in block.insts[-1].edges:
            entries[edge.block] += 1
    renames = Renames()
    merged: set[Block] = set()
    for block in order:
        if block in merged:
            continue
        insts = block.insts
        while insts[-1].op is o.JUMP:
            edge = insts[-1].edges[0]
            next_block = edge.block
            if entries[next_block] != 1 or next_block is block:
                break
            for param, value in zip(next_block.params, edge.args, strict=True):
                renames.replace(param, value)
            insts.pop()
            insts.extend(next_block.insts)
            merged.add(next_block)
    if not merged:
        return False
    function.blocks = [block for block in function.blocks if block not in merged]
    renames.apply(function)
    return True

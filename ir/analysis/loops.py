"""Innermost natural loops."""

from __future__ import annotations

from dataclasses import dataclass

from ..function import Block, Function
from .cfg import predecessors
from .dominators import DominatorTree


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that contains no other and is repeated from one place.

    Attributes:
        header: the block that dominates all others.
        latch: the block that goes back to it.
        blocks: all of them, in reverse postorder, the header first.
    """

    header: Block
    latch: Block
    blocks: tuple[Block, ...]


def innermost_loops(function: Function, tree: DominatorTree, most: int) -> list[Loop]:
    """The innermost loops of at most so many blocks, in reverse postorder of their headers.

    Loops that several blocks repeat are left out. Takes time linear in blocks times ``most``.
    """
    preds = predecessors(function)
    number = {block: place for place, block in enumerate(tree.order)}
    latches: dict[Block, list[Block]] = {}
    for block in tree.order:
        for successor in block.successors:
            if tree.dominates(successor, block):
                found = latches.setdefault(successor, [])
                if block not in found:
                    found.append(block)
    loops = []
    for header, ends in latches.items():
        if len(ends) == 1:
            body = _body(header, ends[0], preds, latches, number, most)
            if body is not None:
                loops.append(Loop(header, ends[0], body))
    loops.sort(key=lambda loop: number[loop.header])
    return loops


def _body(header: Block, latch: Block, preds: dict[Block, list[Block]],
          headers: dict[Block, list[Block]], number: dict[Block, int], most: int
          ) -> tuple[Block, ...] | None:
    """Blocks of a loop; None if another loop is among them, or if they are too many."""
    body = {header}
    work = [latch]
    while work:
        block = work.pop()
        if block in body or block not in number:
            continue
        if block in headers or len(body) == most:
            return None
        body.add(block)
        work.extend(preds[block])
    return tuple(sorted(body, key=number.__getitem__))

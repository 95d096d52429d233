"""Natural loops, and which lie in which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..function import Block, Edge, Function
from .cfg import predecessors
from .dominators import DominatorTree


@dataclass(frozen=True, eq=False, slots=True)
class Loop:
    """A loop that is repeated from one place.

    Attributes:
        header: the block that dominates all others.
        latch: the block that goes back to it.
        blocks: all of them, those of loops inside as well, in reverse postorder; the header first.
        inner: the loops directly inside.
    """

    header: Block
    latch: Block
    blocks: tuple[Block, ...]
    inner: tuple[Loop, ...] = ()

    def entries(self, blocks: Iterable[Block]) -> list[Edge]:
        """The edges into it from those of the given blocks that lie outside."""
        inside = set(self.blocks)
        return [edge for block in blocks if block not in inside
                for edge in block.insts[-1].edges if edge.block is self.header]


def natural_loops(function: Function, tree: DominatorTree, most: int) -> list[Loop]:
    """The loops of at most so many blocks, each after those inside of it.

    Loops that several blocks repeat are left out, and so is what contains a loop that is. Takes
    time linear in blocks times ``most``.
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
    loops: dict[Block, Loop] = {}
    outermost: dict[Block, Loop] = {}  # of those found so far
    for header in sorted(latches, key=number.__getitem__, reverse=True):
        ends = latches[header]
        body = _body(header, ends[0], preds, number, most) if len(ends) == 1 else None
        if body is None:
            continue
        heads = [block for block in body if block in latches and block is not header]
        if all(head in loops for head in heads):
            inner = tuple([outermost.pop(head) for head in heads if head in outermost])
            loops[header] = outermost[header] = Loop(header, ends[0], body, inner)
    return list(loops.values())


def _body(header: Block, latch: Block, preds: dict[Block, list[Block]], number: dict[Block, int],
          most: int) -> tuple[Block, ...] | None:
    """Blocks of a loop; None if they are too many."""
    body = {header}
    work = [latch]
    while work:
        block = work.pop()
        if block in body or block not in number:
            continue
        if len(body) == most:
            return None
        body.add(block)
        work.extend(preds[block])
    return tuple(sorted(body, key=number.__getitem__))

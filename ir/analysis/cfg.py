"""Control flow of a function: who comes before whom."""

from __future__ import annotations

from ..function import Block, Edge, Function


def reverse_postorder(function: Function) -> list[Block]:
    """Blocks that the entry reaches, each before its successors except along back edges."""
    entry = function.blocks[0]
    seen = {entry}
    order: list[Block] = []
    # Reversed, so that the order follows the first edges first, as the text does.
    stack = [(entry, iter(_successors_reversed(entry)))]
    while stack:
        block, successors = stack[-1]
        for successor in successors:
            if successor not in seen:
                seen.add(successor)
                stack.append((successor, iter(_successors_reversed(successor))))
                break
        else:
            order.append(block)
            stack.pop()
    order.reverse()
    return order


def _successors_reversed(block: Block) -> list[Block]:
    return [edge.block for edge in reversed(block.insts[-1].edges)]


def incoming_edges(function: Function) -> dict[Block, list[tuple[Block, Edge]]]:
    """For every block the edges that lead to it, with the block that each comes from.

    Edges from blocks that cannot be reached are among them.
    """
    incoming: dict[Block, list[tuple[Block, Edge]]] = {block: [] for block in function.blocks}
    for block in function.blocks:
        for edge in block.insts[-1].edges:
            incoming[edge.block].append((block, edge))
    return incoming


def predecessors(function: Function) -> dict[Block, list[Block]]:
    """For every block the distinct blocks that may go to it, in block order."""
    preds: dict[Block, dict[Block, None]] = {block: {} for block in function.blocks}
    for block in function.blocks:
        for edge in block.insts[-1].edges:
            preds[edge.block][block] = None
    return {block: list(found) for block, found in preds.items()}

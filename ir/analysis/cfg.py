"""Control flow of a function: who comes before whom."""

from __future__ import annotations

from ..function import Block, Edge, Function


def reverse_postorder(function: Function) -> list[Block]:
    """Blocks that the entry reaches, each before its successors except along back edges."""
    order: list[Block] = []
    stack = [function.blocks[0]]
    done: dict[Block, bool] = {}  # False: its successors are on their way
    while stack:
        block = stack[-1]
        state = done.get(block)
        if state is None:
            done[block] = False
            # The last edge is on top, so the order follows the first edges first, as the text.
            for edge in block.insts[-1].edges:
                if edge.block not in done:
                    stack.append(edge.block)
            continue
        stack.pop()
        if not state:  # else it was reached another way since it was put here
            done[block] = True
            order.append(block)
    order.reverse()
    return order


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

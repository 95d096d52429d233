"""Dominators: one pass over a reducible function, iteration over any other.

What comes from WebAssembly is reducible: every retreating edge leads to a block that dominates
the edge's origin, so it changes no dominator, and one pass over the forward edges in reverse
postorder is exact. Each step is a nearest common ancestor in the tree built so far, found through
skew-binary jump pointers (Myers 1983) in O(log n): neither a chain of 50,000 early exits nor deep
loops make it quadratic. Other graphs get the iteration of Cooper, Harvey and Kennedy (2001).
"""

from __future__ import annotations

from ..function import Block, Function
from .cfg import predecessors, reverse_postorder


def immediate_dominators(
    function: Function, order: list[Block] | None = None
) -> dict[Block, Block | None]:
    """Immediate dominator of every reachable block, in reverse postorder; None for the entry.

    Args:
        order: the function's reverse postorder, if it is at hand.
    """
    if order is None:
        order = reverse_postorder(function)
    number = {block: i for i, block in enumerate(order)}
    preds = predecessors(function)
    pred_numbers = [[number[p] for p in preds[block] if p in number] for block in order]
    idom = _by_one_pass(pred_numbers) or _by_iteration(pred_numbers)
    return {block: order[idom[i]] if i else None for i, block in enumerate(order)}


class _Tree:
    """A growing tree of numbered nodes that answers ancestor queries in O(log n)."""

    __slots__ = ("depth", "jump", "parent")

    def __init__(self) -> None:
        self.parent = [0]
        self.jump = [0]
        self.depth = [0]

    def add(self, parent: int) -> None:
        """Add the next node below ``parent``."""
        depth, jump = self.depth, self.jump
        far = jump[parent]
        even = depth[parent] - depth[far] == depth[far] - depth[jump[far]]
        self.parent.append(parent)
        jump.append(jump[far] if even else parent)
        depth.append(depth[parent] + 1)

    def raise_to(self, node: int, depth: int) -> int:
        """The ancestor of ``node`` at ``depth``, or ``node`` if it lies no deeper."""
        depths, jump, parent = self.depth, self.jump, self.parent
        while depths[node] > depth:
            node = jump[node] if depths[jump[node]] >= depth else parent[node]
        return node

    def common_ancestor(self, a: int, b: int) -> int:
        """The nearest common ancestor."""
        jump, parent = self.jump, self.parent
        a = self.raise_to(a, self.depth[b])
        b = self.raise_to(b, self.depth[a])
        while a != b:
            if jump[a] == jump[b]:
                a, b = parent[a], parent[b]
            else:
                a, b = jump[a], jump[b]
        return a


def _by_one_pass(preds: list[list[int]]) -> list[int] | None:
    """Immediate dominators as numbers in reverse postorder; None if it is irreducible."""
    tree = _Tree()
    for block in range(1, len(preds)):
        dominator = -1
        for pred in preds[block]:
            if pred < block:
                dominator = pred if dominator < 0 else tree.common_ancestor(dominator, pred)
        tree.add(dominator)
    for block, froms in enumerate(preds):
        for pred in froms:
            if pred >= block and tree.raise_to(pred, tree.depth[block]) != block:
                return None
    return tree.parent


def _by_iteration(preds: list[list[int]]) -> list[int]:
    """The same for any graph."""
    undefined = -1
    idom = [undefined] * len(preds)
    idom[0] = 0
    changed = True
    while changed:
        changed = False
        for block in range(1, len(preds)):
            new = undefined
            for pred in preds[block]:
                if idom[pred] == undefined:
                    continue
                if new == undefined:
                    new = pred
                    continue
                while new != pred:  # smaller numbers lie higher
                    if new > pred:
                        new = idom[new]
                    else:
                        pred = idom[pred]
            if idom[block] != new:
                idom[block] = new
                changed = True
    return idom


class DominatorTree:
    """The dominator tree of a function's reachable blocks.

    Args:
        order: the function's reverse postorder, if it is at hand.

    Attributes:
        order: reachable blocks in reverse postorder.
        idom: immediate dominator of each, None for the entry.
        children: blocks immediately dominated by each, in reverse postorder.
    """

    __slots__ = ("_last", "_number", "children", "idom", "order")

    def __init__(self, function: Function, order: list[Block] | None = None) -> None:
        self.order = reverse_postorder(function) if order is None else order
        self.idom = immediate_dominators(function, self.order)
        self.children: dict[Block, list[Block]] = {block: [] for block in self.order}
        for block, parent in self.idom.items():
            if parent is not None:
                self.children[parent].append(block)
        # Preorder number of each block, and the last number inside its subtree.
        self._number = {block: number for number, block in enumerate(self.preorder())}
        self._last = dict(self._number)
        for block in reversed(self._number):
            above = self.idom[block]
            if above is not None:
                self._last[above] = max(self._last[above], self._last[block])

    def preorder(self) -> list[Block]:
        """Reachable blocks, each after its dominators, subtree by subtree."""
        result: list[Block] = []
        stack = [self.order[0]]
        while stack:
            block = stack.pop()
            result.append(block)
            stack.extend(reversed(self.children[block]))
        return result

    def reachable(self, block: Block) -> bool:
        """Whether the entry reaches the block."""
        return block in self._number

    def dominates(self, a: Block, b: Block) -> bool:
        """Whether every way from the entry to ``b`` passes ``a``; both reachable.

        A block dominates itself.
        """
        return self._number[a] <= self._number[b] <= self._last[a]

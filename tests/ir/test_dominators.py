"""Dominators agree with their definition, on reducible and irreducible graphs."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from swarmc.ir.analysis.cfg import incoming_edges, predecessors, reverse_postorder
from swarmc.ir.analysis.dominators import DominatorTree, _by_iteration, immediate_dominators
from swarmc.ir.function import Block, Edge, Function, Inst, Value
from swarmc.ir.ops import BR_IF, BR_TABLE, JUMP, RETURN
from swarmc.ir.types import EntityId, FuncType, Type


def graph(successors: list[list[int]]) -> Function:
    """A function with the given control flow (its operands mean nothing)."""
    function = Function(EntityId(0, 0), 0, FuncType((), ()))
    function.blocks = [Block() for _ in successors]
    condition = Value(Type.I32)
    for block, targets in zip(function.blocks, successors, strict=True):
        edges = [Edge(function.blocks[target]) for target in targets]
        op = {0: RETURN, 1: JUMP, 2: BR_IF}.get(len(targets), BR_TABLE)
        block.insts.append(Inst(op, None, [condition] if len(targets) > 1 else [], edges=edges))
    return function


def reached(function: Function, without: Block | None = None) -> set[Block]:
    """Blocks that the entry reaches if one block is taken out."""
    stack = [block for block in function.blocks[:1] if block is not without]
    seen = set(stack)
    while stack:
        for block in stack.pop().successors:
            if block is not without and block not in seen:
                seen.add(block)
                stack.append(block)
    return seen


def check_definition(function: Function) -> None:
    tree = DominatorTree(function)
    every = reached(function)
    assert set(tree.order) == every
    for a in every:
        without = reached(function, a)
        for b in every:
            assert tree.dominates(a, b) == (b not in without)
    for block, parent in tree.idom.items():
        if parent is None:
            assert block is function.blocks[0]
            continue
        strict = [d for d in every if d is not block and tree.dominates(d, block)]
        assert parent in strict
        assert all(tree.dominates(d, parent) for d in strict)
        assert block in tree.children[parent]


def test_diamond() -> None:
    function = graph([[1, 2], [3], [3], []])
    a, b, c, d = function.blocks
    assert reverse_postorder(function) == [a, b, c, d]
    assert immediate_dominators(function) == {a: None, b: a, c: a, d: a}
    assert predecessors(function) == {a: [], b: [a], c: [a], d: [b, c]}
    assert DominatorTree(function).preorder() == [a, b, c, d]


def test_unreachable_blocks_are_left_out_of_the_tree_but_keep_their_edges() -> None:
    function = graph([[2], [2], []])
    a, b, c = function.blocks
    tree = DominatorTree(function)
    assert tree.order == [a, c]
    assert not tree.reachable(b)
    assert predecessors(function)[c] == [a, b]
    assert [origin for origin, _ in incoming_edges(function)[c]] == [a, b]


def test_irreducible_loop() -> None:
    function = graph([[1, 2], [2, 3], [1, 3], []])
    a, b, c, d = function.blocks
    assert immediate_dominators(function) == {a: None, b: a, c: a, d: a}


@pytest.mark.parametrize("seed", range(300))
def test_random_graphs(seed: int) -> None:
    choose = random.Random(seed)
    size = choose.randrange(1, 13)
    # No edge to the entry, as the verifier wants it.
    function = graph([
        [choose.randrange(1, size) for _ in range(choose.choice((0, 1, 1, 2, 2, 3)))]
        if size > 1 else [] for _ in range(size)
    ])
    check_definition(function)
    order = reverse_postorder(function)
    number = {block: i for i, block in enumerate(order)}
    preds = predecessors(function)
    numbers = [[number[p] for p in preds[block] if p in number] for block in order]
    idom = immediate_dominators(function)
    assert [order[i] for i in _by_iteration(numbers)][1:] == [idom[block] for block in order[1:]]


@pytest.mark.parametrize("successors", [
    lambda i, n: [i + 1, n - 1],  # an early exit from every block
    lambda i, n: [i + 1, max(i - i % 1000, 1)],  # back edges that jump far
])
def test_long_functions_are_not_quadratic(
    successors: Callable[[int, int], list[int]],
) -> None:
    size = 50_000
    function = graph([successors(i, size) for i in range(size - 1)] + [[]])
    idom = immediate_dominators(function)
    assert len(idom) == size
    assert idom[function.blocks[size - 2]] is function.blocks[size - 3]

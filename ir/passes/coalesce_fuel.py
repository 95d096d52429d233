"""Fuel coalescing: fewer charges, the same count wherever it can be seen.

Before::

    block0(%0: i32):
        fuel_check
        charge amount=3
        br_if %0, block1, block2
    block1():
        charge amount=4
        bounds_check mem=0.0 offset=0 width=4 %0 !prepaid=2
        jump block3
    block2():
        charge amount=5
        jump block3
    block3():
        charge amount=6
        return

after::

    block0(%0: i32):
        fuel_check
        charge amount=13
        br_if %0, block1, block2
    block1():
        bounds_check mem=0.0 offset=0 width=4 %0 !prepaid=8
        jump block3
    block2():
        charge amount=1
        jump block3
    block3():
        return

Fuel can be seen at checks, calls and returns ("barriers"), and at traps, which subtract what they
say is prepaid. Between barriers a charge may come earlier by any amount, as long as the amount
prepaid at a point does not depend on the path that led there. So a block's exit and the entries of
all its successors share one amount; these are the classes. A block without a barrier turns entry
amount e, own cost c and exit amount x into the charge ``c + x - e``, which must not be negative:
``e <= c + x``. A block with a barrier can give away what it charges before it: ``e <= c``. One
that ends in a trap can owe any amount. The largest amounts that satisfy all of these
inequalities are shortest distances, found by Dijkstra's algorithm; they make at least one
successor's charge vanish for every class.
"""

from __future__ import annotations

import heapq

from .. import ops as o
from ..function import Block, Function, Inst
from ..module import Module
from ..ops import Effect, Op
from .rewrite import reachable_order

#: Where the fuel must be exact.
_BARRIERS: frozenset[Op] = frozenset(
    op for op in o.OPS.values()
    if op in (o.FUEL_CHECK, o.RETURN, o.THROW) or op.effect & Effect.CALL
)
_TRAPPING: frozenset[Op] = frozenset(
    op for op in o.OPS.values() if op.effect & Effect.TRAP and op not in _BARRIERS
)
_FUEL = _BARRIERS | {o.CHARGE}


def coalesce_fuel(function: Function, module: Module) -> bool:
    """Coalesce the charges of one function."""
    before = len(function.blocks)
    order = reachable_order(function)
    summaries = [_Summary(block) for block in order]
    amounts = _Amounts(order, summaries)
    changed = len(order) != before
    for i, (block, summary) in enumerate(zip(order, summaries, strict=True)):
        entry, leaving = amounts.at_entry(i), amounts.at_exit(i)
        if entry or leaving or summary.scattered:
            _rewrite(block, summary, entry, leaving)
            changed = True
    return changed


class _Summary:
    """What one block charges.

    Attributes:
        open: no barrier inside, so entry and exit amounts are related.
        cost: charged before the first barrier.
        last: charged after the last barrier (``cost``, if there is none).
        owes: ends in a trap, and no barrier comes before it.
        scattered: a segment holds more than one charge, or one of nothing.
    """

    __slots__ = ("cost", "last", "open", "owes", "scattered")

    def __init__(self, block: Block) -> None:
        self.open = True
        self.scattered = False
        self.cost = 0
        fuel = _FUEL
        amount = 0
        fresh = True  # no charge in this segment yet
        for inst in block.insts:
            op = inst.op
            if op not in fuel:
                continue
            if op is o.CHARGE:
                if not fresh or not inst.attrs[0]:
                    self.scattered = True
                fresh = False
                amount += inst.attrs[0]
                continue
            if self.open:
                self.open = False
                self.cost = amount
            amount = 0
            fresh = True
        if self.open:
            self.cost = amount
        self.last = amount
        self.owes = self.open and block.insts[-1].op is o.TRAP


class _Amounts:
    """The amount prepaid at the entry and at the exit of every block."""

    __slots__ = ("_amount", "_class_of")

    def __init__(self, order: list[Block], summaries: list[_Summary]) -> None:
        # Nodes: the entry of block i is 2 * i, its exit 2 * i + 1.
        self._class_of = _classes(order)
        fixed: dict[int, int] = {}  # what barriers allow a class
        owed: list[tuple[int, int]] = []  # what blocks that end in a trap charge
        relations: dict[int, list[tuple[int, int]]] = {}  # exit class: (entry class, cost)
        for i, summary in enumerate(summaries):
            entry, leaving = self._class_of[2 * i], self._class_of[2 * i + 1]
            if summary.owes:
                owed.append((entry, summary.cost))
            elif not summary.open:
                fixed[entry] = min(fixed.get(entry, summary.cost), summary.cost)
            elif entry != leaving:
                relations.setdefault(leaving, []).append((entry, summary.cost))
            terminator = order[i].insts[-1]
            if terminator.op in _BARRIERS or not terminator.edges:
                fixed[leaving] = 0
        fixed[self._class_of[0]] = 0
        self._amount: dict[int, int] = {}
        self._relax(fixed, relations)
        # What no barrier limits always traps, or loops for ever. It may get any amount, if only
        # the limited classes before it do not have more.
        unlimited = [cost for class_, cost in owed if class_ not in self._amount]
        enough = max([*self._amount.values(), *unlimited])
        for class_ in self._class_of:
            self._amount.setdefault(class_, enough)

    def _relax(
        self, start: dict[int, int], relations: dict[int, list[tuple[int, int]]]
    ) -> None:
        """Shortest distances from the fixed amounts, for all classes that they limit."""
        done = self._amount
        heap = [(amount, class_) for class_, amount in start.items()]
        heapq.heapify(heap)
        while heap:
            amount, class_ = heapq.heappop(heap)
            if class_ in done:
                continue
            done[class_] = amount
            for entry, cost in relations.get(class_, ()):
                if entry not in done:
                    heapq.heappush(heap, (amount + cost, entry))

    def at_entry(self, i: int) -> int:
        return self._amount[self._class_of[2 * i]]

    def at_exit(self, i: int) -> int:
        return self._amount[self._class_of[2 * i + 1]]


def _classes(order: list[Block]) -> list[int]:
    """The class of every node: the exit of a block is one with its successors' entries."""
    number = {block: i for i, block in enumerate(order)}
    parent = list(range(2 * len(order)))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for i, block in enumerate(order):
        root = 2 * i + 1
        for edge in block.insts[-1].edges:
            other = find(2 * number[edge.block])
            root = find(root)
            parent[other] = root
    return [find(node) for node in range(len(parent))]


def _rewrite(block: Block, summary: _Summary, entry: int, leaving: int) -> None:
    """Charge each segment once, where it charged first or else at its start."""
    insts: list[Inst] = []
    segment: list[Inst] = []
    for inst in block.insts:
        segment.append(inst)
        if inst.op in _BARRIERS:
            insts += _charge_once(segment, entry, 0)
            segment = []
            entry = 0
    if segment:
        if summary.owes:
            leaving = max(0, entry - summary.cost)
        insts += _charge_once(segment, entry, leaving)
    block.insts = insts


def _charge_once(segment: list[Inst], entry: int, leaving: int) -> list[Inst]:
    """One segment with one charge, which turns the amount at its entry into that at its exit."""
    charges = [inst for inst in segment if inst.op is o.CHARGE]
    total = sum([inst.attrs[0] for inst in charges]) + leaving - entry
    assert total >= 0
    insts: list[Inst] = []
    prepaid = entry
    if not charges and total:
        insts.append(Inst(o.CHARGE, None, [], (total,), loc=segment[0].loc))
        prepaid += total
    for inst in segment:
        if inst.op is o.CHARGE:
            prepaid -= inst.attrs[0]
            if inst is not charges[0] or not total:
                continue
            prepaid += total
            inst.attrs = (total,)
        elif prepaid and inst.op in _TRAPPING:
            inst.prepaid += prepaid
        insts.append(inst)
    return insts

"""SSA values of WebAssembly locals, found on the fly where they are read (Braun et al. 2013).

A block parameter appears only where a local is read whose value differs between predecessors.
Structured control flow makes that cheaper than in general: forward merges are complete when
their block begins, so that only loop headers wait for edges; and what a construct does not
assign is skipped in one step, by looking for an assignment in its range of byte offsets. There
is no recursion: the work goes on an explicit stack.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from ...ir import ops as o
from ...ir.function import Block, Edge, Inst, Value
from ...ir.types import Type

#: Where a block is entered from: the edge, and the node at whose end it leaves.
Preds = list[tuple[Edge, "Node"]]


class Node:
    """A block under construction, and what is known of the locals in it.

    Nodes form a chain to the entry through ``up``. To search long chains, each also has a
    ``jump`` to a node further up (jump pointers in the manner of Myers' skew-binary lists reach
    any ancestor in a logarithmic number of steps).

    Attributes:
        block: the IR block.
        defs: local -> value at the end of the block, of the locals looked at so far.
        up: a node that dominates this one, itself for the entry. Outside ``lo:hi``, no path
            from its end to this node assigns anything.
        start: byte offset at which the block begins.
        lo, hi: byte offsets of the construct that begins (a loop) or ends (a merge) here. Empty
            for a block with a single predecessor, which is then ``up``.
        preds: the ways in, of loop headers and merges.
        carried: of a loop header, the locals that have a parameter, in the parameters' order.
        jump_lo, jump_hi: what is not assigned within is the same here and at the end of ``jump``.
    """

    __slots__ = ("block", "carried", "defs", "depth", "hi", "jump", "jump_hi", "jump_lo", "lo",
                 "preds", "start", "up")

    def __init__(self, block: Block, up: Node | None, start: int, lo: int = 0, hi: int = 0,
                 preds: Preds | None = None, carried: list[int] | None = None) -> None:
        self.block = block
        self.start = start
        self.lo = lo
        self.hi = hi
        self.preds: Preds = preds if preds is not None else []
        self.carried = carried
        self.defs: dict[int, Value] = {}
        self.jump_lo = lo or start
        self.jump_hi = hi or start
        if up is None:
            self.depth = 0
            self.up = self.jump = self
            return
        self.up = self.jump = up
        self.depth = up.depth + 1
        over = up.jump
        if up.depth - over.depth == over.depth - over.jump.depth and over is not over.jump:
            self.jump = over.jump
            self.jump_lo = min(self.jump_lo, up.jump_lo, over.jump_lo)
            self.jump_hi = max(self.jump_hi, up.jump_hi, over.jump_hi)


class Locals:
    """The locals of one function.

    Args:
        types: type of each local, parameters first.
        sites: byte offsets, ascending, of the instructions that assign a local; by local.
        entry: the entry's node; its ``defs`` hold the parameters. The others begin as zero.
    """

    __slots__ = ("_open", "_sites", "entry", "types", "zeros")

    def __init__(self, types: Sequence[Type], sites: Mapping[int, list[int]],
                 entry: Node) -> None:
        self.types = types
        self.zeros: dict[Type, Inst] = {}
        self._sites = sites
        self.entry = entry
        self._open: list[tuple[Edge, int, Node, int]] = []

    def read(self, node: Node, local: int) -> Value:
        """The value of a local at the end of a node, as far as it has been translated."""
        value = node.defs.get(local)
        if value is None:
            value = self._value(node, local)
            while self._open:  # each new loop parameter wants an argument from each edge
                edge, position, pred, local = self._open.pop()
                edge.args[position] = self._value(pred, local)
        return value

    def back_edge(self, header: Node, node: Node, args: list[Value]) -> Edge:
        """A new edge from the end of ``node`` to a loop header, with arguments for its locals."""
        assert header.carried is not None
        for local in header.carried:
            args.append(self.read(node, local))
        edge = Edge(header.block, args)
        header.preds.append((edge, node))
        return edge

    def _value(self, node: Node, local: int) -> Value:
        found = node.defs.get(local) or self._find(node, local)
        if isinstance(found, Node):
            found = self._resolve(found, local)
        node.defs[local] = found
        return found

    def _find(self, node: Node, local: int) -> Value | Node:
        """The value, or the merge whose predecessors must be compared to know it."""
        sites = self._sites.get(local)
        if sites is None:
            return self.entry.defs.get(local) or self._zero(local)
        count = len(sites)
        while True:
            value = node.defs.get(local)
            if value is not None:
                return value
            if node is node.up:
                return self._zero(local)
            first = bisect_left(sites, node.jump_lo)
            if first == count or sites[first] >= node.jump_hi:
                node = node.jump
                continue
            if node.hi:
                first = bisect_left(sites, node.lo, first)
                if first < count and sites[first] < node.hi:
                    return node if node.carried is None else self._carry(node, local)
            node = node.up

    def _resolve(self, merge: Node, local: int) -> Value:
        """Value of a local at the start of a merge, and of all merges that it depends on.

        No cycle can arise: loop headers, which alone have edges from below, are never in here.
        """
        stack = [merge]
        while stack:
            node = stack[-1]
            if local in node.defs:
                stack.pop()
                continue
            values: list[Value] = []
            for _, pred in node.preds:
                found = pred.defs.get(local) or self._find(pred, local)
                if isinstance(found, Node):
                    stack.append(found)
                else:
                    pred.defs[local] = found
                    values.append(found)
            if stack[-1] is node:
                stack.pop()
                node.defs[local] = self._merge(node, local, values)
        return merge.defs[local]

    def _merge(self, node: Node, local: int, values: list[Value]) -> Value:
        """The one value that all predecessors agree on, or a new parameter."""
        first = values[0]
        for value in values:
            if value is not first:
                break
        else:
            return first
        for (edge, _), value in zip(node.preds, values, strict=True):
            edge.args.append(value)
        return node.block.add_param(self.types[local])

    def _carry(self, header: Node, local: int) -> Value:
        """A new parameter of a loop header. Its arguments come later, for they may need it."""
        assert header.carried is not None
        param = header.block.add_param(self.types[local])
        header.defs[local] = param
        header.carried.append(local)
        for edge, pred in header.preds:
            self._open.append((edge, len(edge.args), pred, local))
            edge.args.append(param)  # holds the place
        return param

    def _zero(self, local: int) -> Value:
        type_ = self.types[local]
        inst = self.zeros.get(type_)
        if inst is None:
            inst = self.zeros[type_] = Inst(o.CONST, type_, [], (0,))
            inst.results = (Value(type_, inst),)
        return inst.results[0]

"""Control instructions: structured control becomes blocks and edges.

Like all handlers they take the emitter, the row, its immediate and the byte offset. A construct
whose label nobody branches to leaves no trace. The block after a construct is made when its
``end`` is reached, by which time all edges to it are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir import ops as o
from ...ir.function import Block, Edge, Value
from ...ir.types import FuncType, Trap, Type
from ..wasm import types as wasm
from ..wasm.module import Catch
from ..wasm.opcodes import Opcode
from .emitter import Emitter
from .ssa import Node, Preds


class Frame:
    """An open construct.

    Attributes:
        results: types of its results; of its label, unless it is a loop.
        arity: number of values that a branch to its label takes.
        height: of the operand stack outside.
        start: byte offset of its first instruction.
        loop_start: that of the innermost loop that it is or lies in, -1 if there is none.
        outside: node in which it begins.
        header: of a loop, where its label is.
        target, preds: else, the block behind its end, and the ways there so far.
        otherwise: of an ``if`` whose ``else`` has not come yet, the edge taken on zero.
        params: of an ``if``, the values that both its arms begin with.
        catches: of a ``try_table``, its clauses. outer: the next one around it that has clauses.
        dispatch, thrown: the block that looks for a clause, if some exception may get there, and
            the ways to it. at_end: writes it.
    """

    __slots__ = ("arity", "at_end", "catches", "dispatch", "header", "height", "loop_start",
                 "otherwise", "outer", "outside", "params", "preds", "results", "start", "target",
                 "thrown")

    def __init__(self, results: tuple[Type, ...], height: int, start: int, outside: Node,
                 loop_start: int) -> None:
        self.results = results
        self.arity = len(results)
        self.height = height
        self.start = start
        self.loop_start = loop_start
        self.outside = outside
        self.header: Node | None = None
        self.target: Block | None = None
        self.preds: Preds = []
        self.otherwise: Edge | None = None
        self.params: list[Value] = []
        self.catches: tuple[Catch, ...] | None = None
        self.outer: Frame | None = None
        self.dispatch: Block | None = None
        self.thrown: Preds = []
        self.at_end: Callable[[Emitter, Frame, int], None] | None = None


def block_type(em: Emitter, imm: wasm.FuncType | int) -> FuncType:
    """The type that a block type immediate stands for."""
    return em.env.types[imm] if isinstance(imm, int) else imm.lowered()


def block(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    params, results = block_type(em, imm)
    height = len(em.stack) - len(params)
    em.frames.append(Frame(results, height, loc, em.node, em.frames[-1].loop_start))


def loop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    params, results = block_type(em, imm)
    args = em.pop_many(len(params))
    frame = Frame(results, len(em.stack), loc, em.node, loc)
    frame.arity = len(params)
    header = frame.header = Node(Block(), em.node, loc, loc, em.loop_ends[loc], carried=[])
    for type_ in params:
        em.stack.append(header.block.add_param(type_))
    entry = em.locals.back_edge(header, em.node, args)
    em.terminate(o.JUMP, [], loc, (entry,))
    em.frames.append(frame)
    em.begin_block(header)
    em.fuel_check(loc)


def if_(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    params, results = block_type(em, imm)
    condition = em.stack.pop()
    height = len(em.stack) - len(params)
    outside = em.node
    frame = Frame(results, height, loc, outside, em.frames[-1].loop_start)
    frame.params = em.stack[height:]
    then, otherwise = Edge(Block()), Edge(Block())
    frame.otherwise = otherwise
    em.frames.append(frame)
    em.terminate(o.BR_IF, [condition], loc, (then, otherwise))
    em.begin_block(Node(then.block, outside, loc))


def else_(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    frame = em.frames[-1]
    if em.live:
        edge = _forward_edge(em, frame)
        em.terminate(o.JUMP, [], loc, (edge,))
    assert frame.otherwise is not None
    del em.stack[frame.height:]
    em.stack.extend(frame.params)
    em.begin_block(Node(frame.otherwise.block, frame.outside, loc))
    frame.otherwise = None


def end(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    frame = em.frames.pop()
    if frame.catches is not None:
        em.catching = frame.outer
    if frame.otherwise is not None:  # no else: the arm on zero passes the parameters on
        if frame.target is None:
            frame.target = frame.otherwise.block
        else:
            frame.otherwise.block = frame.target
        frame.otherwise.args = frame.params
        frame.preds.append((frame.otherwise, frame.outside))
    if not em.frames:
        _end_function(em, frame, loc)
    elif frame.dispatch is not None:
        _end_try(em, frame, loc)
    elif not frame.preds:  # a loop, or nobody branches to the label
        if not em.live:
            del em.stack[frame.height:]
    else:
        if em.live:
            em.terminate(o.JUMP, [], loc, (_forward_edge(em, frame),))
        _join(em, frame, loc)


def _end_try(em: Emitter, frame: Frame, loc: int) -> None:
    if em.live:
        em.terminate(o.JUMP, [], loc, (_forward_edge(em, frame),))
    del em.stack[frame.height:]
    assert frame.at_end is not None
    frame.at_end(em, frame, loc)
    if frame.preds:
        _join(em, frame, loc)


def _end_function(em: Emitter, frame: Frame, loc: int) -> None:
    if em.live:
        em.terminate(o.RETURN, em.pop_many(frame.arity), loc)
    if frame.preds:
        _join(em, frame, loc)
        em.terminate(o.RETURN, em.pop_many(frame.arity), loc)


def _join(em: Emitter, frame: Frame, loc: int) -> None:
    """Begin the block behind a construct, whose edges are all known now."""
    preds = frame.preds
    del em.stack[frame.height:]
    assert frame.target is not None
    if len(preds) == 1:
        edge, pred = preds[0]
        em.stack.extend(edge.args)
        edge.args = []
        em.begin_block(Node(frame.target, pred, loc))
        return
    node = Node(frame.target, frame.outside, loc, frame.start, loc, preds)
    for type_ in frame.results:
        em.stack.append(node.block.add_param(type_))
    em.begin_block(node)


def _forward_edge(em: Emitter, frame: Frame) -> Edge:
    if frame.target is None:
        frame.target = Block()
    edge = Edge(frame.target, em.stack[-frame.arity:] if frame.arity else [])
    frame.preds.append((edge, em.node))
    return edge


def branch(em: Emitter, label: int) -> Edge:
    """A new edge to the label; the operands it passes stay on the stack."""
    frame = em.frames[-1 - label]
    if frame.header is None:
        return _forward_edge(em, frame)
    args = em.stack[-frame.arity:] if frame.arity else []
    return em.locals.back_edge(frame.header, em.node, args)


def br(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    if imm == len(em.frames) - 1:
        return_(em, row, imm, loc)
    else:
        edge = branch(em, imm)
        em.terminate(o.JUMP, [], loc, (edge,))


def br_if(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    condition = em.stack.pop()
    node = em.node
    taken, fallthrough = branch(em, imm), Edge(Block())
    em.terminate(o.BR_IF, [condition], loc, (taken, fallthrough))
    em.begin_block(Node(fallthrough.block, node, loc))


def br_table(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    labels, default = imm
    index = em.stack.pop()
    edges = [branch(em, label) for label in labels]
    edges.append(branch(em, default))
    em.terminate(o.BR_TABLE, [index], loc, tuple(edges))


def return_(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.terminate(o.RETURN, em.pop_many(em.frames[0].arity), loc)


def unreachable(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.terminate(o.TRAP, [], loc, attrs=(Trap.UNREACHABLE,))

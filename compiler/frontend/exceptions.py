"""Exceptions: how they are made, and where they go.

Where an exception is thrown and caught in one function, and its tag is known, that is a jump, and
the exception itself is made only if the handler wants a reference to it. A call inside a
``try_table`` has a second edge, to a block that looks which clause there is for the exception; that
block stands at the construct's end, where all ways to it are known.

Nothing on the heap is freed, with one exception: the exception that a clause catches without its
reference is taken off again, if it is the last object on the heap and no code ever had a reference
to it. So a program can throw for ever.
"""

from __future__ import annotations

from typing import Any

from ...ir import exceptions as layout
from ...ir import ops as o
from ...ir.function import Block, Edge, Value
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType, Trap, Type
from ..wasm.module import Catch
from ..wasm.opcodes import BY_NAME, Opcode
from . import control
from .emitter import Emitter, TagInfo
from .heap import allocate
from .ssa import Node

_I32, _I64 = Type.I32, Type.I64
_WORD = 8
_BR = BY_NAME["br"]


# Instructions.


def try_table(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    type_, catches = imm
    control.block(em, row, type_, loc)
    if catches:
        frame = em.frames[-1]
        frame.catches = catches
        frame.outer = em.catching
        frame.at_end = _dispatch
        em.catching = frame


def throw(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    tag = em.env.tags[imm]
    values = em.pop_many(len(tag.types))
    found = _static_clause(em, tag)
    if found is None:
        em.terminate(o.THROW, [_make(em, tag, values, loc, shared=False)], loc)
        return
    clause, label = found
    if clause.tag is not None:
        em.stack += values
    if clause.ref:
        em.stack.append(_make(em, tag, values, loc, shared=True))
    control.br(em, row, label, loc)


def throw_ref(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    exception = em.stack.pop()
    is_null = em.value(o.REF_IS_NULL, None, [exception], (), loc)
    em.trap_if(is_null, Trap.NULL_EXCEPTION_REFERENCE, loc)
    _note_place(em, em.value(o.BITCAST, _I64, [exception], (), loc), loc)
    _pass_on(em, exception, loc)


# Calls.


def try_call(em: Emitter, op: Op, args: list[Value], attr: EntityId | int, type_: FuncType,
             loc: int) -> None:
    """A call whose exceptions the innermost ``try_table`` is to see."""
    node, normal, handler = em.node, Block(), Block()
    exception = handler.add_param(Type.EXNREF)
    em.terminate(op, args, loc, (Edge(normal), Edge(handler)), (attr,))
    # A block between, because results and exceptions come after all other arguments.
    em.begin_block(Node(handler, node, loc))
    _pass_on(em, exception, loc)
    em.begin_block(Node(normal, node, loc))
    em.stack += [normal.add_param(result) for result in type_.results]


def _pass_on(em: Emitter, exception: Value, loc: int) -> None:
    """Give an exception to the innermost ``try_table``, or to the caller if there is none."""
    frame = em.catching
    if frame is None:
        em.terminate(o.THROW, [exception], loc)
        return
    if frame.dispatch is None:
        frame.dispatch = Block()
    edge = Edge(frame.dispatch, [exception])
    em.terminate(o.JUMP, [], loc, (edge,))
    frame.thrown.append((edge, em.node))


# Handlers.


def _dispatch(em: Emitter, frame: control.Frame, loc: int) -> None:
    """Write the block that looks for the clause of an exception; the frame has been closed."""
    assert frame.dispatch is not None and frame.catches is not None
    if len(frame.thrown) == 1:
        edge, pred = frame.thrown[0]
        (exception,) = edge.args
        edge.args = []
        em.begin_block(Node(frame.dispatch, pred, loc))
    else:
        exception = frame.dispatch.add_param(Type.EXNREF)
        em.begin_block(Node(frame.dispatch, frame.outside, loc, frame.start, loc, frame.thrown))
    address = em.value(o.BITCAST, _I64, [exception], (), loc)
    number: Value | None = None
    for clause in frame.catches:
        if clause.tag is None:
            _catch(em, clause, exception, address, loc)
            return
        if number is None:
            number = _load(em, address, layout.TAG, _I32, loc)
        wanted = em.const(_I32, em.env.tags[clause.tag].number, loc)
        fits = em.value(o.IEQ, _I32, [number, wanted], (), loc)
        node, caught, other = em.node, Block(), Block()
        em.terminate(o.BR_IF, [fits], loc, (Edge(caught), Edge(other)))
        em.begin_block(Node(caught, node, loc))
        _catch(em, clause, exception, address, loc)
        em.begin_block(Node(other, node, loc))
    _pass_on(em, exception, loc)


def _catch(em: Emitter, clause: Catch, exception: Value, address: Value, loc: int) -> None:
    """Branch to the label of a clause, with what it takes."""
    height = len(em.stack)
    types = () if clause.tag is None else em.env.tags[clause.tag].types
    offsets, _ = layout.value_offsets(types)
    for type_, offset in zip(types, offsets, strict=True):
        em.stack.append(_load(em, address, offset, type_, loc))
    if clause.ref:
        _store(em, address, layout.SIZE, em.const(_I32, 0, loc), loc)
        em.stack.append(exception)
    else:
        _release(em, address, loc)
    control.br(em, _BR, clause.label, loc)
    del em.stack[height:]


def _release(em: Emitter, address: Value, loc: int) -> None:
    """Take an exception off the heap again, if it is the last object there and nobody's else."""
    heap = em.env.heap
    size = em.value(o.EXTEND_U, None, [_load(em, address, layout.SIZE, _I32, loc)], (), loc)
    end = em.value(o.IADD, _I64, [address, size], (), loc)
    top = em.value(o.GLOBAL_GET, _I64, [], (heap.top,), loc)
    last = em.value(o.IEQ, _I64, [end, top], (), loc)  # never if the size says 0
    node, release, go_on = em.node, Block(), Block()
    em.terminate(o.BR_IF, [last], loc, (Edge(release), Edge(go_on)))
    em.begin_block(Node(release, node, loc))
    # What has not been handed out is zero.
    em.emit(o.MEMORY_FILL, _I64, [address, em.const(_I32, 0, loc), size], (heap.memory,), loc)
    em.emit(o.GLOBAL_SET, _I64, [address], (heap.top,), loc)
    released = Edge(go_on)
    em.terminate(o.JUMP, [], loc, (released,))
    # Nothing here assigns a local, so what dominates the test has them all.
    em.begin_block(Node(go_on, node, loc))


def _static_clause(em: Emitter, tag: TagInfo) -> tuple[Catch, int] | None:
    """The clause of this function that catches a tag, and its label from here."""
    for depth, frame in enumerate(reversed(em.frames), 1):
        for clause in frame.catches or ():
            if clause.tag is None or em.env.tags[clause.tag].number == tag.number:
                return clause, depth + clause.label
    return None


# Objects.


def _make(em: Emitter, tag: TagInfo, values: list[Value], loc: int, *, shared: bool) -> Value:
    """A new exception."""
    offsets, size = layout.value_offsets(tag.types)
    address = allocate(em, em.const(_I64, size, loc), loc)
    head = em.const(_I64, tag.number | (0 if shared else size) << 32, loc)
    _store(em, address, layout.TAG, head, loc)
    _note_place(em, address, loc)
    for value, offset in zip(values, offsets, strict=True):
        _store(em, address, offset, value, loc)
    return em.value(o.BITCAST, Type.EXNREF, [address], (), loc)


def _note_place(em: Emitter, address: Value, loc: int) -> None:
    """Note that an exception is thrown here, for the case that nobody catches it."""
    place = em.const(_I64, layout.place_word(loc, em.function.id.instance), loc)
    _store(em, address, layout.PLACE, place, loc)


def _load(em: Emitter, address: Value, offset: int, type_: Type, loc: int) -> Value:
    width = type_.bits // 8
    attrs = (em.env.heap.memory, offset, width, False, min(width, _WORD))
    return em.value(o.LOAD, type_, [address], attrs, loc)


def _store(em: Emitter, address: Value, offset: int, value: Value, loc: int) -> None:
    width = value.type.bits // 8
    attrs = (em.env.heap.memory, offset, width, min(width, _WORD))
    em.emit(o.STORE, value.type, [address, value], attrs, loc)

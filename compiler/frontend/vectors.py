"""Instructions on vectors that are not one IR op: those with a lane, and partial loads and stores.

Memory holds scalars only as far as the IR is concerned, and whole vectors: what loads or stores
a part is a scalar access, and a change of lanes before or after it.
"""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.function import Value
from ...ir.types import EntityId, Shape, Type
from ..wasm.opcodes import Opcode
from .emitter import Emitter


def lane(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Extract or replace a lane: the IR has its number behind the shape."""
    assert row.ir is not None and row.params is not None
    shape, *more = row.attrs
    args = em.pop_many(len(row.params))
    em.stack.append(em.value(row.ir, row.type, args, (shape, imm, *more), loc))


def shuffle(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.value(o.VSHUFFLE, None, em.pop_many(2), (imm,), loc))


def load_extended(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Eight bytes, their lanes widened."""
    half = _load(em, row, Type.I64, imm, loc)
    both = em.value(o.VSPLAT, Type.I64, [half], (Shape.I64X2,), loc)
    op = o.VEXTEND_S if row.signed else o.VEXTEND_U
    em.stack.append(em.value(op, None, [both], (row.shape, False), loc))


def load_splat(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    shape = _shape(row)
    scalar = _load(em, row, shape.lane, imm, loc)
    em.stack.append(em.value(o.VSPLAT, shape.lane, [scalar], (shape,), loc))


def load_zero(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """The first lane; all others are zero."""
    scalar = _load(em, row, _shape(row).lane, imm, loc)
    zero = em.const(Type.V128, 0, loc)
    em.stack.append(_replace(em, row, [zero, scalar], 0, loc))


def load_lane(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """One lane; all others stay."""
    vector = em.stack.pop()
    scalar = _load(em, row, _shape(row).lane, imm[:3], loc)
    em.stack.append(_replace(em, row, [vector, scalar], imm[3], loc))


def store_lane(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    shape = _shape(row)
    vector = em.stack.pop()
    address = em.stack.pop()
    memory, offset, width = _check(em, row, address, imm[:3], loc)
    scalar = em.value(o.VEXTRACT, shape.lane, [vector], (shape, imm[3], False), loc)
    em.emit(o.STORE, shape.lane, [address, scalar], (memory, offset, width, 1), loc)


# Relaxed instructions that the deterministic choice makes several ops of.


def negated_multiply_add(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    a, b, c = em.pop_many(3)
    shape = _shape(row)
    negated = em.value(o.VFNEG, None, [a], (shape,), loc)
    raw = em.value(o.VFMA, None, [negated, b, c], (shape,), loc)
    em.stack.append(em.value(o.VCANON, None, [raw], (shape,), loc))


#: Numbers of bytes: the low halves of i32 lanes; the even lanes of two vectors, the odd ones.
_LOW_HALVES = bytes(4 * lane + byte for lane in range(8) for byte in range(2))
_EVEN = bytes(8 * pair + byte for pair in range(4) for byte in range(4))
_ODD = bytes(4 + byte for byte in _EVEN)


def dot_bytes(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Sums of pairs of products of signed bytes, modulo 2^16."""
    sums = _dot_bytes(em, em.pop_many(2), loc)
    em.stack.append(em.value(o.VSHUFFLE, None, sums, (_LOW_HALVES,), loc))


def dot_bytes_add(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Sums of four products of signed bytes, exact, and of a third vector."""
    a, b, c = em.pop_many(3)
    sums = _dot_bytes(em, [a, b], loc)
    for lanes in (_EVEN, _ODD):
        part = em.value(o.VSHUFFLE, None, sums, (lanes,), loc)
        c = em.value(o.VADD, None, [c, part], (Shape.I32X4,), loc)
    em.stack.append(c)


def _dot_bytes(em: Emitter, args: list[Value], loc: int) -> list[Value]:
    """Sums of pairs of products of signed bytes as i32 lanes: the low four, the high four."""
    sums = []
    for high in (False, True):
        wide = [em.value(o.VEXTEND_S, None, [arg], (Shape.I16X8, high), loc) for arg in args]
        sums.append(em.value(o.VDOT, None, wide, (), loc))
    return sums


def _shape(row: Opcode) -> Shape:
    assert row.shape is not None
    return row.shape


def _check(em: Emitter, row: Opcode, address: Value, imm: tuple[int, int, int],
           loc: int) -> tuple[EntityId, int, int]:
    """Check the bounds of an access; memory, offset and width of it."""
    access = em.env.memories[imm[2]].id, imm[1], row.width
    em.emit_trapping(o.BOUNDS_CHECK, None, [address], access, loc)
    return access


def _load(em: Emitter, row: Opcode, type_: Type, imm: tuple[int, int, int], loc: int) -> Value:
    """A scalar, zero-extended, from the address on the stack."""
    address = em.stack.pop()
    access = _check(em, row, address, imm, loc)
    return em.value(o.LOAD, type_, [address], (*access, False, 1), loc)


def _replace(em: Emitter, row: Opcode, args: list[Value], number: int, loc: int) -> Value:
    shape = _shape(row)
    return em.value(o.VREPLACE, shape.lane, args, (shape, number), loc)

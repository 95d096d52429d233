"""Small integers, conversions, and tests of what a reference refers to.

An ``anyref`` is 0 (null), an integer of 31 bits (bit 0 is set, the integer lies above it), an
object (its address, a multiple of 8), or an ``externref`` of the host's that has come inside (bit
63 is set, the rest is what it was). The same bit marks an ``externref`` that was an ``anyref``.
"""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.function import Block, Edge, Value
from ...ir.types import Trap, Type
from ..wasm.opcodes import BY_NAME, Opcode
from ..wasm.types import DefType, Heap, ValueType, heap_type, is_nullable
from .control import branch
from .emitter import Emitter
from .heap import UNIT
from .references import is_null
from .ssa import Node

_I32, _I64 = Type.I32, Type.I64
#: Bits of an ``anyref`` that say what it is; both are 0 in a reference to an object.
OUTSIDE, INTEGER = 1 << 63, 1


def _bits(em: Emitter, reference: Value, loc: int) -> Value:
    return em.value(o.BITCAST, _I64, [reference], (), loc)


def _masked(em: Emitter, bits: Value, mask: int, loc: int) -> Value:
    return em.value(o.IAND, _I64, [bits, em.const(_I64, mask, loc)], (), loc)


def _not(em: Emitter, condition: Value, loc: int) -> Value:
    return em.value(o.IEQZ, _I32, [condition], (), loc)


def _both(em: Emitter, first: Value, second: Value, loc: int) -> Value:
    return em.value(o.IAND, _I32, [first, second], (), loc)


# Integers and equality.


def ref_i31(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    one = em.const(_I32, 1, loc)
    shifted = em.value(o.ISHL, _I32, [em.stack.pop(), one], (), loc)
    low = em.value(o.IOR, _I32, [shifted, one], (), loc)
    wide = em.value(o.EXTEND_U, None, [low], (), loc)
    em.stack.append(em.value(o.BITCAST, Type.ANYREF, [wide], (), loc))


def i31_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    reference = em.stack.pop()
    em.trap_if(is_null(em, reference, loc), Trap.NULL_I31_REFERENCE, loc)
    low = em.value(o.WRAP, None, [_bits(em, reference, loc)], (), loc)
    op = o.ISHR_S if row.name.endswith("_s") else o.ISHR_U
    em.stack.append(em.value(op, _I32, [low, em.const(_I32, 1, loc)], (), loc))


def ref_eq(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    first, second = em.pop_many(2)
    args = [_bits(em, first, loc), _bits(em, second, loc)]
    em.stack.append(em.value(o.IEQ, _I64, args, (), loc))


def convert(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Turn the bit that tells outside from inside; null has none."""
    reference = em.stack.pop()
    bits = _bits(em, reference, loc)
    turned = em.value(o.IXOR, _I64, [bits, em.const(_I64, OUTSIDE, loc)], (), loc)
    null = is_null(em, reference, loc)
    result = em.value(o.SELECT, _I64, [null, bits, turned], (), loc)
    type_ = Type.ANYREF if row is _CONVERT_EXTERN else Type.EXTERNREF
    em.stack.append(em.value(o.BITCAST, type_, [result], (), loc))


_CONVERT_EXTERN = BY_NAME["any.convert_extern"]


# Tests.


def _is_instance(em: Emitter, reference: Value, type_: ValueType, loc: int) -> Value:
    """Whether a reference is of a type (i32)."""
    null = is_null(em, reference, loc)
    heap = heap_type(type_)
    if isinstance(heap, Heap) and len(heap.supers) == 1:  # the top of its hierarchy
        return em.const(_I32, 1, loc) if is_nullable(type_) else _not(em, null, loc)
    if heap in (Heap.NONE, Heap.NOFUNC, Heap.NOEXTERN, Heap.NOEXN):
        return null if is_nullable(type_) else em.const(_I32, 0, loc)
    found = _is_inside(em, reference, null, heap, loc)
    if not is_nullable(type_):
        return found
    return em.value(o.IOR, _I32, [found, null], (), loc)


def _is_inside(em: Emitter, reference: Value, null: Value, heap: Heap | DefType,
               loc: int) -> Value:
    """Whether a reference is of a heap type, which null is not."""
    if isinstance(heap, DefType) and heap.kind is Heap.FUNC:
        return _is_function(em, reference, null, heap, loc)
    bits = _bits(em, reference, loc)
    if heap is Heap.I31:
        marks = _masked(em, bits, OUTSIDE | INTEGER, loc)
        return em.value(o.IEQ, _I64, [marks, em.const(_I64, INTEGER, loc)], (), loc)
    mark = OUTSIDE if heap is Heap.EQ else OUTSIDE | INTEGER
    inside = em.value(o.IEQZ, _I64, [_masked(em, bits, mark, loc)], (), loc)
    if heap is Heap.EQ:
        return _both(em, inside, _not(em, null, loc), loc)
    # What is no object is looked up where the heap begins, which is nothing of any type.
    address = em.value(o.SELECT, _I64, [inside, bits, em.const(_I64, 0, loc)], (), loc)
    attrs = (em.env.heap.memory, 0, 4, False, UNIT)
    number = em.value(o.LOAD, _I32, [address], attrs, loc)
    wanted = em.env.numbers.object(heap)
    return em.value(o.IS_SUBTYPE, None, [number], (wanted,), loc)


def _is_function(em: Emitter, reference: Value, null: Value, type_: DefType, loc: int) -> Value:
    node = em.node
    some, after = Block(), Block()
    result = after.add_param(_I32)
    edges = Edge(after, [em.const(_I32, 0, loc)]), Edge(some)
    em.terminate(o.BR_IF, [null], loc, edges)
    em.begin_block(Node(some, node, loc))
    sig = em.env.numbers.signature(type_)
    fits = em.value(o.HAS_TYPE, None, [reference], (sig,), loc)
    em.terminate(o.JUMP, [], loc, (Edge(after, [fits]),))
    em.begin_block(Node(after, node, loc))
    return result


def ref_test(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(_is_instance(em, em.stack.pop(), imm, loc))


def ref_cast(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    fits = _is_instance(em, em.stack[-1], imm, loc)
    em.trap_if(_not(em, fits, loc), Trap.CAST_FAILURE, loc)


def br_on_cast(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """The reference is on the stack on both ways."""
    label, _, type_ = imm
    fits = _is_instance(em, em.stack[-1], type_, loc)
    node = em.node
    taken, fallthrough = branch(em, label), Edge(Block())
    edges = (taken, fallthrough) if row is _ON_CAST else (fallthrough, taken)
    em.terminate(o.BR_IF, [fits], loc, edges)
    em.begin_block(Node(fallthrough.block, node, loc))


_ON_CAST = BY_NAME["br_on_cast"]

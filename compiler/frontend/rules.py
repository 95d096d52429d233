"""How each instruction becomes IR: one plan a row of the opcode table.

A row with an ``ir`` op is translated one to one, by :class:`Plan`. A row whose types depend on
context, or that may trap or costs more fuel than it says, has a handler here, in :mod:`.control`
or in :mod:`.storage`. Importing this module fails if a row has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ...ir import ops as o
from ...ir.builder import RESULT_TYPE
from ...ir.module import FuncInit
from ...ir.ops import Op
from ...ir.types import Shape, Trap, Type
from ..wasm.opcodes import BY_NAME, OPCODES, Imm, Opcode
from ..wasm.types import lower_type
from . import arrays, calls, casts, control, exceptions, references, storage, structs, vectors
from .emitter import Emitter

#: Takes the emitter, the row, its decoded immediate, and the instruction's byte offset.
Handler = Callable[[Emitter, Opcode, Any, int], None]


class Plan(NamedTuple):
    """A one-to-one translation: ``arity`` operands, one result.

    Attributes:
        canonical: op, type and attributes of what makes the result's NaN canonical; often None.
    """

    op: Op
    type: Type | None
    attrs: tuple[Any, ...]
    result: Type
    arity: int
    canonical: tuple[Op, Type | None, tuple[Any, ...]] | None


#: Ops whose NaN results WebAssembly leaves open; the deterministic profile does not.
NAN_ANY = frozenset((
    o.FADD, o.FSUB, o.FMUL, o.FDIV, o.FMIN, o.FMAX, o.FSQRT, o.FCEIL, o.FFLOOR, o.FTRUNC,
    o.FNEAREST, o.FMA, o.PROMOTE, o.DEMOTE,
    o.VFADD, o.VFSUB, o.VFMUL, o.VFDIV, o.VFMIN, o.VFMAX, o.VFSQRT, o.VFCEIL, o.VFFLOOR, o.VFTRUNC,
    o.VFNEAREST, o.VFMA, o.VPROMOTE, o.VDEMOTE,
))
#: Lanes of the results of those whose attributes do not tell.
_RESULT_SHAPES = {o.VPROMOTE: Shape.F64X2, o.VDEMOTE: Shape.F32X4}

_I32 = Type.I32


# Parametric, variables.


def nothing(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """``nop``."""


def drop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.pop()


def select(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    first, second, condition = em.pop_many(3)
    args = [condition, first, second]
    em.stack.append(em.value(o.SELECT, first.type, args, (), loc))


def local_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.locals.read(em.node, imm))


def local_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.defs[imm] = em.stack.pop()


def local_tee(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.defs[imm] = em.stack[-1]


def global_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    item = em.env.globals[imm]
    if item.mutable:
        value = em.value(o.GLOBAL_GET, item.type, [], (item.id,), loc)
    elif isinstance(item.init, FuncInit):
        value = em.value(o.REF_FUNC, None, [], (item.init.id,), loc)
    else:
        value = em.const(item.type, item.init, loc)
    em.stack.append(value)


def global_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    item = em.env.globals[imm]
    em.emit(o.GLOBAL_SET, item.type, [em.stack.pop()], (item.id,), loc)


def const(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    assert row.type is not None
    em.stack.append(em.const(row.type, imm, loc))



# Arithmetic that may trap.


def divide(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Division and remainder. Only the quotient overflows: MIN rem -1 is 0."""
    assert row.ir is not None and row.type is not None
    t = row.type
    args = em.pop_many(2)
    a, b = args
    em.trap_if(em.value(o.IEQZ, t, [b], (), loc), Trap.INTEGER_DIVIDE_BY_ZERO, loc)
    if row.ir is o.IDIV_S:
        lowest, minus_one = em.const(t, 1 << (t.bits - 1), loc), em.const(t, (1 << t.bits) - 1, loc)
        is_lowest = em.value(o.IEQ, t, [a, lowest], (), loc)
        by_minus_one = em.value(o.IEQ, t, [b, minus_one], (), loc)
        overflows = em.value(o.IAND, _I32, [is_lowest, by_minus_one], (), loc)
        em.trap_if(overflows, Trap.INTEGER_OVERFLOW, loc)
    em.stack.append(em.value(row.ir, t, args, (), loc))


#: For each truncation the floats next to its range: it overflows where ``low_op(x, low)`` or
#: ``x >= high``. A float that truncates to the least integer L is above L - 1, where the type
#: has L - 1; else (no fraction is left, so far out) it is L or more.
TRUNC_LIMITS: dict[tuple[Type, Type, Op], tuple[Op, int, int]] = {
    (_I32, Type.F32, o.TRUNC_S): (o.FLT, 0xCF000000, 0x4F000000),  # < -2^31, >= 2^31
    (_I32, Type.F64, o.TRUNC_S): (o.FLE, 0xC1E0000000200000, 0x41E0000000000000),  # <= -2^31 - 1
    (_I32, Type.F32, o.TRUNC_U): (o.FLE, 0xBF800000, 0x4F800000),  # <= -1, >= 2^32
    (_I32, Type.F64, o.TRUNC_U): (o.FLE, 0xBFF0000000000000, 0x41F0000000000000),
    (Type.I64, Type.F32, o.TRUNC_S): (o.FLT, 0xDF000000, 0x5F000000),  # < -2^63, >= 2^63
    (Type.I64, Type.F64, o.TRUNC_S): (o.FLT, 0xC3E0000000000000, 0x43E0000000000000),
    (Type.I64, Type.F32, o.TRUNC_U): (o.FLE, 0xBF800000, 0x5F800000),  # <= -1, >= 2^64
    (Type.I64, Type.F64, o.TRUNC_U): (o.FLE, 0xBFF0000000000000, 0x43F0000000000000),
}


def truncate(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    assert row.ir is not None and row.type is not None
    x = em.stack.pop()
    t = x.type
    low_op, low, high = TRUNC_LIMITS[row.type, t, row.ir]
    em.trap_if(em.value(o.FNE, t, [x, x], (), loc), Trap.INVALID_CONVERSION, loc)
    below = em.value(low_op, t, [x, em.const(t, low, loc)], (), loc)
    above = em.value(o.FGE, t, [x, em.const(t, high, loc)], (), loc)
    outside = em.value(o.IOR, _I32, [below, above], (), loc)
    em.trap_if(outside, Trap.INTEGER_OVERFLOW, loc)
    em.stack.append(em.value(row.ir, row.type, [x], (), loc))


#: Handlers by name of the row.
_NAMED: dict[str, Handler] = {
    "unreachable": control.unreachable, "nop": nothing, "block": control.block,
    "loop": control.loop, "if": control.if_, "else": control.else_, "end": control.end,
    "br": control.br, "br_if": control.br_if, "br_table": control.br_table,
    "return": control.return_, "call": calls.call, "call_indirect": calls.call_indirect,
    "call_ref": calls.call_ref, "return_call": calls.return_call,
    "return_call_indirect": calls.return_call_indirect, "return_call_ref": calls.return_call_ref,
    "throw": exceptions.throw, "throw_ref": exceptions.throw_ref,
    "try_table": exceptions.try_table,
    "drop": drop, "select": select, "select t": select,
    "local.get": local_get, "local.set": local_set, "local.tee": local_tee,
    "global.get": global_get, "global.set": global_set,
    "ref.null": references.ref_null, "ref.func": references.ref_func,
    "ref.as_non_null": references.ref_as_non_null, "br_on_null": references.br_on_null,
    "br_on_non_null": references.br_on_non_null, "ref.eq": casts.ref_eq,
    "struct.new": structs.struct_new, "struct.new_default": structs.struct_new_default,
    **dict.fromkeys(("struct.get", "struct.get_s", "struct.get_u"), structs.struct_get),
    "struct.set": structs.struct_set,
    "array.new": arrays.array_new, "array.new_default": arrays.array_new_default,
    "array.new_fixed": arrays.array_new_fixed,
    **dict.fromkeys(("array.new_data", "array.new_elem"), arrays.array_new_segment),
    **dict.fromkeys(("array.get", "array.get_s", "array.get_u"), arrays.array_get),
    "array.set": arrays.array_set, "array.len": arrays.array_len,
    "array.fill": arrays.array_fill, "array.copy": arrays.array_copy,
    **dict.fromkeys(("array.init_data", "array.init_elem"), arrays.array_init),
    **dict.fromkeys(("ref.test", "ref.test null"), casts.ref_test),
    **dict.fromkeys(("ref.cast", "ref.cast null"), casts.ref_cast),
    **dict.fromkeys(("br_on_cast", "br_on_cast_fail"), casts.br_on_cast),
    **dict.fromkeys(("any.convert_extern", "extern.convert_any"), casts.convert),
    "ref.i31": casts.ref_i31, "i31.get_s": casts.i31_get, "i31.get_u": casts.i31_get,
    "memory.size": storage.memory_size, "memory.grow": storage.memory_grow,
    "memory.fill": storage.memory_fill, "memory.copy": storage.memory_copy,
    "memory.init": storage.memory_init, "data.drop": storage.data_drop,
    "table.get": storage.table_get, "table.set": storage.table_set,
    "table.size": storage.table_size, "table.grow": storage.table_grow,
    "table.fill": storage.table_fill, "table.copy": storage.table_copy,
    "table.init": storage.table_init, "elem.drop": storage.elem_drop,
    **dict.fromkeys(("v128.load8x8_s", "v128.load8x8_u", "v128.load16x4_s", "v128.load16x4_u",
                     "v128.load32x2_s", "v128.load32x2_u"), vectors.load_extended),
    **{f"v128.load{bits}_splat": vectors.load_splat for bits in (8, 16, 32, 64)},
    **{f"v128.load{bits}_zero": vectors.load_zero for bits in (32, 64)},
    "f32x4.relaxed_nmadd": vectors.negated_multiply_add,
    "f64x2.relaxed_nmadd": vectors.negated_multiply_add,
    "i16x8.relaxed_dot_i8x16_i7x16_s": vectors.dot_bytes,
    "i32x4.relaxed_dot_i8x16_i7x16_add_s": vectors.dot_bytes_add,
}
#: Handlers by IR op, for rows that are not quite one to one.
_CHECKED: dict[Op, Handler] = {
    **dict.fromkeys((o.IDIV_S, o.IDIV_U, o.IREM_S, o.IREM_U), divide),
    **dict.fromkeys((o.TRUNC_S, o.TRUNC_U), truncate),
}
#: Handlers by kind of the immediate, for all other rows that have it.
_BY_IMMEDIATE: dict[Imm, Handler] = {
    **dict.fromkeys((Imm.I32, Imm.I64, Imm.F32, Imm.F64, Imm.V128), const),
    Imm.LANE: vectors.lane, Imm.LANES: vectors.shuffle,
}


def plan_for(row: Opcode) -> Plan | Handler:
    """How a row is translated.

    Raises:
        NotImplementedError: it has no ``ir`` op and no handler.
    """
    handler = _NAMED.get(row.name)
    if handler is not None:
        return handler
    if row.imm in _BY_IMMEDIATE:
        return _BY_IMMEDIATE[row.imm]
    if row.imm is Imm.MEMARG:
        return storage.store if row.results == () else storage.load
    if row.imm is Imm.MEMARG_LANE:
        return vectors.store_lane if row.results == () else vectors.load_lane
    if row.ir is None:
        raise NotImplementedError(
            f"{row.name}: the opcode table names no IR op, and {__name__} has no handler")
    if row.ir in _CHECKED:
        return _CHECKED[row.ir]
    result = RESULT_TYPE[row.ir] or row.type
    assert result is not None and row.ir.pure and row.fuel == 1, row
    return Plan(row.ir, row.type, row.attrs, result, len(row.ir.operands), _canonical(row))


def _canonical(row: Opcode) -> tuple[Op, Type | None, tuple[Any, ...]] | None:
    if row.ir not in NAN_ANY:
        return None
    if row.results != (Type.V128,):
        assert row.results is not None
        return o.CANON, lower_type(row.results[0]), ()
    return o.VCANON, None, (_RESULT_SHAPES.get(row.ir, row.shape),)


def make_plans(rows: Iterable[Opcode]) -> dict[Opcode, Plan | Handler]:
    """Plans for all rows; see :func:`plan_for`."""
    return {row: plan_for(row) for row in rows}


PLANS = make_plans(OPCODES)
LOCAL_GET = BY_NAME["local.get"]
LOCAL_SET = BY_NAME["local.set"]
LOCAL_TEE = BY_NAME["local.tee"]

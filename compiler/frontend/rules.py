"""How each instruction becomes IR: one plan a row of the opcode table.

A row with an ``ir`` op is translated one to one, by :class:`Plan`. A row whose types depend on
context, or that may trap or costs more fuel than it says, has a handler here or in
:mod:`.control`. Importing this module fails if a row has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ...ir import ops as o
from ...ir.builder import RESULT_TYPE, set_results
from ...ir.function import Block, Edge, Inst, Value
from ...ir.module import FuncInit
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType, Trap, Type
from ..wasm.opcodes import BY_NAME, OPCODES, Imm, Opcode
from . import control
from .emitter import Emitter
from .ssa import Node

Handler = Callable[[Emitter, Opcode, Any, int], None]


class Plan(NamedTuple):
    """A one-to-one translation: ``arity`` operands, one result."""

    op: Op
    type: Type | None
    result: Type
    arity: int
    canonical: bool  # the result's NaN has to be made canonical


#: Ops whose NaN results WebAssembly leaves open; the deterministic profile does not.
NAN_ANY = frozenset((
    o.FADD, o.FSUB, o.FMUL, o.FDIV, o.FMIN, o.FMAX, o.FSQRT, o.FCEIL, o.FFLOOR, o.FTRUNC,
    o.FNEAREST, o.PROMOTE, o.DEMOTE,
))

_I32 = Type.I32


# Parametric, variables, references.


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


def ref_null(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.const(imm, 0, loc))


def ref_func(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.value(o.REF_FUNC, None, [], (em.env.functions[imm],), loc))


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


# Linear memory. The alignment in the immediate is a hint that may lie; 1 is always true.


def load(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _, offset, index = imm
    memory = em.env.memories[index]
    width = row.width
    address = em.stack.pop()
    em.emit_trapping(o.BOUNDS_CHECK, None, [address], (memory, offset, width), loc)
    attrs = (memory, offset, width, row.signed, 1)
    em.stack.append(em.value(o.LOAD, row.type, [address], attrs, loc))


def store(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _, offset, index = imm
    memory = em.env.memories[index]
    width = row.width
    value = em.stack.pop()
    address = em.stack.pop()
    em.emit_trapping(o.BOUNDS_CHECK, None, [address], (memory, offset, width), loc)
    em.emit(o.STORE, row.type, [address, value], (memory, offset, width, 1), loc)


def memory_size(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.value(o.MEMORY_SIZE, _I32, [], (em.env.memories[imm],), loc))


def memory_grow(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    delta = em.stack.pop()
    old = em.value(o.MEMORY_GROW, delta.type, [delta], (em.env.memories[imm],), loc)
    em.stack.append(old)
    _charge_growth(em, old, delta, loc)


# Bulk operations and growth cost one unit more a byte, element or page. wasmtime 50 charges it
# after they succeeded, and checks the fuel at once; after growth that failed it does neither. A
# small constant however ("small" measured: 128 yes, 129 no) it adds to the instruction's own
# cost: it is charged even if growth fails, and there is no check.

UNCHECKED_LENGTH = 128


def _small_constant(em: Emitter, value: Value) -> int | None:
    """The value, if wasmtime sees a small constant there when it translates.

    It does not see what a local was before a loop that is still open: another value might
    reach the loop's header yet.
    """
    made = value.definition
    if not isinstance(made, Inst) or made.op is not o.CONST:
        return None
    bits: int = made.attrs[0]
    return bits if bits <= UNCHECKED_LENGTH and made.loc >= control.loop_start(em) else None


def _charge_by(em: Emitter, amount: Value, loc: int) -> None:
    em.end_region()
    em.emit(o.CHARGE_BY, amount.type, [amount], (), loc)
    em.fuel_check(loc)


def _charge_growth(em: Emitter, old: Value, delta: Value, loc: int) -> None:
    static = _small_constant(em, delta)
    if static is not None:
        em.cost += static
        return
    failed = em.const(old.type, (1 << old.type.bits) - 1, loc)
    succeeded = em.value(o.INE, old.type, [old, failed], (), loc)
    node = em.node
    grown, after = Node(Block(), node, loc), Node(Block(), node, loc)
    edges = Edge(grown.block), Edge(after.block)
    em.terminate(o.BR_IF, [succeeded], loc, edges)
    em.begin_block(grown)
    _charge_by(em, delta, loc)
    em.terminate(o.JUMP, [], loc, (Edge(after.block),))
    em.begin_block(after)


def _bulk(em: Emitter, op: Op, type_: Type | None, attrs: tuple[EntityId, ...], loc: int) -> None:
    args = em.pop_many(3)
    em.emit_trapping(op, type_, args, attrs, loc)
    static = _small_constant(em, args[2])
    if static is not None:
        em.cost += static
    else:
        _charge_by(em, args[2], loc)


def memory_fill(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _bulk(em, o.MEMORY_FILL, _I32, (em.env.memories[imm],), loc)


def memory_copy(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    to, source = imm
    _bulk(em, o.MEMORY_COPY, _I32, (em.env.memories[to], em.env.memories[source]), loc)


def memory_init(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    segment, to = imm
    _bulk(em, o.MEMORY_INIT, None, (em.env.memories[to], em.env.data[segment]), loc)


def data_drop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.emit(o.DATA_DROP, None, [], (em.env.data[imm],), loc)


def table_fill(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _bulk(em, o.TABLE_FILL, _I32, (em.env.tables[imm].id,), loc)


def table_copy(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    to, source = imm
    _bulk(em, o.TABLE_COPY, _I32, (em.env.tables[to].id, em.env.tables[source].id), loc)


def table_init(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    segment, to = imm
    _bulk(em, o.TABLE_INIT, None, (em.env.tables[to].id, em.env.elems[segment]), loc)


def elem_drop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.emit(o.ELEM_DROP, None, [], (em.env.elems[imm],), loc)


# Tables.


def _check_index(em: Emitter, index: Value, table: EntityId, trap: Trap, loc: int) -> None:
    size = em.value(o.TABLE_SIZE, index.type, [], (table,), loc)
    em.trap_if(em.value(o.IGE_U, index.type, [index, size], (), loc), trap, loc)


def table_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    table = em.env.tables[imm]
    index = em.stack.pop()
    _check_index(em, index, table.id, Trap.TABLE_OUT_OF_BOUNDS, loc)
    em.stack.append(em.value(o.TABLE_GET, table.type, [index], (table.id,), loc))


def table_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    table = em.env.tables[imm]
    args = em.pop_many(2)
    _check_index(em, args[0], table.id, Trap.TABLE_OUT_OF_BOUNDS, loc)
    em.emit(o.TABLE_SET, table.type, args, (table.id,), loc)


def table_size(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.value(o.TABLE_SIZE, _I32, [], (em.env.tables[imm].id,), loc))


def table_grow(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args = em.pop_many(2)
    delta = args[1]
    old = em.value(o.TABLE_GROW, delta.type, args, (em.env.tables[imm].id,), loc)
    em.stack.append(old)
    _charge_growth(em, old, delta, loc)


# Calls. The region ends with them: the callee must find all charged that came before.


def _call(em: Emitter, op: Op, args: list[Value], attr: EntityId | int, type_: FuncType,
          loc: int) -> None:
    inst = em.emit(op, None, args, (attr,), loc)
    if type_.results:
        set_results(inst, type_.results)
        em.stack.extend(inst.results)
    em.end_region()


def call(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    env = em.env
    type_ = env.types[env.function_types[imm]]
    _call(em, o.CALL, em.pop_many(len(type_.params)), env.functions[imm], type_, loc)


def call_indirect(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    type_index, table_index = imm
    type_, sig = em.env.types[type_index], em.env.sigs[type_index]
    table = em.env.tables[table_index]
    index = em.stack.pop()
    args = em.pop_many(len(type_.params))
    _check_index(em, index, table.id, Trap.UNDEFINED_ELEMENT, loc)
    callee = em.value(o.TABLE_GET, table.type, [index], (table.id,), loc)
    is_null = em.value(o.REF_IS_NULL, None, [callee], (), loc)
    em.trap_if(is_null, Trap.UNINITIALIZED_ELEMENT, loc)
    fits = em.value(o.HAS_TYPE, None, [callee], (sig,), loc)
    differs = em.value(o.IEQZ, _I32, [fits], (), loc)
    em.trap_if(differs, Trap.INDIRECT_CALL_TYPE_MISMATCH, loc)
    _call(em, o.CALL_REF, [callee, *args], sig, type_, loc)


#: Handlers by name of the row.
_NAMED: dict[str, Handler] = {
    "unreachable": control.unreachable, "nop": nothing, "block": control.block,
    "loop": control.loop, "if": control.if_, "else": control.else_, "end": control.end,
    "br": control.br, "br_if": control.br_if, "br_table": control.br_table,
    "return": control.return_, "call": call, "call_indirect": call_indirect,
    "drop": drop, "select": select, "select t": select,
    "local.get": local_get, "local.set": local_set, "local.tee": local_tee,
    "global.get": global_get, "global.set": global_set,
    "ref.null": ref_null, "ref.func": ref_func,
    "memory.size": memory_size, "memory.grow": memory_grow, "memory.fill": memory_fill,
    "memory.copy": memory_copy, "memory.init": memory_init, "data.drop": data_drop,
    "table.get": table_get, "table.set": table_set, "table.size": table_size,
    "table.grow": table_grow, "table.fill": table_fill, "table.copy": table_copy,
    "table.init": table_init, "elem.drop": elem_drop,
}
#: Handlers by IR op, for rows that are not quite one to one.
_CHECKED: dict[Op, Handler] = {
    **dict.fromkeys((o.IDIV_S, o.IDIV_U, o.IREM_S, o.IREM_U), divide),
    **dict.fromkeys((o.TRUNC_S, o.TRUNC_U), truncate),
}
_CONSTANTS = frozenset((Imm.I32, Imm.I64, Imm.F32, Imm.F64))


def plan_for(row: Opcode) -> Plan | Handler:
    """How a row is translated.

    Raises:
        NotImplementedError: it has no ``ir`` op and no handler.
    """
    handler = _NAMED.get(row.name)
    if handler is not None:
        return handler
    if row.imm in _CONSTANTS:
        return const
    if row.imm is Imm.MEMARG:
        return store if row.results == () else load
    if row.ir is None:
        raise NotImplementedError(
            f"{row.name}: the opcode table names no IR op, and {__name__} has no handler")
    if row.ir in _CHECKED:
        return _CHECKED[row.ir]
    result = RESULT_TYPE[row.ir] or row.type
    assert result is not None and row.ir.pure and row.fuel == 1, row
    return Plan(row.ir, row.type, result, len(row.ir.operands), row.ir in NAN_ANY)


def make_plans(rows: Iterable[Opcode]) -> dict[Opcode, Plan | Handler]:
    """Plans for all rows; see :func:`plan_for`."""
    return {row: plan_for(row) for row in rows}


PLANS = make_plans(OPCODES)
LOCAL_GET = BY_NAME["local.get"]
LOCAL_SET = BY_NAME["local.set"]
LOCAL_TEE = BY_NAME["local.tee"]

"""Bounds of integers, read off the few instructions that compute them."""

from __future__ import annotations

from .. import ops as o
from ..function import Inst, Value
from ..ops import Op
from .constants import constant_of

#: How many definitions are followed; real bounds are found within a few.
_DEPTH = 6

#: Ops whose result is 0 or 1.
BOOLEANS: frozenset[Op] = frozenset({
    o.IEQZ, o.IEQ, o.INE, o.ILT_S, o.ILT_U, o.IGT_S, o.IGT_U, o.ILE_S, o.ILE_U, o.IGE_S, o.IGE_U,
    o.FEQ, o.FNE, o.FLT, o.FGT, o.FLE, o.FGE, o.REF_IS_NULL, o.HAS_TYPE, o.IS_SUBTYPE,
    o.VANY_TRUE, o.VALL_TRUE,
})
_LESS: frozenset[Op] = frozenset({o.ILT_U, o.ILE_U})
_COUNTS: frozenset[Op] = frozenset({o.ICLZ, o.ICTZ, o.IPOPCNT})


def upper_bound(value: Value, depth: int = _DEPTH) -> int:
    """A number that the value, taken as unsigned, never exceeds."""
    limit = (1 << value.type.bits) - 1
    inst = value.definition
    if type(inst) is not Inst or not depth:
        return limit
    op = inst.op
    if op is o.CONST:
        bits: int = inst.attrs[0]
        return bits
    if op in BOOLEANS:
        return 1
    if op in _COUNTS:
        return value.type.bits
    if op is o.LOAD:
        _, _, width, signed, _ = inst.attrs
        return limit if signed else min(limit, (1 << 8 * width) - 1)
    rule = _RULES.get(op)
    return limit if rule is None else min(limit, rule(inst, limit, depth - 1))


def lower_bound(value: Value, depth: int = _DEPTH) -> int:
    """A number that the value, taken as unsigned, never falls below."""
    inst = value.definition
    if type(inst) is not Inst or not depth:
        return 0
    op = inst.op
    if op is o.CONST:
        bits: int = inst.attrs[0]
        return bits
    if op is o.EXTEND_U:
        return lower_bound(inst.args[0], depth - 1)
    if op is o.IADD and upper_bound(value, depth) < (1 << value.type.bits) - 1:
        return sum(lower_bound(arg, depth - 1) for arg in inst.args)  # it does not wrap around
    return 0


def _and(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    return min(upper_bound(a, depth), upper_bound(b, depth))


def _or(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    widest = max(upper_bound(a, depth), upper_bound(b, depth))
    return (1 << widest.bit_length()) - 1


def _add(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    bound = upper_bound(a, depth)
    if bound == limit:
        return limit
    bound += upper_bound(b, depth)
    return bound if bound <= limit else limit  # it may wrap around


def _multiply(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    bound = upper_bound(a, depth)
    if bound == limit:
        return limit
    bound *= upper_bound(b, depth)
    return bound if bound <= limit else limit


def _shift_left(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    amount = constant_of(b)
    if amount is None:
        return limit
    shifted = upper_bound(a, depth) << amount % a.type.bits
    return shifted if shifted <= limit else limit


def _shift_right(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    amount = constant_of(b)
    return upper_bound(a, depth) >> (amount or 0) % a.type.bits


def _remainder(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    return min(upper_bound(a, depth), max(upper_bound(b, depth) - 1, 0))


def _quotient(inst: Inst, limit: int, depth: int) -> int:
    a, b = inst.args
    return upper_bound(a, depth) // max(constant_of(b) or 1, 1)


def _same(inst: Inst, limit: int, depth: int) -> int:
    return upper_bound(inst.args[0], depth)


def _wrap(inst: Inst, limit: int, depth: int) -> int:
    bound = upper_bound(inst.args[0], depth)
    return bound if bound <= limit else limit


def _select(inst: Inst, limit: int, depth: int) -> int:
    condition, a, b = inst.args
    bounds = upper_bound(a, depth), upper_bound(b, depth)
    test = condition.definition
    if type(test) is Inst and test.op in _LESS and _equal(test.args[0], a) and _equal(
            test.args[1], b):
        return min(bounds)  # the smaller of the two
    return max(bounds)


def _equal(a: Value, b: Value) -> bool:
    return a is b or (constant_of(a) is not None and constant_of(a) == constant_of(b))


_RULES = {
    o.IAND: _and,
    o.IOR: _or,
    o.IXOR: _or,
    o.IADD: _add,
    o.IMUL: _multiply,
    o.ISHL: _shift_left,
    o.ISHR_U: _shift_right,
    o.IREM_U: _remainder,
    o.IDIV_U: _quotient,
    o.EXTEND_U: _same,
    o.WRAP: _wrap,
    o.SELECT: _select,
}

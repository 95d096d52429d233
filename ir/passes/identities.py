"""Algebraic identities of pure ops: the rules that constant folding applies.

A rule looks at one instruction whose operands are not all constants. It returns the value that
replaces the result, or None, and then it may have changed the instruction in place to a simpler
one. Float rules hold bit for bit, up to NaNs that the table calls "NaN any".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .. import ops as o
from ..analysis.ranges import upper_bound
from ..function import Inst, Value
from ..module import Module
from ..ops import Op
from ..semantics import mask
from ..types import Type


class Context(Protocol):
    """What a rule may ask of the pass that applies it."""

    module: Module
    consts: dict[Value, int]  # values known to be constants

    def const(self, type_: Type, bits: int) -> Value:
        """A new constant, defined before the instruction at hand."""


Rule = Callable[[Context, Inst], Value | None]
_ConstRule = Callable[[Context, Inst, Value, int], Value | None]

#: The comparison that is true where this one is false. Ordered float comparisons have none.
INVERSE: dict[Op, Op] = {
    o.IEQ: o.INE, o.ILT_S: o.IGE_S, o.ILT_U: o.IGE_U, o.IGT_S: o.ILE_S, o.IGT_U: o.ILE_U,
    o.FEQ: o.FNE,
}
INVERSE |= {inverse: op for op, inverse in INVERSE.items()}

#: The comparison with its operands exchanged.
_SWAPPED: dict[Op, Op] = {
    o.ILT_S: o.IGT_S, o.ILT_U: o.IGT_U, o.ILE_S: o.IGE_S, o.ILE_U: o.IGE_U,
}
_SWAPPED |= {swapped: op for op, swapped in _SWAPPED.items()}


def defining(value: Value) -> Inst | None:
    """The instruction that defines a value, None for a block parameter."""
    definition = value.definition
    return definition if type(definition) is Inst else None


def is_boolean(value: Value) -> bool:
    """Whether the value is known to be 0 or 1 because of how it is computed."""
    return upper_bound(value, 3) <= 1


def _is_condition(value: Value) -> bool:
    """Whether the value can stand for the result of a comparison."""
    return value.type is Type.I32 and is_boolean(value)


def become(inst: Inst, op: Op, type_: Type | None, *args: Value) -> None:
    """Turn an instruction into another one that computes the same result."""
    inst.op, inst.type, inst.args = op, type_, list(args)


# Binary integer ops with a constant on the right.


def _keeps_left(identity: int) -> _ConstRule:
    def rule(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
        return a if bits == identity & mask(a.type) else None
    return rule


def _absorbs(identity: int, zero: int) -> _ConstRule:
    """``a op identity == a`` and ``a op zero == zero``."""
    def rule(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
        if bits == identity & mask(a.type):
            return a
        return inst.args[1] if bits == zero & mask(a.type) else None
    return rule


def _reassociates(rule: _ConstRule, combine: Callable[[int, int], int]) -> _ConstRule:
    """After ``rule``, ``(x op c1) op c2`` becomes ``x op (c1 op c2)``."""
    def reassociating(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
        found = rule(context, inst, a, bits)
        inner = defining(a)
        if found is None and inner is not None and inner.op is inst.op:
            first = context.consts.get(inner.args[1])
            if first is not None:
                bits = combine(first, bits) & mask(a.type)
                inst.args = [inner.args[0], context.const(a.type, bits)]
                return rule(context, inst, inner.args[0], bits)
        return found
    return reassociating


_add = _reassociates(_keeps_left(0), lambda a, b: a + b)
_bitwise_and = _reassociates(_absorbs(-1, 0), lambda a, b: a & b)


def _and(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    if bits == 1 and is_boolean(a):
        return a
    return _bitwise_and(context, inst, a, bits)


def _subtract(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    """``a - c`` becomes ``a + (-c)``, the one form that other rules look for."""
    if bits == 0:
        return a
    bits = -bits & mask(a.type)
    inst.op, inst.args = o.IADD, [a, context.const(a.type, bits)]
    return _add(context, inst, a, bits)


def _shift(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    return a if bits % a.type.bits == 0 else None


def _divide(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    return a if bits == 1 else None


def _remainder(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    return context.const(a.type, 0) if bits == 1 else None


def _equal(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    if bits == 0:
        become(inst, o.IEQZ, inst.type, a)
        return _ieqz(context, inst)
    return a if bits == 1 and _is_condition(a) else None


def _not_equal(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
    if bits == 0 and _is_condition(a):
        return a
    if bits == 1 and is_boolean(a):
        become(inst, o.IEQZ, inst.type, a)
        return _ieqz(context, inst)
    return None


def _never_below_zero(op: Op) -> _ConstRule:
    """Unsigned comparisons with 0: two are decided, two become equalities."""
    def rule(context: Context, inst: Inst, a: Value, bits: int) -> Value | None:
        if bits:
            return None
        if op in (o.ILT_U, o.IGE_U):
            return context.const(Type.I32, int(op is o.IGE_U))
        inst.op = o.INE if op is o.IGT_U else o.IEQ
        return _RIGHT_CONST[inst.op](context, inst, a, bits)
    return rule


_RIGHT_CONST: dict[Op, _ConstRule] = {
    o.IADD: _add,
    o.ISUB: _subtract,
    o.IMUL: _absorbs(1, 0),
    o.IAND: _and,
    o.IOR: _reassociates(_absorbs(0, -1), lambda a, b: a | b),
    o.IXOR: _reassociates(_keeps_left(0), lambda a, b: a ^ b),
    o.IDIV_S: _divide,
    o.IDIV_U: _divide,
    o.IREM_S: _remainder,
    o.IREM_U: _remainder,
    o.IEQ: _equal,
    o.INE: _not_equal,
    **dict.fromkeys((o.ISHL, o.ISHR_S, o.ISHR_U, o.IROTL, o.IROTR), _shift),
    **{op: _never_below_zero(op) for op in (o.ILT_U, o.IGE_U, o.IGT_U, o.ILE_U)},
}

#: Shifts and divisions of 0 are 0.
_LEFT_ZERO = frozenset({o.ISHL, o.ISHR_S, o.ISHR_U, o.IROTL, o.IROTR,
                        o.IDIV_S, o.IDIV_U, o.IREM_S, o.IREM_U})

#: Result of an integer op on twice the same value; None: that value.
_SAME_ARGS: dict[Op, int | None] = {
    o.ISUB: 0, o.IXOR: 0, o.IAND: None, o.IOR: None, o.IEQ: 1, o.INE: 0,
    o.ILT_S: 0, o.ILT_U: 0, o.IGT_S: 0, o.IGT_U: 0,
    o.ILE_S: 1, o.ILE_U: 1, o.IGE_S: 1, o.IGE_U: 1,
}


def _binary(context: Context, inst: Inst) -> Value | None:
    a, b = inst.args
    op = inst.op
    if a is b:
        if op not in _SAME_ARGS:
            return None
        bits = _SAME_ARGS[op]
        return a if bits is None else context.const(inst.results[0].type, bits)
    consts = context.consts
    if a in consts:
        if op in _LEFT_ZERO and consts[a] == 0:
            return a
        if op.commutes or op in _SWAPPED:
            inst.op = op = _SWAPPED.get(op, op)
            inst.args = [b, a]
            a, b = b, a
    if b in consts:
        rule = _RIGHT_CONST.get(op)
        return None if rule is None else rule(context, inst, a, consts[b])
    return None


# Unary ops and conversions.


def _ieqz(context: Context, inst: Inst) -> Value | None:
    inner = defining(inst.args[0])
    if inner is None:
        return None
    if inner.op in INVERSE:
        become(inst, INVERSE[inner.op], inner.type, *inner.args)
    elif inner.op is o.IEQZ and _is_condition(inner.args[0]):
        return inner.args[0]
    return None


def _undoes(*inverses: Op) -> Rule:
    """``op(inverse(x))`` is ``x`` when the types fit."""
    def rule(context: Context, inst: Inst) -> Value | None:
        inner = defining(inst.args[0])
        if inner is None or inner.op not in inverses:
            return None
        (x,) = inner.args
        return x if x.type is inst.results[0].type else None
    return rule


def _repeats(*skipped: Op) -> Rule:
    """``op(op(x))`` is ``op(x)``, and ops that ``op`` makes irrelevant are skipped."""
    def rule(context: Context, inst: Inst) -> Value | None:
        inner = defining(inst.args[0])
        if inner is not None and inner.op in skipped:
            inst.args = [inner.args[0]]
            inner = defining(inst.args[0])
        return inst.args[0] if inner is not None and inner.op is inst.op else None
    return rule


def _ref_is_null(context: Context, inst: Inst) -> Value | None:
    inner = defining(inst.args[0])
    if inner is not None and inner.op is o.REF_FUNC:
        return context.const(Type.I32, 0)
    return None


def _has_type(context: Context, inst: Inst) -> Value | None:
    inner = defining(inst.args[0])
    if inner is None or inner.op is not o.REF_FUNC:
        return None
    module = context.module
    sig, wanted = module.sig_of(inner.attrs[0]), inst.attrs[0]
    return context.const(Type.I32, int(module.is_subtype(sig, wanted)))


# Floats. `x + 0` is not among them: -0 + 0 is 0.


def neutral_bits(op: Op, type_: Type) -> int:
    """The pattern c for which ``a op c`` is ``a``, for every a that is no NaN."""
    if op is o.FADD:
        return 1 << (type_.bits - 1)  # -0
    if op is o.FSUB:
        return 0
    return 0x3F800000 if type_ is Type.F32 else 0x3FF0000000000000  # 1


def _float_arithmetic(context: Context, inst: Inst) -> Value | None:
    a, b = inst.args
    consts = context.consts
    if inst.op in (o.FADD, o.FMUL) and a in consts:
        a, b = b, a
    return a if consts.get(b) == neutral_bits(inst.op, a.type) else None


def _canon(context: Context, inst: Inst) -> Value | None:
    inner = defining(inst.args[0])
    if inner is not None and inner.op in (o.CANON, o.CONVERT_S, o.CONVERT_U):
        return inst.args[0]
    return None


def _fcopysign(context: Context, inst: Inst) -> Value | None:
    a, b = inst.args
    return a if a is b else None


# Selections.


def strip_condition(context: Context, value: Value) -> tuple[Value, bool]:
    """An i32 that is zero exactly where the condition is, or (True) exactly where it is not."""
    inverted = False
    while True:
        inst = defining(value)
        if inst is None or inst.op not in (o.IEQZ, o.INE) or inst.type is not Type.I32:
            return value, inverted
        if inst.op is o.IEQZ:
            inverted = not inverted
        elif context.consts.get(inst.args[1]) != 0:
            return value, inverted
        value = inst.args[0]


def _select(context: Context, inst: Inst) -> Value | None:
    condition, a, b = inst.args
    consts = context.consts
    if a is b:
        return a
    if condition in consts:
        return a if consts[condition] else b
    stripped, inverted = strip_condition(context, condition)
    if inverted:
        a, b = b, a
    if stripped is not condition:
        inst.args = [stripped, a, b]
    if a.type is not Type.I32 or a not in consts or b not in consts:
        return None
    if (consts[a], consts[b]) == (0, 1):
        become(inst, o.IEQZ, Type.I32, stripped)
        return _ieqz(context, inst)
    return stripped if (consts[a], consts[b]) == (1, 0) and is_boolean(stripped) else None


#: The rule for each op that has one.
RULES: dict[Op, Rule] = {
    **dict.fromkeys([*_RIGHT_CONST, *_SAME_ARGS, *_SWAPPED], _binary),
    o.IEQZ: _ieqz,
    o.WRAP: _undoes(o.EXTEND_S, o.EXTEND_U),
    o.BITCAST: _undoes(o.BITCAST),
    o.DEMOTE: _undoes(o.PROMOTE),
    o.FNEG: _undoes(o.FNEG),
    o.SEXT8: _repeats(o.SEXT16, o.SEXT32),
    o.SEXT16: _repeats(o.SEXT32),
    o.SEXT32: _repeats(),
    o.FABS: _repeats(o.FNEG),
    o.CANON: _canon,
    **dict.fromkeys((o.FADD, o.FSUB, o.FMUL, o.FDIV), _float_arithmetic),
    o.FCOPYSIGN: _fcopysign,
    o.REF_IS_NULL: _ref_is_null,
    o.HAS_TYPE: _has_type,
    o.SELECT: _select,
}

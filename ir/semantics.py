"""What the pure ops compute, on bit patterns: the one definition shared by folding and oracle.

Operands and results are unsigned bit patterns of their type's width. Floating point is exact:
binary32 arithmetic is done in binary64 and rounded once more, which is innocuous for the
operations at hand (53 >= 2 * 24 + 2), except integer conversion, which rounds by itself. A NaN
result is the canonical one wherever the table says "NaN any".
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable
from typing import Any

from . import ops as o
from .fused import multiply_add
from .ops import Op
from .types import Type
from .vector_semantics import VECTOR_OPS, Evaluator, vector_evaluator

#: Canonical NaN: quiet bit alone, positive.
CANONICAL_NAN = {Type.F32: 0x7FC00000, Type.F64: 0x7FF8000000000000}

_F32, _F64 = struct.Struct("<f"), struct.Struct("<d")
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


def mask(type_: Type) -> int:
    """All ones, as wide as the type."""
    return (1 << type_.bits) - 1


def to_signed(bits: int, width: int) -> int:
    """The value of a two's complement bit pattern of ``width`` bits."""
    return bits - (1 << width) if bits >> (width - 1) else bits


def to_float(type_: Type, bits: int) -> float:
    """The value of a bit pattern, exactly (a NaN loses its payload)."""
    if type_ is Type.F32:
        value: float = _F32.unpack(_U32.pack(bits))[0]
    else:
        value = _F64.unpack(_U64.pack(bits))[0]
    return value


def from_float(type_: Type, value: float) -> int:
    """The bit pattern of a value, rounded to nearest even; a NaN becomes the canonical one."""
    if value != value:
        return CANONICAL_NAN[type_]
    if type_ is Type.F64:
        bits: int = _U64.unpack(_F64.pack(value))[0]
        return bits
    try:
        bits = _U32.unpack(_F32.pack(value))[0]
    except OverflowError:  # struct refuses what rounds to infinity
        bits = 0x7F800000 if value > 0 else 0xFF800000
    return bits


def is_nan(type_: Type, bits: int) -> bool:
    """Whether a float's bit pattern is a NaN."""
    if type_ is Type.F32:
        return bits & 0x7FFFFFFF > 0x7F800000
    return bits & 0x7FFFFFFFFFFFFFFF > 0x7FF0000000000000


def canonicalize(type_: Type, bits: int) -> int:
    """The bits, or the canonical NaN where they are a NaN."""
    return CANONICAL_NAN[type_] if is_nan(type_, bits) else bits


# Integers. Kernels get the width N first; results are reduced modulo 2^N of the result type.


def _div_s(n: int, a: int, b: int) -> int:
    a, b = to_signed(a, n), to_signed(b, n)
    if b == -1 and a == -1 << (n - 1):
        raise OverflowError("quotient out of range")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _rem_s(n: int, a: int, b: int) -> int:
    a, b = to_signed(a, n), to_signed(b, n)
    remainder = abs(a) % abs(b)
    return -remainder if a < 0 else remainder


def _rotl(n: int, a: int, b: int) -> int:
    b %= n
    return a << b | a >> (n - b)


_INT_BINARY: dict[Op, Callable[[int, int, int], int]] = {
    o.IADD: lambda n, a, b: a + b,
    o.ISUB: lambda n, a, b: a - b,
    o.IMUL: lambda n, a, b: a * b,
    o.IDIV_S: _div_s,
    o.IDIV_U: lambda n, a, b: a // b,
    o.IREM_S: _rem_s,
    o.IREM_U: lambda n, a, b: a % b,
    o.IAND: lambda n, a, b: a & b,
    o.IOR: lambda n, a, b: a | b,
    o.IXOR: lambda n, a, b: a ^ b,
    o.ISHL: lambda n, a, b: a << b % n,
    o.ISHR_S: lambda n, a, b: to_signed(a, n) >> b % n,
    o.ISHR_U: lambda n, a, b: a >> b % n,
    o.IROTL: _rotl,
    o.IROTR: lambda n, a, b: _rotl(n, a, -b),
    o.IEQ: lambda n, a, b: a == b,
    o.INE: lambda n, a, b: a != b,
    o.ILT_S: lambda n, a, b: to_signed(a, n) < to_signed(b, n),
    o.ILT_U: lambda n, a, b: a < b,
    o.IGT_S: lambda n, a, b: to_signed(a, n) > to_signed(b, n),
    o.IGT_U: lambda n, a, b: a > b,
    o.ILE_S: lambda n, a, b: to_signed(a, n) <= to_signed(b, n),
    o.ILE_U: lambda n, a, b: a <= b,
    o.IGE_S: lambda n, a, b: to_signed(a, n) >= to_signed(b, n),
    o.IGE_U: lambda n, a, b: a >= b,
}


def _sign_extend(width: int) -> Callable[[int, int], int]:
    low = (1 << width) - 1
    return lambda n, a: to_signed(a & low, width)


_INT_UNARY: dict[Op, Callable[[int, int], int]] = {
    o.ICLZ: lambda n, a: n - a.bit_length(),
    o.ICTZ: lambda n, a: (a & -a).bit_length() - 1 if a else n,
    o.IPOPCNT: lambda n, a: a.bit_count(),
    o.SEXT8: _sign_extend(8),
    o.SEXT16: _sign_extend(16),
    o.SEXT32: _sign_extend(32),
    o.WRAP: lambda n, a: a,
    o.EXTEND_S: _sign_extend(32),
    o.EXTEND_U: lambda n, a: a,
    o.IEQZ: lambda n, a: a == 0,
    o.REF_IS_NULL: lambda n, a: a == 0,
    o.BITCAST: lambda n, a: a,
}

# Floating point values: rounded (and NaNs made canonical) by `from_float` afterwards.


def _add(a: float, b: float) -> float:
    return a + b


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or a != a:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _minimum(a: float, b: float) -> float:
    if a != a or b != b:
        return math.nan
    if a == b:
        return a if math.copysign(1.0, a) < 0 else b
    return min(a, b)


def _rounding(to_int: Callable[[float], int]) -> Callable[[float], float]:
    def kernel(a: float) -> float:
        return math.copysign(float(to_int(a)), a) if math.isfinite(a) else a
    return kernel


_FLOAT_BINARY: dict[Op, Callable[[float, float], float]] = {
    o.FADD: _add,
    o.FSUB: lambda a, b: a - b,
    o.FMUL: lambda a, b: a * b,
    o.FDIV: _divide,
    o.FMIN: _minimum,
    o.FMAX: lambda a, b: -_minimum(-a, -b),
}
_FLOAT_UNARY: dict[Op, Callable[[float], float]] = {
    o.FSQRT: lambda a: math.sqrt(a) if a >= 0 else math.nan,
    o.FCEIL: _rounding(math.ceil),
    o.FFLOOR: _rounding(math.floor),
    o.FTRUNC: _rounding(math.trunc),
    o.FNEAREST: _rounding(round),
    o.PROMOTE: lambda a: a,
    o.DEMOTE: lambda a: a,
}
_FLOAT_COMPARE: dict[Op, Callable[[float, float], bool]] = {
    o.FEQ: lambda a, b: a == b,
    o.FNE: lambda a, b: a != b,
    o.FLT: lambda a, b: a < b,
    o.FGT: lambda a, b: a > b,
    o.FLE: lambda a, b: a <= b,
    o.FGE: lambda a, b: a >= b,
}

# Operations on the bit pattern of a float; the sign bit comes first.
_FLOAT_BITS: dict[Op, Callable[..., int]] = {
    o.FABS: lambda sign, a: a & ~sign,
    o.FNEG: lambda sign, a: a ^ sign,
    o.FCOPYSIGN: lambda sign, a, b: a & ~sign | b & sign,
}


def _int_range(type_: Type, signed: bool) -> tuple[int, int]:
    if signed:
        return -1 << (type_.bits - 1), (1 << (type_.bits - 1)) - 1
    return 0, mask(type_)


def _truncate(type_: Type, source: Type, signed: bool) -> Evaluator:
    low, high = _int_range(type_, signed)
    bits = mask(type_)

    def kernel(a: int) -> int:
        value = math.trunc(to_float(source, a))  # of NaN: ValueError; of infinity: OverflowError
        if not low <= value <= high:
            raise OverflowError("float out of the integer's range")
        return value & bits
    return kernel


def _truncate_saturating(type_: Type, source: Type, signed: bool) -> Evaluator:
    low, high = _int_range(type_, signed)
    bits = mask(type_)

    def kernel(a: int) -> int:
        value = to_float(source, a)
        if value != value:
            return 0
        if math.isinf(value):
            return (high if value > 0 else low) & bits
        return min(max(math.trunc(value), low), high) & bits
    return kernel


def round_int(type_: Type, value: int) -> float:
    """An integer rounded once, to nearest even, to a float type."""
    if type_ is Type.F64:
        return float(value)
    excess = abs(value).bit_length() - 24
    if excess <= 0:
        return float(value)
    quotient, rest = divmod(abs(value), 1 << excess)
    half = 1 << (excess - 1)
    if rest > half or (rest == half and quotient & 1):
        quotient += 1
    return math.copysign(float(quotient << excess), value)


def _convert(type_: Type, source: Type, signed: bool) -> Evaluator:
    width = source.bits
    if signed:
        return lambda a: from_float(type_, round_int(type_, to_signed(a, width)))
    return lambda a: from_float(type_, round_int(type_, a))


#: Conversions: made from (T, operand type, signed).
_CONVERSIONS: dict[Op, tuple[Callable[[Type, Type, bool], Evaluator], bool]] = {
    o.TRUNC_S: (_truncate, True),
    o.TRUNC_U: (_truncate, False),
    o.TRUNC_SAT_S: (_truncate_saturating, True),
    o.TRUNC_SAT_U: (_truncate_saturating, False),
    o.CONVERT_S: (_convert, True),
    o.CONVERT_U: (_convert, False),
}

#: The ops that :func:`evaluate` knows: all pure ones but constants and what asks the program.
EVALUABLE = frozenset({
    *_INT_BINARY, *_INT_UNARY, *_FLOAT_BINARY, *_FLOAT_UNARY, *_FLOAT_COMPARE, *_FLOAT_BITS,
    *_CONVERSIONS, o.FMA, o.CANON, o.SELECT, *VECTOR_OPS,
})


def result_type(op: Op, type_: Type | None) -> Type:
    """Type of the one result of an op in :data:`EVALUABLE` with controlling type ``type_``."""
    spelled = op.results[0]
    if spelled != "T":
        return Type(spelled)
    assert type_ is not None
    return type_


@functools.lru_cache(4096)
def evaluator(op: Op, type_: Type | None, operand_types: tuple[Type, ...],
              attrs: tuple[Any, ...] = ()) -> Evaluator:
    """A function from operand bits to result bits for one op at given types and immediates."""
    if op in VECTOR_OPS:
        return vector_evaluator(op, attrs, evaluator)
    if op is o.SELECT:
        return lambda a, b, c: b if a else c
    source = operand_types[0]
    if op in _INT_BINARY or op in _INT_UNARY:
        return _int_evaluator(op, source.bits, mask(result_type(op, type_)))
    if op in _CONVERSIONS:
        make, signed = _CONVERSIONS[op]
        return make(result_type(op, type_), source, signed)
    if op is o.CANON:
        return functools.partial(canonicalize, source)
    if op in _FLOAT_BITS:
        return functools.partial(_FLOAT_BITS[op], 1 << (source.bits - 1))
    return _float_evaluator(op, source, result_type(op, type_))


def _int_evaluator(op: Op, n: int, result_mask: int) -> Evaluator:
    if op in _INT_UNARY:
        unary = _INT_UNARY[op]
        return lambda a: unary(n, a) & result_mask
    binary = _INT_BINARY[op]
    return lambda a, b: binary(n, a, b) & result_mask


def _float_evaluator(op: Op, source: Type, result: Type) -> Evaluator:
    if op in _FLOAT_COMPARE:
        compare = _FLOAT_COMPARE[op]
        return lambda a, b: int(compare(to_float(source, a), to_float(source, b)))
    if op is o.FMA:
        narrow = result is Type.F32
        return lambda a, b, c: from_float(result, multiply_add(
            to_float(source, a), to_float(source, b), to_float(source, c), to_odd=narrow))
    if op in _FLOAT_UNARY:
        unary = _FLOAT_UNARY[op]
        return lambda a: from_float(result, unary(to_float(source, a)))
    binary = _FLOAT_BINARY[op]
    return lambda a, b: from_float(result, binary(to_float(source, a), to_float(source, b)))


def evaluate(op: Op, type_: Type | None, operand_types: tuple[Type, ...], *bits: int,
             attrs: tuple[Any, ...] = ()) -> int:
    """Result bits of a pure op.

    Args:
        op: one of :data:`EVALUABLE`.
        type_: its controlling type ``T``, None if it has none.
        operand_types: types of the operands.
        bits: operands, unsigned bit patterns.
        attrs: its immediates.

    Raises:
        ArithmeticError: the operands are outside what the op "needs" (division by zero,
            a float outside the integer's range): the result is undefined.
    """
    try:
        return evaluator(op, type_, operand_types, attrs)(*bits)
    except ValueError as error:  # an integer made from a NaN
        raise ArithmeticError(str(error)) from error

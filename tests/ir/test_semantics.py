"""Scalar semantics against independent statements of them: NumPy, fractions, plain Python."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from swarmc.ir import ops as o
from swarmc.ir.ops import OPS, Op
from swarmc.ir.semantics import (
    CANONICAL_NAN,
    EVALUABLE,
    evaluate,
    from_float,
    is_nan,
    round_int,
    to_float,
)
from swarmc.ir.types import Type

I32, I64, F32, F64 = Type.I32, Type.I64, Type.F32, Type.F64
#: NumPy's unsigned and floating type of each width.
FLOAT: dict[Type, tuple[Any, Any]] = {F32: (np.uint32, np.float32), F64: (np.uint64, np.float64)}


def bits_of(type_: Type) -> list[int]:
    """Patterns that are special, and some that are not."""
    choose = random.Random(type_.bits)
    n = type_.bits
    found = [choose.getrandbits(n) for _ in range(20)]
    if type_.is_int:
        edges = [0, 1, n - 1, n, 1 << (n - 1), (1 << n) - 1, (1 << (n - 1)) - 1, 0x80, 0x7FFF]
    else:
        mantissa = 23 if n == 32 else 52
        infinity = ((1 << (n - 1 - mantissa)) - 1) << mantissa
        edges = [0, 1, (1 << mantissa) - 1, 1 << mantissa, infinity - 1, infinity, infinity + 1,
                 infinity + (1 << (mantissa - 1))]
        values = [0.5, 1.0, 1.5, 2.5, 3.0, 1e10, 2.0**31, 2.0**32, 2.0**63, 2.0**64, 0.1]
        edges += [from_float(type_, value) for value in values]
        edges += [bits ^ 1 << (n - 1) for bits in edges]
    return found + edges


def pairs(type_: Type) -> list[tuple[int, int]]:
    return [(a, b) for a in bits_of(type_) for b in bits_of(type_)]


def as_float(type_: Type, bits: int) -> Any:
    unsigned, floating = FLOAT[type_]
    return unsigned(bits).view(floating)


def canonical(value: Any) -> int:
    """Bits of a NumPy float, NaN made canonical."""
    type_ = F32 if value.dtype == np.float32 else F64
    return CANONICAL_NAN[type_] if np.isnan(value) else int(value.view(FLOAT[type_][0]))


def numpy_minimum(a: Any, b: Any) -> Any:
    if a == b == 0:
        return a if np.signbit(a) else b
    return np.minimum(a, b)


def numpy_maximum(a: Any, b: Any) -> Any:
    if a == b == 0:
        return b if np.signbit(a) else a
    return np.maximum(a, b)


FLOAT_BINARY: dict[Op, Callable[[Any, Any], Any]] = {
    o.FADD: np.add, o.FSUB: np.subtract, o.FMUL: np.multiply, o.FDIV: np.divide,
    o.FMIN: numpy_minimum, o.FMAX: numpy_maximum,
}
FLOAT_UNARY: dict[Op, Callable[[Any], Any]] = {
    o.FSQRT: np.sqrt, o.FCEIL: np.ceil, o.FFLOOR: np.floor, o.FTRUNC: np.trunc,
    o.FNEAREST: np.rint, o.CANON: lambda a: a,
}
FLOAT_COMPARE: dict[Op, Callable[[Any, Any], Any]] = {
    o.FEQ: np.equal, o.FNE: np.not_equal, o.FLT: np.less, o.FGT: np.greater,
    o.FLE: np.less_equal, o.FGE: np.greater_equal,
}


@pytest.mark.parametrize("type_", [F32, F64])
@pytest.mark.parametrize("op", FLOAT_BINARY, ids=lambda op: op.name)
def test_float_arithmetic(op: Op, type_: Type) -> None:
    with np.errstate(all="ignore"):
        for a, b in pairs(type_):
            expected = canonical(FLOAT_BINARY[op](as_float(type_, a), as_float(type_, b)))
            assert evaluate(op, type_, (type_, type_), a, b) == expected, (hex(a), hex(b))


def near_ties(type_: Type) -> Iterator[tuple[int, int, int]]:
    """Operands whose exact result lies on or beside the middle of two floats, or below them all."""
    choose = random.Random(type_.bits)
    mantissa, sign = (23, 1 << 31) if type_ is F32 else (52, 1 << 63)
    one = from_float(type_, 1.0)
    exponents = [1, 2, one >> mantissa, (one >> mantissa) + 40, 2 * (one >> mantissa) - 1]
    for _ in range(3000):
        a, b, c = (choose.choice(exponents) + choose.randrange(3) << mantissa
                   | choose.choice((0, 1, 2, 3, (1 << mantissa) - 1, 1 << (mantissa - 1)))
                   | choose.choice((0, sign)) for _ in range(3))
        yield a, b, c
        product = to_float(type_, evaluate(o.FMUL, type_, (type_, type_), a, b))
        yield a, b, from_float(type_, -product)  # what the rounding of the product lost
    yield from ((one, one, choose.getrandbits(type_.bits)) for _ in range(200))


@pytest.mark.parametrize("type_", [F32, F64])
def test_fused_multiply_add(type_: Type) -> None:
    """As the C library computes it."""
    real, function = (ctypes.c_float, "fmaf") if type_ is F32 else (ctypes.c_double, "fma")
    fma = getattr(ctypes.CDLL(ctypes.util.find_library("m")), function)
    fma.restype, fma.argtypes = real, [real] * 3
    some = bits_of(type_)[10:]
    cases = [*near_ties(type_), *((a, b, c) for a in some for b in some for c in some[::3])]
    rounded_twice = 0
    for a, b, c in cases:
        expected = from_float(type_, fma(*(to_float(type_, bits) for bits in (a, b, c))))
        assert evaluate(o.FMA, type_, (type_,) * 3, a, b, c) == expected, (hex(a), hex(b), hex(c))
        product = evaluate(o.FMUL, type_, (type_, type_), a, b)
        rounded_twice += evaluate(o.FADD, type_, (type_, type_), product, c) != expected
    assert rounded_twice > 1000


@pytest.mark.parametrize("type_", [F32, F64])
@pytest.mark.parametrize("op", FLOAT_UNARY, ids=lambda op: op.name)
def test_float_functions(op: Op, type_: Type) -> None:
    with np.errstate(all="ignore"):
        for a in bits_of(type_):
            expected = canonical(FLOAT_UNARY[op](as_float(type_, a)))
            assert evaluate(op, type_, (type_,), a) == expected, hex(a)


@pytest.mark.parametrize("type_", [F32, F64])
@pytest.mark.parametrize("op", FLOAT_COMPARE, ids=lambda op: op.name)
def test_float_comparisons(op: Op, type_: Type) -> None:
    for a, b in pairs(type_):
        expected = FLOAT_COMPARE[op](as_float(type_, a), as_float(type_, b))
        assert evaluate(op, type_, (type_, type_), a, b) == int(expected), (hex(a), hex(b))


@pytest.mark.parametrize("type_", [F32, F64])
def test_sign_bits_of_nans_are_kept(type_: Type) -> None:
    sign, quiet = 1 << (type_.bits - 1), CANONICAL_NAN[type_]
    signalling = (quiet & ~(quiet & -quiet)) | 1
    assert is_nan(type_, signalling)
    for nan in (quiet, signalling, quiet | sign | 5):
        assert evaluate(o.FNEG, type_, (type_,), nan) == nan ^ sign
        assert evaluate(o.FABS, type_, (type_,), nan) == nan & ~sign
        assert evaluate(o.FCOPYSIGN, type_, (type_, type_), nan, sign) == nan | sign
        assert evaluate(o.CANON, type_, (type_,), nan) == quiet


def test_promote_and_demote() -> None:
    with np.errstate(all="ignore"):
        for a in bits_of(F32):
            expected = canonical(as_float(F32, a).astype(np.float64))
            assert evaluate(o.PROMOTE, None, (F32,), a) == expected
        for a in [*bits_of(F64), 0x47EFFFFFF0000000, 0x47EFFFFFEFFFFFFF, 0x3690000000000000]:
            expected = canonical(as_float(F64, a).astype(np.float32))
            assert evaluate(o.DEMOTE, None, (F64,), a) == expected, hex(a)


@pytest.mark.parametrize("type_", [I32, I64])
@pytest.mark.parametrize("source", [F32, F64])
@pytest.mark.parametrize("signed", [True, False])
def test_truncation(type_: Type, source: Type, signed: bool) -> None:
    n = type_.bits
    low, high = (-1 << (n - 1), (1 << (n - 1)) - 1) if signed else (0, (1 << n) - 1)
    exact, saturating = ((o.TRUNC_S, o.TRUNC_SAT_S) if signed else (o.TRUNC_U, o.TRUNC_SAT_U))
    for bits in bits_of(source):
        value = to_float(source, bits)
        fits = math.isfinite(value) and low <= math.trunc(value) <= high
        if fits:
            expected = math.trunc(value) % (1 << n)
            assert evaluate(exact, type_, (source,), bits) == expected
        else:
            with pytest.raises(ArithmeticError):
                evaluate(exact, type_, (source,), bits)
            expected = 0 if value != value else (high if value > 0 else low) % (1 << n)
        assert evaluate(saturating, type_, (source,), bits) == expected, hex(bits)


def nearest(value: int, precision: int) -> Fraction:
    """The even one of the nearest numbers of so many bits, by looking at both neighbours."""
    exponent = max(abs(value).bit_length() - precision, 0)
    below = Fraction(value) // 2**exponent
    candidates = [(below + step) * 2**exponent for step in (0, 1)]
    return Fraction(min(candidates, key=lambda c: (abs(c - value), (c >> exponent) % 2)))


@pytest.mark.parametrize("type_", [F32, F64])
@pytest.mark.parametrize("source", [I32, I64])
def test_conversion_of_integers_rounds_once(type_: Type, source: Type) -> None:
    precision = 24 if type_ is F32 else 53
    hard = [0x7FFFFFFFFFFFFDFF, 0x8000004000000001, 0x8000004000000000, 0x800000C000000000,
            0x1000001, 0x1000003, 0xFFFFFFFF, 0x7FFFFFC0, 0x20000020000001]
    for bits in [*bits_of(source), *(h % (1 << source.bits) for h in hard)]:
        signed = bits - (1 << source.bits) if bits >> (source.bits - 1) else bits
        for op, value in ((o.CONVERT_S, signed), (o.CONVERT_U, bits)):
            got = to_float(type_, evaluate(op, type_, (source,), bits))
            assert Fraction(got) == nearest(value, precision), hex(bits)
    assert round_int(F32, -(2**24) - 1) == -(2.0**24)


def rotate(bits: int, n: int, by: int) -> int:
    text = f"{bits:0{n}b}"
    by %= n
    return int(text[by:] + text[:by], 2)


INT_BINARY: dict[Op, Callable[[int, int, int, int, int], int]] = {
    # n, then a and b unsigned, then a and b signed
    o.IADD: lambda n, a, b, x, y: x + y,
    o.ISUB: lambda n, a, b, x, y: x - y,
    o.IMUL: lambda n, a, b, x, y: x * y,
    o.IDIV_U: lambda n, a, b, x, y: a // b,
    o.IREM_U: lambda n, a, b, x, y: a - b * (a // b),
    o.IDIV_S: lambda n, a, b, x, y: math.trunc(Fraction(x, y)),
    o.IREM_S: lambda n, a, b, x, y: x - y * math.trunc(Fraction(x, y)),
    o.IAND: lambda n, a, b, x, y: x & y,
    o.IOR: lambda n, a, b, x, y: x | y,
    o.IXOR: lambda n, a, b, x, y: x ^ y,
    o.ISHL: lambda n, a, b, x, y: a * 2 ** (b % n),
    o.ISHR_U: lambda n, a, b, x, y: a // 2 ** (b % n),
    o.ISHR_S: lambda n, a, b, x, y: x // 2 ** (b % n),
    o.IROTL: lambda n, a, b, x, y: rotate(a, n, b),
    o.IROTR: lambda n, a, b, x, y: rotate(a, n, n - b % n),
    o.IEQ: lambda n, a, b, x, y: x == y,
    o.INE: lambda n, a, b, x, y: x != y,
    o.ILT_S: lambda n, a, b, x, y: x < y,
    o.ILT_U: lambda n, a, b, x, y: a < b,
    o.IGT_S: lambda n, a, b, x, y: x > y,
    o.IGT_U: lambda n, a, b, x, y: a > b,
    o.ILE_S: lambda n, a, b, x, y: x <= y,
    o.ILE_U: lambda n, a, b, x, y: a <= b,
    o.IGE_S: lambda n, a, b, x, y: x >= y,
    o.IGE_U: lambda n, a, b, x, y: a >= b,
}


@pytest.mark.parametrize("type_", [I32, I64])
@pytest.mark.parametrize("op", INT_BINARY, ids=lambda op: op.name)
def test_integer_arithmetic(op: Op, type_: Type) -> None:
    n = type_.bits
    half, whole = 1 << (n - 1), 1 << n
    for a, b in pairs(type_):
        x, y = (a + half) % whole - half, (b + half) % whole - half
        try:
            expected = INT_BINARY[op](n, a, b, x, y)
            if op is o.IDIV_S and expected == half:
                raise ZeroDivisionError
        except ZeroDivisionError:
            with pytest.raises(ArithmeticError):
                evaluate(op, type_, (type_, type_), a, b)
            continue
        assert evaluate(op, type_, (type_, type_), a, b) == expected % whole, (hex(a), hex(b))


@pytest.mark.parametrize("type_", [I32, I64])
def test_integer_functions(type_: Type) -> None:
    n = type_.bits
    for a in bits_of(type_):
        text = f"{a:0{n}b}"
        expected: dict[Op, int] = {
            o.ICLZ: len(text) - len(text.lstrip("0")),
            o.ICTZ: len(text) - len(text.rstrip("0")),
            o.IPOPCNT: text.count("1"),
            o.IEQZ: text.count("1") == 0,
            o.SEXT8: int(text[-8] * (n - 8) + text[-8:], 2),
            o.SEXT16: int(text[-16] * (n - 16) + text[-16:], 2),
        }
        if type_ is I64:
            expected[o.SEXT32] = int(text[-32] * 32 + text[-32:], 2)
            expected[o.WRAP] = int(text[-32:], 2)
        else:
            expected[o.EXTEND_S] = int(text[0] * 32 + text, 2)
            expected[o.EXTEND_U] = a
        for op, value in expected.items():
            controlling = type_ if op.types else None
            assert evaluate(op, controlling, (type_,), a) == value, (op, hex(a))


def test_what_only_moves_bits() -> None:
    nan = 0x7FA00001  # signalling
    assert evaluate(o.BITCAST, I32, (F32,), nan) == nan
    assert evaluate(o.BITCAST, F32, (I32,), nan) == nan
    assert evaluate(o.SELECT, F32, (I32, F32, F32), 2, nan, 1) == nan
    assert evaluate(o.SELECT, Type.V128, (I32, Type.V128, Type.V128), 0, 1, 2**127) == 2**127
    assert evaluate(o.REF_IS_NULL, None, (Type.FUNCREF,), 0) == 1
    assert evaluate(o.REF_IS_NULL, None, (Type.EXTERNREF,), 1) == 0


def test_every_pure_op_is_evaluated() -> None:
    asks_the_program = {o.CONST, o.REF_FUNC, o.HAS_TYPE, o.IS_SUBTYPE}
    assert {op for op in OPS.values() if op.pure} == EVALUABLE | asks_the_program

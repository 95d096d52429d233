"""What each instruction computes, in Python, from the words of the PTX ISA manual.

Operands and results are unsigned bit patterns. Where the manual leaves a value unspecified, the
stand-in's choice is written here too, so that it cannot change unnoticed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

Fields = Mapping[str, str]
Reference = Callable[..., int]

NAN32, NAN64 = 0x7FFFFFFF, 0xFFF8000000000000


def bits_of(type_: str) -> int:
    return 1 if type_ == "pred" else int(type_[1:])


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def number(f: Fields, value: int, name: str = "type") -> int:
    """An operand as the integer that its type says."""
    n = bits_of(f[name])
    return signed(value, n) if f[name].startswith("s") else value


def wrapped(rule: Callable[..., int], scale: int = 1) -> Reference:
    """A rule on integers of the type; its result is cut to ``scale`` times the width."""

    def reference(f: Fields, *operands: int) -> int:
        n = bits_of(f["type"])
        return rule(*(number(f, x) for x in operands)) % (1 << n * scale)

    return reference


def packed(rule: Callable[[int, int], int]) -> Reference:
    """A rule on each half of 32 bits."""

    def reference(f: Fields, a: int, b: int) -> int:
        half = wrapped(rule)
        type_ = {"type": f["type"].removesuffix("x2")}
        low, high = (half(type_, a >> s & 0xFFFF, b >> s & 0xFFFF) for s in (0, 16))
        return high << 16 | low

    return reference


def packed_floats(single: Reference) -> Reference:
    """A rule on each half of 64 bits."""

    def reference(f: Fields, *operands: int) -> int:
        low, high = (
            single({"type": "f32"}, *(x >> s & 0xFFFFFFFF for x in operands)) for s in (0, 32)
        )
        return high << 32 | low

    return reference


def product(f: Fields, a: int, b: int) -> int:
    n = bits_of(f["type"])
    whole = number(f, a) * number(f, b)
    return (whole >> n if f["part"] == "hi" else whole) % (1 << n)


def wide_product(f: Fields, a: int, b: int) -> int:
    return number(f, a) * number(f, b) % (1 << 2 * bits_of(f["type"]))


def product_sum(f: Fields, a: int, b: int, c: int) -> int:
    return (product(f, a, b) + c) % (1 << bits_of(f["type"]))


def wide_product_sum(f: Fields, a: int, b: int, c: int) -> int:
    return (wide_product(f, a, b) + c) % (1 << 2 * bits_of(f["type"]))


def quotient(f: Fields, a: int, b: int) -> int:
    n, x, y = bits_of(f["type"]), number(f, a), number(f, b)
    if y == 0:
        return (1 << n) - 1
    return (abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)) % (1 << n)


def remainder(f: Fields, a: int, b: int) -> int:
    n, x, y = bits_of(f["type"]), number(f, a), number(f, b)
    if y == 0:
        return (1 << n) - 1
    return (abs(x) % abs(y) * (-1 if x < 0 else 1)) % (1 << n)


def saturated(rule: Callable[[int, int], int]) -> Reference:
    def reference(f: Fields, a: int, b: int) -> int:
        value = rule(signed(a, 32), signed(b, 32))
        return min(max(value, -(1 << 31)), (1 << 31) - 1) % (1 << 32)

    return reference


def leading_zeros(f: Fields, a: int) -> int:
    return bits_of(f["type"]) - a.bit_length()


def find_bit(f: Fields, a: int) -> int:
    n = bits_of(f["type"])
    if f["type"].startswith("s") and a >> (n - 1):
        a = ~a % (1 << n)
    if a == 0:
        return 0xFFFFFFFF
    place = a.bit_length() - 1
    return n - 1 - place if f["shiftamt"] else place


def reverse(f: Fields, a: int) -> int:
    return int(f"{a:0{bits_of(f['type'])}b}"[::-1], 2)


def extract_field(f: Fields, a: int, b: int, c: int) -> int:
    msb = bits_of(f["type"]) - 1
    position, length = b & 0xFF, c & 0xFF
    sign = 0
    if f["type"].startswith("s") and length:
        sign = a >> min(position + length - 1, msb) & 1
    result = 0
    for i in range(msb + 1):
        inside = i < length and position + i <= msb
        result |= (a >> (position + i) & 1 if inside else sign) << i
    return result


def insert_field(f: Fields, a: int, b: int, c: int, d: int) -> int:
    msb = bits_of(f["type"]) - 1
    position, length = c & 0xFF, d & 0xFF
    result = b
    for i in range(length):
        if position + i <= msb:
            result = result & ~(1 << (position + i)) | (a >> i & 1) << (position + i)
    return result


def shift_left(f: Fields, a: int, b: int) -> int:
    n = bits_of(f["type"])
    return (a << min(b, n)) % (1 << n)


def shift_right(f: Fields, a: int, b: int) -> int:
    n = bits_of(f["type"])
    return (number(f, a) >> min(b, n)) % (1 << n)


def funnel(f: Fields, a: int, b: int, c: int) -> int:
    n = min(c, 32) if f["mode"] == "clamp" else c & 31
    if f["direction"] == "l":
        return (b << n | a >> (32 - n)) % (1 << 32)
    return (b << (32 - n) | a >> n) % (1 << 32)


def permute(f: Fields, a: int, b: int, c: int) -> int:
    source = (b << 32 | a).to_bytes(8, "little")
    n = c & 3
    modes = {
        "f4e": [n, n + 1, n + 2, n + 3],
        "b4e": [n, (n - 1) & 7, (n - 2) & 7, (n - 3) & 7],
        "rc8": [n] * 4,
        "ecl": [max(n, place) for place in range(4)],
        "ecr": [min(n, place) for place in range(4)],
        "rc16": [2 * (n & 1), 2 * (n & 1) + 1] * 2,
    }
    if f["mode"]:
        return int.from_bytes(bytes(source[i] for i in modes[f["mode"]]), "little")
    result = bytearray()
    for place in range(4):
        selector = c >> 4 * place & 15
        byte = source[selector & 7]
        result.append((0xFF if byte & 0x80 else 0) if selector & 8 else byte)
    return int.from_bytes(result, "little")


def lookup(f: Fields, a: int, b: int, c: int, table: int) -> int:
    result = 0
    for i in range(32):
        case = (a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1
        result |= (table >> case & 1) << i
    return result


def compare(f: Fields, a: int, b: int) -> int:
    if f["type"].startswith("f"):
        return compare_floats(f, a, b)
    x, y = number(f, a), number(f, b)
    return int({
        "eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y,
        "lo": x < y, "ls": x <= y, "hi": x > y, "hs": x >= y,
    }[f["cmp"]])  # fmt: skip


def compare_floats(f: Fields, a: int, b: int) -> int:
    x, y = to_float(f, a), to_float(f, b)
    unordered = x != x or y != y
    test = f["cmp"]
    if test in ("num", "nan"):
        return int(unordered == (test == "nan"))
    if unordered:
        return int(len(test) == 3)
    rule = test[:2]
    return int({"eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y,
                "ge": x >= y}[rule])  # fmt: skip


# Floats.


def to_float(f: Fields, bits: int, name: str = "type") -> float:
    if bits_of(f[name]) == 32:
        return float(np.array(bits, np.uint32).view(np.float32))
    return float(np.array(bits, np.uint64).view(np.float64))


def to_bits(f: Fields, value: float, name: str = "type") -> int:
    """Rounded to nearest."""
    if bits_of(f[name]) == 32:
        with np.errstate(over="ignore"):
            return int(np.array(value, np.float64).astype(np.float32).view(np.uint32))
    return int(np.array(value, np.float64).view(np.uint64))


def is_nan(f: Fields, bits: int, name: str = "type") -> bool:
    value = to_float(f, bits, name)
    return value != value


def nan_of(f: Fields, *sources: int) -> int:
    """What an operation gives that has no number to give."""
    if bits_of(f["type"]) == 32:
        return NAN32
    return next((x | 1 << 51 for x in sources if is_nan(f, x)), NAN64)


def rounded(rule: Callable[..., float]) -> Reference:
    """A rule on floats. A double holds enough of it that rounding again to single is exact."""

    def reference(f: Fields, *operands: int) -> int:
        with np.errstate(all="ignore"):
            value = rule(*(np.float64(to_float(f, x)) for x in operands))
        return nan_of(f, *operands) if value != value else to_bits(f, float(value))

    return reference


def fused(f: Fields, a: int, b: int, c: int) -> int:
    """Exactly, then rounded once."""
    values = [to_float(f, x) for x in (a, b, c)]
    if not all(math.isfinite(x) for x in values):
        return rounded(lambda x, y, z: x * y + z)(f, a, b, c)
    x, y, z = (Fraction(value) for value in values)
    exact = x * y + z
    if exact == 0:
        # The sum of two zeros is +0 unless both are -0; a sum that cancels is +0.
        product = math.copysign(0.0, values[0]) * math.copysign(1.0, values[1])
        zero = product + values[2] if x * y == 0 and z == 0 else 0.0
        return to_bits(f, zero)
    return to_bits(f, round_exactly(exact, 24 if f["type"] == "f32" else 53,
                                    -149 if f["type"] == "f32" else -1074))


def round_exactly(value: Fraction, precision: int, least: int) -> float:
    """The nearest float with so many bits, of which the last stands for 2**least or more."""
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length() - precision
    while size >= Fraction(2) ** (exponent + precision):
        exponent += 1
    exponent = max(exponent, least)
    mantissa = round(size / Fraction(2) ** exponent)  # to nearest, ties to even
    try:
        result = math.ldexp(mantissa, exponent)
    except OverflowError:
        result = math.inf
    return -result if value < 0 else result


def square_root(value: float) -> float:
    return math.nan if value < 0 or value != value else math.sqrt(value)


def sign_changed(rule: Callable[[int, int], int]) -> Reference:
    def reference(f: Fields, a: int) -> int:
        if is_nan(f, a):
            return NAN32 if f["type"] == "f32" else a
        return rule(a, 1 << (bits_of(f["type"]) - 1))

    return reference


def extreme(least: bool) -> Reference:
    def reference(f: Fields, a: int, b: int) -> int:
        nans = [is_nan(f, x) for x in (a, b)]
        if all(nans) or (any(nans) and "nan" in f):
            return nan_of(f, a, b)
        if any(nans):
            return b if nans[0] else a
        def key(bits: int) -> tuple[float, int]:
            return to_float(f, bits), 1 - (bits >> (bits_of(f["type"]) - 1))

        return (min if least else max)(a, b, key=key)

    return reference


def copy_sign(f: Fields, a: int, b: int) -> int:
    sign = 1 << (bits_of(f["type"]) - 1)
    return a & sign | b & (sign - 1)


def test_property(f: Fields, a: int) -> int:
    value = to_float(f, a)
    least = 2.0**-126 if f["type"] == "f32" else 2.0**-1022
    return int({
        "finite": math.isfinite(value), "infinite": math.isinf(value),
        "number": not math.isnan(value), "notanumber": math.isnan(value),
        "normal": math.isfinite(value) and abs(value) >= least,
        "subnormal": 0 < abs(value) < least,
    }[f["op"]])  # fmt: skip


# Conversions: results have the destination type's width.


def int_to_int(f: Fields, a: int) -> int:
    value, n = number(f, a, "atype"), bits_of(f["dtype"])
    if f["sat"]:
        low, high = integer_range(f)
        value = min(max(value, low), high)
    return value % (1 << n)


def integer_range(f: Fields) -> tuple[int, int]:
    n = bits_of(f["dtype"])
    return (-(1 << (n - 1)), (1 << (n - 1)) - 1) if f["dtype"][0] == "s" else (0, (1 << n) - 1)


def int_to_float(f: Fields, a: int) -> int:
    value = number(f, a, "atype")
    if f["dtype"] == "f64":
        return to_bits(f, float(value), "dtype")
    # Once to a double and once more would round twice.
    size = abs(value)
    excess = max(size.bit_length() - 24, 0)
    kept, lost = size >> excess, size & ((1 << excess) - 1)
    half = 1 << excess >> 1
    kept += lost > half or (lost == half and excess > 0 and kept & 1)
    result = float(kept << excess)
    return to_bits(f, -result if value < 0 else result, "dtype")


_ROUND: dict[str, Callable[[float], int]] = {
    "rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil,
}  # fmt: skip


def float_to_int(f: Fields, a: int) -> int:
    n, value = bits_of(f["dtype"]), to_float(f, a, "atype")
    if value != value:
        return 0 if f["atype"] != "f64" and n != 64 else 1 << (n - 1)
    low, high = integer_range(f)
    if math.isinf(value):
        return (high if value > 0 else low) % (1 << n)
    return min(max(_ROUND[f["round"]](value), low), high) % (1 << n)


def round_float(f: Fields, a: int) -> int:
    value = to_float(f, a)
    if value != value:
        return nan_of(f, a)
    if math.isinf(value):
        return a
    return to_bits(f, math.copysign(float(_ROUND[f["round"]](value)), value))


def widen_float(f: Fields, a: int) -> int:
    value = to_float({"type": "f32"}, a)
    if value != value:
        return (a >> 31) << 63 | 0xFFF << 51 | (a & 0x7FFFFF) << 29
    return int.from_bytes(struct.pack("<d", value), "little")


def narrow_float(f: Fields, a: int) -> int:
    value = to_float({"type": "f64"}, a)
    return NAN32 if value != value else to_bits({"type": "f32"}, value)

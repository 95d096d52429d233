"""Fused multiply-add: a product and a sum, rounded once."""

from __future__ import annotations

import math
from fractions import Fraction


def multiply_add(a: float, b: float, c: float, *, to_odd: bool) -> float:
    """``a * b + c``, rounded to nearest even.

    Args:
        to_odd: round to odd instead: of the two neighbours of an inexact result, the one whose
            last bit is set. Rounded once more, to 24 bits, that is as if rounded once. The
            result must be a normal number.
    """
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b + c
    if not math.isfinite(c):
        return c  # also if the product is too large for a float
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if not exact:
        return a * b + c if a == 0 or b == 0 else 0.0
    try:
        nearest = exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
    if not to_odd or Fraction(nearest) == exact or _is_odd(nearest):
        return nearest
    return math.nextafter(nearest, math.inf if exact > nearest else -math.inf)


def _is_odd(value: float) -> bool:
    mantissa, _ = math.frexp(value)
    return bool(int(math.ldexp(mantissa, 53)) & 1)

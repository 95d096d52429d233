"""Asking whether a float is a NaN where that does not hold up the arithmetic.

Every float that others can see bit by bit is compared with itself, and replaced if it is a NaN. On
x86 that comparison goes to the units that multiply and divide, and what comes of it to a mask or
to the flags by a detour: a loop that stores six sums a round took half as long again. Integer
units have nothing to do there, so LLVM's text is changed, after vectorising, to look at the bits::

    %5 = fcmp uno double %4, 0.0       becomes    %b = bitcast double %4 to i64
                                                  %t = shl i64 %b, 1
                                                  %5 = icmp ugt i64 %t, -9007199254740992

Vectors are left alone: there one instruction compares sixteen.
"""

from __future__ import annotations

import re

_TEST = re.compile(
    r"^(\s*)(%[\w.$-]+) = fcmp uno (float|double) (%[\w.$-]+), 0\.0+e\+00(?=[,\n])", re.M
)
#: Type of the bits, and those of an infinity without its sign, shifted left by one.
_BITS = {"float": ("i32", -(1 << 24)), "double": ("i64", -(1 << 53))}


def nan_tests_by_bits(text: str) -> str:
    """LLVM IR whose scalar comparisons for NaN are integer ones."""
    return _TEST.sub(_by_bits, text)


def _by_bits(match: re.Match[str]) -> str:
    indent, name, float_, value = match.groups()
    type_, infinity = _BITS[float_]
    stem = f"%nan.{name[1:]}"
    return "\n".join([
        f"{indent}{stem}.bits = bitcast {float_} {value} to {type_}",
        f"{indent}{stem}.twice = shl {type_} {stem}.bits, 1",
        f"{indent}{name} = icmp ugt {type_} {stem}.twice, {infinity}",
    ])  # fmt: skip

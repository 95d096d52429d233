"""Changing a float's sign without losing the bits of a NaN.

LLVM holds that negating a float, and taking its absolute value, changes the sign and nothing else,
and makes such operations of integer ones. What it writes for them on a GPU does not: ``neg.f32``
and ``abs.f32`` give any NaN, ``neg.f64`` and ``abs.f64`` pass one on unchanged (PTX ISA 9.7.3).
Registers have no type in the text, so that the same can be done by the bits::

    neg.f32   %r2, %r1;         becomes         xor.b32   %r2, %r1, -2147483648;
    abs.f64   %rd2, %rd1;                       and.b64   %rd2, %rd1, 9223372036854775807;
"""

from __future__ import annotations

import re

from ...errors import TargetError

_SIGN = re.compile(r"\b(neg|abs)\.f(32|64)(\s+%\w+, %\w+);")
_LEFT = re.compile(r"\b(?:neg|abs)\.(?:\w+\.)?f\w+[^;]*;")


def signs_by_bits(ptx: str) -> str:
    """The text without ``neg`` and ``abs`` of floats.

    Raises:
        TargetError: it has one of a form that is not known.
    """
    text = _SIGN.sub(_by_bits, ptx)
    left = _LEFT.search(text)
    if left is not None:
        raise TargetError(f"a float's sign cannot be changed so on a GPU: {left[0]}")
    return text


def _by_bits(match: re.Match[str]) -> str:
    op, width, operands = match.groups()
    top = 1 << (int(width) - 1)
    if op == "neg":
        return f"xor.b{width}{operands}, -{top};"
    return f"and.b{width}{operands}, {top - 1};"

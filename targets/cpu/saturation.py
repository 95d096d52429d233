"""Saturating conversions of whole vectors of floats to integers, in LLVM's text after its passes.

What LLVM vectorises, its back end takes apart again here: sixteen conversions, each with two tests
of its own. There are instructions for vectors, if what is out of range is taken out before::

    %2 = call <16 x i32> @llvm.fptosi.sat.v16i32.v16f32(<16 x float> %1)

becomes two comparisons with the ends of the range, a ``select`` of 0 outside of them, which is the
result for a NaN, a plain ``fptosi``, and a ``select`` for each end.
"""

from __future__ import annotations

import re

_CALL = re.compile(
    r"^(\s*)(%[-\w.$]+) = (?:tail )?call (?:range\([^)]*\) )?<(\d+) x i32> "
    r"@llvm\.fpto([su])i\.sat\.v\d+i32\.v\d+f(?:32|64)\(<\d+ x (float|double)> (%[-\w.$]+)\).*$",
    re.M,
)
#: By signedness: the end of the range below, how a float in range compares with it, the end above,
#: which is out of range, and the results for less and for more. LLVM writes floats as doubles.
_ENDS = {
    "s": ("0xC1E0000000000000", "oge", "0x41E0000000000000", -(1 << 31), (1 << 31) - 1),
    "u": ("0xBFF0000000000000", "ogt", "0x41F0000000000000", 0, (1 << 32) - 1),
}


def saturate_by_vectors(text: str) -> str:
    """LLVM IR whose saturating conversions to vectors of i32 are written out."""
    return _CALL.sub(_written_out, text) if ".sat.v" in text else text


def _written_out(match: re.Match[str]) -> str:
    indent, name, lanes, sign, float_, value = match.groups()
    floats, ints, bools = (f"<{lanes} x {t}>" for t in (float_, "i32", "i1"))
    low, reaches, high, least, most = _ENDS[sign]
    if sign == "s" and float_ == "double":
        low, reaches = "0xC1E0000000200000", "ogt"  # -2147483649, which a double can be
    below = "olt" if reaches == "oge" else "ole"
    stem = f"%sat.{name[1:]}"
    return "\n".join(f"{indent}{line}" for line in [
        f"{stem}.low = fcmp {reaches} {floats} {value}, splat ({float_} {low})",
        f"{stem}.high = fcmp oge {floats} {value}, splat ({float_} {high})",
        f"{stem}.not.high = xor {bools} {stem}.high, splat (i1 true)",
        f"{stem}.inside = and {bools} {stem}.low, {stem}.not.high",
        f"{stem}.safe = select {bools} {stem}.inside, {floats} {value}, {floats} zeroinitializer",
        f"{stem}.number = fpto{sign}i {floats} {stem}.safe to {ints}",
        f"{stem}.capped = select {bools} {stem}.high, {ints} splat (i32 {most}), "
        f"{ints} {stem}.number",
        f"{stem}.below = fcmp {below} {floats} {value}, "
        f"splat ({float_} {low})",
        f"{name} = select {bools} {stem}.below, {ints} splat (i32 {least}), {ints} {stem}.capped",
    ])

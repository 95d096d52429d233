"""LLVM IR as Numba writes it, made to mean the same on every machine.

Numba leaves to the processor what Python does not have: shifts by more bits than there are,
division of the smallest integer by -1, conversions of floats that no integer holds. LLVM may then
do anything at all, and processors differ (one even stops the process). Here each has a meaning:

    %3 = shl nsw i64 %1, %2           becomes   %3 = call i64 @swarmc.shl.i64(i64 %1, i64 %2)
    %4 = fptosi double %x to i64                %4 = call i64 @llvm.fptosi.sat.i64.f64(double %x)

Shifts by too much shift everything out, division by 0 gives 0, other arithmetic wraps, and floats
become the nearest integer there is, NaN 0.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^(?:target (?:datalayout|triple) = .*|source_filename = .*)$\n", re.M)
_OVERFLOW = re.compile(
    r"(?<= = )((?:add|sub|mul|shl|trunc) )(?:(?:nuw|nsw) )+(?=[i<])"
)  # fmt: skip
_INTEGER = re.compile(
    r"(?<= = )(shl|lshr|ashr|sdiv|srem|udiv|urem) (?:exact )?(i\d+) ([^,\n]+), ([^,\n]+)"
)
_TO_INTEGER = re.compile(r"(?<= = )fpto([su])i (float|double) (\S+) to (i\d+)")
_DEFINITION = re.compile(r"^define (?:linkonce_odr |weak_odr |dso_local )*(?=\S)(?!internal)", re.M)
_ENVIRONMENT = re.compile(r"^(@\S+ = )common global ptr null", re.M)
_FLOATS = {"float": "f32", "double": "f64"}

_SHIFT = """\
define internal {t} @swarmc.{op}.{t}({t} %a, {t} %b) alwaysinline {{
  %small = icmp ult {t} %b, {bits}
  %amount = select i1 %small, {t} %b, {t} {last}
  %shifted = {op} {t} %a, %amount
  %out = select i1 %small, {t} %shifted, {t} {rest}
  ret {t} %out
}}
"""
_DIVISION = """\
define internal {t} @swarmc.{op}.{t}({t} %a, {t} %b) alwaysinline {{
  %zero = icmp eq {t} %b, 0
  %minus = icmp eq {t} %b, -1
  %odd = or i1 %zero, %minus
  %divisor = select i1 %odd, {t} 1, {t} %b
  %plain = {op} {t} %a, %divisor
  %negated = sub {t} 0, %a
  %by.minus = select i1 %minus, {t} {minus}, {t} %plain
  %out = select i1 %zero, {t} 0, {t} %by.minus
  ret {t} %out
}}
"""
_UNSIGNED = """\
define internal {t} @swarmc.{op}.{t}({t} %a, {t} %b) alwaysinline {{
  %zero = icmp eq {t} %b, 0
  %divisor = select i1 %zero, {t} 1, {t} %b
  %plain = {op} {t} %a, %divisor
  %out = select i1 %zero, {t} 0, {t} %plain
  ret {t} %out
}}
"""


def portable(text: str) -> str:
    """The module without anything that depends on a machine; nothing of it is visible outside."""
    text = _ENVIRONMENT.sub(r"\1internal global ptr null", _HEADER.sub("", text))
    text = _DEFINITION.sub("define internal ", _OVERFLOW.sub(r"\1", text))
    needed: dict[str, str] = {}

    def integer(match: re.Match[str]) -> str:
        op, type_, left, right = match.groups()
        needed[f"{op}.{type_}"] = _helper(op, type_)
        return f"call {type_} @swarmc.{op}.{type_}({type_} {left}, {type_} {right})"

    def to_integer(match: re.Match[str]) -> str:
        sign, float_, value, type_ = match.groups()
        name = f"@llvm.fpto{sign}i.sat.{type_}.{_FLOATS[float_]}"
        needed[name] = f"declare {type_} {name}({float_})\n"
        return f"call {type_} {name}({float_} {value})"

    text = _TO_INTEGER.sub(to_integer, _INTEGER.sub(integer, text))
    return "\n".join([text, *needed.values()])


def _helper(op: str, type_: str) -> str:
    bits = int(type_[1:])
    if op in ("shl", "lshr", "ashr"):
        rest = "%shifted" if op == "ashr" else "0"
        return _SHIFT.format(t=type_, op=op, bits=bits, last=bits - 1, rest=rest)
    if op in ("sdiv", "srem"):
        return _DIVISION.format(t=type_, op=op, minus="%negated" if op == "sdiv" else "0")
    return _UNSIGNED.format(t=type_, op=op)

"""Making NaNs canonical only where they leave the arithmetic, in LLVM's text after its passes.

The IR's own pass knows values, not what goes through memory: a sum that a loop stores and loads
again, round by round, is made canonical each time. When LLVM has kept it in a register, that test
holds up every addition::

    %5 = phi <16 x float> [ %1, %pre ], [ %8, %loop ]             %5 = phi … [ %6, %loop ]
    %6 = fadd <16 x float> %4, %5
    %7 = fcmp uno <16 x float> %6, zeroinitializer         ->
    %8 = select <16 x i1> %7, <16 x float> splat (…), <16 x float> %6
    br i1 %9, label %loop, label %out

Arithmetic asks only whether an operand is a NaN, and what NaN it gives nobody sees before that is
made canonical, too. So its operands may be taken from before the ``select``, and phis that only
arithmetic and such phis use may hand on the same. What is left of the tests is used behind the
loop, and LLVM's ``sink`` moves it there.
"""

from __future__ import annotations

import re

_NAME = r'%(?:[-\w.$]+|"[^"]*")'
_TYPE = r"(?:float|double|<\d+ x (?:float|double)>)"
_ZERO = r"(?:0\.0+e\+00|zeroinitializer)"
_BODY = re.compile(r"^define .*?^\}", re.M | re.S)
_TEST = re.compile(rf"^\s*({_NAME}) = fcmp uno {_TYPE} ({_NAME}), {_ZERO}(?=[,\n])", re.M)
_NAN = r"(?:splat \((?:float|double) 0x7FF8000000000000\)|0x7FF8000000000000)"
_SELECT = re.compile(
    rf"^\s*({_NAME}) = select (?:i1|<\d+ x i1>) ({_NAME}), {_TYPE} {_NAN}, {_TYPE} ({_NAME})", re.M
)
_PHI = re.compile(rf"^\s*({_NAME}) = phi {_TYPE} (.*)$")
_ARITHMETIC = re.compile(
    rf"^\s*{_NAME} = (?:(?:fadd|fsub|fmul|fdiv|fcmp) |(?:tail )?call {_TYPE} @llvm\.sqrt\.)"
)
_USES = re.compile(_NAME)


def late_canon(text: str) -> str:
    """LLVM IR in which arithmetic, and what it repeats, uses floats from before they are tested."""
    return _BODY.sub(lambda body: _function(body[0]), text)


def _function(text: str) -> str:
    tested = {match[1]: match[2] for match in _TEST.finditer(text)}
    raw = {}  # value before it is made canonical, by the name of the canonical one
    for match in _SELECT.finditer(text):
        if tested.get(match[2]) == match[3]:
            raw[match[1]] = match[3]
    if not raw:
        return text
    lines = text.split("\n")
    unseen = _unseen_phis(lines)
    for number, line in enumerate(lines):
        phi = _PHI.match(line)
        if phi[1] in unseen if phi else _ARITHMETIC.match(line):
            lines[number] = _USES.sub(lambda use: raw.get(use[0], use[0]), line)
    return "\n".join(lines)


def _unseen_phis(lines: list[str]) -> set[str]:
    """Phis of floats that nothing uses but arithmetic and such phis."""
    operands: dict[str, list[str]] = {}  # of phis
    seen: list[str] = []
    for line in lines:
        phi = _PHI.match(line)
        if phi:
            operands[phi[1]] = _USES.findall(phi[2])
        elif not _ARITHMETIC.match(line):
            seen += _USES.findall(line)
    unseen = set(operands)
    while seen:
        name = seen.pop()
        if name in unseen:
            unseen.remove(name)
            seen += operands[name]
    return unseen

"""Comparisons for NaN by the bits give what comparisons of floats do."""

from __future__ import annotations

import ctypes

import pytest

from swarmc.targets.cpu.machine import Compilation, LoadedCode, host_machine, optimised
from swarmc.targets.cpu.nan_tests import nan_tests_by_bits

FLOAT_BITS = [
    0, 1, 0x007F_FFFF, 0x3F80_0000, 0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0x7FBF_FFFF,
    0x7FC0_0000, 0x7FFF_FFFF,
]  # fmt: skip
DOUBLE_BITS = [
    0, 1, 0x3FF0_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000,
    0x7FF0_0000_0000_0001, 0x7FF7_FFFF_FFFF_FFFF, 0x7FF8_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF,
]  # fmt: skip

# Adds, so that LLVM keeps the comparison, and gives the sum's bits, of the canonical NaN for a NaN.
TEXT = """
define {i} @f({i} %bits) {{
  %value = bitcast {i} %bits to {t}
  %sum = fadd {t} %value, {zero}
  %nan = fcmp uno {t} %sum, %sum
  %chosen = select i1 %nan, {t} {canonical}, {t} %sum, !prof !0
  %out = bitcast {t} %chosen to {i}
  ret {i} %out
}}
!0 = !{{!"branch_weights", i32 1, i32 4000}}
"""


@pytest.mark.parametrize("type_", ["float", "double"])
def test_every_kind_of_float(type_: str) -> None:
    double = type_ == "double"
    text = TEXT.format(
        i="i64" if double else "i32", t=type_, zero="-0.0", canonical="0x7FF8000000000000"
    )
    code = LoadedCode((optimised(text, 2).object_code(),))
    integer = ctypes.c_uint64 if double else ctypes.c_uint32
    call = ctypes.CFUNCTYPE(integer, integer)(code.address("f"))
    top = 1 << (63 if double else 31)
    quiet = 0x7FF8_0000_0000_0000 if double else 0x7FC0_0000
    infinity = 0x7FF0_0000_0000_0000 if double else 0x7F80_0000
    for bits in DOUBLE_BITS if double else FLOAT_BITS:
        for sign in (0, top):
            wanted = quiet if bits > infinity else bits | sign
            assert call(bits | sign) == wanted, hex(bits | sign)


def test_only_scalars_change() -> None:
    text = """define i1 @f(double %x, <2 x float> %v, float %y, float %z) {
  %a = fcmp uno double %x, 0.000000e+00
  %b = fcmp uno <2 x float> %v, zeroinitializer
  %c = fcmp uno float %y, %z
  %1 = fcmp ord double %x, 0.000000e+00
  ret i1 %a
}
"""
    changed = nan_tests_by_bits(text)
    assert changed.count("fcmp") == 3
    assert "%a = icmp ugt i64 %nan.a.twice, -9007199254740992" in changed
    Compilation(changed, 0)


@pytest.mark.skipif(not host_machine().triple.startswith("x86_64"), reason="it is for x86-64")
def test_programs_are_compiled_so() -> None:
    text = TEXT.format(i="i64", t="double", zero="-0.0", canonical="0x7FF8000000000000")
    assert "ucomisd" not in optimised(text, 2).assembly()
    assert "cmpunord" not in optimised(text, 2).assembly()

"""NaNs that only arithmetic sees stay as they are; those that others see are canonical."""

from __future__ import annotations

import ctypes
import struct

import pytest

from swarmc.targets.cpu.machine import Compilation, LoadedCode, optimised
from swarmc.targets.llvm.late_canon import late_canon

QUIET = 0x7FC0_0000
# Adds %x to %sum, round by round, and gives the bits of the sum, or of its negation.
LOOP = """
define i32 @f(i32 %start, i32 %step, i32 %rounds) {{
entry:
  %first = bitcast i32 %start to float
  %x = bitcast i32 %step to float
  br label %loop
loop:
  %sum = phi float [ %first, %entry ], [ %canon, %loop ]
  %left = phi i32 [ %rounds, %entry ], [ %fewer, %loop ]
  %next = fadd float %sum, %x
  %nan = fcmp uno float %next, 0.000000e+00
  %canon = select i1 %nan, float 0x7FF8000000000000, float %next
  %fewer = sub i32 %left, 1
  %done = icmp eq i32 %fewer, 0
  br i1 %done, label %out, label %loop
out:
  %seen = bitcast float {result} to i32
  ret i32 %seen
}}
"""


def bits(number: float) -> int:
    (found,) = struct.unpack("<I", struct.pack("<f", number))
    return int(found)


@pytest.mark.parametrize("result", ["%canon", "%sum"])
def test_a_sum_that_a_loop_carries(result: str) -> None:
    text = LOOP.format(result=result)
    code = LoadedCode((optimised(text, 2).object_code(),))
    u32 = ctypes.c_uint32
    call = ctypes.CFUNCTYPE(u32, u32, u32, u32)(code.address("f"))
    assert call(bits(1.0), bits(0.5), 3) == bits(2.5 if result == "%canon" else 2.0)
    assert call(bits(1.0), 0x7F80_0001, 3) == QUIET
    assert call(0xFFFF_FFFF, bits(1.0), 3) == QUIET
    assert call(bits(float("inf")), bits(float("-inf")), 2) == QUIET
    if result == "%sum":
        assert call(0xFFFF_FFFF, bits(1.0), 1) == 0xFFFF_FFFF  # nothing has been added yet


def test_what_the_loop_carries_is_not_tested() -> None:
    changed = late_canon(LOOP.format(result="%canon"))
    assert "%sum = phi float [ %first, %entry ], [ %next, %loop ]" in changed
    assert "bitcast float %canon to i32" in changed
    Compilation(changed, 0)


def test_a_phi_that_is_looked_at_keeps_what_it_gets() -> None:
    text = LOOP.format(result="%sum")
    assert late_canon(text) == text


def test_operands_of_arithmetic_only() -> None:
    text = """define float @f(<4 x float> %a, <4 x float> %b) {
  %1 = fadd <4 x float> %a, %b
  %2 = fcmp uno <4 x float> %1, zeroinitializer
  %3 = select <4 x i1> %2, <4 x float> splat (float 0x7FF8000000000000), <4 x float> %1
  %4 = fmul <4 x float> %3, %b
  %5 = fcmp olt <4 x float> %3, %4
  %6 = fneg <4 x float> %3
  %7 = select <4 x i1> %5, <4 x float> %3, <4 x float> %6
  %8 = extractelement <4 x float> %7, i64 0
  ret float %8
}
"""
    changed = late_canon(text)
    assert "%4 = fmul <4 x float> %1, %b" in changed
    assert "%5 = fcmp olt <4 x float> %1, %4" in changed
    assert "%6 = fneg <4 x float> %3" in changed
    assert "%7 = select <4 x i1> %5, <4 x float> %3, <4 x float> %6" in changed
    other = text.replace("0x7FF8000000000000", "0.000000e+00")  # another choice is no test for NaN
    assert late_canon(other) == other

"""Saturating conversions of vectors give what those of scalars do."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

from swarmc.targets.cpu.machine import Compilation, LoadedCode, host_machine, optimised
from swarmc.targets.cpu.saturation import saturate_by_vectors

# Converts 16 numbers.
TEXT = """
define void @f(ptr %from, ptr %to) {{
  %numbers = load <16 x {t}>, ptr %from, align 1
  %all = call <16 x i32> @llvm.fpto{s}i.sat.v16i32.v16f{bits}(<16 x {t}> %numbers)
  store <16 x i32> %all, ptr %to, align 1
  ret void
}}
declare <16 x i32> @llvm.fpto{s}i.sat.v16i32.v16f{bits}(<16 x {t}>)
"""


def edges(signed: bool) -> list[float]:
    """Numbers around the ends of the range, and what is no number."""
    low, high = (-(2.0**31), 2.0**31) if signed else (0.0, 2.0**32)
    near = [low, high, -1.0, 0.0, 1.0]
    numbers = [x + d for x in near for d in (-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0)]
    for x in (low, high, -1.0):
        for kind in (np.float32, np.float64):
            numbers += [float(np.nextafter(kind(x), kind(way))) for way in (-math.inf, math.inf)]
    return [*numbers, -0.0, 1e-40, 1e30, -1e30, math.inf, -math.inf, math.nan, -math.nan]


@pytest.mark.parametrize("sign", ["s", "u"])
@pytest.mark.parametrize("float_", ["float", "double"])
def test_every_end_of_the_range(float_: str, sign: str) -> None:
    text = TEXT.format(t=float_, bits=32 if float_ == "float" else 64, s=sign)
    if host_machine().triple.startswith("x86_64"):
        assert ".sat.v16i32" not in optimised(text, 2).text().split("declare")[0]
    code = LoadedCode((optimised(text, 2).object_code(),))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("f"))
    numbers = edges(sign == "s")
    least, most = (-(1 << 31), (1 << 31) - 1) if sign == "s" else (0, (1 << 32) - 1)
    while len(numbers) % 16:
        numbers.append(0.0)
    source = np.array(numbers, "f4" if float_ == "float" else "f8")
    for start in range(0, len(numbers), 16):
        some, found = source[start : start + 16].copy(), np.zeros(16, f"{'i' if least else 'u'}4")
        call(some.ctypes.data, found.ctypes.data)
        for number, result in zip(some.tolist(), found.tolist(), strict=True):
            wanted = 0 if math.isnan(number) else int(max(least, min(most, number)))
            assert result == wanted, number


def test_only_vectors_of_i32_change() -> None:
    text = """define void @f(float %x, <2 x double> %v) {
  %a = call i32 @llvm.fptosi.sat.i32.f32(float %x)
  %b = call <2 x i64> @llvm.fptosi.sat.v2i64.v2f64(<2 x double> %v)
  %c = tail call <2 x i32> @llvm.fptoui.sat.v2i32.v2f64(<2 x double> %v)
  ret void
}
declare i32 @llvm.fptosi.sat.i32.f32(float)
declare <2 x i64> @llvm.fptosi.sat.v2i64.v2f64(<2 x double>)
declare <2 x i32> @llvm.fptoui.sat.v2i32.v2f64(<2 x double>)
"""
    changed = saturate_by_vectors(text)
    assert changed.count(" call ") == 2
    assert "%c = select <2 x i1>" in changed
    Compilation(changed, 0)

"""Values in scripts: literals become the nearest bits, patterns match what they should."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import ArgumentError
from swarmc.ir.types import Type
from swarmc.runtime.tools.wast_values import Const, float_bits, parse_const, parse_pattern

reproducible = settings(derandomize=True, database=None, deadline=None)


@reproducible
@given(st.floats(allow_nan=False))
def test_doubles(value: float) -> None:
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    assert float_bits(repr(value), 64) == bits
    if math.isfinite(value):
        assert float_bits(value.hex(), 64) == bits


@reproducible
@given(st.floats(allow_nan=False, width=32))
def test_singles(value: float) -> None:
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    assert float_bits(repr(value), 32) == bits


@pytest.mark.parametrize(("text", "width", "bits"), [
    ("0x1.000001p0", 32, 0x3F800000),  # half-way: to even
    ("0x1.000001_000000000001p0", 32, 0x3F800001),  # above, seen only if rounded once
    ("0x1p-149", 32, 1), ("0x1p-150", 32, 0), ("0x1.8p-150", 32, 1), ("-0x1p-126", 32, 0x80800000),
    ("0x1.fffffep127", 32, 0x7F7FFFFF), ("0x1.ffffffp127", 32, 0x7F800000),
    ("1e999", 64, 0x7FF << 52),
    ("-0", 32, 1 << 31), ("+inf", 64, 0x7FF << 52), ("nan", 32, 0x7FC00000),
    ("-nan:0x1", 64, 0xFFF0000000000001), ("0xA.8", 32, 0x41280000),
])
def test_literals(text: str, width: int, bits: int) -> None:
    assert float_bits(text, width) == bits


@pytest.mark.parametrize(("text", "const"), [
    ("i32.const -1", Const(Type.I32, 0xFFFFFFFF)), ("i64.const 0x1_0", Const(Type.I64, 16)),
    ("i32.const 010", Const(Type.I32, 10)), ("i32.const +7", Const(Type.I32, 7)),
    ("ref.null func", Const(Type.FUNCREF, 0)), ("ref.null extern", Const(Type.EXTERNREF, 0)),
    ("ref.extern 4", Const(Type.EXTERNREF, 5)),
    ("v128.const i16x8 1 -1 0 0 0 0 0 2", Const(Type.V128, 2 << 112 | 0xFFFF0001)),
    ("v128.const f64x2 1 -0", Const(Type.V128, 1 << 127 | 0x3FF << 52)),
])
def test_constants(text: str, const: Const) -> None:
    assert parse_const(text.split()) == const


@pytest.mark.parametrize("text", ["f32.const nan:canonical", "ref.func", "i32.const", "i8.const 1",
                                  "v128.const i32x4 1 2", "v128.const f32x4 0 0 0 nan:arithmetic"])
def test_no_constants(text: str) -> None:
    with pytest.raises(ArgumentError):
        parse_const(text.split())


def test_nan_patterns() -> None:
    canonical, arithmetic = (parse_pattern(["f64.const", f"nan:{kind}"])
                             for kind in ("canonical", "arithmetic"))
    for sign in (0, 1 << 63):
        assert canonical.matches(Type.F64, sign | 0x7FF8 << 48)
        assert arithmetic.matches(Type.F64, sign | 0x7FF8 << 48 | 1)
        assert not canonical.matches(Type.F64, sign | 0x7FF8 << 48 | 1)
        assert not arithmetic.matches(Type.F64, sign | 0x7FF0 << 48 | 1)
    lanes = parse_pattern("v128.const f32x4 nan:canonical 1 2 nan:arithmetic".split())
    assert lanes.matches(Type.V128, 0xFFC00001_40000000_3F800000_FFC00000)
    assert not lanes.matches(Type.V128, 0xFFC00001_40000000_BF800000_FFC00000)


def test_references() -> None:
    assert parse_pattern(["ref.func"]).matches(Type.FUNCREF, 3)
    assert not parse_pattern(["ref.func"]).matches(Type.FUNCREF, 0)
    assert not parse_pattern(["ref.func"]).matches(Type.EXTERNREF, 3)
    assert not parse_pattern(["ref.null", "func"]).matches(Type.FUNCREF, 1)
    assert parse_pattern(["ref.null"]).matches(Type.EXTERNREF, 0)
    assert not parse_pattern(["ref.null"]).matches(Type.I32, 0)


def test_alternatives() -> None:
    one, two = (parse_pattern(["i32.const", text]) for text in "12")
    either = replace(one, others=(two,))
    assert [either.matches(Type.I32, value) for value in range(4)] == [False, True, True, False]
    assert not either.matches(Type.I64, 1)
    assert str(either) == "i32 0x1 or i32 0x2"

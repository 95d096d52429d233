"""Ops on vectors: values from the specification's prose, text, and what the verifier refuses."""

from __future__ import annotations

from typing import Any

import pytest

from swarmc.errors import IRError
from swarmc.ir import ops as o
from swarmc.ir.builder import Builder
from swarmc.ir.function import Function
from swarmc.ir.module import Module
from swarmc.ir.ops import Op
from swarmc.ir.parser import parse_module
from swarmc.ir.passes.fold_constants import fold_constants
from swarmc.ir.passes.nan_canon import nan_canon
from swarmc.ir.passes.value_numbering import value_numbering
from swarmc.ir.printer import print_module
from swarmc.ir.semantics import evaluate
from swarmc.ir.types import EntityId, FuncType, Shape, Type
from swarmc.ir.vector_semantics import join, split
from swarmc.ir.verifier import verify

V128 = Type.V128
I8, I16, I32, I64, F32, F64 = Shape
ID = EntityId(0, 0)


def lanes_of(op: Op, result: Shape, *operands: list[int] | int, attrs: tuple[Any, ...] = ()
             ) -> list[int]:
    """Lanes of a result; list operands are lanes that fill a vector."""
    bits = [join(x, 128 // len(x)) if isinstance(x, list) else x for x in operands]
    types = tuple(V128 if isinstance(x, list) else Type.I32 for x in operands)
    return split(evaluate(op, None, types, *bits, attrs=attrs), result.bits)


def test_lane_order_is_little_endian() -> None:
    ramp = join(list(range(16)), 8)
    assert ramp.to_bytes(16, "little") == bytes(range(16))
    found = evaluate(o.VEXTRACT, Type.I32, (V128,), ramp, attrs=(I32, 1, False))
    assert found == 0x07060504
    replaced = evaluate(o.VREPLACE, Type.I32, (V128, Type.I32), ramp, 0x1FF, attrs=(I8, 3))
    assert split(replaced, 8) == [0, 1, 2, 255, *range(4, 16)]
    assert evaluate(o.VEXTRACT, Type.I32, (V128,), replaced, attrs=(I8, 3, True)) == 0xFFFFFFFF


def test_saturation_and_rounding() -> None:
    half = [0x7FFF, 0x8000, 1, 0xFFFF] * 2
    assert lanes_of(o.VADD_SAT_S, I16, half, half, attrs=(I16,))[:4] == [0x7FFF, 0x8000, 2, 0xFFFE]
    assert lanes_of(o.VADD_SAT_U, I16, half, half, attrs=(I16,))[:4] == [0xFFFE, 0xFFFF, 2, 0xFFFF]
    assert lanes_of(o.VSUB_SAT_U, I16, [1] * 8, half, attrs=(I16,))[:4] == [0, 0, 0, 0]
    assert lanes_of(o.VAVGR_U, I8, [255] * 16, [254] * 16, attrs=(I8,)) == [255] * 16
    assert lanes_of(o.VABS, I16, half, attrs=(I16,))[:4] == [0x7FFF, 0x8000, 1, 1]
    assert lanes_of(o.VQ15MULR_SAT, I16, [0x8000] * 8, [0x8000] * 8) == [0x7FFF] * 8
    assert lanes_of(o.VDOT, I32, [0x8000] * 8, [0x8000] * 8) == [0x80000000] * 4
    wide = [0x7FFF, 0x8000, 300, 0xFFFF, 0, 127, 128, 255]
    assert lanes_of(o.VNARROW_S, I8, wide, [0] * 8, attrs=(I8,))[:8] == [
        127, 128, 127, 255, 0, 127, 127, 127]
    assert lanes_of(o.VNARROW_U, I8, [0] * 8, wide, attrs=(I8,))[8:] == [
        255, 0, 255, 0, 0, 127, 128, 255]


def test_lanes_of_two_widths() -> None:
    ramp = [*range(8), *range(248, 256)]
    assert lanes_of(o.VEXTEND_S, I16, ramp, attrs=(I16, True)) == [*range(65528, 65536)]
    assert lanes_of(o.VEXTEND_U, I16, ramp, attrs=(I16, False)) == [*range(8)]
    assert lanes_of(o.VEXTADD_U, I16, ramp, attrs=(I16,)) == [1, 5, 9, 13, 497, 501, 505, 509]
    ones = [255] * 16
    assert lanes_of(o.VEXTMUL_S, I16, ones, ones, attrs=(I16, False)) == [1] * 8
    assert lanes_of(o.VEXTMUL_U, I16, ones, ones, attrs=(I16, True)) == [65025] * 8


def test_chosen_bytes() -> None:
    ramp = list(range(16))
    indices = [0, 15, 16, 255, *range(12)]
    assert lanes_of(o.VSWIZZLE, I8, ramp, indices) == [0, 15, 0, 0, *range(12)]
    found = lanes_of(o.VSHUFFLE, I8, ramp, [x + 100 for x in ramp],
                     attrs=(bytes([16, 31, 0, 15] * 4),))
    assert found == [100, 115, 0, 15] * 4


def test_shift_amounts_are_modulo_the_lanes_width() -> None:
    for shape in (I8, I16, I32, I64):
        ones = [1] * shape.lanes
        assert lanes_of(o.VSHL, shape, ones, shape.bits + 3, attrs=(shape,)) == [8] * shape.lanes


def test_floats() -> None:
    one, two, quiet, minus_zero = 0x3F800000, 0x40000000, 0x7FC00000, 0x80000000
    values = [one, 0x7F800001, minus_zero, two]
    assert lanes_of(o.VFADD, F32, values, values, attrs=(F32,)) == [
        two, quiet, minus_zero, 0x40800000]
    # The pseudo-minimum is a comparison, so it keeps a, whatever a NaN or zero it is.
    a, b = [0x7F800001, one, 0, two], [one, 0x7F800001, minus_zero, one]
    assert lanes_of(o.VFPMIN, F32, a, b, attrs=(F32,)) == [0x7F800001, one, 0, one]
    assert lanes_of(o.VFNE, F32, values, values, attrs=(F32,)) == [0, 0xFFFFFFFF, 0, 0]
    large = [0x41F0000000000000, 0xFFF8000000000000]  # 2^32, NaN
    assert lanes_of(o.VTRUNC_SAT_U, I32, large, attrs=(F64,)) == [0xFFFFFFFF, 0, 0, 0]
    assert lanes_of(o.VDEMOTE, F32, large) == [0x4F800000, quiet, 0, 0]
    assert lanes_of(o.VCONVERT_S, F64, [0xFFFFFFFF, 1, 7, 7], attrs=(F64,)) == [
        0xBFF0000000000000, 0x3FF0000000000000]


def module_of(*lines: str) -> Module:
    return parse_module("\n".join((
        'function 0.0 (v128, v128) -> (v128) "f" {', "block0(%0: v128, %1: v128):",
        *lines, "return %0", "}")))


@pytest.mark.parametrize("line", [
    "%2 = vsplat.i32 shape=f32x4 %9",  # T is not the lane's type
    "%2 = vextract.i32 shape=i32x4 lane=0 signed=true %0",  # no sign to extend
    "%2 = vextract.i32 shape=i8x16 lane=16 signed=true %0",
    "%2 = vadd shape=f32x4 %0, %1",
    "%2 = vfadd shape=i32x4 %0, %1",
    "%2 = vnarrow_s shape=i32x4 %0, %1",
    "%2 = vextend_s shape=i8x16 high=false %0",
    "%2 = vshuffle lanes=00 %0, %1",
    "%2 = vshuffle lanes=20000000000000000000000000000000 %0, %1",
])
def test_the_verifier_refuses(line: str) -> None:
    module = module_of("%9 = const.i32 value=1", line)
    with pytest.raises(IRError):
        verify(module)


@pytest.mark.parametrize(("line", "message"), [
    ("%2 = vadd shape=i8x8 %0, %1", "unknown shape 'i8x8'"),
    ("%2 = vshuffle lanes=xyz %0, %1", "hexadecimal"),
    ("%2 = vextend_s shape=i16x8 high=1 %0", "expected true or false"),
])
def test_the_parser_refuses(line: str, message: str) -> None:
    with pytest.raises(IRError, match=message):
        module_of(line)


def test_text() -> None:
    module = module_of(
        "%2 = vshuffle lanes=000102030405060708090a0b1c1d1e1f %0, %1",
        "%3 = vextract.i32 shape=i16x8 lane=7 signed=true %2",
        "%4 = vextmul_u shape=i64x2 high=true %0, %2",
    )
    verify(module)
    assert print_module(parse_module(print_module(module))) == print_module(module)
    assert "%4 = vextmul_u shape=i64x2 high=true %0, %2" in print_module(module)


def function_of(*steps: tuple[Op, tuple[int, ...], tuple[Any, ...]]) -> tuple[Function, Module]:
    """A function of two vectors that returns the last of the values computed from them."""
    type_ = FuncType((V128, V128), (V128,))
    function = Function(ID, 0, type_)
    builder = Builder(function)
    values = list(builder.entry().params)
    for op, args, attrs in steps:
        values.append(builder.value(op, None, [values[i] for i in args], *attrs))
    builder.inst(o.RETURN, None, [values[-1]])
    module = Module(types=[type_], functions={ID: function})
    verify(module)
    return function, module


def test_value_numbering_tells_shapes_apart() -> None:
    for order in ((0, 1), (1, 0)):
        function, module = function_of(
            (o.VADD, order, (I8,)), (o.VADD, order, (I16,)), (o.VADD, order[::-1], (I8,)),
            (o.VXOR, (2, 3), ()), (o.VXOR, (4, 5), ()))
        value_numbering(function, module)
        ops = [inst.op for inst in function.blocks[0].insts]
        assert ops == [o.VADD, o.VADD, o.VXOR, o.VXOR, o.RETURN]


def test_lane_canonicalisation_stays() -> None:
    function, module = function_of(
        (o.VFADD, (0, 1), (F32,)), (o.VCANON, (2,), (F32,)), (o.VFMUL, (3, 1), (F32,)),
        (o.VCANON, (4,), (F32,)))
    assert not nan_canon(function, module)
    assert not fold_constants(function, module)
    assert [inst.op for inst in function.blocks[0].insts].count(o.VCANON) == 2

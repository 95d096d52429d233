"""What the ops on ``v128`` compute, lane by lane, on 128-bit integers.

Float lanes are computed by the scalar op of the same meaning, so that there is one definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops as o
from .ops import OPS, Op
from .types import Shape, Type

Evaluator = Callable[..., int]
#: Makes the evaluator of a scalar op from the op, its controlling type and its operand types.
Scalar = Callable[[Op, Type | None, tuple[Type, ...]], Evaluator]

_ALL = (1 << 128) - 1

#: The ops of this file.
VECTOR_OPS = frozenset(op for op in OPS.values() if "v128" in op.operands + op.results)


def split(bits: int, width: int, signed: bool = False) -> list[int]:
    """The lanes of a vector, lane 0 first."""
    ones = (1 << width) - 1
    lanes = [bits >> place & ones for place in range(0, 128, width)]
    if signed:
        return [lane - (1 << width) if lane >> (width - 1) else lane for lane in lanes]
    return lanes


def join(lanes: list[int], width: int) -> int:
    """The vector of these lanes, each taken modulo its width; missing ones are 0."""
    ones = (1 << width) - 1
    bits = 0
    for lane in reversed(lanes):
        bits = bits << width | lane & ones
    return bits


def _clamp(value: int, width: int, signed: bool = True) -> int:
    low, high = (-1 << (width - 1), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    return min(max(value, low), high)


# Kernels get the lane's width first; results are reduced to it. The flag: lanes are signed.
_IntKernel = Callable[[int, int, int], int]
_INT_BINARY: dict[Op, tuple[bool, _IntKernel]] = {
    o.VADD: (False, lambda n, a, b: a + b),
    o.VSUB: (False, lambda n, a, b: a - b),
    o.VMUL: (False, lambda n, a, b: a * b),
    o.VMIN_S: (True, lambda n, a, b: min(a, b)),
    o.VMIN_U: (False, lambda n, a, b: min(a, b)),
    o.VMAX_S: (True, lambda n, a, b: max(a, b)),
    o.VMAX_U: (False, lambda n, a, b: max(a, b)),
    o.VAVGR_U: (False, lambda n, a, b: (a + b + 1) >> 1),
    o.VADD_SAT_S: (True, lambda n, a, b: _clamp(a + b, n)),
    o.VADD_SAT_U: (False, lambda n, a, b: _clamp(a + b, n, False)),
    o.VSUB_SAT_S: (True, lambda n, a, b: _clamp(a - b, n)),
    o.VSUB_SAT_U: (False, lambda n, a, b: _clamp(a - b, n, False)),
    o.VEQ: (False, lambda n, a, b: -(a == b)),
    o.VNE: (False, lambda n, a, b: -(a != b)),
    o.VLT_S: (True, lambda n, a, b: -(a < b)),
    o.VLT_U: (False, lambda n, a, b: -(a < b)),
    o.VGT_S: (True, lambda n, a, b: -(a > b)),
    o.VGT_U: (False, lambda n, a, b: -(a > b)),
    o.VLE_S: (True, lambda n, a, b: -(a <= b)),
    o.VLE_U: (False, lambda n, a, b: -(a <= b)),
    o.VGE_S: (True, lambda n, a, b: -(a >= b)),
    o.VGE_U: (False, lambda n, a, b: -(a >= b)),
}
_INT_UNARY: dict[Op, tuple[bool, Callable[[int], int]]] = {
    o.VNEG: (False, lambda a: -a),
    o.VABS: (True, abs),
    o.VPOPCNT: (False, int.bit_count),
}
#: By the same amount in every lane.
_SHIFTS: dict[Op, tuple[bool, _IntKernel]] = {
    o.VSHL: (False, lambda n, a, b: a << b % n),
    o.VSHR_S: (True, lambda n, a, b: a >> b % n),
    o.VSHR_U: (False, lambda n, a, b: a >> b % n),
}

#: The scalar op that computes a float lane.
_FLOAT_LANES: dict[Op, Op] = {
    o.VFADD: o.FADD, o.VFSUB: o.FSUB, o.VFMUL: o.FMUL, o.VFDIV: o.FDIV, o.VFMIN: o.FMIN,
    o.VFMAX: o.FMAX, o.VFSQRT: o.FSQRT, o.VFCEIL: o.FCEIL, o.VFFLOOR: o.FFLOOR,
    o.VFTRUNC: o.FTRUNC, o.VFNEAREST: o.FNEAREST, o.VCANON: o.CANON, o.VFABS: o.FABS,
    o.VFNEG: o.FNEG, o.VFMA: o.FMA,
}
#: The scalar op that gives 0 or 1 for lanes of zeros or ones.
_FLOAT_COMPARE: dict[Op, Op] = {
    o.VFEQ: o.FEQ, o.VFNE: o.FNE, o.VFLT: o.FLT, o.VFGT: o.FGT, o.VFLE: o.FLE, o.VFGE: o.FGE,
}

# Without lanes, or with lanes of two widths. Signedness is that of operand lanes.
_BITWISE: dict[Op, Evaluator] = {
    o.VNOT: lambda a: a ^ _ALL,
    o.VAND: lambda a, b: a & b,
    o.VANDNOT: lambda a, b: a & ~b,
    o.VOR: lambda a, b: a | b,
    o.VXOR: lambda a, b: a ^ b,
    o.VBITSELECT: lambda a, b, c: a & c | b & ~c,
    o.VANY_TRUE: lambda a: int(a != 0),
}


def _swizzle(a: int, b: int) -> int:
    lanes = split(a, 8)
    return join([lanes[i] if i < 16 else 0 for i in split(b, 8)], 8)


def _dot(a: int, b: int) -> int:
    products = [x * y for x, y in zip(split(a, 16, True), split(b, 16, True), strict=True)]
    return join([x + y for x, y in zip(products[::2], products[1::2], strict=True)], 32)


def _q15(a: int, b: int) -> int:
    pairs = zip(split(a, 16, True), split(b, 16, True), strict=True)
    return join([_clamp((x * y + 0x4000) >> 15, 16) for x, y in pairs], 16)


_FIXED: dict[Op, Evaluator] = _BITWISE | {
    o.VSWIZZLE: _swizzle, o.VDOT: _dot, o.VQ15MULR_SAT: _q15,
}


def _all_true(shape: Shape) -> Evaluator:
    return lambda a: int(all(split(a, shape.bits)))


def _bitmask(shape: Shape) -> Evaluator:
    top = shape.bits - 1
    return lambda a: join([lane >> top for lane in split(a, shape.bits)], 1)


def _narrow(signed: bool) -> Callable[[Shape], Evaluator]:
    def make(shape: Shape) -> Evaluator:
        n = shape.bits
        return lambda a, b: join(
            [_clamp(lane, n, signed) for lane in split(a, 2 * n, True) + split(b, 2 * n, True)], n)
    return make


def _half(bits: int, shape: Shape, signed: bool, high: bool) -> list[int]:
    lanes = split(bits, shape.bits // 2, signed)
    return lanes[shape.lanes:] if high else lanes[:shape.lanes]


def _extend(signed: bool) -> Callable[[Shape, bool], Evaluator]:
    return lambda shape, high: lambda a: join(_half(a, shape, signed, high), shape.bits)


def _extended_product(signed: bool) -> Callable[[Shape, bool], Evaluator]:
    def make(shape: Shape, high: bool) -> Evaluator:
        def kernel(a: int, b: int) -> int:
            pairs = zip(_half(a, shape, signed, high), _half(b, shape, signed, high), strict=True)
            return join([x * y for x, y in pairs], shape.bits)
        return kernel
    return make


def _pair_sums(signed: bool) -> Callable[[Shape], Evaluator]:
    def make(shape: Shape) -> Evaluator:
        def kernel(a: int) -> int:
            lanes = split(a, shape.bits // 2, signed)
            pairs = zip(lanes[::2], lanes[1::2], strict=True)
            return join([x + y for x, y in pairs], shape.bits)
        return kernel
    return make


def _shuffle(lanes: bytes) -> Evaluator:
    def kernel(a: int, b: int) -> int:
        both = split(a, 8) + split(b, 8)
        return join([both[i] for i in lanes], 8)
    return kernel


def _splat(shape: Shape) -> Evaluator:
    return lambda a: join([a] * shape.lanes, shape.bits)


def _extract(shape: Shape, lane: int, signed: bool) -> Evaluator:
    whole = (1 << shape.lane.bits) - 1
    return lambda a: split(a, shape.bits, signed)[lane] & whole


def _replace(shape: Shape, lane: int) -> Evaluator:
    place = lane * shape.bits
    ones = (1 << shape.bits) - 1
    return lambda a, b: a & ~(ones << place) | (b & ones) << place


#: Evaluators made from the immediates.
_MADE: dict[Op, Callable[..., Evaluator]] = {
    o.VALL_TRUE: _all_true, o.VBITMASK: _bitmask, o.VSHUFFLE: _shuffle, o.VSPLAT: _splat,
    o.VEXTRACT: _extract, o.VREPLACE: _replace,
    o.VNARROW_S: _narrow(True), o.VNARROW_U: _narrow(False),
    o.VEXTEND_S: _extend(True), o.VEXTEND_U: _extend(False),
    o.VEXTMUL_S: _extended_product(True), o.VEXTMUL_U: _extended_product(False),
    o.VEXTADD_S: _pair_sums(True), o.VEXTADD_U: _pair_sums(False),
}


def vector_evaluator(op: Op, attrs: tuple[Any, ...], scalar: Scalar) -> Evaluator:
    """A function from operand bits to result bits for one of :data:`VECTOR_OPS`."""
    if op in _FIXED:
        return _FIXED[op]
    if op in _MADE:
        return _MADE[op](*attrs)
    if op in _CONVERSIONS:
        return _conversion(op, attrs[0] if attrs else Shape.F64X2, scalar)
    shape: Shape = attrs[0]
    if shape.is_float:
        return _float_evaluator(op, shape, scalar)
    return _int_evaluator(op, shape.bits)


def _int_evaluator(op: Op, n: int) -> Evaluator:
    if op in _INT_UNARY:
        signed, unary = _INT_UNARY[op]
        return lambda a: join([unary(x) for x in split(a, n, signed)], n)
    if op in _SHIFTS:
        signed, shift = _SHIFTS[op]
        return lambda a, b: join([shift(n, x, b) for x in split(a, n, signed)], n)
    signed, binary = _INT_BINARY[op]

    def kernel(a: int, b: int) -> int:
        pairs = zip(split(a, n, signed), split(b, n, signed), strict=True)
        return join([binary(n, x, y) for x, y in pairs], n)
    return kernel


def _float_evaluator(op: Op, shape: Shape, scalar: Scalar) -> Evaluator:
    n, lane = shape.bits, shape.lane
    if op in _FLOAT_COMPARE:
        compare = scalar(_FLOAT_COMPARE[op], lane, (lane, lane))
        return _lanewise(lambda a, b: -compare(a, b), n)
    if op is o.VFPMIN or op is o.VFPMAX:
        less = scalar(o.FLT, lane, (lane, lane))
        if op is o.VFPMIN:
            return _lanewise(lambda a, b: b if less(b, a) else a, n)
        return _lanewise(lambda a, b: b if less(a, b) else a, n)
    return _lanewise(scalar(_FLOAT_LANES[op], lane, (lane,) * len(op.operands)), n)


def _lanewise(kernel: Evaluator, n: int) -> Evaluator:
    return lambda *operands: join(
        [kernel(*lanes) for lanes in zip(*[split(bits, n) for bits in operands], strict=True)], n)


#: The scalar op, and which types take the place of the shape's float lanes: (result, operand).
_CONVERSIONS: dict[Op, tuple[Op, Type | None, Type | None]] = {
    o.VTRUNC_SAT_S: (o.TRUNC_SAT_S, Type.I32, None),
    o.VTRUNC_SAT_U: (o.TRUNC_SAT_U, Type.I32, None),
    o.VCONVERT_S: (o.CONVERT_S, None, Type.I32),
    o.VCONVERT_U: (o.CONVERT_U, None, Type.I32),
    o.VDEMOTE: (o.DEMOTE, Type.F32, None),
    o.VPROMOTE: (o.PROMOTE, None, Type.F32),
}


def _conversion(op: Op, shape: Shape, scalar: Scalar) -> Evaluator:
    lane_op, result, source = _CONVERSIONS[op]
    to, start, count = result or shape.lane, source or shape.lane, shape.lanes
    kernel = scalar(lane_op, to if lane_op.types else None, (start,))
    return lambda a: join([kernel(x) for x in split(a, start.bits)[:count]], to.bits)

"""How ops on ``v128`` are written in LLVM IR: as vectors of lanes, between two bit casts.

A ``v128`` is a ``<2 x i64>`` everywhere else. Only generic vector instructions and intrinsics are
used, so that the text suits any machine; LLVM finds the machine's instructions for them.
"""

from __future__ import annotations

from ...ir import ops
from ...ir.function import Inst, Value
from ...ir.ops import Op
from ...ir.types import Shape
from .emit import Emitter, FunctionEmitter
from .vector_floats import FLOAT_LANE_EMITTERS
from .vector_lanes import (
    BITS,
    HALF,
    LANE,
    SUFFIX,
    V128,
    VECTOR,
    call_lanes,
    constant_lanes,
    define_lanes,
    lanes_of,
    pick_lanes,
)

_I8, _I16, _I32, _F32 = Shape.I8X16, Shape.I16X8, Shape.I32X4, Shape.F32X4

_BITWISE = {ops.VAND: "and", ops.VOR: "or", ops.VXOR: "xor"}
_BINARY = {
    ops.VADD: "add", ops.VSUB: "sub", ops.VMUL: "mul",
    ops.VFADD: "fadd", ops.VFSUB: "fsub", ops.VFMUL: "fmul", ops.VFDIV: "fdiv",
}  # fmt: skip
_SHIFTS = {ops.VSHL: "shl", ops.VSHR_S: "ashr", ops.VSHR_U: "lshr"}
_COMPARES = {
    ops.VEQ: "icmp eq", ops.VNE: "icmp ne",
    ops.VLT_S: "icmp slt", ops.VLT_U: "icmp ult", ops.VGT_S: "icmp sgt", ops.VGT_U: "icmp ugt",
    ops.VLE_S: "icmp sle", ops.VLE_U: "icmp ule", ops.VGE_S: "icmp sge", ops.VGE_U: "icmp uge",
    ops.VFEQ: "fcmp oeq", ops.VFNE: "fcmp une",
    ops.VFLT: "fcmp olt", ops.VFGT: "fcmp ogt", ops.VFLE: "fcmp ole", ops.VFGE: "fcmp oge",
}  # fmt: skip
_INTRINSICS = {
    ops.VPOPCNT: "llvm.ctpop",
    ops.VMIN_S: "llvm.smin", ops.VMIN_U: "llvm.umin",
    ops.VMAX_S: "llvm.smax", ops.VMAX_U: "llvm.umax",
    ops.VADD_SAT_S: "llvm.sadd.sat", ops.VADD_SAT_U: "llvm.uadd.sat",
    ops.VSUB_SAT_S: "llvm.ssub.sat", ops.VSUB_SAT_U: "llvm.usub.sat",
    ops.VFSQRT: "llvm.sqrt", ops.VFCEIL: "llvm.ceil", ops.VFFLOOR: "llvm.floor",
    ops.VFTRUNC: "llvm.trunc", ops.VFNEAREST: "llvm.roundeven", ops.VFABS: "llvm.fabs",
    ops.VFMA: "llvm.fma",
}  # fmt: skip
#: How an op widens the lanes of its operands.
_WIDEN = {
    ops.VEXTEND_S: "sext", ops.VEXTMUL_S: "sext", ops.VEXTADD_S: "sext",
    ops.VEXTEND_U: "zext", ops.VEXTMUL_U: "zext", ops.VEXTADD_U: "zext",
}  # fmt: skip


# Bits.


def _bitwise(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    e.define(inst, f"{_BITWISE[inst.op]} {e.operand(a)}, {e.name(b)}")


def _invert(e: FunctionEmitter, value: Value | str) -> str:
    text = value if isinstance(value, str) else e.name(value)
    return f"xor {V128} {text}, <i64 -1, i64 -1>"


def _not(e: FunctionEmitter, inst: Inst) -> None:
    e.define(inst, _invert(e, inst.args[0]))


def _and_not(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    e.define(inst, f"and {e.operand(a)}, {e.assign(_invert(e, b))}")


def _bit_select(e: FunctionEmitter, inst: Inst) -> None:
    a, b, c = inst.args
    ones = e.assign(f"and {e.operand(a)}, {e.name(c)}")
    zeros = e.assign(f"and {e.operand(b)}, {e.assign(_invert(e, c))}")
    e.define(inst, f"or {V128} {ones}, {zeros}")


def _boolean(e: FunctionEmitter, inst: Inst, expression: str) -> None:
    condition = e.assign(expression)
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def _any_true(e: FunctionEmitter, inst: Inst) -> None:
    whole = e.assign(f"bitcast {e.operand(inst.args[0])} to i128")
    _boolean(e, inst, f"icmp ne i128 {whole}, 0")


def _flags(e: FunctionEmitter, inst: Inst, predicate: str) -> str:
    """An integer with one bit a lane: whether it stands so to 0."""
    shape: Shape = inst.attrs[0]
    lanes = lanes_of(e, inst.args[0], shape)
    flags = e.assign(f"icmp {predicate} {VECTOR[shape]} {lanes}, zeroinitializer")
    return e.assign(f"bitcast <{shape.lanes} x i1> {flags} to i{shape.lanes}")


def _all_true(e: FunctionEmitter, inst: Inst) -> None:
    flags = _flags(e, inst, "ne")
    _boolean(e, inst, f"icmp eq i{inst.attrs[0].lanes} {flags}, -1")


def _bitmask(e: FunctionEmitter, inst: Inst) -> None:
    e.define(inst, f"zext i{inst.attrs[0].lanes} {_flags(e, inst, 'slt')} to i32")


# Moving lanes.


def _scalar(e: FunctionEmitter, value: Value, shape: Shape) -> str:
    """A scalar operand as a lane, with its type."""
    if shape.bits < 32:
        return f"{LANE[shape]} {e.assign(f'trunc {e.operand(value)} to {LANE[shape]}')}"
    return e.operand(value)


def _spread(e: FunctionEmitter, lane: str, shape: Shape) -> str:
    """Expression for a vector with a lane (given with its type) in every place."""
    vector = VECTOR[shape]
    first = e.assign(f"insertelement {vector} poison, {lane}, i32 0")
    zeros = f"<{shape.lanes} x i32> zeroinitializer"
    return f"shufflevector {vector} {first}, {vector} poison, {zeros}"


def _vsplat(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    define_lanes(e, inst, shape, _spread(e, _scalar(e, inst.args[0], shape), shape))


def _extract(e: FunctionEmitter, inst: Inst) -> None:
    shape, lane, signed = inst.attrs
    element = f"extractelement {VECTOR[shape]} {lanes_of(e, inst.args[0], shape)}, i32 {lane}"
    if shape.bits < 32:
        extend = "sext" if signed else "zext"
        element = f"{extend} {LANE[shape]} {e.assign(element)} to i32"
    e.define(inst, element)


def _replace(e: FunctionEmitter, inst: Inst) -> None:
    shape, lane = inst.attrs
    vector, scalar = inst.args
    lanes = f"{VECTOR[shape]} {lanes_of(e, vector, shape)}"
    define_lanes(e, inst, shape,
            f"insertelement {lanes}, {_scalar(e, scalar, shape)}, i32 {lane}")


def _shuffle(e: FunctionEmitter, inst: Inst) -> None:
    a, b = (lanes_of(e, value, _I8) for value in inst.args)
    mask = ", ".join([f"i32 {lane}" for lane in inst.attrs[0]])
    vector = VECTOR[_I8]
    define_lanes(e, inst, _I8, f"shufflevector {vector} {a}, {vector} {b}, <16 x i32> <{mask}>")


def _swizzle(e: FunctionEmitter, inst: Inst) -> None:
    # Lane by lane, over a vector that is masked as a whole: LLVM makes one shuffle of this form.
    a, b = (lanes_of(e, value, _I8) for value in inst.args)
    vector = VECTOR[_I8]
    indices = e.assign(f"and {vector} {b}, {constant_lanes('i8', 15, 16)}")
    result = "poison"
    for lane in range(16):
        index = e.assign(f"extractelement {vector} {indices}, i32 {lane}")
        byte = e.assign(f"extractelement {vector} {a}, i8 {index}")
        result = e.assign(f"insertelement {vector} {result}, i8 {byte}, i32 {lane}")
    inside = e.assign(f"icmp ult {vector} {b}, {constant_lanes('i8', 16, 16)}")
    define_lanes(e, inst, _I8,
            f"select <16 x i1> {inside}, {vector} {result}, {vector} zeroinitializer")


# Lanes of one width.


def _binary(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    a, b = (lanes_of(e, value, shape) for value in inst.args)
    define_lanes(e, inst, shape, f"{_BINARY[inst.op]} {VECTOR[shape]} {a}, {b}")


def _intrinsic(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    lanes = [lanes_of(e, value, shape) for value in inst.args]
    call = call_lanes(e, _INTRINSICS[inst.op], VECTOR[shape], SUFFIX[shape], *lanes)
    define_lanes(e, inst, shape, call)


def _negate(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    negate = "fneg {} {}" if shape.is_float else "sub {} zeroinitializer, {}"
    define_lanes(e, inst, shape, negate.format(VECTOR[shape], lanes_of(e, inst.args[0], shape)))


def _absolute(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    vector = VECTOR[shape]
    name = e.program.intrinsic(vector, f"llvm.abs.{SUFFIX[shape]}", f"{vector}, i1 immarg")
    lanes = lanes_of(e, inst.args[0], shape)
    define_lanes(e, inst, shape, f"call {vector} {name}({vector} {lanes}, i1 false)")


def _shift(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    vector, amount = inst.args
    lane = LANE[shape]
    text = e.assign(f"and {e.operand(amount)}, {shape.bits - 1}")
    if shape.bits != 32:
        convert = "trunc" if shape.bits < 32 else "zext"
        text = e.assign(f"{convert} i32 {text} to {lane}")
    amounts = e.assign(_spread(e, f"{lane} {text}", shape))
    lanes = lanes_of(e, vector, shape)
    define_lanes(e, inst, shape, f"{_SHIFTS[inst.op]} {VECTOR[shape]} {lanes}, {amounts}")


def _average(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    lane = f"i{2 * shape.bits}"
    wide = f"<{shape.lanes} x {lane}>"
    a, b = (
        e.assign(f"zext {VECTOR[shape]} {lanes_of(e, value, shape)} to {wide}")
        for value in inst.args
    )
    one = constant_lanes(lane, 1, shape.lanes)
    total = e.assign(f"add {wide} {e.assign(f'add {wide} {a}, {b}')}, {one}")
    half = e.assign(f"lshr {wide} {total}, {one}")
    define_lanes(e, inst, shape, f"trunc {wide} {half} to {VECTOR[shape]}")


def _compare(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    a, b = (lanes_of(e, value, shape) for value in inst.args)
    flags = e.assign(f"{_COMPARES[inst.op]} {VECTOR[shape]} {a}, {b}")
    result = BITS[shape]
    define_lanes(e, inst, result, f"sext <{shape.lanes} x i1> {flags} to {VECTOR[result]}")


# Integer lanes of two widths.


def _narrow(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    source = _I16 if shape is _I8 else _I32
    a, b = (lanes_of(e, value, source) for value in inst.args)
    n, lane = shape.lanes, LANE[source]
    both = pick_lanes(e, VECTOR[source], a, b, range(n))
    vector, suffix = f"<{n} x {lane}>", f"v{n}{lane}"
    signed = inst.op is ops.VNARROW_S
    low = -(1 << (shape.bits - 1)) if signed else 0
    high = (1 << (shape.bits - signed)) - 1
    both = e.assign(call_lanes(e, "llvm.smax", vector, suffix, both, constant_lanes(lane, low, n)))
    both = e.assign(call_lanes(e, "llvm.smin", vector, suffix, both, constant_lanes(lane, high, n)))
    define_lanes(e, inst, shape, f"trunc {vector} {both} to {VECTOR[shape]}")


def _widened(
    e: FunctionEmitter, value: Value, shape: Shape, extend: str, lanes: range
) -> str:
    """Expression for some lanes of half the shape's width, widened to it."""
    source = HALF[shape]
    picked = pick_lanes(e, VECTOR[source], lanes_of(e, value, source), "poison", lanes)
    return f"{extend} <{shape.lanes} x {LANE[source]}> {picked} to {VECTOR[shape]}"


def _extend(e: FunctionEmitter, inst: Inst) -> None:
    shape, high = inst.attrs
    lanes = range(shape.lanes, 2 * shape.lanes) if high else range(shape.lanes)
    define_lanes(e, inst, shape, _widened(e, inst.args[0], shape, _WIDEN[inst.op], lanes))


def _extended_product(e: FunctionEmitter, inst: Inst) -> None:
    shape, high = inst.attrs
    lanes = range(shape.lanes, 2 * shape.lanes) if high else range(shape.lanes)
    a, b = (
        e.assign(_widened(e, value, shape, _WIDEN[inst.op], lanes)) for value in inst.args
    )
    define_lanes(e, inst, shape, f"mul {VECTOR[shape]} {a}, {b}")


def _pair_sums(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    even, odd = (
        e.assign(_widened(e, inst.args[0], shape, _WIDEN[inst.op],
                          range(first, 2 * shape.lanes, 2)))
        for first in (0, 1)
    )
    define_lanes(e, inst, shape, f"add {VECTOR[shape]} {even}, {odd}")


def _products(e: FunctionEmitter, inst: Inst) -> str:
    """The exact products of i16 lanes."""
    a, b = (
        e.assign(f"sext {VECTOR[_I16]} {lanes_of(e, value, _I16)} to <8 x i32>")
        for value in inst.args
    )
    return e.assign(f"mul <8 x i32> {a}, {b}")


def _dot(e: FunctionEmitter, inst: Inst) -> None:
    products = _products(e, inst)
    even, odd = (
        pick_lanes(e, "<8 x i32>", products, "poison", range(first, 8, 2)) for first in (0, 1)
    )
    define_lanes(e, inst, _I32, f"add <4 x i32> {even}, {odd}")


def _q15(e: FunctionEmitter, inst: Inst) -> None:
    rounded = e.assign(f"add <8 x i32> {_products(e, inst)}, {constant_lanes('i32', 1 << 14, 8)}")
    shifted = e.assign(f"ashr <8 x i32> {rounded}, {constant_lanes('i32', 15, 8)}")
    # Only the product of two minima is out of range, and above it.
    limit = constant_lanes("i32", 0x7FFF, 8)
    limited = e.assign(call_lanes(e, "llvm.smin", "<8 x i32>", "v8i32", shifted, limit))
    define_lanes(e, inst, _I16, f"trunc <8 x i32> {limited} to <8 x i16>")


VECTOR_EMITTERS: dict[Op, Emitter] = {
    **FLOAT_LANE_EMITTERS,
    **dict.fromkeys(_BITWISE, _bitwise),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_SHIFTS, _shift),
    **dict.fromkeys(_COMPARES, _compare),
    **dict.fromkeys(_INTRINSICS, _intrinsic),
    ops.VNOT: _not,
    ops.VANDNOT: _and_not,
    ops.VBITSELECT: _bit_select,
    ops.VANY_TRUE: _any_true,
    ops.VALL_TRUE: _all_true,
    ops.VBITMASK: _bitmask,
    ops.VSPLAT: _vsplat,
    ops.VEXTRACT: _extract,
    ops.VREPLACE: _replace,
    ops.VSHUFFLE: _shuffle,
    ops.VSWIZZLE: _swizzle,
    ops.VNEG: _negate,
    ops.VFNEG: _negate,
    ops.VABS: _absolute,
    ops.VAVGR_U: _average,
    ops.VNARROW_S: _narrow,
    ops.VNARROW_U: _narrow,
    ops.VEXTEND_S: _extend,
    ops.VEXTEND_U: _extend,
    ops.VEXTMUL_S: _extended_product,
    ops.VEXTMUL_U: _extended_product,
    ops.VEXTADD_S: _pair_sums,
    ops.VEXTADD_U: _pair_sums,
    ops.VDOT: _dot,
    ops.VQ15MULR_SAT: _q15,
}

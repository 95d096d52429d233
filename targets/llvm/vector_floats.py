"""How ops on float lanes with rules of their own are written in LLVM IR, conversions included."""

from __future__ import annotations

from ...ir import ops
from ...ir.function import Inst
from ...ir.ops import Op
from ...ir.types import Shape
from .emit import Emitter, FunctionEmitter
from .vector_lanes import (
    BITS,
    LANE,
    SUFFIX,
    VECTOR,
    call_lanes,
    constant_lanes,
    define_lanes,
    lanes_of,
    pick_lanes,
)

_I32, _F32 = Shape.I32X4, Shape.F32X4
_QUIET_NAN = {_F32: 0x7FC00000, Shape.F64X2: 0x7FF8000000000000}
_MIN_MAX = {ops.VFMIN: "llvm.minimum", ops.VFMAX: "llvm.maximum"}
_SATURATING = {ops.VTRUNC_SAT_S: "llvm.fptosi.sat", ops.VTRUNC_SAT_U: "llvm.fptoui.sat"}
_CONVERT = {ops.VCONVERT_S: "sitofp", ops.VCONVERT_U: "uitofp"}


def _canonical(e: FunctionEmitter, unordered: str, lanes: str, shape: Shape) -> str:
    """Expression for the bits of float lanes, of the canonical NaN where a flag is set."""
    bits = BITS[shape]
    vector = VECTOR[bits]
    nan = constant_lanes(LANE[bits], _QUIET_NAN[shape], shape.lanes)
    number = e.assign(f"bitcast {VECTOR[shape]} {lanes} to {vector}")
    return f"select <{shape.lanes} x i1> {unordered}, {vector} {nan}, {vector} {number}"


def _canonicalise(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    (value,) = inst.args
    vector, lanes = VECTOR[shape], lanes_of(e, value, shape)
    definition = value.definition
    if isinstance(definition, Inst) and definition.op is ops.VFSQRT:
        # As for scalars: LLVM thinks that it knows the bits of a NaN from sqrt.
        lanes = e.assign(call_lanes(e, "llvm.arithmetic.fence", vector, SUFFIX[shape], lanes))
    unordered = e.assign(f"fcmp uno {vector} {lanes}, {lanes}")
    define_lanes(e, inst, BITS[shape], _canonical(e, unordered, lanes, shape))


def _min_max(e: FunctionEmitter, inst: Inst) -> None:
    # As for scalars: LLVM's minimum may lose a signalling NaN.
    shape: Shape = inst.attrs[0]
    a, b = (lanes_of(e, value, shape) for value in inst.args)
    unordered = e.assign(f"fcmp uno {VECTOR[shape]} {a}, {b}")
    call = call_lanes(e, _MIN_MAX[inst.op], VECTOR[shape], SUFFIX[shape], a, b)
    number = e.assign(call.replace("call ", "call nnan ", 1))
    define_lanes(e, inst, BITS[shape], _canonical(e, unordered, number, shape))


def _pseudo_min_max(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    vector = VECTOR[shape]
    a, b = (lanes_of(e, value, shape) for value in inst.args)
    smaller, larger = (b, a) if inst.op is ops.VFPMIN else (a, b)
    chosen = e.assign(f"fcmp olt {vector} {smaller}, {larger}")
    define_lanes(e, inst, shape,
            f"select <{shape.lanes} x i1> {chosen}, {vector} {b}, {vector} {a}")


def _saturate(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    n, source = shape.lanes, VECTOR[shape]
    vector = f"<{n} x i32>"
    name = f"{_SATURATING[inst.op]}.v{n}i32.{SUFFIX[shape]}"
    lanes = lanes_of(e, inst.args[0], shape)
    call = f"call {vector} {e.program.intrinsic(vector, name, source)}({source} {lanes})"
    define_lanes(e, inst, _I32, call if n == 4 else _padded(e, vector, call))


def _padded(e: FunctionEmitter, vector: str, expression: str) -> str:
    """Expression for two lanes with two of zeros above them."""
    mask = "<4 x i32> <i32 0, i32 1, i32 2, i32 3>"
    return f"shufflevector {vector} {e.assign(expression)}, {vector} zeroinitializer, {mask}"


def _convert(e: FunctionEmitter, inst: Inst) -> None:
    shape: Shape = inst.attrs[0]
    lanes = lanes_of(e, inst.args[0], _I32)
    if shape.lanes == 2:
        lanes = pick_lanes(e, VECTOR[_I32], lanes, "poison", range(2))
    source = f"<{shape.lanes} x i32>"
    define_lanes(e, inst, shape, f"{_CONVERT[inst.op]} {source} {lanes} to {VECTOR[shape]}")


def _demote(e: FunctionEmitter, inst: Inst) -> None:
    lanes = lanes_of(e, inst.args[0], Shape.F64X2)
    narrow = f"fptrunc <2 x double> {lanes} to <2 x float>"
    define_lanes(e, inst, _F32, _padded(e, "<2 x float>", narrow))


def _promote(e: FunctionEmitter, inst: Inst) -> None:
    low = pick_lanes(e, VECTOR[_F32], lanes_of(e, inst.args[0], _F32), "poison", range(2))
    define_lanes(e, inst, Shape.F64X2, f"fpext <2 x float> {low} to <2 x double>")


FLOAT_LANE_EMITTERS: dict[Op, Emitter] = {
    **dict.fromkeys(_MIN_MAX, _min_max),
    **dict.fromkeys(_SATURATING, _saturate),
    **dict.fromkeys(_CONVERT, _convert),
    ops.VCANON: _canonicalise,
    ops.VFPMIN: _pseudo_min_max,
    ops.VFPMAX: _pseudo_min_max,
    ops.VDEMOTE: _demote,
    ops.VPROMOTE: _promote,
}

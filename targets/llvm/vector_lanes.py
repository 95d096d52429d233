"""A ``v128`` as a vector of lanes in LLVM IR: types, casts there and back, and small pieces.

Everywhere else it is a ``<2 x i64>``.
"""

from __future__ import annotations

from ...ir.function import Inst, Value
from ...ir.types import Shape, Type
from .emit import FunctionEmitter
from .types import LLVM_TYPES

V128 = LLVM_TYPES[Type.V128]

LANE = {shape: LLVM_TYPES[shape.lane] if shape.is_float else f"i{shape.bits}" for shape in Shape}
VECTOR = {shape: f"<{shape.lanes} x {LANE[shape]}>" for shape in Shape}
#: Suffix of an intrinsic's name.
SUFFIX = {shape: f"v{shape.lanes}{'f' if shape.is_float else 'i'}{shape.bits}" for shape in Shape}
#: The integer shape with lanes of the same width.
BITS = {shape: Shape(f"i{shape.value[1:]}") for shape in Shape}
#: The integer shape with lanes of half the width.
HALF = {
    Shape.I16X8: Shape.I8X16,
    Shape.I32X4: Shape.I16X8,
    Shape.I64X2: Shape.I32X4,
}


def lanes_of(e: FunctionEmitter, value: Value, shape: Shape) -> str:
    """A value as a vector of lanes, without its type."""
    if shape is Shape.I64X2:
        return e.name(value)
    return e.assign(f"bitcast {e.operand(value)} to {VECTOR[shape]}")


def define_lanes(e: FunctionEmitter, inst: Inst, shape: Shape, expression: str) -> None:
    """Write the result, which is an expression for a vector of lanes."""
    if shape is Shape.I64X2:
        e.define(inst, expression)
    else:
        e.define(inst, f"bitcast {VECTOR[shape]} {e.assign(expression)} to {V128}")


def constant_lanes(lane: str, bits: int, count: int) -> str:
    """A constant vector of integers."""
    return f"<{', '.join([f'{lane} {bits}'] * count)}>"


def pick_lanes(e: FunctionEmitter, vector: str, a: str, b: str, lanes: range | list[int]) -> str:
    """Lanes of two vectors, by number."""
    mask = ", ".join([f"i32 {lane}" for lane in lanes])
    return e.assign(f"shufflevector {vector} {a}, {vector} {b}, <{len(lanes)} x i32> <{mask}>")


def call_lanes(e: FunctionEmitter, name: str, type_: str, suffix: str, *operands: str) -> str:
    """Call of an intrinsic whose result and operands have one type."""
    callee = e.program.intrinsic(type_, f"{name}.{suffix}", ", ".join([type_] * len(operands)))
    return f"call {type_} {callee}({', '.join([f'{type_} {x}' for x in operands])})"

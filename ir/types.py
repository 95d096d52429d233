"""Value types of the IR."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Type(enum.Enum):
    """A value type. Booleans are ``i32`` 0 or 1, as in WebAssembly.

    References are opaque 64-bit handles on every target: 0 is null, a ``funcref`` is 1 + its
    function's id in the program, an ``externref`` is 1 + the number that the host gave. An
    ``anyref`` (an object or a small integer) and an ``exnref`` (an exception) are what the front
    end makes of them.
    """

    I32 = "i32"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    V128 = "v128"
    FUNCREF = "funcref"
    EXTERNREF = "externref"
    ANYREF = "anyref"
    EXNREF = "exnref"

    bits: int
    is_int: bool
    is_float: bool
    is_ref: bool

    def __repr__(self) -> str:
        return f"Type.{self.name}"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is slow Python code


_BITS = {"i32": 32, "i64": 64, "f32": 32, "f64": 64, "v128": 128}
for _type in Type:
    _type.bits = _BITS.get(_type.value, 64)
    _type.is_int = _type in (Type.I32, Type.I64)
    _type.is_float = _type in (Type.F32, Type.F64)
    _type.is_ref = _type.value not in _BITS


class Shape(enum.Enum):
    """How an op splits a ``v128`` into lanes, lane 0 in the low bits.

    Attributes:
        lanes: how many there are.
        bits: width of one.
        lane: the scalar type that holds one; narrow integers are in an i32.
        is_float: whether lanes are floats.
    """

    I8X16 = "i8x16"
    I16X8 = "i16x8"
    I32X4 = "i32x4"
    I64X2 = "i64x2"
    F32X4 = "f32x4"
    F64X2 = "f64x2"

    lanes: int
    bits: int
    lane: Type
    is_float: bool

    def __repr__(self) -> str:
        return f"Shape.{self.name}"

    __hash__ = object.__hash__


for _shape in Shape:
    _shape.bits, _shape.lanes = (int(n) for n in _shape.value[1:].split("x"))
    _shape.is_float = _shape.value[0] == "f"
    _shape.lane = Type(f"{_shape.value[0]}{max(_shape.bits, 32)}")


class FuncType(NamedTuple):
    """Parameter and result types of a function."""

    params: tuple[Type, ...]
    results: tuple[Type, ...]

    def __str__(self) -> str:
        params = ", ".join(t.value for t in self.params)
        results = ", ".join(t.value for t in self.results)
        return f"({params}) -> ({results})"


class EntityId(NamedTuple):
    """Address of a function, memory, global, table or segment: (instance, index).

    Ids are append-only, so that adding an instance to a program moves nothing. Text form ``0.3``.
    """

    instance: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which no id needs

    def __str__(self) -> str:
        return f"{self.instance}.{self.index}"


class Trap(enum.IntEnum):
    """Why an agent ended early. The number is stored by device code; 0 is never a trap."""

    UNREACHABLE = 1
    MEMORY_OUT_OF_BOUNDS = 2
    TABLE_OUT_OF_BOUNDS = 3
    UNDEFINED_ELEMENT = 4
    UNINITIALIZED_ELEMENT = 5
    INDIRECT_CALL_TYPE_MISMATCH = 6
    INTEGER_OVERFLOW = 7
    INTEGER_DIVIDE_BY_ZERO = 8
    INVALID_CONVERSION = 9
    CALL_STACK_EXHAUSTED = 10
    OUT_OF_FUEL = 11
    MISSING_IMPORT = 12
    INTERRUPTED = 13
    HOST = 14
    HEAP_EXHAUSTED = 15
    NULL_REFERENCE = 16
    NULL_FUNCTION_REFERENCE = 17
    NULL_STRUCTURE_REFERENCE = 18
    NULL_ARRAY_REFERENCE = 19
    NULL_I31_REFERENCE = 20
    CAST_FAILURE = 21
    ARRAY_OUT_OF_BOUNDS = 22
    NULL_EXCEPTION_REFERENCE = 23
    UNCAUGHT_EXCEPTION = 24

    @property
    def message(self) -> str:
        """The trap's text, in the specification suite's wording where it has one."""
        return _MESSAGES[self]

    @property
    def slug(self) -> str:
        """The name used in IR text, e.g. ``integer_overflow``."""
        return self.name.lower()


_MESSAGES = {
    Trap.UNREACHABLE: "unreachable",
    Trap.MEMORY_OUT_OF_BOUNDS: "out of bounds memory access",
    Trap.TABLE_OUT_OF_BOUNDS: "out of bounds table access",
    Trap.UNDEFINED_ELEMENT: "undefined element",
    Trap.UNINITIALIZED_ELEMENT: "uninitialized element",
    Trap.INDIRECT_CALL_TYPE_MISMATCH: "indirect call type mismatch",
    Trap.INTEGER_OVERFLOW: "integer overflow",
    Trap.INTEGER_DIVIDE_BY_ZERO: "integer divide by zero",
    Trap.INVALID_CONVERSION: "invalid conversion to integer",
    Trap.CALL_STACK_EXHAUSTED: "call stack exhausted",
    Trap.OUT_OF_FUEL: "out of fuel",
    Trap.MISSING_IMPORT: "missing import called",
    Trap.INTERRUPTED: "interrupted",
    Trap.HOST: "host function trapped",
    Trap.HEAP_EXHAUSTED: "agent's heap exhausted",
    Trap.NULL_REFERENCE: "null reference",
    Trap.NULL_FUNCTION_REFERENCE: "null function reference",
    Trap.NULL_STRUCTURE_REFERENCE: "null structure reference",
    Trap.NULL_ARRAY_REFERENCE: "null array reference",
    Trap.NULL_I31_REFERENCE: "null i31 reference",
    Trap.CAST_FAILURE: "cast failure",
    Trap.ARRAY_OUT_OF_BOUNDS: "out of bounds array access",
    Trap.NULL_EXCEPTION_REFERENCE: "null exception reference",
    Trap.UNCAUGHT_EXCEPTION: "uncaught exception",
}

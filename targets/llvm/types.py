"""IR types and constants as LLVM text."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.types import FuncType, Type

LLVM_TYPES = {
    Type.I32: "i32",
    Type.I64: "i64",
    Type.F32: "float",
    Type.F64: "double",
    Type.V128: "<2 x i64>",
    Type.FUNCREF: "i64",
    Type.EXTERNREF: "i64",
    Type.ANYREF: "i64",
    Type.EXNREF: "i64",
}

#: Suffix of an intrinsic's name for a type.
SUFFIX = {Type.I32: "i32", Type.I64: "i64", Type.F32: "f32", Type.F64: "f64"}

#: The canonical NaN, as a constant.
CANONICAL_NAN = {
    Type.F32: "bitcast (i32 2143289344 to float)",
    Type.F64: "bitcast (i64 9221120237041090560 to double)",
}


def constant(type_: Type, bits: int) -> str:
    """A constant operand from its bit pattern, without its type."""
    match type_:
        case Type.F32:
            # A hexadecimal literal would pass through double, which quietens signalling NaNs.
            return f"bitcast (i32 {bits} to float)"
        case Type.F64:
            return f"bitcast (i64 {bits} to double)"
        case Type.V128:
            return f"<i64 {bits & 0xFFFFFFFFFFFFFFFF}, i64 {bits >> 64}>"
        case _:
            return str(bits)


def return_type(results: Sequence[Type]) -> str:
    """What a compiled function returns: the remaining fuel, then its results."""
    if not results:
        return "i64"
    return "{ i64, " + ", ".join(result_types(results)) + " }"


#: Results of these types that x86-64 returns in vector registers. The next float would go through
#: the x87 stack, which quietens signalling NaNs.
_FLOAT_RESULTS = 2


def result_types(results: Sequence[Type]) -> list[str]:
    """The types in which results are returned: floats after the second as integers."""
    types = []
    floats = 0
    for type_ in results:
        floats += not (type_.is_int or type_.is_ref)
        as_bits = type_.is_float and floats > _FLOAT_RESULTS
        types.append(f"i{type_.bits}" if as_bits else LLVM_TYPES[type_])
    return types


def slots_of(types: Sequence[Type]) -> int:
    """64-bit slots that values of these types take in an argument or result array."""
    return sum(2 if t is Type.V128 else 1 for t in types)


def call_slots(type_: FuncType) -> int:
    """Slots of the array through which a host function gets arguments and gives results."""
    return max(slots_of(type_.params), slots_of(type_.results), 1)

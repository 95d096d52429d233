"""wasmtime's traps in the specification suite's words, which are finer for some."""

from __future__ import annotations

from typing import Any

from ...ir.types import Trap

#: By name of wasmtime's trap code. A code that is not here is one that programs cannot raise.
TRAPS = {
    "STACK_OVERFLOW": Trap.CALL_STACK_EXHAUSTED,
    "MEMORY_OUT_OF_BOUNDS": Trap.MEMORY_OUT_OF_BOUNDS,
    "TABLE_OUT_OF_BOUNDS": Trap.TABLE_OUT_OF_BOUNDS,
    "INDIRECT_CALL_TO_NULL": Trap.UNINITIALIZED_ELEMENT,
    "BAD_SIGNATURE": Trap.INDIRECT_CALL_TYPE_MISMATCH,
    "INTEGER_OVERFLOW": Trap.INTEGER_OVERFLOW,
    "INTEGER_DIVISION_BY_ZERO": Trap.INTEGER_DIVIDE_BY_ZERO,
    "BAD_CONVERSION_TO_INTEGER": Trap.INVALID_CONVERSION,
    "UNREACHABLE": Trap.UNREACHABLE,
    "OUT_OF_FUEL": Trap.OUT_OF_FUEL,
    "NULL_REFERENCE": Trap.NULL_REFERENCE,
    "ARRAY_OUT_OF_BOUNDS": Trap.ARRAY_OUT_OF_BOUNDS,
    "CAST_FAILURE": Trap.CAST_FAILURE,
    "ALLOCATION_TOO_LARGE": Trap.HEAP_EXHAUSTED,
}

_CALL_INDIRECTS = (0x11, 0x13)
_CALL_REFS = (0x14, 0x15)
_THROW_REF = 0x0A
_OBJECTS = 0xFB  # the prefix
_STRUCTS, _ARRAYS, _I31 = range(0x00, 0x06), range(0x06, 0x14), range(0x1C, 0x1F)


def trap_codes(wasmtime: Any) -> dict[Any, Trap]:
    """Traps by wasmtime's codes."""
    return {getattr(wasmtime.TrapCode, name): trap for name, trap in TRAPS.items()}


def refine(trap: Trap, code: bytes, offset: int) -> Trap:
    """The suite's name of a trap, which depends on the instruction at an offset of a module."""
    opcode = code[offset]
    if trap is Trap.TABLE_OUT_OF_BOUNDS and opcode in _CALL_INDIRECTS:
        return Trap.UNDEFINED_ELEMENT
    if trap is not Trap.NULL_REFERENCE:
        return trap
    if opcode in _CALL_REFS:
        return Trap.NULL_FUNCTION_REFERENCE
    if opcode == _THROW_REF:
        return Trap.NULL_EXCEPTION_REFERENCE
    if opcode != _OBJECTS:
        return trap
    number = code[offset + 1]
    if number in _STRUCTS:
        return Trap.NULL_STRUCTURE_REFERENCE
    if number in _ARRAYS:
        return Trap.NULL_ARRAY_REFERENCE
    return Trap.NULL_I31_REFERENCE if number in _I31 else trap

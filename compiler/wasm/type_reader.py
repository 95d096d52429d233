"""Reads the types of the binary format, and names the proposals behind those it does not know."""

from __future__ import annotations

from ...errors import DecodeError, SwarmcError
from ...ir.types import Type
from .features import EXCEPTIONS, FUNCTION_REFERENCES, GC, MEMORY64, FeatureSet
from .module import GlobalType, Limits, MemoryType, TableType
from .reader import Reader

VALUE_TYPES = {0x7F: Type.I32, 0x7E: Type.I64, 0x7D: Type.F32, 0x7C: Type.F64,
               0x7B: Type.V128, 0x70: Type.FUNCREF, 0x6F: Type.EXTERNREF}
REFERENCE_TYPES = {0x70: Type.FUNCREF, 0x6F: Type.EXTERNREF}

#: Proposals that are recognised by the first byte of a value type.
_UNSUPPORTED_TYPES = {
    0x63: FUNCTION_REFERENCES, 0x64: FUNCTION_REFERENCES,
    0x69: EXCEPTIONS, 0x74: EXCEPTIONS,
    **dict.fromkeys((0x78, 0x77, 0x73, 0x72, 0x71, 0x6E, 0x6D, 0x6C, 0x6B, 0x6A), GC),
    0x68: "stack-switching", 0x75: "stack-switching",
}


def type_error(byte: int, offset: int, message: str, features: FeatureSet) -> SwarmcError:
    """The error for a byte that is not a type that is known in this place."""
    feature = _UNSUPPORTED_TYPES.get(byte)
    if feature is not None:
        return features.refusal(feature, f"{message} {byte:#04x}", offset)
    return DecodeError(message, offset=offset)


def read_reference_type(data: bytes, pos: int, features: FeatureSet) -> tuple[Type, int]:
    """``funcref`` or ``externref``."""
    type_ = REFERENCE_TYPES.get(data[pos])
    if type_ is None:
        raise type_error(data[pos], pos, "malformed reference type", features)
    return type_, pos + 1


def value_type(reader: Reader) -> Type:
    """A number type or reference type."""
    start = reader.pos
    byte = reader.byte()
    type_ = VALUE_TYPES.get(byte)
    if type_ is None:
        raise type_error(byte, start, "malformed value type", reader.features)
    return type_


def reference_type(reader: Reader) -> Type:
    """``funcref`` or ``externref``."""
    reader.peek()  # raises where the data ends
    type_, reader.pos = read_reference_type(reader.data, reader.pos, reader.features)
    return type_


def result_type(reader: Reader) -> tuple[Type, ...]:
    """A vector of value types."""
    return tuple([value_type(reader) for _ in range(reader.count())])


#: Bits of the flags before limits.
_HAS_MAXIMUM, _INDEX_64 = 1, 4


def _limits(reader: Reader, *, memory: bool) -> Limits:
    start = reader.pos
    flags = reader.byte()
    known = _HAS_MAXIMUM | _INDEX_64 if MEMORY64 in reader.features else _HAS_MAXIMUM
    if flags & ~known:
        raise _other_limits(reader, flags, start, memory=memory)
    size = reader.u64 if MEMORY64 in reader.features else reader.u32
    minimum = size()
    return Limits(minimum, size() if flags & _HAS_MAXIMUM else None,
                  Type.I64 if flags & _INDEX_64 else Type.I32)


def _other_limits(reader: Reader, flags: int, start: int, *, memory: bool) -> SwarmcError:
    """The error for limits with unknown flags: a proposal's, if they are complete as such."""
    proposals = {2: "threads", _INDEX_64: MEMORY64, 8: "custom-page-sizes"}
    named = [feature for bit, feature in proposals.items()
             if flags & bit and feature not in reader.features]
    message = "malformed limits flags"
    if MEMORY64 not in reader.features:  # the flags were a number of one bit in those days
        message = "integer too large" if flags < 0x80 else "integer representation too long"
    if flags < (16 if memory else 8):
        try:
            for _ in range(1 + (flags & 1) + (flags >> 3 & 1)):
                while reader.byte() & 0x80:
                    pass
        except DecodeError:
            pass  # not even that: malformed
        else:
            return reader.features.refusal(named[-1], f"{message}: {flags:#x}", start)
    return reader.fail(message, start)


def table_type(reader: Reader) -> TableType:
    """Element type and size limits."""
    if reader.peek() == 0x40:
        raise reader.features.refusal(FUNCTION_REFERENCES, "table with an initial value",
                                      reader.pos)
    element = reference_type(reader)
    return TableType(element, _limits(reader, memory=False))


def memory_type(reader: Reader) -> MemoryType:
    """Size limits in pages."""
    return MemoryType(_limits(reader, memory=True))


def global_type(reader: Reader) -> GlobalType:
    """Value type and mutability."""
    type_ = value_type(reader)
    start = reader.pos
    mutable = reader.byte()
    if mutable > 1:
        raise reader.fail("malformed mutability", start)
    return GlobalType(type_, mutable == 1)

"""Reads the types of the binary format, and names the proposals behind those it does not know."""

from __future__ import annotations

from ...errors import DecodeError, SwarmcError
from ...ir.types import Type
from .features import EXCEPTIONS, FUNCTION_REFERENCES, GC, MEMORY64, REFERENCE_TYPES, FeatureSet
from .module import GlobalType, Limits, MemoryType, TableType
from .reader import UNEXPECTED_END, Reader, Scope, read_signed
from .types import Heap, HeapType, ValueType, ref_type

VALUE_TYPES: dict[int, ValueType] = {
    0x7F: Type.I32, 0x7E: Type.I64, 0x7D: Type.F32, 0x7C: Type.F64, 0x7B: Type.V128,
    0x70: Type.FUNCREF, 0x6F: Type.EXTERNREF,
}
#: Abstract heap types, each with the proposal that brought it.
HEAP_TYPES = {
    0x70: (Heap.FUNC, REFERENCE_TYPES), 0x6F: (Heap.EXTERN, REFERENCE_TYPES),
    0x69: (Heap.EXN, EXCEPTIONS), 0x74: (Heap.NOEXN, EXCEPTIONS),
    0x73: (Heap.NOFUNC, GC), 0x72: (Heap.NOEXTERN, GC), 0x6E: (Heap.ANY, GC), 0x6D: (Heap.EQ, GC),
    0x6C: (Heap.I31, GC), 0x6B: (Heap.STRUCT, GC), 0x6A: (Heap.ARRAY, GC), 0x71: (Heap.NONE, GC),
}
NULLABLE, NON_NULL = 0x63, 0x64

_STACK_SWITCHING = (0x68, 0x75)


def read_value_type(data: bytes, pos: int, scope: Scope,
                    message: str = "malformed value type") -> tuple[ValueType, int]:
    """A number type, vector type or reference type; ``message`` is for what is none."""
    type_ = VALUE_TYPES.get(data[pos])
    if type_ is not None:
        return type_, pos + 1
    return read_reference_type(data, pos, scope, message)


def read_reference_type(data: bytes, pos: int, scope: Scope,
                        message: str = "malformed reference type") -> tuple[ValueType, int]:
    """A reference type."""
    byte = data[pos]
    if byte == NULLABLE or byte == NON_NULL:
        scope.features.require(FUNCTION_REFERENCES, f"{message} {byte:#04x}", pos)
        heap, pos = read_heap_type(data, pos + 1, scope)
        return ref_type(byte == NULLABLE, heap), pos
    return ref_type(True, _abstract(byte, pos, scope.features, message)), pos + 1


def read_heap_type(data: bytes, pos: int, scope: Scope,
                   message: str = "malformed heap type") -> tuple[HeapType, int]:
    """An abstract heap type, or a defined type by its index."""
    byte = data[pos]
    if 0x40 <= byte < 0x80:
        return _abstract(byte, pos, scope.features, message), pos + 1
    index, end = read_signed(data, pos, 33)
    if index < 0:
        raise DecodeError(message, offset=pos)
    scope.features.require(FUNCTION_REFERENCES, f"{message} {byte:#04x}", pos)
    return scope.defined(index, pos), end


def _abstract(byte: int, pos: int, features: FeatureSet, message: str) -> Heap:
    if byte in _STACK_SWITCHING:
        raise features.refusal("stack-switching", f"{message} {byte:#04x}", pos)
    if byte not in HEAP_TYPES:
        raise DecodeError(message, offset=pos)
    heap, proposal = HEAP_TYPES[byte]
    features.require(proposal, f"{message} {byte:#04x}", pos)
    return heap


def value_type(reader: Reader) -> ValueType:
    """A number type, vector type or reference type."""
    try:
        type_, reader.pos = read_value_type(reader.data, reader.pos, reader.scope)
    except IndexError:
        raise reader.fail(UNEXPECTED_END, len(reader.data)) from None
    return type_


def reference_type(reader: Reader) -> ValueType:
    """A reference type."""
    try:
        type_, reader.pos = read_reference_type(reader.data, reader.pos, reader.scope)
    except IndexError:
        raise reader.fail(UNEXPECTED_END, len(reader.data)) from None
    return type_


def result_type(reader: Reader) -> tuple[ValueType, ...]:
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
    element = reference_type(reader)
    return TableType(element, _limits(reader, memory=False))


def memory_type(reader: Reader) -> MemoryType:
    """Size limits in pages."""
    return MemoryType(_limits(reader, memory=True))


def global_type(reader: Reader) -> GlobalType:
    """Value type and mutability."""
    type_ = value_type(reader)
    return GlobalType(type_, mutability(reader))


def mutability(reader: Reader) -> bool:
    """Whether what a type describes can change."""
    start = reader.pos
    mutable = reader.byte()
    if mutable > 1:
        raise reader.fail("malformed mutability", start)
    return mutable == 1

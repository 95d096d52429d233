"""Decodes sequences of instructions: function bodies and constant expressions.

The loop is plain Python with everything in local variables, as most of a module's bytes pass
through it; immediates that are rare are read by a function each, looked up by their kind.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from ...errors import DecodeError
from .features import MEMORY64, MULTI_MEMORY, FeatureSet
from .module import Body, Catch
from .opcodes import (
    AFTER_FB,
    AFTER_FC,
    AFTER_FD,
    PLAIN,
    PREFIX_FB,
    PREFIX_FC,
    PREFIX_FD,
    Imm,
    Opcode,
    unsupported_proposal,
)
from .reader import UNEXPECTED_END, Scope, read_signed, read_u32, read_unsigned
from .type_reader import VALUE_TYPES, read_heap_type, read_value_type
from .types import FuncType, ref_type

_SINGLE = {0x40: FuncType((), ()), **{b: FuncType((), (t,)) for b, t in VALUE_TYPES.items()}}

_Read = tuple[Any, int]
#: Reads an immediate: bytes and a position in, its value and the position after it out.
_Reader: TypeAlias = Callable[[bytes, int], _Read]
#: The same for an immediate that speaks of types.
_TypeReader: TypeAlias = Callable[[bytes, int, Scope], _Read]


# Immediates that speak of types.

def _block_type(data: bytes, pos: int, scope: Scope) -> _Read:
    byte = data[pos]
    if byte in _SINGLE:
        return _SINGLE[byte], pos + 1
    if 0x40 <= byte < 0x80:
        type_, pos = read_value_type(data, pos, scope, "malformed block type")
        return FuncType((), (type_,)), pos
    index, end = read_signed(data, pos, 33)
    if index < 0:
        raise DecodeError("malformed block type", offset=pos)
    return index, end


def _select_types(data: bytes, pos: int, scope: Scope) -> _Read:
    start = pos
    count, pos = read_u32(data, pos)
    if count > len(data) - pos:
        raise DecodeError("length out of bounds", offset=start)
    types = []
    for _ in range(count):
        type_, pos = read_value_type(data, pos, scope)
        types.append(type_)
    return tuple(types), pos


def _try_table(data: bytes, pos: int, scope: Scope) -> _Read:
    type_, pos = _block_type(data, pos, scope)
    start = pos
    count, pos = read_u32(data, pos)
    if count > len(data) - pos:
        raise DecodeError("length out of bounds", offset=start)
    clauses = []
    for _ in range(count):
        clause, pos = _catch(data, pos)
        clauses.append(clause)
    return (type_, tuple(clauses)), pos


def _catch(data: bytes, pos: int) -> tuple[Catch, int]:
    """A clause. Bits of its kind: 0 with the reference, 1 whatever the tag."""
    kind = data[pos]
    if kind > 3:
        raise DecodeError("malformed catch clause", offset=pos)
    pos += 1
    tag = None
    if not kind & 2:
        tag, pos = read_u32(data, pos)
    label, pos = read_u32(data, pos)
    return Catch(tag, bool(kind & 1), label), pos


def _null(data: bytes, pos: int, scope: Scope) -> _Read:
    heap, pos = read_heap_type(data, pos, scope, "malformed reference type")
    return ref_type(True, heap), pos


def _reference(nullable: bool) -> _TypeReader:
    def read(data: bytes, pos: int, scope: Scope) -> _Read:
        heap, pos = read_heap_type(data, pos, scope)
        return ref_type(nullable, heap), pos
    return read


def _cast(data: bytes, pos: int, scope: Scope) -> _Read:
    flags = data[pos]
    if flags > 3:
        raise DecodeError("malformed cast flags", offset=pos)
    label, pos = read_u32(data, pos + 1)
    source, pos = _reference(bool(flags & 1))(data, pos, scope)
    target, pos = _reference(bool(flags & 2))(data, pos, scope)
    return (label, source, target), pos


_TYPE_READERS: dict[Imm, _TypeReader] = {
    Imm.BLOCK: _block_type,
    Imm.SELECT_TYPES: _select_types,
    Imm.REF_TYPE: _null,
    Imm.TRY_TABLE: _try_table,
    Imm.NON_NULL_TYPE: _reference(False),
    Imm.NULLABLE_TYPE: _reference(True),
    Imm.CAST: _cast,
}


# Immediates that the features of a module decide on.

#: Bit of a memory access that says that the number of a memory follows.
_MEMORY_BIT = 64


def _memarg(features: FeatureSet) -> _Reader:
    offset_bits = 64 if MEMORY64 in features else 32
    aligns = _MEMORY_BIT if MULTI_MEMORY in features else 32

    def read(data: bytes, pos: int) -> _Read:
        start = pos
        flags, pos = read_u32(data, pos)
        memory, align = 0, flags & (_MEMORY_BIT - 1)
        if flags >= 2 * _MEMORY_BIT or align >= aligns:
            raise DecodeError("malformed memop flags", offset=start)
        if flags & _MEMORY_BIT:
            features.require(MULTI_MEMORY, "malformed memop flags", start)
            memory, pos = read_u32(data, pos)
        offset, pos = read_unsigned(data, pos, offset_bits)
        return (align, offset, memory), pos
    return read


def _memory(features: FeatureSet) -> _Reader:
    if MULTI_MEMORY in features:
        return read_u32

    def read(data: bytes, pos: int) -> _Read:
        # A module with several memories was refused before its code is reached.
        if data[pos] != 0:
            raise DecodeError("zero byte expected", offset=pos)
        return 0, pos + 1
    return read


def _memarg_lane(features: FeatureSet) -> _Reader:
    read_memarg = _memarg(features)

    def read(data: bytes, pos: int) -> _Read:
        memarg, pos = read_memarg(data, pos)
        return (*memarg, data[pos]), pos + 1
    return read


# All others.


def _br_table(data: bytes, pos: int) -> _Read:
    start = pos
    count, pos = read_u32(data, pos)
    if count > len(data) - pos:
        raise DecodeError("length out of bounds", offset=start)
    labels = []
    for _ in range(count + 1):
        label, pos = read_u32(data, pos)
        labels.append(label)
    return (tuple(labels[:-1]), labels[-1]), pos


def _fixed(size: int) -> _Reader:
    def read(data: bytes, pos: int) -> _Read:
        end = pos + size
        if end > len(data):
            raise IndexError
        return int.from_bytes(data[pos:end], "little"), end
    return read


def _lane(data: bytes, pos: int) -> _Read:
    return data[pos], pos + 1


def _lanes(data: bytes, pos: int) -> _Read:
    end = pos + 16
    if end > len(data):
        raise IndexError
    return data[pos:end], end


def _pair(first: _Reader, second: _Reader) -> _Reader:
    def read(data: bytes, pos: int) -> _Read:
        one, pos = first(data, pos)
        two, pos = second(data, pos)
        return (one, two), pos
    return read


def _i32(data: bytes, pos: int) -> _Read:
    value, pos = read_signed(data, pos, 32)
    return value & 0xFFFF_FFFF, pos


def _i64(data: bytes, pos: int) -> _Read:
    value, pos = read_signed(data, pos, 64)
    return value & 0xFFFF_FFFF_FFFF_FFFF, pos


_INDEX_KINDS = (Imm.LABEL, Imm.TYPE, Imm.FUNC, Imm.LOCAL, Imm.GLOBAL, Imm.TABLE, Imm.DATA,
                Imm.ELEM, Imm.TAG)


def _readers(features: FeatureSet) -> dict[Imm, _Reader]:
    memory = _memory(features)
    return {
        Imm.NONE: lambda data, pos: (None, pos),
        **dict.fromkeys(_INDEX_KINDS, read_u32),
        Imm.MEMORY: memory,
        Imm.BR_TABLE: _br_table,
        Imm.CALL_INDIRECT: _pair(read_u32, read_u32),
        Imm.MEMARG: _memarg(features),
        Imm.I32: _i32,
        Imm.I64: _i64,
        Imm.F32: _fixed(4),
        Imm.F64: _fixed(8),
        Imm.V128: _fixed(16),
        Imm.LANE: _lane,
        Imm.LANES: _lanes,
        Imm.MEMARG_LANE: _memarg_lane(features),
        Imm.MEMORY_INIT: _pair(read_u32, memory),
        Imm.MEMORY_COPY: _pair(memory, memory),
        Imm.TABLE_INIT: _pair(read_u32, read_u32),
        **dict.fromkeys((Imm.TABLE_COPY, Imm.FIELD, Imm.TYPE_COUNT, Imm.TYPE_DATA, Imm.TYPE_ELEM,
                         Imm.TYPE_PAIR), _pair(read_u32, read_u32)),
    }


# What the loop does with a first byte. The first four are worth a branch of their own; from _BLOCK
# on, a type reader reads what follows.
(_PLAIN, _INDEX, _MEMARG, _I32_CONST, _ELSE, _END, _CALL_READER, _ESCAPE, _BLOCK, _IF,
 _CALL_TYPE_READER) = range(11)


def _action(row: Opcode | None, features: FeatureSet) -> int:
    if row is None or row.proposal not in features:
        return _ESCAPE
    special = {"block": _BLOCK, "loop": _BLOCK, "try_table": _BLOCK, "if": _IF, "else": _ELSE,
               "end": _END}
    if row.name in special:
        return special[row.name]
    if row.imm in _INDEX_KINDS:
        return _INDEX
    if row.imm in _TYPE_READERS:
        return _CALL_TYPE_READER
    common = {Imm.NONE: _PLAIN, Imm.MEMARG: _MEMARG, Imm.I32: _I32_CONST}
    return common.get(row.imm, _CALL_READER)


class _Tables(NamedTuple):
    """How instructions are read that may use some features.

    Attributes:
        actions, plain: what the loop does with a first byte, and the reader of what follows it.
        readers: by kind of the immediate, where it speaks of no types.
    """

    actions: list[int]
    plain: list[_Reader]
    readers: dict[Imm, _Reader]


@cache
def _tables(features: FeatureSet) -> _Tables:
    readers = _readers(features)
    nothing = readers[Imm.NONE]
    return _Tables([_action(row, features) for row in PLAIN],
                   [readers.get(row.imm, nothing) if row is not None else nothing for row in PLAIN],
                   readers)


_TYPE_READER_OF = [_TYPE_READERS.get(row.imm, _null) if row is not None else _null
                   for row in PLAIN]

_PREFIXED = {PREFIX_FB: AFTER_FB, PREFIX_FC: AFTER_FC, PREFIX_FD: AFTER_FD}

#: Shared immediates of loads and stores with a small offset.
_MEMARGS = [[(align, offset, 0) for offset in range(128)] for align in range(4)]


def _read_escaped(data: bytes, pos: int, scope: Scope) -> tuple[Opcode, Any, int]:
    """An instruction that one byte does not name: prefixed, of another proposal, illegal."""
    first = data[pos]
    code = 0
    row = PLAIN[first]
    spelled = f"illegal opcode {first:02x}"
    if first in (0xFB, 0xFC, 0xFD, 0xFE):
        code, end = read_u32(data, pos + 1)
        spelled += f" {code:02x}"
        rows = _PREFIXED.get(first, ())
        row = rows[code] if code < len(rows) else None
        if row is not None and row.proposal in scope.features:
            if row.imm in _TYPE_READERS:
                return (row, *_TYPE_READERS[row.imm](data, end, scope))
            return (row, *_tables(scope.features).readers[row.imm](data, end))
    feature = row.proposal if row is not None else unsupported_proposal(first, code)
    if feature is not None:
        raise scope.features.refusal(feature, spelled, pos)
    raise DecodeError(spelled, offset=pos)


def read_body(data: bytes, pos: int, scope: Scope) -> tuple[Body, int]:
    """Instructions from ``pos`` to the ``end`` that closes them, and the position after it."""
    body = Body(offsets=array("L"))  # numbers in a list take five times as much
    ops, imms, offsets = body.ops.append, body.imms.append, body.offsets.append
    plain, memargs, type_readers = PLAIN, _MEMARGS, _TYPE_READER_OF
    actions, readers, _ = _tables(scope.features)
    nest: list[bool] = []  # open blocks; True: an `if` that has had no `else` yet
    try:
        while True:
            byte = data[pos]
            action = actions[byte]
            offsets(pos)
            if action == _ESCAPE:
                row, imm, pos = _read_escaped(data, pos, scope)
                ops(row)
                imms(imm)
                continue
            ops(plain[byte])  # type: ignore[arg-type]  # None has the action _ESCAPE
            pos += 1
            if action == _INDEX:
                imm = data[pos]
                if imm < 0x80:
                    pos += 1
                else:
                    imm, pos = read_unsigned(data, pos, 32)
            elif action == _PLAIN:
                imm = None
            elif action == _MEMARG and data[pos] < 4 and data[pos + 1] < 0x80:
                imm = memargs[data[pos]][data[pos + 1]]
                pos += 2
            elif action == _I32_CONST and data[pos] < 0x40:
                imm = data[pos]
                pos += 1
            elif action == _END:
                imms(None)
                if not nest:
                    return body, pos
                nest.pop()
                continue
            else:
                if action == _ELSE:
                    if not nest or not nest[-1]:
                        raise DecodeError("END opcode expected", offset=pos - 1)
                    nest[-1] = False
                elif action == _BLOCK or action == _IF:
                    nest.append(action == _IF)
                if action >= _BLOCK:
                    imm, pos = type_readers[byte](data, pos, scope)
                else:
                    imm, pos = readers[byte](data, pos)
            imms(imm)
    except IndexError:
        raise DecodeError(UNEXPECTED_END, offset=len(data)) from None

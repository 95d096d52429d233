"""Python and NumPy values to WebAssembly bit patterns and back, one at a time or by column.

A value takes one 64-bit slot, a v128 two (low half first). Integers may be given in the signed or
the unsigned range and come back signed. A v128 comes back as 16 bytes, and may be given as an
integer as well, lane 0 in the low bits; an externref is None or the number that the host gave it;
a funcref comes back as the function's number, an anyref and an exnref as some number, but only None
can be passed for them, because code trusts what they say.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..ir.types import Type
from .arrays import Columns, columns_of, is_foreign, to_array
from .checks import to_list

Uint64s = NDArray[np.uint64]

_MASK64 = (1 << 64) - 1
_MOST_EXTERNREFS = (1 << 63) - 1  # the highest bit of a handle is not the host's
_INT_BITS = {Type.I32: 32, Type.I64: 64, Type.V128: 128}


@dataclass(frozen=True, slots=True)
class Slots:
    """Arguments as bit patterns, as :func:`encode_rows` gives them: one row, or one a call.

    Args:
        rows: uint64[count or 1, slots].
    """

    rows: Uint64s


def slot_count(types: Iterable[Type]) -> int:
    """64-bit slots that values of these types take."""
    return sum(2 if type_ is Type.V128 else 1 for type_ in types)


def _wrong_type(type_: Type, value: object, where: str) -> ArgumentError:
    kinds = {"i": "an integer", "f": "a number", "v": "16 bytes or an integer"}
    kind = kinds.get(type_.value[0], "")
    if type_ is Type.EXTERNREF:
        kind = "None or a number from 0"
    elif type_.is_ref:
        kind = "None"
    article = "an" if type_.value[0] in "aeio" else "a"
    return ArgumentError(f"{where} is {article} {type_.value}: it must be {kind}, not {value!r}")


def _out_of_range(type_: Type, value: object, where: str) -> ArgumentError:
    bits = _INT_BITS.get(type_)
    limits = f" (-2**{bits - 1} to 2**{bits} - 1)" if bits else ""
    return ArgumentError(f"{where}: {value!r} is out of the range of {type_.value}{limits}")


def _encode_int(type_: Type, value: object, where: str) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong_type(type_, value, where) from None
    bits = type_.bits
    if not -(1 << (bits - 1)) <= number < 1 << bits:
        raise _out_of_range(type_, value, where)
    return number & ((1 << bits) - 1)


def _encode_float(type_: Type, value: object, where: str) -> int:
    if isinstance(value, np.float32) and type_ is Type.F32:
        return int(value.view(np.uint32))  # keeps the payload of a NaN
    if isinstance(value, str | bytes | bytearray):
        raise _wrong_type(type_, value, where)
    try:
        number = float(value)  # type: ignore[arg-type]
        if type_ is Type.F32:
            return int.from_bytes(struct.pack("<f", number), "little")
    except (TypeError, ValueError):
        raise _wrong_type(type_, value, where) from None
    except OverflowError:
        raise _out_of_range(type_, value, where) from None
    return int.from_bytes(struct.pack("<d", number), "little")


def _encode_v128(type_: Type, value: object, where: str) -> int:
    if isinstance(value, bytes | bytearray | memoryview) and len(value) == 16:
        return int.from_bytes(value, "little")
    return _encode_int(type_, value, where)


def _encode_ref(type_: Type, value: object, where: str) -> int:
    if value is None:
        return 0
    if type_ is Type.EXTERNREF and isinstance(value, int | np.integer):
        number = int(value)
        if 0 <= number < _MOST_EXTERNREFS:
            return number + 1
    raise _wrong_type(type_, value, where)


_ENCODERS: dict[Type, Callable[[Type, object, str], int]] = {
    Type.I32: _encode_int,
    Type.I64: _encode_int,
    Type.F32: _encode_float,
    Type.F64: _encode_float,
    Type.V128: _encode_v128,
    Type.FUNCREF: _encode_ref,
    Type.EXTERNREF: _encode_ref,
    Type.ANYREF: _encode_ref,
    Type.EXNREF: _encode_ref,
}


def null_argument(where: str) -> ArgumentError:
    """The error for null where the program relies on there being none."""
    return ArgumentError(f"{where} must not be null")


def encode(type_: Type, value: object, where: str) -> int:
    """Bit pattern of one value; ``where`` names it in errors.

    Raises:
        ArgumentError: the value has the wrong type or does not fit.
    """
    return _ENCODERS[type_](type_, value, where)


def encode_row(types: Sequence[Type], values: Sequence[object], name: str) -> list[int]:
    """Slots of the arguments of one call of function ``name``.

    Raises:
        ArgumentError: wrong number of arguments, or one of a wrong type.
    """
    if len(values) != len(types):
        raise wrong_count(types, len(values), name)
    row: list[int] = []
    for place, (type_, value) in enumerate(zip(types, values, strict=True)):
        if type_ is Type.I32 and type(value) is int and 0 <= value < 0x8000_0000:
            row.append(value)
            continue
        bits = _ENCODERS[type_](type_, value, f"argument {place} of {name}")
        if type_ is Type.V128:
            row += (bits & _MASK64, bits >> 64)
        else:
            row.append(bits)
    return row


def wrong_count(
    types: Sequence[Type], given: int, name: str, hint: str | None = None
) -> ArgumentError:
    """The error for a wrong number of arguments."""
    if hint is None and name == "_start":
        hint = "argv= gives a command its arguments"
    wanted = f"{len(types)} argument{'' if len(types) == 1 else 's'}" if types else "no arguments"
    listed = f" ({', '.join(type_.value for type_ in types)})" if types else ""
    return ArgumentError(f"{name} takes {wanted}{listed}, got {given}", hint=hint)


def encode_rows(types: Sequence[Type], args: Any, count: int, name: str) -> Uint64s:
    """Slots of the arguments of ``count`` calls: uint64[count, slots].

    Args:
        args: an array whose first axis runs over the calls (1-D for one parameter, 2-D, or
            structured with one field a parameter), of NumPy or of a library that knows DLPack;
            :class:`~.arrays.Columns`; :class:`Slots`; a list or tuple with one row a call; or one
            row for all calls. For one parameter, a flat sequence of ``count`` values gives each
            call its own;
            if it is a v128, so does uint8[count, 16].

    Raises:
        ArgumentError: the shape or a value is wrong.
    """
    if isinstance(args, Slots):
        return _checked_slots(types, args.rows, count, name)
    if isinstance(args, Columns):
        return _encode_columns(types, columns_of(args, count, name), count, name)
    if is_foreign(args):
        args = to_array(args, f"arguments of {name}")
    if isinstance(args, np.ndarray):
        return _encode_array(types, args, count, name)
    values = to_list(args, "args", "values")
    if values and all(isinstance(row, list | tuple | np.ndarray) for row in values):
        if len(values) != count:
            raise _wrong_rows(len(values), count, name)
        rows = [encode_row(types, row, name) for row in values]
    elif len(types) == 1 and len(values) == count:
        rows = [encode_row(types, (value,), name) for value in values]
    else:
        rows = [encode_row(types, values, name)]
    table = np.array(rows, np.uint64).reshape(len(rows), slot_count(types))
    if len(rows) == count:
        return table
    return np.ascontiguousarray(np.broadcast_to(table, (count, table.shape[1])))


def _checked_slots(types: Sequence[Type], rows: Uint64s, count: int, name: str) -> Uint64s:
    """Bit patterns that somebody else made, if they are some of these types."""
    width = slot_count(types)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint64 or rows.ndim != 2:
        raise ArgumentError(f"arguments of {name}: slots are an array uint64[rows, slots]")
    if rows.shape[1] != width:
        raise ArgumentError(f"arguments of {name}: {rows.shape[1]} slots, it takes {width}")
    if len(rows) not in (1, count):
        raise _wrong_rows(len(rows), count, name)
    cursor = 0
    for place, type_ in enumerate(types):
        most = _most_bits(type_)
        if most is not None and (rows[:, cursor] > np.uint64(most)).any():
            raise ArgumentError(f"argument {place} of {name}: no bit pattern of {type_.value}")
        cursor += slot_count((type_,))
    return np.ascontiguousarray(np.broadcast_to(rows, (count, width)))


def _most_bits(type_: Type) -> int | None:
    """The largest bit pattern of a value that may be passed; None: any."""
    if type_ in (Type.I32, Type.F32):
        return 0xFFFF_FFFF
    if type_ is Type.EXTERNREF:
        return _MOST_EXTERNREFS
    return 0 if type_.is_ref else None


def check_rows(shape: tuple[int, ...], count: int, name: str) -> None:
    """Refuse an array that has not one row, or one value, for each call.

    Raises:
        ArgumentError: it has another shape.
    """
    if len(shape) not in (1, 2):
        raise ArgumentError(f"arguments of {name}: an array of {len(shape)} dimensions")
    if shape[0] != count:
        raise _wrong_rows(shape[0], count, name)


def _wrong_rows(given: int, count: int, name: str) -> ArgumentError:
    return ArgumentError(f"arguments of {name}: {given} rows for {count} agents")


def _encode_array(
    types: Sequence[Type], args: NDArray[Any], count: int, name: str
) -> Uint64s:
    check_rows(args.shape, count, name)
    if tuple(types) == (Type.V128,) and args.dtype == np.uint8 and args.shape[1:] == (16,):
        return np.ascontiguousarray(args).view(np.uint64)  # as results of the type are
    if args.dtype.names is not None:
        columns = [args[field] for field in args.dtype.names]
    elif args.ndim == 1:
        columns = [args]
    else:
        columns = [args[:, place] for place in range(args.shape[1])]
    return _encode_columns(types, columns, count, name)


def _encode_columns(
    types: Sequence[Type], columns: Sequence[NDArray[Any]], count: int, name: str
) -> Uint64s:
    if len(columns) != len(types):
        raise wrong_count(types, len(columns), name)
    table = np.empty((count, slot_count(types)), np.uint64)
    cursor = 0
    for place, (type_, column) in enumerate(zip(types, columns, strict=True)):
        where = f"argument {place} of {name}"
        if type_ is Type.V128 and column.dtype == np.uint8 and column.shape[1:] == (16,):
            table[:, cursor : cursor + 2] = np.ascontiguousarray(column).view(np.uint64)
        elif column.ndim != 1:
            raise ArgumentError(f"{where}: a column has one dimension, not {column.ndim}")
        elif column.dtype.kind == "O" or type_ is Type.V128 or type_.is_ref:
            for row, value in enumerate(column.tolist()):
                bits = encode(type_, value, f"{where} (row {row})")
                table[row, cursor] = bits & _MASK64
                if type_ is Type.V128:
                    table[row, cursor + 1] = bits >> 64
        else:
            encode_one = _int_column if type_.is_int else _float_column
            table[:, cursor] = encode_one(type_, column, where)
        cursor += slot_count((type_,))
    return table


def _wrong_dtype(type_: Type, column: NDArray[Any], where: str) -> ArgumentError:
    if not column.size:
        return _wrong_type(type_, column.dtype, where)
    error = _wrong_type(type_, column[0], where)
    error.message += f" (an array of {column.dtype})"
    return error


def _int_column(type_: Type, column: NDArray[Any], where: str) -> Uint64s:
    if column.dtype.kind not in "iub":
        raise _wrong_dtype(type_, column, where)
    if type_ is Type.I32 and column.dtype.itemsize > 4 and column.size:
        for value in (int(column.min()), int(column.max())):
            if not -(1 << 31) <= value < 1 << 32:
                raise _out_of_range(type_, value, where)
    wide = column.astype(np.int64 if column.dtype.kind == "i" else np.uint64).view(np.uint64)
    return wide & np.uint64(0xFFFF_FFFF) if type_ is Type.I32 else wide


def _float_column(type_: Type, column: NDArray[Any], where: str) -> Uint64s:
    if column.dtype.kind not in "fiub":
        raise _wrong_dtype(type_, column, where)
    if type_ is Type.F64:
        return column.astype(np.float64).view(np.uint64)
    if column.dtype == np.float32:
        return np.ascontiguousarray(column).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = column.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(column)
    if lost.any():
        raise _out_of_range(type_, column[lost][0], where)
    return narrow.view(np.uint32).astype(np.uint64)


def decode(type_: Type, bits: int) -> object:
    """Python value of a bit pattern."""
    match type_:
        case Type.I32 | Type.I64:
            sign = 1 << (type_.bits - 1)
            return ((bits & (2 * sign - 1)) ^ sign) - sign
        case Type.F32:
            return struct.unpack("<f", (bits & 0xFFFF_FFFF).to_bytes(4, "little"))[0]
        case Type.F64:
            return struct.unpack("<d", bits.to_bytes(8, "little"))[0]
        case Type.V128:
            return bits.to_bytes(16, "little")
        case _:
            return None if bits == 0 else bits - 1


def decode_column(type_: Type, raw: Uint64s) -> NDArray[Any]:
    """Typed array of many values: raw is uint64[n, slots of the type].

    int32, int64, float32 or float64 [n]; a v128 is uint8[n, 16]; references are int64[n] with
    -1 for null.
    """
    match type_:
        case Type.I32:
            return raw[:, 0].astype(np.uint32).view(np.int32)
        case Type.I64:
            return raw[:, 0].astype(np.uint64).view(np.int64)
        case Type.F32:
            return raw[:, 0].astype(np.uint32).view(np.float32)
        case Type.F64:
            return raw[:, 0].astype(np.uint64).view(np.float64)
        case Type.V128:
            return np.ascontiguousarray(raw[:, :2]).view(np.uint8)
        case _:
            return raw[:, 0].astype(np.uint64).view(np.int64) - 1


def column_values(type_: Type, raw: Uint64s) -> list[Any]:
    """Python values of many bit patterns; the inverse of what an argument takes."""
    column = decode_column(type_, raw)
    if type_ is Type.V128:
        return [row.tobytes() for row in column]
    if type_.is_ref:
        return [None if number < 0 else number for number in column.tolist()]
    return list(column.tolist())


def decode_row(types: Sequence[Type], slots: Sequence[int]) -> tuple[Any, ...]:
    """Python values of one row of slots, which may be longer."""
    found: list[Any] = []
    cursor = 0
    for type_ in types:
        bits = slots[cursor]
        if type_ is Type.V128:
            bits |= slots[cursor + 1] << 64
        found.append(decode(type_, bits))
        cursor += slot_count((type_,))
    return tuple(found)

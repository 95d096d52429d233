"""Reads the primitives of the binary format: bytes, LEB128 integers, names, counts.

Two layers. Functions ``read_*(data, pos) -> (value, new pos)`` serve the instruction decoder,
whose loop keeps its position in a local variable; they raise IndexError where the data ends.
:class:`Reader` keeps the position itself and serves the sections; it raises
:class:`~swarmc.errors.DecodeError` with the specification suite's wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DecodeError, ValidationError
from .features import SUPPORTED, FeatureSet
from .limits import MAX_COUNT, MAX_NAME, check_limit
from .types import DefType

UNEXPECTED_END = "unexpected end of section or function"


def read_unsigned(data: bytes, pos: int, bits: int) -> tuple[int, int]:
    """An unsigned LEB128 integer of at most ``bits`` bits."""
    result = shift = 0
    while True:
        byte = data[pos]
        left = bits - shift
        if left < 7 and byte & 0x7F >= 1 << left:
            raise DecodeError("integer too large", offset=pos)
        result |= (byte & 0x7F) << shift
        pos += 1
        if byte < 0x80:
            return result, pos
        shift += 7
        if shift >= bits:
            raise DecodeError("integer representation too long", offset=pos)


def read_signed(data: bytes, pos: int, bits: int) -> tuple[int, int]:
    """A signed LEB128 integer of at most ``bits`` bits."""
    result = shift = 0
    while True:
        byte = data[pos]
        left = bits - shift
        if left < 7:
            mask = (-1 << (left - 1)) & 0x7F  # the sign and the bits that must repeat it
            if byte & mask not in (0, mask):
                raise DecodeError("integer too large", offset=pos)
        result |= (byte & 0x7F) << shift
        pos += 1
        shift += 7
        if byte < 0x80:
            return (result - (1 << shift) if byte & 0x40 else result), pos
        if shift >= bits:
            raise DecodeError("integer representation too long", offset=pos)


def read_u32(data: bytes, pos: int) -> tuple[int, int]:
    """An index or size."""
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    return read_unsigned(data, pos, 32)


class Scope:
    """What the bytes may speak of: the features of the module, and its types so far."""

    __slots__ = ("features", "types")

    def __init__(self, features: FeatureSet, types: Sequence[DefType] = ()) -> None:
        self.features = features
        self.types = types

    def defined(self, index: int, offset: int) -> DefType:
        """A type by its index.

        Raises:
            ValidationError: there is none.
        """
        if index >= len(self.types):
            raise ValidationError(f"unknown type {index}", offset=offset)
        return self.types[index]


class Reader:
    """A position in the bytes of a module."""

    __slots__ = ("data", "features", "pos", "scope")

    def __init__(self, data: bytes, pos: int = 0, scope: Scope | None = None) -> None:
        self.data = data
        self.pos = pos
        self.scope = scope or Scope(SUPPORTED)
        self.features = self.scope.features

    def fail(self, message: str, offset: int | None = None) -> DecodeError:
        """An error at ``offset``, by default at the current position."""
        return DecodeError(message, offset=self.pos if offset is None else offset)

    def byte(self) -> int:
        """One byte."""
        try:
            byte = self.data[self.pos]
        except IndexError:
            raise self.fail(UNEXPECTED_END) from None
        self.pos += 1
        return byte

    def peek(self) -> int:
        """The next byte, without moving on."""
        byte = self.byte()
        self.pos -= 1
        return byte

    def u32(self) -> int:
        """An unsigned LEB128 integer of 32 bits."""
        try:
            value, self.pos = read_u32(self.data, self.pos)
        except IndexError:
            raise self.fail(UNEXPECTED_END, len(self.data)) from None
        return value

    def u64(self) -> int:
        """An unsigned LEB128 integer of 64 bits."""
        try:
            value, self.pos = read_unsigned(self.data, self.pos, 64)
        except IndexError:
            raise self.fail(UNEXPECTED_END, len(self.data)) from None
        return value

    def count(self, most: int = MAX_COUNT, what: str = "elements") -> int:
        """The length of a vector, or a size in bytes.

        Each element takes a byte at least, so a count beyond the bytes left is refused before
        anything is allocated for it.

        Args:
            most: the implementation's limit. what: is counted.
        """
        start = self.pos
        count = self.u32()
        if count > len(self.data) - start:
            raise self.fail("length out of bounds", start)
        if count > most:
            check_limit(count, most, what, start)
        return count

    def bytes(self) -> bytes:
        """A vector of bytes."""
        size = self.count()
        if size > len(self.data) - self.pos:
            raise self.fail(UNEXPECTED_END, len(self.data))
        self.pos += size
        return self.data[self.pos - size:self.pos]

    def name(self) -> str:
        """A vector of bytes that is UTF-8."""
        start = self.pos
        raw = self.bytes()
        check_limit(len(raw), MAX_NAME, "bytes in a name", start)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            offset = self.pos - len(raw) + error.start
            raise self.fail("malformed UTF-8 encoding", max(start, offset)) from None

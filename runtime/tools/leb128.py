"""Writes the numbers and vectors of the binary format."""

from __future__ import annotations


def u(value: int) -> bytes:
    """Unsigned LEB128."""
    if value < 0x80:
        return bytes([value])
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def s(bits: int, width: int) -> bytes:
    """Signed LEB128 of a bit pattern of ``width`` bits."""
    value = bits - (1 << width) if bits >> (width - 1) else bits
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def vector(items: list[bytes]) -> bytes:
    """A count and the items."""
    return u(len(items)) + b"".join(items)

"""Numbers at which implementations go wrong, as bit patterns by type; the first is the simplest."""

from __future__ import annotations

import struct

from ...ir.types import Shape, Type
from .choices import Choices

_INTS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 0x7FFF,
         0x8000, 0x8001, 0xFFFF, 0x10000, 0x10001, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF,
         0x01010101, 0x80808080, 0x55555555, 0xAAAAAAAA)
_LONGS = (1 << 32, (1 << 32) + 1, 1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 63) + 1,
          (1 << 64) - (1 << 10), (1 << 63) - (1 << 9), 0x0123456789ABCDEF, (1 << 64) - 1)

_FLOATS = (0.0, 1.0, -1.0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 3.0, 10.0, 0.1, 1e10, -1e10,
           2.0**23, 2.0**24, -(2.0**23) - 0.5, 2.0**31, -(2.0**31), 2.0**32, 2.0**63, -(2.0**63),
           2.0**64, 0.9999999403953552, -0.9999999403953552)
_F32 = (0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7FA00000, 0x7F800001, 0xFFFFFFFF,
        0x7FC12345, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF,
        0x4EFFFFFF, 0xCF000001, 0x4F7FFFFF, 0x5EFFFFFF, 0xDF000001, 0x5F7FFFFF, 0x4B7FFFFF,
        0x3EFFFFFF, 0x34000000)
_F64 = (0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000,
        0x7FF4000000000000, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF, 0x7FF8000012345678,
        0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF, 0x0010000000000000,
        0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x41DFFFFFFFFFFFFF, 0x41E0000000000000,
        0xC1E00000001FFFFF, 0xC1E0000000200000, 0x41EFFFFFFFFFFFFF, 0x43DFFFFFFFFFFFFF,
        0xC3E0000000000001, 0x43EFFFFFFFFFFFFF, 0x36A0000000000000, 0x3690000000000000,
        0x47EFFFFFF0000000, 0x47EFFFFFE0000000, 0x3810000000000000, 0x380FFFFFE0000000,
        0x4330000000000001, 0x3FDFFFFFFFFFFFFF)


def _negatives(values: tuple[int, ...], width: int) -> tuple[int, ...]:
    return tuple((1 << width) - value for value in values if 0 < value <= 1 << 17)


EDGES: dict[Type, tuple[int, ...]] = {
    Type.I32: _INTS + _negatives(_INTS, 32),
    Type.I64: _INTS + _LONGS + _negatives(_INTS, 64),
    Type.F32: tuple(struct.unpack("<I", struct.pack("<f", x))[0] for x in _FLOATS) + _F32,
    Type.F64: tuple(struct.unpack("<Q", struct.pack("<d", x))[0] for x in _FLOATS) + _F64,
}


def edge_value(choices: Choices, type_: Type) -> int:
    """Bit pattern of a number or vector: mostly an edge value, at times small or any bits."""
    if type_ is Type.V128:
        return _vector(choices)
    kind = choices.below(8)
    if kind < 5:
        return choices.pick(EDGES[type_])
    if kind < 7:
        if type_.is_int:
            return choices.below(256)
        return _small_float(choices, type_)
    return choices.below(1 << type_.bits)


def _vector(choices: Choices) -> int:
    """Lanes of one shape, each with an edge value or all with the same."""
    shape = choices.pick(tuple(Shape))
    mask = (1 << shape.bits) - 1
    same = choices.below(2) == 0
    bits = 0
    for place in range(shape.lanes):
        if not (place and same):
            lane = edge_value(choices, shape.lane) & mask
        bits |= lane << place * shape.bits
    return bits


def _small_float(choices: Choices, type_: Type) -> int:
    value = (choices.below(2001) - 1000) / 8.0
    if type_ is Type.F32:
        return int.from_bytes(struct.pack("<f", value), "little")
    return int.from_bytes(struct.pack("<d", value), "little")

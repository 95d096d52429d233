"""What an exception is: the contract between the front end, which makes them, and the targets.

An ``exnref`` that is not null is the address of an object in the program's heap::

    0   i32  number of its tag, unique in the program
    4   i32  bytes that it takes; 0 once code has had a reference to it, and there may be more
    8   i64  status word of an agent that nobody catches it for: where it was thrown
    16       the values that it carries, each aligned to its size, or to 8
"""

from __future__ import annotations

from collections.abc import Sequence

from .module import PROGRAM
from .types import EntityId, Trap, Type

#: The memory that exceptions lie in.
HEAP = EntityId(PROGRAM, 0)

TAG = 0
SIZE = 4
PLACE = 8
_VALUES = 16
_UNIT = 8


def value_offsets(types: Sequence[Type]) -> tuple[list[int], int]:
    """Offsets of the values of an exception, and the size of the object, a multiple of 8."""
    offsets = []
    cursor = _VALUES
    for type_ in types:
        size = type_.bits // 8
        unit = min(size, _UNIT)
        cursor = -(-cursor // unit) * unit
        offsets.append(cursor)
        cursor += size
    return offsets, -(-cursor // _UNIT) * _UNIT


def place_word(loc: int, instance: int) -> int:
    """The status word of an exception thrown at a byte offset of an instance's module."""
    return int(Trap.UNCAUGHT_EXCEPTION) | loc << 8 | instance << 40


def thrown_at(word: int) -> tuple[int, int]:
    """Byte offset and instance in a status word."""
    return word >> 8 & 0xFFFF_FFFF, word >> 40

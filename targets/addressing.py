"""Where the bytes of many agents lie in one region: the only place that computes it.

A region holds one slice of every slot: of a linear memory, or of the state blocks. Flat, slices
lie one after another. Interleaved, 32 slots share a group of 32 slices, in which every agent has
each 32nd cell, so that agents of one warp that look at the same address look at neighbours::

    flat, slices of S bytes          interleaved, cells of C bytes
    slot 0  byte 0 1 2 … S-1         slots 0-31   byte 0…C-1 of slot 0, of slot 1, … of slot 31,
    slot 1  byte 0 1 2 … S-1                      byte C…2C-1 of slot 0, of slot 1, …
    …                                slots 32-63  …

Host code computes with numbers and arrays, compiled code with LLVM text; both come from here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError

#: Agents whose slices are interleaved: the threads of a warp.
GROUP = 32
_GROUP_SHIFT = 5

#: Bytes of a cell of interleaved state blocks: they are made of 64-bit words.
STATE_CELL = 8

#: Either one address or an array of them.
Address = TypeVar("Address", int, NDArray[np.int64])

#: Writes ``name = expression`` of LLVM IR and returns the name.
Assign = Callable[[str], str]


class MemoryLayout(enum.Enum):
    """How the slices of a program's agents are laid out; a number is the bytes of a cell."""

    FLAT = "flat"
    INTERLEAVED_4 = "interleaved:4"
    INTERLEAVED_8 = "interleaved:8"
    INTERLEAVED_16 = "interleaved:16"

    @property
    def memory_cells(self) -> Cells:
        """Cells of linear memories."""
        return Cells(0 if self is MemoryLayout.FLAT else int(self.value.partition(":")[2]))

    @property
    def state_cells(self) -> Cells:
        """Cells of state blocks."""
        return Cells(0 if self is MemoryLayout.FLAT else STATE_CELL)

    def __str__(self) -> str:
        return self.value


#: What ``interleaved`` means where no cell is named.
DEFAULT_INTERLEAVED = MemoryLayout.INTERLEAVED_8


def parse_layout(text: str) -> MemoryLayout:
    """The layout of that name; ``interleaved`` takes the cell that is best as a rule.

    Raises:
        ArgumentError: there is none.
    """
    if text == "interleaved":
        return DEFAULT_INTERLEAVED
    try:
        return MemoryLayout(text)
    except ValueError:
        names = ", ".join(layout.value for layout in MemoryLayout)
        raise ArgumentError(
            f"there is no layout {text!r}", hint=f"the layouts are: interleaved, {names}"
        ) from None


@dataclass(frozen=True, slots=True)
class Cells:
    """How addresses within a slice become offsets in the region, from the agent's first byte on.

    ``size`` is the bytes of a cell, a power of two; 0: the slice is not cut into cells.
    """

    size: int

    @property
    def mask(self) -> int:
        """Ones where an address says which cell: 0 for a slice that is not cut."""
        return -self.size

    @property
    def word_step(self) -> int:
        """Distance of one 64-bit word of a state block to the next, in bytes."""
        return self.spread(STATE_CELL)

    def spread(self, address: Address) -> Address:
        """Offset of the byte at an address."""
        # A number's type is kept: adding an array to an int is what NumPy makes an array of.
        return address + (GROUP - 1) * (address & self.mask)

    def spread_text(self, assign: Assign, address: str, *, aligned: bool) -> str:
        """The same in LLVM IR, of an i64; ``aligned``: it is a multiple of a cell."""
        if not self.size:
            return address
        if aligned:
            return assign(f"shl i64 {address}, {_GROUP_SHIFT}")
        # 32 times the address, less 31 times its place in the cell. Of neighbouring accesses either
        # part differs by a constant, which goes into the instruction; the second is of 32 bits.
        low = assign(f"trunc i64 {address} to i32")
        place = assign(f"and i32 {low}, {self.size - 1}")
        excess = assign(f"mul nsw i32 {place}, {1 - GROUP}")
        wide = assign(f"sext i32 {excess} to i64")
        return assign(f"add i64 {assign(f'shl i64 {address}, {_GROUP_SHIFT}')}, {wide}")

    def piece(self, width: int) -> int:
        """Bytes that an access of ``width`` bytes finds together, if it is aligned to them."""
        return min(width, self.size) if self.size else width


@dataclass(frozen=True, slots=True)
class Rows:
    """Some bytes of a slice as they lie in the region: ``count`` pieces of ``width`` bytes.

    They begin at ``offset`` of the region and ``pitch`` bytes after one another.
    """

    offset: int
    pitch: int
    width: int
    count: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where slices of ``size`` bytes, a multiple of a cell, lie in a region."""

    size: int
    cells: Cells

    def extent(self, capacity: int) -> int:
        """Bytes of a region for that many slots."""
        if self.cells.size:
            capacity = -(-capacity // GROUP) * GROUP
        return capacity * self.size

    def base(self, slot: Address) -> Address:
        """Offset of the first byte of a slot's slice."""
        if not self.cells.size:
            return slot * self.size
        return (slot & -GROUP) * self.size + (slot & (GROUP - 1)) * self.cells.size

    def offset(self, slot: Address, address: int) -> Address:
        """Offset of the byte at an address of a slot's slice."""
        return self.base(slot) + self.cells.spread(address)

    def base_text(self, assign: Assign, slot: str) -> str:
        """:meth:`base` in LLVM IR, of an i64."""
        if not self.cells.size:
            return assign(f"mul i64 {slot}, {self.size}")
        group = assign(f"and i64 {slot}, {-GROUP}")
        lane = assign(f"and i64 {slot}, {GROUP - 1}")
        first = assign(f"mul i64 {group}, {self.size}")
        within = assign(f"mul i64 {lane}, {self.cells.size}")
        return assign(f"add i64 {first}, {within}")

    def rows(self, slot: int, address: int, length: int) -> Iterator[Rows]:
        """Where the bytes from ``address`` on lie, in order: begun, whole and broken off cells."""
        if not length:
            return
        cell, base = self.cells.size, self.base(slot)
        if not cell:
            yield Rows(base + address, length, length, 1)
            return
        pitch, end = GROUP * cell, address + length
        first, last = -(-address // cell) * cell, end // cell * cell
        if first > last:  # within one cell
            yield Rows(base + self.cells.spread(address), pitch, length, 1)
            return
        if address < first:
            yield Rows(base + self.cells.spread(address), pitch, first - address, 1)
        if first < last:
            yield Rows(base + self.cells.spread(first), pitch, cell, (last - first) // cell)
        if last < end:
            yield Rows(base + self.cells.spread(last), pitch, end - last, 1)

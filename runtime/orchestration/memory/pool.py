"""The bytes of the pool: reserved address space, in which only touched pages are real."""

from __future__ import annotations

import ctypes
import mmap

from ....errors import CapacityError

_NORESERVE = 0x4000  # Linux; named in mmap only from Python 3.13 on

Shown = ctypes.Array[ctypes.c_ubyte]


class Pool:
    """Units of bytes, side by side. Who still looks at them keeps them, even after it is closed.

    Raises:
        CapacityError: the operating system does not give that much address space.
    """

    def __init__(self, size: int, unit: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        try:
            self._map = mmap.mmap(-1, size, flags=flags)
        except OSError as error:
            raise CapacityError(
                f"cannot reserve {size:,} bytes of address space for regions: {error.strerror}",
                hint="use a smaller total_size",
            ) from error
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self._advise_small_pages()
        self._unit = unit
        self._first_byte = ctypes.c_ubyte.from_buffer(self._map)
        self._base = ctypes.addressof(self._first_byte)
        self._dirty = bytearray(size // unit)  # 1 for units that may not be zero

    def close(self) -> None:
        """Let go of the bytes."""
        del self._first_byte, self._map

    def _advise_small_pages(self) -> None:
        try:
            self._map.madvise(mmap.MADV_NOHUGEPAGE)
        except OSError:
            return  # a kernel without huge pages, which is what was asked for

    def address(self, first: int) -> int:
        """Where a unit lies."""
        return self._base + first * self._unit

    def clean(self, first: int, size: int) -> None:
        """Make the first bytes of some units zero; they are to be written."""
        end = first - (-size // self._unit)
        if self._dirty.find(1, first, end) >= 0:
            ctypes.memset(self.address(first), 0, size)
        self.soil(first, size)

    def soil(self, first: int, size: int) -> None:
        """Units are to be written."""
        end = first - (-size // self._unit)
        self._dirty[first:end] = b"\1" * (end - first)

    def read(self, first: int, offset: int, length: int) -> bytes:
        start = first * self._unit + offset
        return self._map[start : start + length]

    def write(self, first: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write contiguous bytes."""
        start = first * self._unit + offset
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        self._map[start : start + size] = data

    def window(self, first: int, size: int) -> memoryview:
        """The bytes themselves; release it before the unit has another use."""
        start = first * self._unit
        return memoryview(self._map)[start : start + size]

    def show(self, first: int, size: int) -> Shown:
        """The bytes themselves, as an object that arrays of them keep alive."""
        return (ctypes.c_ubyte * size).from_buffer(self._map, first * self._unit)

    def move(self, source: int, target: int, size: int) -> None:
        """Copy bytes to other units, which may overlap these."""
        self.soil(target, size)
        ctypes.memmove(self.address(target), self.address(source), size)

    def give_back(self, first: int, count: int) -> None:
        """Give the memory of free units back to the operating system. They are zero then."""
        page = mmap.PAGESIZE
        start, end = first * self._unit, (first + count) * self._unit
        start, end = -(-start // page) * page, end // page * page
        if self._dirty.find(1, first, first + count) < 0 or start >= end:
            return
        self._map.madvise(mmap.MADV_DONTNEED, start, end - start)
        inside = -(-start // self._unit), end // self._unit
        self._dirty[inside[0] : inside[1]] = bytes(inside[1] - inside[0])

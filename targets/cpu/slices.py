"""Regions on the CPU: reserved address space, in which only touched pages are real."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys

import numpy as np

from ...errors import CapacityError
from ..addressing import Rows
from ..base import Bytes, Int64s
from ..layout import AgentLayout
from ..slices import AgentSlices

PAGE = mmap.PAGESIZE
_NORESERVE = 0x4000  # Linux; named in mmap only from Python 3.13 on


class Reservation:
    """A range of address space, zero everywhere, that costs memory only where it is touched."""

    def __init__(self, size: int, purpose: str) -> None:
        self.size = size
        self._map: mmap.mmap | None = None
        self.address = 0
        if size == 0:
            return
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        try:
            self._map = mmap.mmap(-1, size, flags=flags)
        except (OSError, OverflowError, ValueError) as error:
            raise CapacityError(
                f"cannot reserve {size:,} bytes of address space for {purpose}: {error}",
                hint="use fewer agents or a smaller max_memory",
            ) from error
        with contextlib.suppress(OSError):  # EINVAL: this kernel has no huge pages at all
            self._map.madvise(mmap.MADV_NOHUGEPAGE)
        anchor = ctypes.c_char.from_buffer(self._map)
        self.address = ctypes.addressof(anchor)
        del anchor

    def read(self, offset: int, length: int) -> bytes:
        return self._map[offset : offset + length] if self._map is not None else b""

    def write(self, offset: int, data: bytes) -> None:
        if data:
            assert self._map is not None
            self._map[offset : offset + len(data)] = data

    def read_rows(self, rows: Rows) -> Bytes:
        view: Bytes = self.view(rows)
        return view.copy()

    def write_rows(self, rows: Rows, data: Bytes) -> None:
        self.view(rows)[:] = data.reshape(rows.count, rows.width)

    def words(self, offsets: Int64s) -> Int64s:
        whole: Int64s = np.ndarray((self.size // 8,), "<i8", self._map)
        words: Int64s = whole[offsets >> 3]
        return words

    def gather(self, pitch: int, rows: Int64s, width: int) -> Bytes:
        found: Bytes = self._rows(pitch, width)[rows]
        return found

    def scatter(self, pitch: int, rows: Int64s, data: Bytes) -> None:
        self._rows(pitch, data.shape[1])[rows] = data

    def _rows(self, pitch: int, width: int) -> Bytes:
        return self.view(Rows(0, pitch, width, self.size // pitch if pitch else 0))

    def view(self, rows: Rows) -> Bytes:
        """The bytes themselves, uint8[count, width]; drop it before :meth:`close`."""
        shape, strides = (rows.count, rows.width), (rows.pitch, 1)
        return np.ndarray(shape, "u1", self._map, rows.offset, strides)

    def discard(self, offset: int, length: int) -> None:
        """Make a range zero again and give its whole pages back."""
        end = offset + length
        first, last = -(-offset // PAGE) * PAGE, end // PAGE * PAGE
        if first >= last:
            self.write(offset, bytes(length))
            return
        self.write(offset, bytes(first - offset))
        self.write(last, bytes(end - last))
        assert self._map is not None
        self._map.madvise(mmap.MADV_DONTNEED, first, last - first)

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None


class CpuSlices(AgentSlices):
    """State blocks, memories and output buffers of ``capacity`` agents in this machine's memory."""

    def __init__(self, layout: AgentLayout, capacity: int, output_size: int) -> None:
        super().__init__(
            layout, capacity, output_size,
            lambda place, slots, purpose: Reservation(place.extent(slots), purpose),
        )  # fmt: skip


assert sys.byteorder == "little", "supported processors are little endian"

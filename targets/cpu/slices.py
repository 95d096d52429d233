"""Regions on the CPU: reserved address space, in which only touched pages are real."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import secrets
import sys
import weakref
from typing import Any

import numpy as np

from ...errors import CapacityError
from ..addressing import Rows
from ..base import Bytes, Int64s
from ..layout import AgentLayout
from ..slices import AgentSlices

PAGE = mmap.PAGESIZE
_NORESERVE = 0x4000  # Linux; named in mmap only from Python 3.13 on
_FAILED = (1 << 8 * ctypes.sizeof(ctypes.c_size_t)) - 1

#: Addresses that a process has. Reservations begin somewhere in their middle, far below shared
#: libraries and far above the program.
_ADDRESSES = 1 << 47
_FIRST = 1 << 44
_DISTANCE = 1 << 30
_PLACES = 1 << 15


class Reservation:
    """A range of address space, zero everywhere, that costs memory only where it is touched.

    Reservations lie far from everything else: LLVM puts machine code where there is room, and code
    only reaches what is within 2 GiB of it.
    """

    def __init__(self, size: int, purpose: str) -> None:
        self.size = size
        self._bytes: Any = None  # a ctypes array, which NumPy takes as a buffer
        self.address = 0
        if size <= 0:
            return
        try:
            self.address = _map(size)
        except OSError as error:
            raise CapacityError(
                f"cannot reserve {size:,} bytes of address space for {purpose}: {error}",
                hint="use fewer agents or a smaller max_memory",
            ) from error
        self._bytes = (ctypes.c_ubyte * size).from_address(self.address)
        # Whoever still looks at the bytes keeps them.
        weakref.finalize(self._bytes, _unmap, self.address, size)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._view(offset, length)) if length else b""

    def write(self, offset: int, data: bytes) -> None:
        if data:
            self._view(offset, len(data))[:] = data

    def _view(self, offset: int, length: int) -> memoryview:
        assert self._bytes is not None and 0 <= offset <= offset + length <= self.size
        return memoryview(self._bytes).cast("B")[offset : offset + length]

    def read_rows(self, rows: Rows) -> Bytes:
        view: Bytes = self.view(rows)
        return view.copy()

    def write_rows(self, rows: Rows, data: Bytes) -> None:
        self.view(rows)[:] = data.reshape(rows.count, rows.width)

    def words(self, offsets: Int64s) -> Int64s:
        whole: Int64s = np.ndarray((self.size // 8,), "<i8", self._bytes)
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
        return np.ndarray(shape, "u1", self._bytes, rows.offset, strides)

    def discard(self, offset: int, length: int) -> None:
        """Make a range zero again and give its whole pages back."""
        end = offset + length
        first, last = -(-offset // PAGE) * PAGE, end // PAGE * PAGE
        if first >= last:
            self.write(offset, bytes(length))
            return
        self.write(offset, bytes(first - offset))
        self.write(last, bytes(end - last))
        _libc().madvise(self.address + first, last - first, mmap.MADV_DONTNEED)

    def close(self) -> None:
        self._bytes = None


def _map(size: int) -> int:
    """Map zeroed memory; its address.

    Raises:
        OSError: the operating system refuses.
    """
    if size > _ADDRESSES:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    # Where exactly does not matter; what lies there already is left alone.
    hint = _FIRST + secrets.randbelow(_PLACES) * _DISTANCE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    libc = _libc()
    address = libc.mmap(hint, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    libc.madvise(address, size, mmap.MADV_NOHUGEPAGE)  # refused where there are no huge pages
    return int(address)


def _unmap(address: int, size: int) -> None:
    _libc().munmap(address, size)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [
        ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
        ctypes.c_long,
    ]  # fmt: skip
    libc.madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    return libc


class CpuSlices(AgentSlices):
    """State blocks, memories and output buffers of ``capacity`` agents in this machine's memory."""

    def __init__(
        self, layout: AgentLayout, capacity: int, output_size: int, outbox_size: int = 0
    ) -> None:
        super().__init__(
            layout, capacity, output_size, outbox_size,
            lambda place, slots, purpose: Reservation(place.extent(slots), purpose),
        )  # fmt: skip


assert sys.byteorder == "little", "supported processors are little endian"

"""Agents' memory on the CPU: reserved address space, in which only touched pages are real."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import struct
import sys
import zlib

import numpy as np

from ...errors import ArgumentError, CapacityError
from ..base import Bytes, Int64s, Strings
from ..layout import FLAG_INSTANTIATED, AgentLayout, Ctx
from .prelude import stride

PAGE = mmap.PAGESIZE
_NORESERVE = 0x4000  # Linux; named in mmap only from Python 3.13 on
_FILL_BYTES = 1 << 20  # bytes written to agents' memories at a time
_OUTPUT_ROWS = 4096  # agents whose outputs are gathered at a time


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

    def array(self, shape: tuple[int, ...], dtype: str, offset: int, strides: tuple[int, ...]
              ) -> np.ndarray:
        """A view of the range; drop it before :meth:`close`."""
        return np.ndarray(shape, dtype, self._map, offset, strides)

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


class CpuSlices:
    """State blocks, memories and output buffers of ``capacity`` agents, by slot."""

    def __init__(self, layout: AgentLayout, capacity: int, output_size: int) -> None:
        self.layout = layout
        self.capacity = capacity
        self.output_size = output_size
        self.state = Reservation(layout.state_size * capacity, "the agents' state")
        self.memories = [
            Reservation(stride(slot) * capacity, f"{capacity:,} agents' memory")
            for slot in layout.memories
        ]
        self.stdout = Reservation(output_size * capacity, "the agents' output")
        self.stderr = Reservation(output_size * capacity, "the agents' error output")

    def memory_size(self, slot: int, memory: int = 0) -> int:
        size = self.read_state(slot, self.layout.memories[memory].size, 8)
        return int.from_bytes(size, "little")

    def read_memory(self, slot: int, offset: int, length: int, memory: int = 0) -> bytes:
        start = self._memory_range(slot, offset, length, memory)
        return self.memories[memory].read(start, length)

    def write_memory(self, slot: int, offset: int, data: bytes, memory: int = 0) -> None:
        start = self._memory_range(slot, offset, len(data), memory)
        self.memories[memory].write(start, data)

    def fill_memories(self, slots: Int64s, strings: Strings, memory: int = 0) -> None:
        starts, lengths = strings.spans[:, 0], strings.spans[:, 1]
        step = stride(self.layout.memories[memory])
        for length in np.unique(lengths).tolist():
            rows = self.memories[memory].array((self.capacity, length), "u1", 0, (step, 1))
            places = np.flatnonzero(lengths == length)
            batch = max(1, _FILL_BYTES // max(1, length))
            for start in range(0, len(places), batch):
                some = places[start : start + batch]
                rows[slots[some]] = strings.data[starts[some, None] + np.arange(length)]

    def _memory_range(self, slot: int, offset: int, length: int, memory: int) -> int:
        size = self.memory_size(slot, memory)
        if offset < 0 or length < 0 or offset + length > size:
            raise ArgumentError(
                f"bytes {offset} to {offset + length} are outside the agent's memory of {size}"
            )
        return slot * stride(self.layout.memories[memory]) + offset

    def read_state(self, slot: int, offset: int, length: int) -> bytes:
        return self.state.read(slot * self.layout.state_size + offset, length)

    def write_state(self, slot: int, offset: int, data: bytes) -> None:
        self.state.write(slot * self.layout.state_size + offset, data)

    def column(self, field: Ctx, slots: Int64s) -> Int64s:
        column: Int64s = self._column(field)[slots]
        return column

    def _column(self, field: Ctx) -> Int64s:
        return self.state.array((self.capacity,), "<i8", int(field), (self.layout.state_size,))

    def outputs(self, slots: Int64s, *, errors: bool = False) -> tuple[Bytes, Int64s]:
        lengths = self.column(Ctx.ERR_LEN if errors else Ctx.OUT_LEN, slots)
        lengths = np.minimum(lengths, self.output_size)
        buffers = self.stderr if errors else self.stdout
        used = np.flatnonzero(lengths)
        rows = buffers.array((self.capacity, self.output_size), "u1", 0, (self.output_size, 1))
        parts = []
        for start in range(0, len(used), _OUTPUT_ROWS):
            some = used[start : start + _OUTPUT_ROWS]
            width = int(lengths[some].max())
            kept = np.arange(width) < lengths[some][:, None]
            parts.append(rows[slots[some], :width][kept])
        return (np.concatenate(parts) if parts else np.zeros(0, np.uint8)), lengths

    def reset(self, slots: Int64s) -> None:
        if not len(slots):
            return
        ordered = np.unique(slots)
        breaks = np.flatnonzero(np.diff(ordered) != 1) + 1
        for run in np.split(ordered, breaks):
            first, count = int(run[0]), len(run)
            size = self.layout.state_size
            self.state.discard(first * size, count * size)
            for slot, memory in zip(self.layout.memories, self.memories, strict=True):
                if stride(slot):
                    memory.discard(first * stride(slot), count * stride(slot))
            self.stdout.discard(first * self.output_size, count * self.output_size)
            self.stderr.discard(first * self.output_size, count * self.output_size)

    def snapshot(self, slot: int) -> bytes:
        parts = [self.read_state(slot, Ctx.FLAGS, 8)]
        parts.append(self.read_state(slot, Ctx.END, self.layout.state_size - Ctx.END))
        for number in range(len(self.memories)):
            size = self.memory_size(slot, number)
            parts.append(struct.pack("<Q", size) + self.read_memory(slot, 0, size, number))
        # Untouched pages are zero, which costs next to nothing once it is compressed.
        return zlib.compress(b"".join(parts), 1)

    def restore(self, slot: int, snapshot: bytes) -> None:
        data = zlib.decompress(snapshot)
        rest = self.layout.state_size - Ctx.END
        self.reset(np.array([slot]))
        bases = [
            (where.base, self.memories[n].address + slot * stride(where))
            for n, where in enumerate(self.layout.memories)
        ]
        self.write_state(slot, Ctx.FLAGS, data[:8])
        self.write_state(slot, Ctx.END, data[8 : 8 + rest])
        cursor = 8 + rest
        for number, where in enumerate(self.layout.memories):
            (size,) = struct.unpack_from("<Q", data, cursor)
            self.write_state(slot, where.size, struct.pack("<Q", size))
            self._write_pages(slot, number, data[cursor + 8 : cursor + 8 + size])
            cursor += 8 + size
        if data[0] & FLAG_INSTANTIATED:
            # The snapshot may come from another slot, whose memory lies elsewhere.
            for offset, address in bases:
                self.write_state(slot, offset, struct.pack("<Q", address))

    def _write_pages(self, slot: int, memory: int, data: bytes) -> None:
        """Write what is not zero, so that untouched pages stay untouched."""
        zero = bytes(PAGE)
        for start in range(0, len(data), PAGE):
            page = data[start : start + PAGE]
            if page != zero[: len(page)]:
                self.write_memory(slot, start, page, memory)

    def close(self) -> None:
        for reservation in (self.state, *self.memories, self.stdout, self.stderr):
            reservation.close()


assert sys.byteorder == "little", "supported processors are little endian"

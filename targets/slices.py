"""The memory of a swarm's agents, by slot, wherever it lies: what :class:`~.base.Slices` promises.

A target brings regions of bytes; where in them an agent's bytes are is :mod:`.addressing`'s matter.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..errors import ArgumentError
from .addressing import GROUP, Cells, Placement, Rows
from .base import Bytes, Int64s, Strings
from .layout import FLAG_INSTANTIATED, AgentLayout, Ctx

PAGE = 4096
_FILL_BYTES = 1 << 20  # bytes written to agents' memories at a time
_OUTPUT_ROWS = 4096  # agents whose outputs are gathered at a time


class Region(Protocol):
    """A range of a device's memory, zero at first."""

    address: int

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def read_rows(self, rows: Rows) -> Bytes:
        """uint8[count, width], the pieces."""
        ...

    def write_rows(self, rows: Rows, data: Bytes) -> None: ...

    def words(self, offsets: Int64s) -> Int64s:
        """The 64-bit words at these offsets, which are multiples of 8."""
        ...

    def gather(self, pitch: int, rows: Int64s, width: int) -> Bytes:
        """uint8[len(rows), width]: the first bytes of rows that are ``pitch`` bytes long."""
        ...

    def scatter(self, pitch: int, rows: Int64s, data: Bytes) -> None:
        """Write uint8[len(rows), width] to the beginning of rows."""
        ...

    def discard(self, offset: int, length: int) -> None:
        """Make a range zero again, and give back what it cost."""
        ...

    def close(self) -> None: ...


#: Makes a region for slices that are placed so, of so many slots; the text says what for, should
#: there be no room.
Reserve = Callable[[Placement, int, str], Region]


class AgentSlices:
    """State blocks, memories and output buffers of ``capacity`` agents.

    Output buffers lie one after another in any layout.
    """

    def __init__(
        self, layout: AgentLayout, capacity: int, output_size: int, outbox_size: int,
        reserve: Reserve,
    ) -> None:  # fmt: skip
        self.layout = layout
        self.capacity = capacity
        self.output_size = output_size
        self.outbox_size = outbox_size
        self._state_place = layout.state_place
        self._places = [layout.memory_place(slot) for slot in layout.memories]
        self.state = reserve(self._state_place, capacity, "the agents' state")
        self.memories = [
            reserve(place, capacity, f"{capacity:,} agents' memory") for place in self._places
        ]
        streams = Placement(output_size, Cells(0))
        self.stdout = reserve(streams, capacity, "the agents' output")
        self.stderr = reserve(streams, capacity, "the agents' error output")
        # Never reset: agents cannot read it, and the host reads what was written in a dispatch.
        boxes = Placement(outbox_size, Cells(0))
        self.outbox = reserve(boxes, capacity, "the agents' messages")

    def memory_size(self, slot: int, memory: int = 0) -> int:
        size = self.read_state(slot, self.layout.memories[memory].size, 8)
        return int.from_bytes(size, "little")

    def read_memory(self, slot: int, offset: int, length: int, memory: int = 0) -> bytes:
        self._check_range(slot, offset, length, memory)
        return _read(self.memories[memory], self._places[memory], slot, offset, length)

    def write_memory(self, slot: int, offset: int, data: bytes, memory: int = 0) -> None:
        self._check_range(slot, offset, len(data), memory)
        _write(self.memories[memory], self._places[memory], slot, offset, data)

    def fill_memories(self, slots: Int64s, strings: Strings, memory: int = 0) -> None:
        starts, lengths = strings.spans[:, 0], strings.spans[:, 1]
        place, region = self._places[memory], self.memories[memory]
        if place.cells.size:
            for slot, start, length in zip(
                slots.tolist(), starts.tolist(), lengths.tolist(), strict=True
            ):
                _write(region, place, slot, 0, strings.data[start : start + length].tobytes())
            return
        for length in np.unique(lengths).tolist():
            places = np.flatnonzero(lengths == length)
            batch = max(1, _FILL_BYTES // max(1, length))
            for start in range(0, len(places), batch):
                some = places[start : start + batch]
                data = strings.data[starts[some, None] + np.arange(length)]
                region.scatter(place.size, slots[some], data)

    def _check_range(self, slot: int, offset: int, length: int, memory: int) -> None:
        size = self.memory_size(slot, memory)
        if offset < 0 or length < 0 or offset + length > size:
            raise ArgumentError(
                f"bytes {offset} to {offset + length} are outside the agent's memory of {size}"
            )

    def read_state(self, slot: int, offset: int, length: int) -> bytes:
        return _read(self.state, self._state_place, slot, offset, length)

    def write_state(self, slot: int, offset: int, data: bytes) -> None:
        _write(self.state, self._state_place, slot, offset, data)

    def column(self, field: Ctx, slots: Int64s) -> Int64s:
        return self.state.words(self._state_place.offset(slots, int(field)))

    def outputs(self, slots: Int64s, *, errors: bool = False) -> tuple[Bytes, Int64s]:
        lengths = self.column(Ctx.ERR_LEN if errors else Ctx.OUT_LEN, slots)
        lengths = np.minimum(lengths, self.output_size)
        buffers = self.stderr if errors else self.stdout
        return _beginnings(buffers, self.output_size, slots, lengths), lengths

    def outboxes(
        self, slots: Int64s, counts: Int64s, lengths: Int64s
    ) -> tuple[Int64s, Bytes]:
        ends = np.cumsum(counts)
        number = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
        last = (slots + 1) * self.outbox_size - 8
        words = self.outbox.words(np.repeat(last, counts) - 8 * number)
        return words, _beginnings(self.outbox, self.outbox_size, slots, lengths)

    def reset(self, slots: Int64s) -> None:
        if not len(slots):
            return
        ordered = _ascending(slots)
        self._reset_memories(ordered)
        self._zero(self.state, self._state_place, ordered, lambda _: self.layout.state_size)
        for first, count in runs(ordered):
            self.stdout.discard(first * self.output_size, count * self.output_size)
            self.stderr.discard(first * self.output_size, count * self.output_size)

    def _reset_memories(self, slots: Int64s) -> None:
        """Zero memories as far as their agents may have written: up to their sizes."""
        for number, region in enumerate(self.memories):
            self._zero(
                region, self._places[number], slots,
                lambda slot, number=number: self.memory_size(slot, number),  # type: ignore[misc]
            )  # fmt: skip

    def _zero(
        self, region: Region, place: Placement, slots: Int64s, size_of: Callable[[int], int]
    ) -> None:
        """Zero slices of slots in ascending order, whole groups of interleaved ones at once."""
        if not place.size:
            return
        if not place.cells.size:
            for first, count in runs(slots):
                region.discard(first * place.size, count * place.size)
            return
        groups, counts = np.unique(slots // GROUP, return_counts=True)
        lanes = np.minimum(self.capacity - groups * GROUP, GROUP)
        whole = groups[counts == lanes]
        for first, count in runs(whole):
            region.discard(first * GROUP * place.size, count * GROUP * place.size)
        for slot in slots[~np.isin(slots // GROUP, whole)].tolist():
            _write(region, place, slot, 0, bytes(size_of(slot)))

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
            for where, place, region in zip(
                self.layout.memories, self._places, self.memories, strict=True
            ):
                address = region.address + place.base(slot)
                self.write_state(slot, where.base, struct.pack("<Q", address))

    def _write_pages(self, slot: int, memory: int, data: bytes) -> None:
        """Write what is not zero, so that untouched pages stay untouched."""
        zero = bytes(PAGE)
        for start in range(0, len(data), PAGE):
            page = data[start : start + PAGE]
            if page != zero[: len(page)]:
                self.write_memory(slot, start, page, memory)

    def close(self) -> None:
        """Give the memory back."""
        for region in (self.state, *self.memories, self.stdout, self.stderr, self.outbox):
            region.close()


def _beginnings(region: Region, pitch: int, slots: Int64s, lengths: Int64s) -> Bytes:
    """The first bytes of rows that are ``pitch`` bytes long, joined."""
    used = np.flatnonzero(lengths)
    parts = []
    for start in range(0, len(used), _OUTPUT_ROWS):
        some = used[start : start + _OUTPUT_ROWS]
        width = int(lengths[some].max())
        kept = np.arange(width) < lengths[some][:, None]
        parts.append(region.gather(pitch, slots[some], width)[kept])
    return np.concatenate(parts) if parts else np.zeros(0, np.uint8)


def _ascending(slots: Int64s) -> Int64s:
    """Each of the slots once, in ascending order, which they have in most cases already."""
    if (slots[1:] > slots[:-1]).all():
        return slots
    ordered = np.sort(slots)
    return ordered[np.concatenate(([True], ordered[1:] > ordered[:-1]))]


def runs(ordered: Int64s) -> list[tuple[int, int]]:
    """Neighbours among ascending numbers: the first of each run, and how many there are."""
    if not len(ordered):
        return []
    breaks = np.flatnonzero(np.diff(ordered) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(ordered, breaks)]


def _read(region: Region, place: Placement, slot: int, address: int, length: int) -> bytes:
    parts = []
    for rows in place.rows(slot, address, length):
        if rows.count == 1:
            parts.append(region.read(rows.offset, rows.width))
        else:
            parts.append(region.read_rows(rows).tobytes())
    return b"".join(parts)


def _write(region: Region, place: Placement, slot: int, address: int, data: bytes) -> None:
    cursor = 0
    for rows in place.rows(slot, address, len(data)):
        part = data[cursor : cursor + rows.count * rows.width]
        cursor += len(part)
        if rows.count == 1:
            region.write(rows.offset, part)
        else:
            region.write_rows(rows, np.frombuffer(part, np.uint8))

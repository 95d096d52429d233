"""The same bytes of many agents' memories as one array, however they lie; no loop over agents."""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError
from .addressing import GROUP, Placement, Rows
from .base import Bytes, Int64s
from .device_array import DeviceArray
from .slices import AgentSlices, Region, runs


def memory_sizes(slices: AgentSlices, slots: Int64s, memory: int = 0) -> Int64s:
    """int64[n]: bytes that a memory of each slot has at the moment."""
    place = slices.layout.state_place
    return slices.state.words(place.offset(slots, slices.layout.memories[memory].size))


def read_memories(
    slices: AgentSlices, slots: Int64s, offset: int, length: int, memory: int = 0
) -> Bytes:
    """uint8[n, length]: bytes from ``offset`` on of each slot's memory, which are there."""
    ordered, which = np.unique(slots, return_inverse=True)
    region = slices.memories[memory]
    place = slices.layout.memory_place(slices.layout.memories[memory])
    found = np.empty((len(ordered), length), np.uint8)
    if length:
        read = _read_groups if place.cells.size else _read_flat
        read(region, place, ordered, offset, found)
    if len(ordered) == len(slots) and (which[1:] > which[:-1]).all():
        return found
    some: Bytes = found[which]
    return some


def write_memories(
    slices: AgentSlices, slots: Int64s, offset: int, data: Bytes, memory: int = 0
) -> None:
    """Write uint8[n, length] at ``offset`` of each slot's memory; the slots differ."""
    if not data.size:
        return
    order = np.argsort(slots, kind="stable")
    region = slices.memories[memory]
    place = slices.layout.memory_place(slices.layout.memories[memory])
    write = _write_groups if place.cells.size else _write_flat
    write(region, place, slots[order], offset, data[order])


def view_memories(
    slices: AgentSlices, slots: Int64s, offset: int, length: int, memory: int = 0, *,
    on_gpu: bool = False,
) -> Bytes | DeviceArray:  # fmt: skip
    """uint8[n, length], the bytes themselves: writing to it writes to the memories.

    Args:
        on_gpu: whether the slices lie in the memory of a GPU.

    Raises:
        ArgumentError: the bytes do not lie so that they can be seen as an array.
    """
    region = slices.memories[memory]
    place = slices.layout.memory_place(slices.layout.memories[memory])
    view = getattr(region, "view", None)
    if not (view or on_gpu) or place.cells.size:
        raise ArgumentError(
            "memories can be seen without a copy only on the CPU or a GPU, in the layout flat",
            hint="get_agent_memories copies them",
        )
    steps = np.unique(np.diff(slots)).tolist() if len(slots) > 1 else [1]
    if len(steps) > 1 or steps[0] <= 0:
        raise ArgumentError(
            "these agents do not lie one after another, so that no array shows them all",
            hint="get_agent_memories copies them",
        )
    first = int(slots[0]) * place.size + offset if len(slots) else 0
    rows = Rows(first, steps[0] * place.size, length, len(slots))
    if view is None:
        return DeviceArray(region, rows, np.dtype(np.uint8))
    found: Bytes = view(rows)
    return found


def _pieces(place: Placement, slots: Int64s, offset: int, length: int) -> list[Rows]:
    """Where bytes of ascending slots lie, in few pieces."""
    steps = np.diff(slots)
    if len(steps) and (steps == steps[0]).all():
        start, pitch = int(slots[0]) * place.size + offset, int(steps[0]) * place.size
        return [Rows(start, pitch, length, len(slots))]
    return [
        Rows(first * place.size + offset, place.size, length, count)
        for first, count in runs(slots)
    ]


def _read_flat(
    region: Region, place: Placement, slots: Int64s, offset: int, found: Bytes
) -> None:
    cursor = 0
    for rows in _pieces(place, slots, offset, found.shape[1]):
        found[cursor : cursor + rows.count] = region.read_rows(rows)
        cursor += rows.count


def _write_flat(
    region: Region, place: Placement, slots: Int64s, offset: int, data: Bytes
) -> None:
    cursor = 0
    for rows in _pieces(place, slots, offset, data.shape[1]):
        region.write_rows(rows, np.ascontiguousarray(data[cursor : cursor + rows.count]))
        cursor += rows.count


class _Window:
    """The cells of whole groups of slots in which some bytes lie.

    Attributes:
        skip: bytes of the first cell before them. width: bytes of the cells.
    """

    def __init__(self, place: Placement, offset: int, length: int) -> None:
        self._place, cell = place, place.cells.size
        self._first = offset // cell
        self._cells = -(-(offset + length) // cell) - self._first
        self.skip = offset - self._first * cell
        self.width = self._cells * cell

    def rows(self, group: int, count: int) -> Rows:
        """Where the cells of neighbouring groups lie."""
        wide = GROUP * self._place.cells.size
        start = group * GROUP * self._place.size + self._first * wide
        return Rows(start, GROUP * self._place.size, self._cells * wide, count)

    def lanes(self, raw: Bytes) -> Bytes:
        """Bytes by slot, as a view of what lies by cell: uint8[groups, GROUP, cells, cell]."""
        shape = (len(raw), self._cells, GROUP, self._place.cells.size)
        return raw.reshape(shape).transpose(0, 2, 1, 3)


def _read_groups(
    region: Region, place: Placement, slots: Int64s, offset: int, found: Bytes
) -> None:
    length = found.shape[1]
    window = _Window(place, offset, length)
    groups = slots // GROUP
    for first, count in runs(np.unique(groups)):
        lanes = window.lanes(region.read_rows(window.rows(first, count)))
        here = np.flatnonzero((groups >= first) & (groups < first + count))
        some = lanes[groups[here] - first, slots[here] % GROUP].reshape(len(here), window.width)
        found[here] = some[:, window.skip : window.skip + length]


def _write_groups(
    region: Region, place: Placement, slots: Int64s, offset: int, data: Bytes
) -> None:
    length = data.shape[1]
    window = _Window(place, offset, length)
    groups = slots // GROUP
    for first, count in runs(np.unique(groups)):
        rows = window.rows(first, count)
        raw = np.ascontiguousarray(region.read_rows(rows))
        lanes = window.lanes(raw)
        here = np.flatnonzero((groups >= first) & (groups < first + count))
        places = (groups[here] - first, slots[here] % GROUP)
        some = lanes[places].reshape(len(here), window.width)
        some[:, window.skip : window.skip + length] = data[here]
        lanes[places] = some.reshape(len(here), -1, place.cells.size)
        region.write_rows(rows, raw)

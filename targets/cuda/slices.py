"""Agents' memory on a device: allocations, reached by copies."""

from __future__ import annotations

import itertools

import numpy as np

from ..addressing import Placement, Rows
from ..base import Bytes, Int64s
from ..layout import AgentLayout
from ..slices import AgentSlices
from .device import Device, Use

#: Bytes that a device reads at once anyhow.
_LINE = 256


class DeviceRegion:
    """An allocation of a device, zero at first; see :class:`~..slices.Region`."""

    def __init__(self, device: Device, size: int, purpose: str, place: Placement) -> None:
        self._device = device
        self.address = 0
        if size:
            size = -(-size // _LINE) * _LINE  # so that there are only whole lines
            self.address = device.allocate(size, purpose, Use(place))
            device.fill(self.address, size, 0)

    def read(self, offset: int, length: int) -> bytes:
        return self._device.read(self.address + offset, length).tobytes() if length else b""

    def write(self, offset: int, data: bytes) -> None:
        if data:
            self._device.write(self.address + offset, np.frombuffer(data, np.uint8))

    def read_rows(self, rows: Rows) -> Bytes:
        return self._device.read_rows(self.address, rows)

    def write_rows(self, rows: Rows, data: Bytes) -> None:
        self._device.write_rows(self.address, rows, data.reshape(rows.count, rows.width))

    def words(self, offsets: Int64s) -> Int64s:
        if not len(offsets):
            return np.zeros(0, np.int64)
        lines, which = np.unique(offsets // _LINE, return_inverse=True)
        found = np.empty((len(lines), _LINE), np.uint8)
        for first, count, step in _progressions(lines):
            rows = Rows(int(lines[first]) * _LINE, step * _LINE, _LINE, count)
            found[first : first + count] = self.read_rows(rows)
        words: Int64s = found.view("<i8")[which, offsets % _LINE // 8]
        return words

    def gather(self, pitch: int, rows: Int64s, width: int) -> Bytes:
        wanted, which = np.unique(rows, return_inverse=True)
        found = np.empty((len(wanted), width), np.uint8)
        for first, count, step in _progressions(wanted):
            start = int(wanted[first]) * pitch
            found[first : first + count] = self.read_rows(Rows(start, step * pitch, width, count))
        some: Bytes = found[which]
        return some

    def scatter(self, pitch: int, rows: Int64s, data: Bytes) -> None:
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        for first, count, step in _progressions(ordered):
            start = int(ordered[first]) * pitch
            some = np.ascontiguousarray(data[order[first : first + count]])
            self.write_rows(Rows(start, step * pitch, data.shape[1], count), some)

    def discard(self, offset: int, length: int) -> None:
        if length:
            self._device.fill(self.address + offset, length, 0)

    def close(self) -> None:
        if self.address:
            self._device.free(self.address)
            self.address = 0


class DeviceSlices(AgentSlices):
    """State blocks, memories and output buffers of ``capacity`` agents on a device."""

    def __init__(
        self, device: Device, layout: AgentLayout, capacity: int, output_size: int
    ) -> None:
        super().__init__(
            layout, capacity, output_size,
            lambda place, slots, purpose: DeviceRegion(
                device, place.extent(slots), purpose, place
            ),
        )  # fmt: skip


def _progressions(ordered: Int64s) -> list[tuple[int, int, int]]:
    """Ascending numbers as progressions: place of the first, how many, and the difference."""
    steps = np.diff(ordered)
    if len(steps) and (steps == steps[0]).all() and steps[0] > 0:
        return [(0, len(ordered), int(steps[0]))]
    breaks = [0, *(np.flatnonzero(steps != 1) + 1).tolist(), len(ordered)]
    return [
        (first, last - first, 1) for first, last in itertools.pairwise(breaks)
        if last > first
    ]

"""Agents' memory on a device: allocations, reached by copies."""

from __future__ import annotations

import weakref

import numpy as np

from ..addressing import Placement, Rows
from ..base import Bytes, Int64s
from ..layout import AgentLayout
from ..slices import AgentSlices
from .device import Device, Use


class DeviceRegion:
    """An allocation of a device, zero at first; see :class:`~..slices.Region`."""

    def __init__(self, device: Device, size: int, purpose: str, place: Placement) -> None:
        self._device = device
        self.address = 0
        if size:
            self.address = device.allocate(size, purpose, Use(place))
            self._free = weakref.finalize(self, device.free, self.address)
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
        found: Int64s = self._device.read_pieces(self.address, offsets, 8).view("<i8")[:, 0]
        return found

    def gather(self, pitch: int, rows: Int64s, width: int) -> Bytes:
        return self._device.read_pieces(self.address, rows * pitch, width)

    def scatter(self, pitch: int, rows: Int64s, data: Bytes) -> None:
        self._device.write_pieces(self.address, rows * pitch, data)

    def discard(self, offset: int, length: int) -> None:
        if length:
            self._device.fill(self.address + offset, length, 0)

    def close(self) -> None:
        if self.address:
            self._free()
            self.address = 0


class DeviceSlices(AgentSlices):
    """State blocks, memories and output buffers of ``capacity`` agents on a device."""

    def __init__(
        self, device: Device, layout: AgentLayout, capacity: int, output_size: int,
        outbox_size: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            layout, capacity, output_size, outbox_size,
            lambda place, slots, purpose: DeviceRegion(
                device, place.extent(slots), purpose, place
            ),
        )  # fmt: skip


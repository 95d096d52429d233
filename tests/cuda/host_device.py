"""A device whose memory is the host's and that runs nothing."""

from __future__ import annotations

import numpy as np

from swarmc.targets.addressing import Rows
from swarmc.targets.base import Bytes, Int64s
from swarmc.targets.cuda.device import (
    SHARED_USE,
    DeviceModule,
    DeviceProperties,
    Stream,
    Use,
)


class HostDevice:
    """See :class:`~swarmc.targets.cuda.device.Device`. New memory is full of rubbish."""

    def __init__(self) -> None:
        self.properties = DeviceProperties("the host", "sm_90", 1 << 30, 1, 32)
        self.allocations: dict[int, Bytes] = {}
        self.copies = 0
        self._next = 1 << 20

    def allocate(self, size: int, purpose: str, use: Use = SHARED_USE) -> int:
        address = self._next
        self._next += -(-size // 256) * 256 + (1 << 20)
        self.allocations[address] = np.full(size, 0xDB, np.uint8)
        return address

    def free(self, address: int) -> None:
        del self.allocations[address]

    def write(self, address: int, data: Bytes) -> None:
        self._bytes(address, data.nbytes)[:] = data.view(np.uint8).reshape(-1)
        self.copies += 1

    def read(self, address: int, size: int) -> Bytes:
        self.copies += 1
        return self._bytes(address, size).copy()

    def write_rows(self, address: int, rows: Rows, data: Bytes) -> None:
        assert data.shape == (rows.count, rows.width)
        self._rows(address, rows)[:] = data
        self.copies += 1

    def read_rows(self, address: int, rows: Rows) -> Bytes:
        self.copies += 1
        return self._rows(address, rows).copy()

    def write_pieces(self, address: int, offsets: Int64s, data: Bytes) -> None:
        self.copies += 1
        for offset, piece in zip(offsets.tolist(), data, strict=True):
            self._bytes(address + offset, len(piece))[:] = piece

    def read_pieces(self, address: int, offsets: Int64s, width: int) -> Bytes:
        self.copies += 1
        found = [self._bytes(address + offset, width) for offset in offsets.tolist()]
        return np.array(found, np.uint8).reshape(len(found), width)

    def fill(self, address: int, size: int, byte: int) -> None:
        self._bytes(address, size)[:] = byte

    def load(self, ptx: str, cubin: bytes | None = None) -> DeviceModule:
        raise NotImplementedError("this device runs nothing")

    def stream(self) -> Stream:
        raise NotImplementedError("this device runs nothing")

    def close(self) -> None:
        self.allocations.clear()

    def _bytes(self, address: int, size: int) -> Bytes:
        base, array = next(
            (b, a) for b, a in self.allocations.items() if b <= address < b + len(a)
        )
        assert address - base + size <= len(array)
        return array[address - base : address - base + size]

    def _rows(self, address: int, rows: Rows) -> Bytes:
        last = rows.offset + (rows.count - 1) * rows.pitch + rows.width
        whole = self._bytes(address, last)[rows.offset :]
        shape, strides = (rows.count, rows.width), (rows.pitch, 1)
        return np.lib.stride_tricks.as_strided(whole, shape, strides)

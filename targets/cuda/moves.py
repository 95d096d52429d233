"""What small kernels copy on a GPU: pieces of agents' memories, and columns of arguments."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ..addressing import Rows
from ..base import Bytes, DeviceColumn, Int64s
from .device import SHARED_USE, Use
from .driver import Driver, DriverError
from .images import load_ptx
from .pieces import COLUMN, batches, kernel_name, kernel_names, pieces_text, unit_of
from .streams import GpuFunction, Staging

#: Threads in a block of the kernels that copy.
_COPY_BLOCK = 256

_MASK64 = (1 << 64) - 1


class Moves(ABC):
    """The part of :class:`~.gpu.Gpu` that copies by kernels."""

    number: int  # as the driver counts
    _driver: Driver
    _copying: threading.RLock
    _copies: Any
    _staging: Staging
    _pieces: dict[str, GpuFunction]

    @abstractmethod
    def _entered(self) -> AbstractContextManager[Driver]: ...

    @abstractmethod
    def allocate(self, size: int, purpose: str, use: Use = SHARED_USE) -> int: ...

    @abstractmethod
    def free(self, address: int) -> None: ...

    @abstractmethod
    def wait(self, stream: Any, meanwhile: Callable[[], None]) -> None: ...

    @abstractmethod
    def find_function(self, module: Any, name: str) -> GpuFunction: ...

    @staticmethod
    @abstractmethod
    def _start(
        driver: Driver, stream: Any, function: GpuFunction, blocks: int, threads: int,
        words: Sequence[int],
    ) -> None: ...

    # Pieces.

    def write_rows(self, address: int, rows: Rows, data: Bytes) -> None:
        for first, count in batches(rows.count, rows.width):
            start = address + rows.offset + first * rows.pitch
            some = np.ascontiguousarray(data[first : first + count])
            self._move(start, rows.pitch, None, some, gather=False)

    def read_rows(self, address: int, rows: Rows) -> Bytes:
        found = np.empty((rows.count, rows.width), np.uint8)
        for first, count in batches(rows.count, rows.width):
            start = address + rows.offset + first * rows.pitch
            self._move(start, rows.pitch, None, found[first : first + count], gather=True)
        return found

    def write_pieces(self, address: int, offsets: Int64s, data: Bytes) -> None:
        for first, count in batches(*data.shape):
            some = np.ascontiguousarray(data[first : first + count])
            self._move(address, 0, offsets[first : first + count], some, gather=False)

    def read_pieces(self, address: int, offsets: Int64s, width: int) -> Bytes:
        found = np.empty((len(offsets), width), np.uint8)
        for first, count in batches(len(offsets), width):
            some = found[first : first + count]
            self._move(address, 0, offsets[first : first + count], some, gather=True)
        return found

    def _move(
        self, address: int, pitch: int, offsets: Int64s | None, data: Bytes, *, gather: bool
    ) -> None:
        """Copy between pieces on the device and a contiguous array of the host, by a kernel."""
        count, width = data.shape
        if not data.size:
            return
        unit = unit_of(address, width, np.array([pitch]) if offsets is None else offsets)
        with self._copying, self._entered() as driver:
            scratch = self.allocate(data.nbytes, "copying")
            places = 0
            try:
                if offsets is not None:
                    places = self.allocate(8 * count, "copying")
                    wanted = np.ascontiguousarray(offsets, np.int64)
                    self._staging.write(places, wanted.view(np.uint8))
                if not gather:
                    self._staging.write(scratch, data.reshape(-1))
                units = data.nbytes // unit
                self._start(
                    driver, self._copies, self._piece_kernel(kernel_name(unit, gather=gather)),
                    -(-units // _COPY_BLOCK), _COPY_BLOCK,
                    (address, scratch, places, pitch, width // unit, units),
                )  # fmt: skip
                if gather:
                    self._staging.read(scratch, data.reshape(-1))
                else:
                    driver("cuStreamSynchronize", self._copies)
            finally:
                self.free(scratch)
                if places:
                    self.free(places)

    def _piece_kernel(self, name: str) -> GpuFunction:
        if not self._pieces:
            module = load_ptx(self._driver, pieces_text())
            for one in kernel_names():
                self._pieces[one] = self.find_function(module, one)
        return self._pieces[name]

    # Columns.

    def check_array(self, address: int, where: str) -> None:
        """See :class:`~..base.ArrayReader`."""
        with self._entered() as driver:
            attribute = driver.names.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
            try:
                found = int(driver("cuPointerGetAttribute", attribute, address))
            except DriverError as error:
                if error.code != "CUDA_ERROR_INVALID_VALUE":
                    raise
                found = -1
            if found < 0:
                raise ArgumentError(f"{where}: there is no memory of a GPU at {address:#x}")
            if found != self.number:
                raise ArgumentError(
                    f"{where}: the array lies on {_named(driver, found)}, the agents are on"
                    f" {_named(driver, self.number)}",
                    hint="copy it to that GPU, or to this machine's memory",
                )

    def await_stream(self, stream: int | None) -> None:
        """See :class:`~..base.ArrayReader`."""
        if stream is None:
            with self._entered() as driver:
                driver("cuCtxSynchronize")
        else:
            self.wait(stream, lambda: None)

    def place_column(
        self, stream: Any, column: DeviceColumn, count: int, to: int, pitch: int
    ) -> None:
        """See :meth:`~.device.Stream.place_column`."""
        with self._copying, self._entered() as driver:
            words = (column.address, to, column.stride, pitch, column.size, count)
            self._start(
                driver, stream, self._piece_kernel(COLUMN), -(-count // _COPY_BLOCK), _COPY_BLOCK,
                [word & _MASK64 for word in words],
            )  # fmt: skip


def _named(driver: Driver, number: int) -> str:
    name = driver("cuDeviceGetName", 256, driver("cuDeviceGet", number))
    return f"GPU {number} ({name.partition(bytes(1))[0].decode()})"

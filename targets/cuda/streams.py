"""What copies and launches of a GPU go through: streams, and memory of the host that it reaches."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import Bytes, DeviceColumn, Int64s
from .device import DeviceFunction
from .driver import Driver

if TYPE_CHECKING:
    from .gpu import Gpu

#: Bytes of one half of the pinned memory that copies go through.
_HALF = 4 << 20


@dataclass(slots=True)
class GpuFunction:
    """A kernel; see :class:`~.device.DeviceFunction`.

    Attributes:
        local: bytes of local memory a thread, without what functions called by it need.
    """

    handle: Any
    name: str
    registers: int
    threads: int
    local: int


class GpuStream:
    """See :class:`~.device.Stream`."""

    def __init__(self, gpu: Gpu, handle: Any, stop: Pinned) -> None:
        self._gpu = gpu
        self._handle = handle
        self._stop = stop
        self._word = stop.array.view(np.int64)
        self.stop_address = stop.device_address

    def launch(
        self, function: DeviceFunction, blocks: int, threads: int, argument: int, stack: int
    ) -> None:
        assert isinstance(function, GpuFunction)
        self._gpu.launch(self._handle, function, blocks, threads, argument, stack)

    def place_column(self, column: DeviceColumn, count: int, to: int, pitch: int) -> None:
        self._gpu.place_column(self._handle, column, count, to, pitch)

    def wait(self, stop: Int64s) -> None:
        def pass_on() -> None:
            self._word[0] = stop[0]

        self._gpu.wait(self._handle, pass_on)

    def close(self) -> None:
        self._gpu.give_back(self)

    def be_ready(self) -> None:
        """Forget that a launch was to stop."""
        self._word[0] = 0

    def destroy(self) -> None:
        """Give the stream back to the driver."""
        self._gpu.release("cuStreamDestroy", self._handle)
        self._gpu.release("cuMemFreeHost", self._stop.address)


class Pinned:
    """Memory of the host that the device reaches."""

    def __init__(self, driver: Driver, size: int) -> None:
        flags = driver.names.CU_MEMHOSTALLOC_PORTABLE | driver.names.CU_MEMHOSTALLOC_DEVICEMAP
        self.address = int(driver("cuMemHostAlloc", size, flags))
        with ExitStack() as undo:
            undo.callback(driver, "cuMemFreeHost", self.address)
            self.device_address = int(driver("cuMemHostGetDevicePointer", self.address, 0))
            undo.pop_all()
        self.array: Bytes = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(self.address)
        )
        self.array[:] = 0


class Staging:
    """Copies through two halves of pinned memory; one thread at a time."""

    def __init__(self, driver: Driver, stream: Any) -> None:
        self._driver = driver
        self._stream = stream
        flag = int(driver.names.CUevent_flags.CU_EVENT_DISABLE_TIMING)
        self._halves: list[Pinned] = []
        self._events: list[Any] = []
        with ExitStack() as undo:
            undo.callback(self.close, driver)
            for _ in range(2):
                self._halves.append(Pinned(driver, _HALF))
                self._events.append(driver("cuEventCreate", flag))
            undo.pop_all()

    def write(self, address: int, data: Bytes) -> None:
        """Copy bytes to the device."""
        for number, (start, end) in enumerate(_chunks(len(data))):
            half, event = self._halves[number % 2], self._events[number % 2]
            if number >= 2:
                self._driver("cuEventSynchronize", event)
            half.array[: end - start] = data[start:end]
            self._driver(
                "cuMemcpyHtoDAsync", address + start, half.address, end - start, self._stream
            )
            self._driver("cuEventRecord", event, self._stream)
        self._driver("cuStreamSynchronize", self._stream)

    def read(self, address: int, into: Bytes) -> None:
        """Copy bytes from the device."""
        chunks = list(_chunks(len(into)))
        for number in range(len(chunks) + 1):
            if number < len(chunks):
                start, end = chunks[number]
                half, event = self._halves[number % 2], self._events[number % 2]
                self._driver(
                    "cuMemcpyDtoHAsync", half.address, address + start, end - start, self._stream
                )
                self._driver("cuEventRecord", event, self._stream)
            if number:
                start, end = chunks[number - 1]
                self._driver("cuEventSynchronize", self._events[(number - 1) % 2])
                into[start:end] = self._halves[(number - 1) % 2].array[: end - start]

    def close(self, release: Callable[..., None]) -> None:
        """Give the memory back."""
        for half in self._halves:
            release("cuMemFreeHost", half.address)
        for event in self._events:
            release("cuEventDestroy", event)


def _chunks(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + _HALF, size)) for start in range(0, size, _HALF))

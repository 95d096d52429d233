"""Many arrays in one allocation of a device: how records and what they point to get there."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .device import Device, Use

_ALIGNMENT = 256


class Arena:
    """Arrays that get one address each, to be copied to a device together.

    The addresses of what an array points to must be known before it is placed, and that of the
    arena only once its size is known. So whoever places arrays does it twice: at first in an arena
    at address 0, which tells the size.
    """

    def __init__(self, address: int = 0) -> None:
        self.address = address
        self.size = 0
        self._arrays: list[tuple[int, NDArray[Any]]] = []

    def __call__(self, array: NDArray[Any]) -> int:
        """Place an array; gives its address."""
        offset = self.size
        self._arrays.append((offset, array))
        self.size = -(-(offset + array.nbytes) // _ALIGNMENT) * _ALIGNMENT
        return self.address + offset

    def write(self, device: Device) -> None:
        """Copy all arrays to the device."""
        whole = np.zeros(self.size, np.uint8)
        for offset, array in self._arrays:
            whole[offset : offset + array.nbytes] = np.ascontiguousarray(array).view(
                np.uint8).reshape(-1)  # fmt: skip
        if self.size:
            device.write(self.address, whole)

    def read(self, device: Device, arrays: list[NDArray[Any]]) -> None:
        """Copy what code wrote back into arrays that were placed here."""
        for offset, array in self._arrays:
            if array.nbytes and any(array is wanted for wanted in arrays):
                data = device.read(self.address + offset, array.nbytes)
                array[...] = data.view(array.dtype).reshape(array.shape)

    @classmethod
    def allocate(cls, device: Device, measured: Self, purpose: str, use: Use) -> Self:
        """An arena on a device, as large as one that was measured."""
        return cls(device.allocate(max(measured.size, _ALIGNMENT), purpose, use))

"""Bytes of agents on a GPU, for libraries that read arrays there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .addressing import Rows
from .slices import Region


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array of two dimensions in a GPU's memory, good until the swarm is closed.

    CuPy (``cupy.asarray``), PyTorch (``torch.as_tensor``) and Numba take it as it is, through
    ``__cuda_array_interface__`` (version 3).
    """

    region: Region
    rows: Rows
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.count, self.rows.width // self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, int]:
        """In bytes."""
        return self.rows.pitch, self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        address = self.region.address + self.rows.offset if self.shape[0] and self.shape[1] else 0
        return {
            "shape": self.shape, "strides": self.strides, "typestr": self.dtype.str,
            "data": (address, False), "version": 3,
        }  # fmt: skip

    def view(self, dtype: DTypeLike) -> DeviceArray:
        """The same bytes as elements of another type."""
        return DeviceArray(self.region, self.rows, np.dtype(dtype))

    def copy_to_host(self) -> NDArray[Any]:
        """A copy in this machine's memory."""
        return np.ascontiguousarray(self.region.read_rows(self.rows)).view(self.dtype)

"""Bytes of agents on a GPU, for libraries that read arrays there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ArgumentError
from .addressing import Rows
from .base import DeviceBytes


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array in a GPU's memory: of agents' memories, good until the swarm is closed, or results.

    CuPy (``cupy.asarray``), PyTorch (``torch.as_tensor``) and Numba take it as it is, through
    ``__cuda_array_interface__`` (version 3). Nothing is at work on it when it is given out.

    Attributes:
        column: whether it has one dimension, and a row is an element; else it has two.
    """

    region: DeviceBytes
    rows: Rows
    dtype: np.dtype[Any]
    column: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        across = (self.rows.width // self.dtype.itemsize,)
        return (self.rows.count,) if self.column else (self.rows.count, *across)

    @property
    def strides(self) -> tuple[int, ...]:
        """In bytes."""
        return (self.rows.pitch,) if self.column else (self.rows.pitch, self.dtype.itemsize)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        address = self.region.address + self.rows.offset if all(self.shape) else 0
        return {
            "shape": self.shape, "strides": self.strides, "typestr": self.dtype.str,
            "data": (address, False), "version": 3,
        }  # fmt: skip

    def view(self, dtype: DTypeLike) -> DeviceArray:
        """The same bytes as elements of another type; of a column, one as long."""
        kind = np.dtype(dtype)
        if self.column and kind.itemsize != self.rows.width:
            raise ArgumentError(f"elements of {self.rows.width} bytes cannot be seen as {kind}")
        return DeviceArray(self.region, self.rows, kind, self.column)

    def copy_to_host(self) -> NDArray[Any]:
        """A copy in this machine's memory."""
        found = np.ascontiguousarray(self.region.read_rows(self.rows)).view(self.dtype)
        return found.reshape(self.shape)

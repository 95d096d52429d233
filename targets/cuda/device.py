"""What the runtime asks of a GPU: memory, copies, launches. All else of a target is built on it.

Addresses are device addresses, as plain numbers. There are two implementations: the driver of
NVIDIA's GPUs, and the stand-in that runs the same PTX on the host (``targets/ptx``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..addressing import Placement, Rows
from ..base import Bytes, DeviceColumn, Int64s


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """What a device is.

    Attributes:
        arch: compute capability, e.g. ``sm_90``.
        memory: bytes of memory that are free.
        multiprocessors: how many there are.
        threads_per_multiprocessor: most threads that one holds.
        cuda: version of CUDA that its driver is of, e.g. ``13.0``; empty: it has none.
    """

    name: str
    arch: str
    memory: int
    multiprocessors: int
    threads_per_multiprocessor: int
    cuda: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """What code may do with an allocation.

    Attributes:
        place: how it is divided among slots, of which an agent touches its own alone; None: it
            is not.
        writable: whether code writes to it.
    """

    place: Placement | None = None
    writable: bool = True


SHARED_USE = Use()


class DeviceFunction(Protocol):
    """A kernel of a loaded module."""

    registers: int  # a thread
    threads: int  # most in a block


class DeviceModule(Protocol):
    """Code on a device."""

    def function(self, name: str) -> DeviceFunction:
        """The kernel of that name.

        Raises:
            TargetError: there is none.
        """
        ...

    def unload(self) -> None: ...


class Stream(Protocol):
    """A queue of launches, which run one after another while the host goes on."""

    #: Address of a 64-bit word that device code can read while it runs; not 0: it is to stop.
    stop_address: int

    def launch(
        self, function: DeviceFunction, blocks: int, threads: int, argument: int, stack: int
    ) -> None:
        """Start a kernel that takes one 64-bit word.

        Args:
            blocks, threads: size of the grid, and of a block; both have one dimension.
            stack: bytes of stack that a thread may need.

        Raises:
            CapacityError: the device has not that much stack for so many threads.
        """
        ...

    def place_column(self, column: DeviceColumn, count: int, to: int, pitch: int) -> None:
        """Copy an array on the device to 64-bit words on it, before what is launched next.

        Args:
            to, pitch: address of the first word, and bytes from one to the next.

        Raises:
            TargetError: no arrays of other libraries lie on such a device.
        """
        ...

    def wait(self, stop: Int64s) -> None:
        """Wait until all launches are done.

        Args:
            stop: int64[1], which any thread may set meanwhile; what is in it is handed on to the
                word at ``stop_address``.

        Raises:
            TargetError: a launch failed, which agents cannot cause.
        """
        ...

    def close(self) -> None: ...


class Device(Protocol):
    """A GPU. May be used from several threads."""

    properties: DeviceProperties

    def allocate(self, size: int, purpose: str, use: Use = SHARED_USE) -> int:
        """Address of ``size`` new bytes of any content, aligned to 256.

        Args:
            use: what code does with them, for devices that check it.

        Raises:
            CapacityError: they do not fit, with the numbers.
        """
        ...

    def free(self, address: int) -> None: ...

    def write(self, address: int, data: Bytes) -> None:
        """Copy a contiguous array to the device."""
        ...

    def read(self, address: int, size: int) -> Bytes:
        """Copy bytes from the device."""
        ...

    def write_rows(self, address: int, rows: Rows, data: Bytes) -> None:
        """Copy uint8[count, width] to pieces; their offsets are from ``address`` on."""
        ...

    def read_rows(self, address: int, rows: Rows) -> Bytes:
        """uint8[count, width], the pieces."""
        ...

    def write_pieces(self, address: int, offsets: Int64s, data: Bytes) -> None:
        """Copy uint8[count, width] to pieces at these offsets from ``address`` on."""
        ...

    def read_pieces(self, address: int, offsets: Int64s, width: int) -> Bytes:
        """uint8[count, width], the pieces at these offsets."""
        ...

    def fill(self, address: int, size: int, byte: int) -> None:
        """Set bytes."""
        ...

    def load(self, ptx: str, cubin: bytes | None = None) -> DeviceModule:
        """Bring code to the device.

        Args:
            cubin: the same as machine code, for devices of the very architecture of the PTX.

        Raises:
            TargetError: the device or its driver refuses the code.
        """
        ...

    def stream(self) -> Stream: ...

    def close(self) -> None:
        """Give everything back."""
        ...

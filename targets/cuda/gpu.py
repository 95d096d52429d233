"""A GPU by its driver: see :mod:`.device` for what is promised.

Memory and code belong to the device's primary context, which other libraries of the process
(Numba, CuPy, PyTorch) share: their arrays' addresses are good here, and ours there.

Copies go through a stream of their own and end before they return, so that what a dispatch in
another stream reads is there. The host's side of them is pinned memory, two halves in turn: one is
filled or emptied while the other is being copied.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ...errors import CapacityError, TargetError
from ..base import Bytes
from .device import SHARED_USE, DeviceModule, Stream, Use
from .driver import Driver, DriverError, load_driver, read_properties
from .images import load_code
from .moves import Moves
from .streams import GpuFunction, GpuStream, Pinned, Staging

#: How the host waits for a launch: so long without sleeping, then sleeps that grow up to a most.
_SPIN_SECONDS = 100e-6
_SLEEP_SECONDS = (20e-6, 1e-3)


class GpuModule:
    """Code on a GPU; see :class:`~.device.DeviceModule`."""

    def __init__(self, gpu: Gpu, handle: Any) -> None:
        self._gpu = gpu
        self._handle = handle

    def function(self, name: str) -> GpuFunction:
        return self._gpu.find_function(self._handle, name)

    def unload(self) -> None:
        self._gpu.release("cuModuleUnload", self._handle)


class Gpu(Moves):
    """One of this machine's GPUs; see :class:`~.device.Device`.

    Args:
        number: which, as the driver counts.
        driver: None: NVIDIA's.

    Raises:
        TargetError: there is no driver, or no GPU of that number.
    """

    def __init__(self, number: int = 0, driver: Driver | None = None) -> None:
        self._driver = driver or load_driver()
        try:
            self._device = self._driver("cuDeviceGet", number)
        except DriverError as error:
            if error.code != "CUDA_ERROR_INVALID_DEVICE":
                raise
            raise TargetError(f"there is no GPU number {number}") from error
        self.number = number
        self._context = self._driver("cuDevicePrimaryCtxRetain", self._device)
        self._lost: str | None = None
        self._closed = False
        self._copying = threading.RLock()
        self._waiting = 0  # threads that wait for a launch
        self._idle: list[GpuStream] = []
        self._pieces: dict[str, GpuFunction] = {}
        with ExitStack() as undo:
            undo.callback(self._release_context)
            with self._entered():
                self.properties = read_properties(self._driver, self._device)
                self._copies = self._driver("cuStreamCreate", self._nonblocking)
                undo.callback(self.release, "cuStreamDestroy", self._copies)
                self._staging = Staging(self._driver, self._copies)
            undo.pop_all()

    @property
    def _nonblocking(self) -> int:
        return int(self._driver.names.CUstream_flags.CU_STREAM_NON_BLOCKING)

    # Being in a state to work.

    @property
    def ended(self) -> bool:
        """Whether it was closed or reset: a new object must take its place."""
        return self._closed

    @contextmanager
    def _entered(self) -> Iterator[Driver]:
        """The driver, with this device current in the calling thread.

        Raises:
            TargetError: the device was closed, or lost to an error.
        """
        if self._closed:
            raise TargetError("what this swarm had on the GPU is gone: it was reset or given back")
        if self._lost is not None:
            raise TargetError(f"the GPU stopped working: {self._lost}", hint=_RESET)
        try:
            self._driver("cuCtxPushCurrent", self._context)
            try:
                yield self._driver
            finally:
                self._leave()
        except DriverError as error:
            if error.loses_device and self._lost is None:
                self._lost = error.message
            raise

    def _leave(self) -> None:
        """Make what was current in the calling thread current again."""
        try:
            self._driver("cuCtxPopCurrent")
        except DriverError as error:  # drivers report here what failed before, too
            if not error.loses_device:
                raise

    def release(self, function: str, *args: Any) -> None:
        """Give something back; if the device is gone, so is what it held."""
        if self._closed or self._lost is not None:
            return
        try:
            with self._entered() as driver:
                driver(function, *args)
        except DriverError as error:
            if not error.loses_device and error.code != "CUDA_ERROR_DEINITIALIZED":
                raise

    def _release_context(self) -> None:
        try:
            self._driver("cuDevicePrimaryCtxRelease", self._device)
        except DriverError as error:
            if not error.loses_device and error.code != "CUDA_ERROR_DEINITIALIZED":
                raise

    # Memory.

    def allocate(self, size: int, purpose: str, use: Use = SHARED_USE) -> int:
        with self._entered() as driver:
            try:
                return int(driver("cuMemAlloc", size))
            except DriverError as error:
                if error.code != "CUDA_ERROR_OUT_OF_MEMORY":
                    raise
                free, total = driver("cuMemGetInfo")
                raise CapacityError(
                    f"{purpose} needs {size:,} bytes, and of the GPU's {total:,} there are"
                    f" {free:,} free",
                    hint="run fewer agents at a time, or give each less memory",
                ) from error

    def free(self, address: int) -> None:
        self.release("cuMemFree", address)

    def write(self, address: int, data: Bytes) -> None:
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        with self._copying, self._entered():
            self._staging.write(address, flat)

    def read(self, address: int, size: int) -> Bytes:
        found = np.empty(size, np.uint8)
        with self._copying, self._entered():
            self._staging.read(address, found)
        return found

    def fill(self, address: int, size: int, byte: int) -> None:
        if size:
            with self._copying, self._entered() as driver:
                driver("cuMemsetD8Async", address, byte, size, self._copies)
                driver("cuStreamSynchronize", self._copies)

    # Code.

    def load(self, ptx: str, cubin: bytes | None = None) -> DeviceModule:
        with self._entered() as driver:
            return GpuModule(self, load_code(driver, self.properties.arch, ptx, cubin))

    def find_function(self, module: Any, name: str) -> GpuFunction:
        """The kernel of that name in a loaded module."""
        attributes = self._driver.names.CUfunction_attribute
        with self._entered() as driver:
            try:
                handle = driver("cuModuleGetFunction", module, name.encode())
            except DriverError as error:
                if error.code != "CUDA_ERROR_NOT_FOUND":
                    raise
                raise TargetError(f"the module has no kernel {name}") from error

            def get(attribute: Any) -> int:
                return int(driver("cuFuncGetAttribute", attribute, handle))

            return GpuFunction(
                handle, name,
                registers=get(attributes.CU_FUNC_ATTRIBUTE_NUM_REGS),
                threads=get(attributes.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
                local=get(attributes.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES),
            )  # fmt: skip

    # Launching.

    def stream(self) -> Stream:
        with self._copying:
            if self._idle:
                return self._idle.pop()
        with self._entered() as driver, ExitStack() as undo:
            stop = Pinned(driver, 8)
            undo.callback(self.release, "cuMemFreeHost", stop.address)
            stream = GpuStream(self, driver("cuStreamCreate", self._nonblocking), stop)
            undo.pop_all()
            return stream

    def give_back(self, stream: GpuStream) -> None:
        """Keep a stream that has nothing to do for the next who needs one."""
        with self._copying:
            if not self._closed:
                stream.be_ready()
                self._idle.append(stream)

    def launch(
        self, stream: Any, function: GpuFunction, blocks: int, threads: int, argument: int,
        stack: int,
    ) -> None:
        """See :meth:`~.device.Stream.launch`."""
        with self._entered() as driver:
            self._reserve_stack(driver, stack)
            self._start(driver, stream, function, blocks, threads, (argument,))

    def _reserve_stack(self, driver: Driver, stack: int) -> None:
        limit = driver.names.CUlimit.CU_LIMIT_STACK_SIZE
        with self._copying:
            if driver("cuCtxGetLimit", limit) >= stack:
                return
            try:
                driver("cuCtxSetLimit", limit, stack)
            except DriverError as error:
                if error.loses_device:
                    raise
                here = self.properties
                threads = here.multiprocessors * here.threads_per_multiprocessor
                free, _ = driver("cuMemGetInfo")
                raise CapacityError(
                    f"the program may need {stack:,} bytes of stack a thread, {stack * threads:,}"
                    f" for the {threads:,} threads that the GPU runs at once, and"
                    f" {free:,} bytes are free",
                    hint="a smaller call depth needs less: --call-depth",
                ) from error

    @staticmethod
    def _start(
        driver: Driver, stream: Any, function: GpuFunction, blocks: int, threads: int,
        words: Sequence[int],
    ) -> None:
        types = (ctypes.c_uint64,) * len(words)
        driver("cuLaunchKernel", function.handle, blocks, 1, 1, threads, 1, 1, 0, stream,
               (tuple(words), types), 0)  # fmt: skip

    def wait(self, stream: Any, meanwhile: Callable[[], None]) -> None:
        """Wait until a stream is done, and call a function from time to time."""
        begin = time.monotonic()
        pause, longest = _SLEEP_SECONDS
        with self._copying:
            self._waiting += 1
        try:
            with self._entered() as driver:
                while not driver.finished(stream):
                    meanwhile()
                    if time.monotonic() - begin > _SPIN_SECONDS:
                        time.sleep(pause)
                        pause = min(2 * pause, longest)
        finally:
            with self._copying:
                self._waiting -= 1

    # Ends.

    def close(self) -> None:
        if not self._closed:
            self._staging.close(self.release)
            for stream in self._idle:
                stream.destroy()
            self.release("cuStreamDestroy", self._copies)
            self._release_context()
            self._closed = True

    def reset(self) -> None:
        """End everything that this process has on the GPU, of other libraries, too.

        This object cannot be used any more; a new one can. It is how to go on after an error that
        nothing on the GPU survives.

        Raises:
            TargetError: agents are running on it.
        """
        with self._copying:  # no copy and no launch is under way then, and none begins
            if self._waiting:
                raise TargetError(
                    "agents are running on the GPU", hint="interrupt them, and wait for their end"
                )
            self._closed = True
            self._driver("cuDevicePrimaryCtxReset", self._device)


_RESET = "SwarmManager.reset_device() begins anew"

_shared: Gpu | None = None
_sharing = threading.Lock()


def shared_gpu() -> Gpu:
    """The first GPU of this machine, one object for all of the process.

    Raises:
        TargetError: there is none that can be used.
    """
    global _shared
    with _sharing:
        if _shared is None or _shared.ended:
            _shared = Gpu()
        return _shared

"""NVIDIA's driver API on the host, as strict as the real one, running PTX on the stand-in.

What is given to a stream is done when somebody waits for it and not before, so that a copy whose
end nobody awaited, and a host buffer used again too early, are seen. Every function needs the
context to be current in its thread. An error on the device stays until the context is reset.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from swarmc.errors import SwarmcError
from swarmc.targets.ptx.buffer import Buffer
from swarmc.targets.ptx.code import Grant, PtxCode, PtxFaultError

from .fake_stream import Failure, Queue


class FakeDriver:
    """Behaves like the module ``cuda.bindings.driver``, of which it takes types and constants.

    Args:
        memory: bytes of the device's memory. stack_limit: most bytes of stack a thread.

    Attributes:
        calls: names of the functions called.
        arch: compute capability.
        version: CUDA's, as the driver counts.
        cubins: machine code that it takes, and the PTX that it was made of, which is run.
        refuses: error that it refuses machine code with; empty: it does not.
        loaded: images of the modules that were loaded.
        elsewhere: addresses that lie on other GPUs, by the number of each.
        fail: name of a function whose next call has no memory; see :meth:`run_out`.
        fail_launches: error that the next launches end with; None: they work.
    """

    def __init__(self, bindings: Any, memory: int = 1 << 32, stack_limit: int = 1 << 18) -> None:
        self._names = bindings
        self._ok = bindings.CUresult.CUDA_SUCCESS
        self.memory, self.stack_limit = memory, stack_limit
        self.calls: list[str] = []
        self.fail_launches: Any = None
        self._current = threading.local()
        self._initialised = False
        self.arch, self.version = (9, 0), 13000
        self.cubins: dict[bytes, str] = {}
        self.refuses = ""
        self.loaded: list[bytes] = []
        self.elsewhere: dict[int, range] = {}
        self.fail, self._left = "", 0
        self._sticky: Any = None
        self._context = 0
        self._next = 100
        self._stack = 1024
        self.device: dict[int, Buffer] = {}
        self.pinned: dict[int, Buffer] = {}
        self.modules: dict[int, PtxCode] = {}
        self.functions: dict[int, tuple[PtxCode, str]] = {}
        self.streams: dict[int, Queue] = {}
        self.events: dict[int, Queue | None] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cu"):
            function = _FUNCTIONS.get(name)
            if function is None:
                raise AttributeError(f"nobody wrote {name} for the tests")
            return lambda *args: self._run(name, function, args)
        return getattr(self._names, name)

    def _run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        errors = self._names.CUresult
        self.calls.append(name)
        self._left -= name == self.fail
        if name == self.fail and self._left == 0:
            return errors.CUDA_ERROR_OUT_OF_MEMORY, None
        if name == "cuGetErrorString":
            return self._ok, f"text of {args[0].name}".encode()
        if not self._initialised and name != "cuInit":
            return errors.CUDA_ERROR_NOT_INITIALIZED, None
        if name not in _ANYWHERE and self.current() != self._context:
            return errors.CUDA_ERROR_INVALID_CONTEXT, None
        if self._sticky is not None and name not in _ANYWHERE:
            return self._sticky, None
        try:
            result = function(self, *args)
        except Failure as failure:
            return failure.code, None
        return (self._ok, *result) if isinstance(result, tuple) else (self._ok, result)

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _fail(self, name: str) -> Failure:
        return Failure(getattr(self._names.CUresult, f"CUDA_ERROR_{name}"))

    def run_out(self, name: str, call: int) -> None:
        """Let the call of that number from now on of a function find no memory left."""
        self.fail, self._left = name, call

    # Devices and contexts.

    def _init(self, flags: int) -> None:
        assert flags == 0
        self._initialised = True

    def _device(self, number: int) -> int:
        if number and number not in self.elsewhere:
            raise self._fail("INVALID_DEVICE")
        return number

    def _name(self, length: int, device: int) -> bytes:
        name = b"another GPU of the tests" if device else b"a GPU of the tests"
        return name.ljust(length, b"\0")

    def _attribute(self, attribute: Any, device: int) -> int:
        values = {
            "COMPUTE_CAPABILITY_MAJOR": self.arch[0], "COMPUTE_CAPABILITY_MINOR": self.arch[1],
            "MULTIPROCESSOR_COUNT": 4, "MAX_THREADS_PER_MULTIPROCESSOR": 2048,
        }  # fmt: skip
        return values[attribute.name.removeprefix("CU_DEVICE_ATTRIBUTE_")]

    def _retain(self, device: int) -> int:
        self._context = self._context or self._number()
        return self._context

    def _release(self, device: int) -> None:
        self._context = -1

    def _reset(self, device: int) -> None:
        for queue in self.streams.values():
            queue.drop()
        self.device.clear()
        self.pinned.clear()
        self.modules.clear()
        self.functions.clear()
        self.streams.clear()
        self._sticky, self._context = None, self._number()

    def current(self) -> int:
        """The context that is current in the calling thread; 0: none."""
        stack = self._stack_of_thread()
        return stack[-1] if stack else 0

    def _stack_of_thread(self) -> list[int]:
        found: list[int] = self._current.__dict__.setdefault("contexts", [])
        return found

    def _push(self, context: int) -> None:
        if context != self._context:
            raise self._fail("CONTEXT_IS_DESTROYED")
        self._stack_of_thread().append(context)

    def _pop(self) -> int:
        if not self._stack_of_thread():
            raise self._fail("INVALID_CONTEXT")
        return self._stack_of_thread().pop()

    def _set_limit(self, limit: Any, value: int) -> None:
        assert limit is self._names.CUlimit.CU_LIMIT_STACK_SIZE
        if value > self.stack_limit:
            raise self._fail("OUT_OF_MEMORY")
        self._stack = value

    # Memory.

    def _used(self) -> int:
        return sum(buffer.size for buffer in self.device.values())

    def _allocate(self, size: int) -> Any:
        if size == 0:
            raise self._fail("INVALID_VALUE")
        if self._used() + size > self.memory:
            raise self._fail("OUT_OF_MEMORY")
        buffer = Buffer(size, "an allocation")
        buffer.array()[: 1 << 16] = 0xDB  # anything
        self.device[buffer.address] = buffer
        return self._names.CUdeviceptr(buffer.address)

    def _free(self, address: int) -> None:
        if address not in self.device:
            raise self._fail("INVALID_VALUE")
        self.device.pop(address).close()

    def _pin(self, size: int, flags: int) -> int:
        assert flags & self._names.CU_MEMHOSTALLOC_DEVICEMAP
        buffer = Buffer(size, "pinned memory")
        self.pinned[buffer.address] = buffer
        return buffer.address

    def _unpin(self, address: int) -> None:
        self.pinned.pop(address).close()

    def _pointer(self, attribute: Any, address: int) -> int:
        assert attribute is self._names.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        for number, addresses in self.elsewhere.items():
            if address in addresses:
                return number
        self._range(self.device, address, 1)
        return 0

    def _range(self, buffers: dict[int, Buffer], address: int, size: int) -> Any:
        for start, buffer in buffers.items():
            if start <= address and address + size <= start + buffer.size:
                return buffer.array()[address - start : address - start + size]
        raise self._fail("INVALID_VALUE")

    def _to_device(self, to: int, source: int, size: int, stream: int) -> None:
        into, data = self._range(self.device, to, size), self._range(self.pinned, source, size)

        def copy() -> None:
            into[:] = data

        self.streams[stream].add(copy)

    def _to_host(self, to: int, source: int, size: int, stream: int) -> None:
        into, data = self._range(self.pinned, to, size), self._range(self.device, source, size)

        def copy() -> None:
            into[:] = data

        self.streams[stream].add(copy)

    def _fill(self, address: int, byte: int, size: int, stream: int) -> None:
        into = self._range(self.device, address, size)
        self.streams[stream].add(lambda: into.fill(byte))

    # Streams and events.

    def _stream(self, flags: int) -> int:
        assert flags == self._names.CUstream_flags.CU_STREAM_NON_BLOCKING.value
        number = self._number()
        self.streams[number] = Queue()
        return number

    def _close_stream(self, stream: int) -> None:
        self._finish(self.streams.pop(stream))

    def _synchronise(self, stream: int) -> None:
        self._finish(self.streams[stream])

    def _synchronise_all(self) -> None:
        for queue in self.streams.values():
            self._finish(queue)

    def _query(self, stream: int) -> None:
        queue = self.streams[stream]
        queue.begin()
        if not queue.idle():
            raise self._fail("NOT_READY")
        self._finish(queue)

    def _finish(self, queue: Queue) -> None:
        error = queue.finish()
        if error is not None:
            self._sticky = error.code
            raise error

    def _event(self, flags: int) -> int:
        number = self._number()
        self.events[number] = None
        return number

    def _record(self, event: int, stream: int) -> None:
        self.events[event] = self.streams[stream]

    def _await(self, event: int) -> None:
        queue = self.events[event]
        if queue is not None:
            self._finish(queue)

    # Code.

    def _load_cubin(self, image: bytes) -> int:
        if self.refuses or image not in self.cubins:
            raise self._fail(self.refuses or "NO_BINARY_FOR_GPU")
        return self._add_module(image, PtxCode(self.cubins[image], {}))

    def _load(self, image: bytes, count: int, options: list[Any], values: list[Any]) -> int:
        assert image.endswith(b"\0") and count == len(options) == len(values)
        match = re.search(rb"\.version (\d+)\.(\d+)", image)
        assert match
        # PTX 8.x came with CUDA 12.x or later, 6.3 with 10.0.
        if int(match[1]) + 4 > self.version // 1000:
            raise self._fail("UNSUPPORTED_PTX_VERSION")
        try:
            code = PtxCode(image[:-1].decode(), {})
        except SwarmcError as error:
            log = dict(zip([option.name for option in options], values, strict=True))
            text = str(error).encode()[: log["CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES"] - 1]
            log["CU_JIT_ERROR_LOG_BUFFER"][: len(text)] = text
            raise self._fail("INVALID_PTX") from error
        return self._add_module(image, code)

    def _add_module(self, image: bytes, code: PtxCode) -> int:
        number = self._number()
        self.modules[number] = code
        self.loaded.append(image)
        return number

    def _unload(self, module: int) -> None:
        self.modules.pop(module).close()

    def _function(self, module: int, name: bytes) -> int:
        code = self.modules[module]
        try:
            code.kernel(name.decode())
        except SwarmcError as error:
            raise self._fail("NOT_FOUND") from error
        number = self._number()
        self.functions[number] = code, name.decode()
        return number

    def _function_attribute(self, attribute: Any, function: int) -> int:
        values = {"NUM_REGS": 40, "MAX_THREADS_PER_BLOCK": 1024, "LOCAL_SIZE_BYTES": 64}
        return values[attribute.name.removeprefix("CU_FUNC_ATTRIBUTE_")]

    def _launch(self, function: int, *args: Any) -> None:
        *sizes, stream, (values, types), extra = args
        blocks, ones, threads, shared = sizes[0], (sizes[1:3], sizes[4:6]), sizes[3], sizes[6]
        assert ones == ([1, 1], [1, 1]) and shared == 0 and extra == 0 and blocks > 0
        code, name = self.functions[function]
        words = [type_(value).value.to_bytes(8, "little")
                 for value, type_ in zip(values, types, strict=True)]  # fmt: skip
        error = self.fail_launches

        def run() -> None:
            if error is not None:
                raise Failure(error)
            grants = [
                Grant(buffer.purpose, buffer.address, buffer.size)
                for buffers in (self.device, self.pinned) for buffer in list(buffers.values())
            ]  # fmt: skip
            slots = np.arange(blocks * threads)
            try:
                code.launch(name, blocks, threads, words, grants, slots)
            except PtxFaultError as fault:
                raise self._fail("ILLEGAL_ADDRESS") from fault

        self.streams[stream].add(run)


#: What works without a context, and after an error.
_ANYWHERE = frozenset({
    "cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease",
    "cuDevicePrimaryCtxReset", "cuCtxPushCurrent", "cuCtxPopCurrent", "cuDeviceGetName",
    "cuDeviceGetAttribute", "cuDriverGetVersion",
})  # fmt: skip

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cuGetErrorString": lambda self, error: None,
    "cuInit": FakeDriver._init,
    "cuDeviceGet": FakeDriver._device,
    "cuDeviceGetName": FakeDriver._name,
    "cuDeviceGetAttribute": FakeDriver._attribute,
    "cuDevicePrimaryCtxRetain": FakeDriver._retain,
    "cuDevicePrimaryCtxRelease": FakeDriver._release,
    "cuDevicePrimaryCtxReset": FakeDriver._reset,
    "cuCtxPushCurrent": FakeDriver._push,
    "cuCtxPopCurrent": FakeDriver._pop,
    "cuCtxSynchronize": FakeDriver._synchronise_all,
    "cuCtxGetLimit": lambda self, limit: self._stack,
    "cuCtxSetLimit": FakeDriver._set_limit,
    "cuMemGetInfo": lambda self: (self.memory - self._used(), self.memory),
    "cuMemAlloc": FakeDriver._allocate,
    "cuMemFree": FakeDriver._free,
    "cuPointerGetAttribute": FakeDriver._pointer,
    "cuMemHostAlloc": FakeDriver._pin,
    "cuMemHostGetDevicePointer": lambda self, address, flags: address,
    "cuMemFreeHost": FakeDriver._unpin,
    "cuMemcpyHtoDAsync": FakeDriver._to_device,
    "cuMemcpyDtoHAsync": FakeDriver._to_host,
    "cuMemsetD8Async": FakeDriver._fill,
    "cuStreamCreate": FakeDriver._stream,
    "cuStreamDestroy": FakeDriver._close_stream,
    "cuStreamSynchronize": FakeDriver._synchronise,
    "cuStreamQuery": FakeDriver._query,
    "cuEventCreate": FakeDriver._event,
    "cuEventDestroy": lambda self, event: self.events.pop(event) and None,
    "cuEventRecord": FakeDriver._record,
    "cuEventSynchronize": FakeDriver._await,
    "cuDriverGetVersion": lambda self: self.version,
    "cuModuleLoadData": FakeDriver._load_cubin,
    "cuModuleLoadDataEx": FakeDriver._load,
    "cuModuleUnload": FakeDriver._unload,
    "cuModuleGetFunction": FakeDriver._function,
    "cuFuncGetAttribute": FakeDriver._function_attribute,
    "cuLaunchKernel": FakeDriver._launch,
}

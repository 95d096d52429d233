"""The benchmark's workloads, as native code and as agents."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

from swarmc.runtime import WASMRuntime
from swarmc.runtime.tools.bench_native import load_library
from swarmc.runtime.tools.bench_workloads import load_workloads

DIRECTORY = Path(__file__).resolve().parents[2] / "corpus" / "bench"
WORKLOADS = {workload.name: workload for workload in load_workloads(DIRECTORY)}

_U32, _F32 = ctypes.c_uint32, ctypes.c_float

#: What gives addresses, which are longer in native code.
_ADDRESSES = frozenset({"buffer", "code", "compressed", "display", "hash", "percentiles", "product",
                        "second", "solved"})
#: Other types of native functions that the tests call, where they are not (u32...) -> u32.
_RESULTS: dict[str, Any] = {"run": ctypes.c_int64, "image_hash": ctypes.c_uint64,
                            "energy": ctypes.c_double}
_PARAMS: dict[str, Any] = {"escape": (_F32, _F32, _U32)}


class Machine(Protocol):
    """One instance of a workload, wherever it runs."""

    def call(self, name: str, *args: float) -> Any: ...

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


class Native:
    def __init__(self, path: Path) -> None:
        self._library = load_library(path)

    def call(self, name: str, *args: float) -> Any:
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p if name in _ADDRESSES else _RESULTS.get(name, _U32)
        function.argtypes = _PARAMS.get(name, (_U32,) * len(args))
        return function(*args)

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(address, size)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(address, data, len(data))


class Agent:
    def __init__(self, wasm: bytes, cache: Path) -> None:
        self._runtime = WASMRuntime.from_wasm(wasm, cache=cache)

    def call(self, name: str, *args: float) -> Any:
        result = self._runtime.call(name, *args)
        if isinstance(result, int) and _RESULTS.get(name, _U32) is not ctypes.c_int64:
            return result & (1 << 64) - 1 if name in _RESULTS else result & 0xFFFF_FFFF
        return result

    def read(self, address: int, size: int) -> bytes:
        return self._runtime.read_memory(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._runtime.write_memory(data, address)

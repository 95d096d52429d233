"""The logging functions of :mod:`.fuzz_imports` for wasmtime, through its C API.

Its Python API would quieten signalling NaNs, and has no v128.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from ...compiler.wasm.module import Module
from ...ir.types import Type
from .fuzz_imports import LOG_SIZE, MODULE, logged, record

_NO_FINALIZER = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class OracleLog:
    """What the instances of one module log, one instance at a time.

    Args:
        ffi: wasmtime's bindings. compiled: the module as wasmtime has it. outline: as we have it.
    """

    def __init__(self, ffi: Any, compiled: Any, outline: Module) -> None:
        self._ffi, self._outline = ffi, outline
        self._imports = compiled.imports
        self._data = bytearray()
        self._callbacks: list[Any] = []  # wasmtime holds their addresses

    def define(self, linker: Any) -> None:
        """Add the logging functions that the module imports to a linker."""
        done: set[str] = set()
        for item, compiled in zip(self._outline.imports, self._imports, strict=True):
            if item.module != MODULE or not isinstance(item.type, int) or item.name in done:
                continue
            type_ = logged(MODULE, item.name, self._outline.func_type(item.type).lowered())
            if type_ is not None:
                done.add(item.name)
                self._define(linker, item.name, compiled.type, type_)

    def take(self) -> bytes:
        """What was logged since the last time, as far as swarmc keeps it."""
        data = bytes(self._data[:LOG_SIZE])
        self._data.clear()
        return data

    def _define(self, linker: Any, name: str, signature: Any, type_: Type) -> None:
        ffi = self._ffi
        callback = ffi.wasmtime_func_callback_t(self._callback(type_))
        self._callbacks.append(callback)
        texts = [text.encode() for text in (MODULE, name)]
        module, item = [ctypes.create_string_buffer(text) for text in texts]
        error = ffi.wasmtime_linker_define_func(
            linker.ptr(), module, len(texts[0]), item, len(texts[1]), signature.ptr(), callback,
            None, _NO_FINALIZER)
        assert not error, f"{name} is defined twice"

    def _callback(self, type_: Type) -> Callable[..., int]:
        def call(env: object, caller: object, args: Any, count: int, *results: object) -> int:
            value = args[0].of
            if type_ is Type.V128:
                bits = int.from_bytes(bytes(value.v128), "little")
            else:
                bits = int(value.i64) & ((1 << type_.bits) - 1)
            self._data.extend(record(type_, bits))
            return 0  # no trap

        return call

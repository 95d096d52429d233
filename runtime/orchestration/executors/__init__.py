"""Ways of running tasks: Python functions, other programs, WebAssembly.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

if TYPE_CHECKING:
    from .backends import php_engine, powershell_engine, rust_injector
    from .calls import Call
    from .internal import InternalExecutor
    from .process import ProcessExecutor
    from .wasm import WasmExecutor

__all__ = [
    "Call", "InternalExecutor", "ProcessExecutor", "WasmExecutor", "php_engine",
    "powershell_engine", "rust_injector",
]  # fmt: skip

_HOMES = {
    "Call": ".calls",
    "InternalExecutor": ".internal",
    "ProcessExecutor": ".process",
    "WasmExecutor": ".wasm",
    "php_engine": ".backends",
    "powershell_engine": ".backends",
    "rust_injector": ".backends",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)

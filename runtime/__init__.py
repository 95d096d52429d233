"""Agents, dispatch and everything a user meets.

The names are imported when they are first used, so that ``import swarmc`` loads neither NumPy
nor LLVM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazy

if TYPE_CHECKING:
    from .arrays import Columns
    from .handles import DispatchHandle
    from .host_api import Agent, HostFunction, host_function, trap
    from .host_calls import HostCall
    from .manager import SwarmManager
    from .results import SwarmResult, TrapInfo
    from .wasm_runtime import WASMRuntime

__all__ = [
    "Agent", "Columns", "DispatchHandle", "HostCall", "HostFunction", "SwarmManager", "SwarmResult",
    "TrapInfo", "WASMRuntime", "host_function", "trap",
]  # fmt: skip

_HOMES = {
    "Agent": ".host_api",
    "Columns": ".arrays",
    "DispatchHandle": ".handles",
    "HostCall": ".host_calls",
    "HostFunction": ".host_api",
    "SwarmManager": ".manager",
    "SwarmResult": ".results",
    "TrapInfo": ".results",
    "WASMRuntime": ".wasm_runtime",
    "host_function": ".host_api",
    "trap": ".host_api",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)

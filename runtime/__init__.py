"""Agents, dispatch and everything a user meets.

The names are imported when they are first used, so that ``import swarmc`` loads neither NumPy
nor LLVM.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

"""swarmc: run any WebAssembly program as a swarm of isolated agents."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runtime import (
        Agent,
        Columns,
        DispatchHandle,
        HostCall,
        HostFunction,
        SwarmManager,
        SwarmResult,
        TrapInfo,
        WASMRuntime,
        host_function,
        trap,
    )

__all__ = [
    "Agent", "Columns", "DispatchHandle", "HostCall", "HostFunction", "SwarmManager", "SwarmResult",
    "TrapInfo", "WASMRuntime", "host_function", "trap",
]  # fmt: skip

__version__ = "0.1.0"

# A library is silent unless the program that uses it listens.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """The runtime's names, imported when one is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import runtime

    value = getattr(runtime, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

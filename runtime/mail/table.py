"""The functions of the import module ``swarm`` and their types. Imports no Numba."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from ...ir.types import FuncType, Type

MODULE = "swarm"

#: Name: how many parameters; all of them, and the one result of each, are i32.
_ROWS: dict[str, int] = {
    "id": 0,
    "length": 0,
    "peer": 1,
    "peers": 0,
    "pending": 0,
    "recv": 2,
    "send": 3,
    "sender": 0,
    "undelivered": 0,
}

MODULES = {MODULE: _ROWS}


def signature(module: str, name: str) -> FuncType | None:
    """Type of a function, or None if there is none of that name."""
    count = MODULES.get(module, {}).get(name)
    return None if count is None else FuncType((Type.I32,) * count, (Type.I32,))


def implementation(module: str, name: str) -> str:
    """Name of what a function is."""
    return f"mail.{name}"


def build(module: str, name: str) -> Callable[[int, int], int]:
    """The Python function that Numba compiles to be this function."""
    functions = importlib.import_module(f"{__package__}.functions")
    function: Callable[[int, int], int] = getattr(functions, f"mail_{name}")
    return function

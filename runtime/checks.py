"""Checks of what a caller gives, with errors that name it."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..targets.addressing import MemoryLayout
from ..targets.executable import CompileOptions

_MAX_FUEL = 1 << 62
_MAX_SEED = (1 << 64) - 1
_MAX_CLOCK = (1 << 63) - 1


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """The value of an option, if it is an integer within limits."""
    if isinstance(value, int | np.integer) and low <= value <= high:
        return int(value)
    raise ArgumentError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_fuel(value: int) -> int:
    """A budget that the 63 bits of the fuel counter hold."""
    return check_integer("fuel", value, 1, _MAX_FUEL)


def check_seed(value: int) -> int:
    """A seed of 64 bits."""
    return check_integer("seed", value, 0, _MAX_SEED)


def check_clock(value: int) -> int:
    """Nanoseconds since the epoch."""
    return check_integer("clock", value, 0, _MAX_CLOCK)


def check_options(options: CompileOptions) -> CompileOptions:
    """Options as they are, if all of them are within limits."""
    check_integer("call_depth", options.call_depth, 1, (1 << 31) - 1)
    check_integer("opt_level", options.opt_level or 0, 0, 3)
    check_integer("max_memory", options.max_memory or 0, 0, 1 << 48)
    check_integer("heap", options.heap, 0, 1 << 40)
    if options.max_registers is not None:
        check_integer("max_registers", options.max_registers, 32, 255)
    if options.missing_imports not in ("error", "trap"):
        raise ArgumentError(
            f"missing_imports is 'error' or 'trap', not {options.missing_imports!r}"
        )
    if not isinstance(options.layout, MemoryLayout | None):
        raise ArgumentError(f"layout must be the name of one, not {options.layout!r}")
    return options


def to_integer(name: str, value: object) -> int:
    """An integer whose limits somebody else checks."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(f"{name} must be an integer, not {value!r}") from None


def to_list(values: object, name: str, of: str) -> Sequence[Any]:
    """A list or tuple as it is, anything else that has an order as a list."""
    if isinstance(values, list | tuple):
        return values
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        try:
            return list(values)
        except TypeError:  # an array of no dimensions
            if not isinstance(values, np.ndarray):
                raise
    raise ArgumentError(f"{name} must be a sequence of {of}, not {values!r}")


def to_names(names: object, name: str) -> tuple[str, ...]:
    """A sequence of strings; a string alone, which is one as well, is a mistake."""
    found = tuple(to_list(names, name, "names"))
    for one in found:
        if not isinstance(one, str):
            raise ArgumentError(f"{name} must be a sequence of names, {one!r} is none")
    return found

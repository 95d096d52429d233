"""Checks of what a caller gives, with errors that name it."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """The value of an option, if it is an integer within limits."""
    if isinstance(value, int | np.integer) and low <= value <= high:
        return int(value)
    raise ArgumentError(f"{name} must be an integer from {low} to {high}, not {value!r}")


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

"""How compiled functions take parameters and give results: by value, or through memory.

A function takes the context, the remaining fuel, the call depth and its parameters; it returns the
fuel and its results, as one LLVM struct. In a program with tail calls only what fits in registers
is passed by value: see :mod:`..transfer`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.types import FuncType
from ..transfer import divide_params, divide_results
from .types import LLVM_TYPES, result_types, return_type


@dataclass(frozen=True, slots=True)
class Convention:
    """How the functions of one type are called and return.

    Attributes:
        returned: LLVM type that they return.
        params: numbers of the parameters that are passed by value.
        results: (number of the result, LLVM type) of those that are returned by value; the first
            is field 1 of the struct.
        moved_params, moved_results: (number, slot of the transfer area) of the others.
    """

    returned: str
    params: tuple[int, ...]
    results: tuple[tuple[int, str], ...]
    moved_params: tuple[tuple[int, int], ...] = ()
    moved_results: tuple[tuple[int, int], ...] = ()


def by_value(type_: FuncType) -> Convention:
    """LLVM passes everything."""
    return Convention(return_type(type_.results), tuple(range(len(type_.params))),
                      tuple(enumerate(result_types(type_.results))))


def for_tail_calls(type_: FuncType) -> Convention:
    """What does not fit in registers is moved through memory."""
    params, results = divide_params(type_), divide_results(type_)
    kept = tuple((number, LLVM_TYPES[type_.results[number]]) for number in results.kept)
    return Convention(return_type([type_.results[number] for number in results.kept]), params.kept,
                      kept, params.moved, results.moved)

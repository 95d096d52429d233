"""How compiled functions take parameters and give results: by value, or through memory.

A function takes the context, the remaining fuel, the call depth and its parameters; it returns the
fuel, the exception that leaves it (or null) if there may be one, and its results, as one LLVM
struct. In a program with tail calls only what fits in registers is passed by value: see
:mod:`..transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...ir.types import FuncType
from ..transfer import divide_params, divide_results
from .types import LLVM_TYPES, result_types


@dataclass(frozen=True, slots=True)
class Convention:
    """How functions of one type are called and return.

    Attributes:
        throws: whether they return an exception, as field 1 of the struct.
        steps: whether they return what is to be called next, or null, as the field after that:
            see :mod:`.trampolines`.
        params: numbers of the parameters that are passed by value.
        results: (number of the result, LLVM type) of those that are returned by value, in order.
        moved_params, moved_results: (number, slot of the transfer area) of the others.
    """

    throws: bool
    params: tuple[int, ...]
    results: tuple[tuple[int, str], ...]
    moved_params: tuple[tuple[int, int], ...] = ()
    moved_results: tuple[tuple[int, int], ...] = ()
    steps: bool = False

    @property
    def returned(self) -> str:
        """LLVM type that they return."""
        types = ["i64"] * self.first + [type_ for _, type_ in self.results]
        return "i64" if len(types) == 1 else "{ " + ", ".join(types) + " }"

    @property
    def first(self) -> int:
        """Field of the first result."""
        return 1 + self.throws + self.steps

    @property
    def is_struct(self) -> bool:
        """Whether they return more than the fuel."""
        return self.throws or self.steps or bool(self.results)

    def fields(self) -> Iterator[tuple[int, str, int]]:
        """(number of the result, LLVM type, field of the struct) of those in the struct."""
        for field, (number, type_) in enumerate(self.results, self.first):
            yield number, type_, field


def by_value(type_: FuncType, throws: bool) -> Convention:
    """LLVM passes everything."""
    return Convention(throws, tuple(range(len(type_.params))),
                      tuple(enumerate(result_types(type_.results))))


def for_tail_calls(type_: FuncType, throws: bool) -> Convention:
    """What does not fit in registers is moved through memory."""
    params, results = divide_params(type_), divide_results(type_, throws)
    kept = tuple((number, LLVM_TYPES[type_.results[number]]) for number in results.kept)
    return Convention(throws, params.kept, kept, params.moved, results.moved)


def struct(convention: Convention, fuel: str, exception: str, operands: Sequence[str],
           fresh: Iterator[str], following: str = "0") -> tuple[list[str], str]:
    """The lines that make what a function returns, and the operand of its ``ret``.

    Args:
        operands: the results that are returned by value, with their LLVM types; may be fewer.
        following: what is to be called next, or null, where the convention has it.
    """
    if not convention.is_struct:
        return [], f"i64 {fuel}"
    parts = [f"i64 {fuel}", *([f"i64 {exception}"] if convention.throws else []),
             *([f"i64 {following}"] if convention.steps else []), *operands]
    lines, value = [], "poison"
    for field, part in enumerate(parts):
        name = next(fresh)
        lines.append(f"{name} = insertvalue {convention.returned} {value}, {part}, {field}")
        value = name
    return lines, f"{convention.returned} {value}"

"""What of a call fits in registers, in programs whose calls must fit: those with tail calls.

A tail call can leave nothing on the stack. So parameters and results that do not fit in registers
go through the *transfer area*, a part of the agent's state block: they are written right before the
call or the return, and read right after it. LLVM 22 needs this: it forgets arguments of a
``musttail`` call that lie on the stack, and cannot return a large struct from one.

A target that knows no tail calls passes all parameters of one through the area: see
:mod:`.llvm.trampolines`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.types import FuncType, Type


@dataclass(frozen=True, slots=True)
class Division:
    """Which values fit in registers.

    Attributes:
        kept: numbers of those that do.
        moved: (number, 64-bit slot of the transfer area) of the others.
        slots: slots that these take.
    """

    kept: tuple[int, ...]
    moved: tuple[tuple[int, int], ...]
    slots: int


#: Registers on x86-64, which has fewer than aarch64, for integers and for floats and vectors:
#: for parameters beside context, fuel and depth, and for results beside the fuel.
_PARAMETERS = (3, 8)
_RESULTS = (2, 2)


def divide_params(type_: FuncType) -> Division:
    """Divide the parameters of a function."""
    return _divide(type_.params, *_PARAMETERS)


def divide_results(type_: FuncType, throws: bool) -> Division:
    """Divide the results of a function, which may return an exception besides."""
    integers, floats = _RESULTS
    return _divide(type_.results, integers - throws, floats)


def param_slots(type_: FuncType) -> tuple[int, ...]:
    """The 64-bit slot of each parameter, where all of them go through the transfer area."""
    slots, cursor = [], 0
    for param in type_.params:
        slots.append(cursor)
        cursor += _size(param)
    return tuple(slots)


def transfer_slots(types: Iterable[FuncType]) -> int:
    """64-bit slots of the transfer area that functions of these types need."""
    return max((max(sum(map(_size, type_.params)), divide_results(type_, True).slots)
                for type_ in types), default=0)


def _divide(types: Sequence[Type], integers: int, floats: int) -> Division:
    kept: list[int] = []
    moved: list[tuple[int, int]] = []
    slots = 0
    for number, type_ in enumerate(types):
        wide = type_ is Type.V128
        if wide or type_.is_float:
            floats -= 1
            fits = floats >= 0
        else:
            integers -= 1
            fits = integers >= 0
        if fits:
            kept.append(number)
        else:
            moved.append((number, slots))
            slots += _size(type_)
    return Division(tuple(kept), tuple(moved), slots)


def _size(type_: Type) -> int:
    return 2 if type_ is Type.V128 else 1

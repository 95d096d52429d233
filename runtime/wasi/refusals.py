"""Functions that only ever refuse, because an agent has no files and no sockets.

Flags and enumerations that WASI does not define trap before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errno import BADF, INVAL, NOTSOCK, SUCCESS

ALL_RIGHTS = 1 << 30
_ATIM = 0b0011
_MTIM = 0b1100


@dataclass(frozen=True, slots=True)
class Refusal:
    """How one function refuses.

    Attributes:
        limits: (argument, first number that it must not have): flags and enumerations.
        error: the answer. socket: that answer is for open descriptors, and BADF for others.
        times: number of the argument with fstflags, where time and "now" exclude each other.
        path: number of the argument with a path's address (its length follows) that must lie in
            memory.
    """

    error: int = BADF
    limits: tuple[tuple[int, int], ...] = ()
    socket: bool = False
    times: int = -1
    path: int = -1


def make_refusal(refusal: Refusal, wide: tuple[bool, ...]) -> Callable[[int, int], int]:
    """The host function; ``wide`` says which of its arguments are i64."""
    from ..guest import HOST_TRAP, argument, argument64, below, guest_check, set_result
    from .streams import CLOSED, kind

    error, times, path = refusal.error, refusal.times, refusal.path
    # Numba cannot type a loop over an empty tuple; no i32 is as large as this.
    limits = tuple((n, limit, wide[n]) for n, limit in refusal.limits) or ((0, 1 << 32, False),)
    open_error = NOTSOCK if refusal.socket else error

    def refuse(ctx: int, slots: int) -> int:
        for number, limit, is_wide in limits:
            value = argument64(slots, number) if is_wide else argument(slots, number)
            if not below(value, limit):
                return HOST_TRAP
        answer = error if kind(ctx, argument(slots, 0)) == CLOSED else open_error
        if times >= 0:
            flags = argument(slots, times)
            if flags & _ATIM == _ATIM or flags & _MTIM == _MTIM:
                answer = INVAL
        if path >= 0:
            trap = guest_check(ctx, argument(slots, path), argument(slots, path + 1), 1)
            if trap:
                return trap
        set_result(slots, 0, answer)
        return SUCCESS

    return refuse

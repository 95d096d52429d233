"""Ends of an agent, and calls that need nothing but an answer."""

from __future__ import annotations

from ...targets.layout import Status
from ..guest import argument, set_result
from .errno import SUCCESS

_EXITED = int(Status.EXITED)


def proc_exit(ctx: int, slots: int) -> int:
    """(code): any 32-bit code, as WASI has it (wasmtime's own host takes 0 to 125 only)"""
    return _EXITED | (argument(slots, 0) << 8)


def sched_yield(ctx: int, slots: int) -> int:
    """(): an agent has no threads to yield to"""
    set_result(slots, 0, SUCCESS)
    return 0

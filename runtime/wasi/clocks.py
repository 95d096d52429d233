"""Clocks that are an input of the dispatch, and waiting for them.

An agent's clocks start at ``Job.CLOCK_NS`` in every dispatch, the monotonic one too, and move on by
one microsecond with each reading. Sleeping takes no time: it moves the agent's clocks to the
moment it would have woken at, so that a program which waits for a deadline sees it pass.
``Ctx.CLOCK_READS`` counts the microseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from ...targets.layout import Ctx, Job
from ..guest import (
    HOST_TRAP,
    argument,
    device,
    guest_check,
    guest_load8,
    guest_load32,
    guest_load64,
    guest_store8,
    guest_store16,
    guest_store32,
    guest_store64,
    job_load,
    set_result,
    state_load,
    state_store,
)
from .errno import BADF, INVAL, NOMEM, SUCCESS
from .streams import CLOSED, HOST_CALL_BYTES, STDIN, kind

_MONOTONIC = 1
_THREAD_CPUTIME = 3
_TICK_NS = 1000

_EVENT_CLOCK = 0
_EVENT_FD_READ = 1
_EVENT_FD_WRITE = 2
_EVENT_SIZE = 32
_AFTER_CLOCK_ID = 32
_ABSOLUTE = 1
_NEVER = (1 << 63) - 1


@device
def _now(ctx: int) -> int:
    return job_load(ctx, Job.CLOCK_NS) + _TICK_NS * state_load(ctx, Ctx.CLOCK_READS)


@device
def _answer(ctx: int, slots: int, pointer: int, value: int) -> int:
    trap = guest_check(ctx, pointer, 8, 8)
    if trap == 0:
        guest_store64(ctx, pointer, value)
        set_result(slots, 0, SUCCESS)
    return trap


def clock_res_get(ctx: int, slots: int) -> int:
    """(clock, result)"""
    clock = argument(slots, 0)
    if clock > _THREAD_CPUTIME:
        return HOST_TRAP
    if clock > _MONOTONIC:
        set_result(slots, 0, BADF)
        return 0
    return _answer(ctx, slots, argument(slots, 1), _TICK_NS)


def clock_time_get(ctx: int, slots: int) -> int:
    """(clock, precision, result)"""
    clock = argument(slots, 0)
    if clock > _THREAD_CPUTIME:
        return HOST_TRAP
    if clock > _MONOTONIC:
        set_result(slots, 0, BADF)
        return 0
    trap = _answer(ctx, slots, argument(slots, 2), _now(ctx))
    state_store(ctx, Ctx.CLOCK_READS, state_load(ctx, Ctx.CLOCK_READS) + 1)
    return trap


@device
def _deadline(now: int, timeout: int, flags: int) -> int:
    """When a clock subscription wakes; those after the year 2262 never do."""
    if flags & _ABSOLUTE:
        return _NEVER if timeout < 0 else timeout
    return _NEVER if timeout < 0 or timeout > _NEVER - now else now + timeout


@device
def _write_event(ctx: int, event: int, userdata: int, what: int) -> int:
    trap = guest_check(ctx, event, _EVENT_SIZE, 8)
    if trap == 0:
        guest_store64(ctx, event, userdata)
        guest_store16(ctx, event + 8, SUCCESS)
        guest_store8(ctx, event + 10, what)
        guest_store64(ctx, event + 16, 0 if what == _EVENT_CLOCK else 1)
        guest_store16(ctx, event + 24, 0)
    return trap


@device
def _inspect(ctx: int, item: int, clock_id: int, now: int) -> tuple[int, int, int]:
    """(trap, errno, deadline) of one subscription; streams have always been ready."""
    trap = guest_check(ctx, item, clock_id + _AFTER_CLOCK_ID, 8)
    if trap:
        return trap, SUCCESS, 0
    what = guest_load8(ctx, item + 8)
    if what == _EVENT_CLOCK:
        clock = guest_load32(ctx, item + clock_id)
        flags = guest_load32(ctx, item + clock_id + 24) & 0xFFFF
        if clock > _MONOTONIC or flags > _ABSOLUTE:
            return 0, INVAL, 0
        return 0, SUCCESS, _deadline(now, guest_load64(ctx, item + clock_id + 8), flags)
    if what > _EVENT_FD_WRITE:
        return 0, INVAL, 0
    stream = kind(ctx, guest_load32(ctx, item + 16))
    wrong = stream == CLOSED or (stream == STDIN) != (what == _EVENT_FD_READ)
    return 0, BADF if wrong else SUCCESS, 0


@device
def _earliest(ctx: int, items: int, count: int, clock_id: int, now: int) -> tuple[int, int, int]:
    """(trap, errno, first deadline), all subscriptions being right."""
    wake = _NEVER
    for number in range(count):
        item = items + (clock_id + _AFTER_CLOCK_ID) * number
        trap, error, deadline = _inspect(ctx, item, clock_id, now)
        if trap or error:
            return trap, error, 0
        wake = min(wake, deadline)
    return 0, SUCCESS, max(wake, now)


def make_poll(clock_id: int) -> Callable[[int, int], int]:
    """poll_oneoff for subscriptions that have the clock's id at offset ``clock_id``.

    The timeout and the flags follow it at 8 and 24 bytes, and 32 bytes end the record.
    """
    size = clock_id + _AFTER_CLOCK_ID

    def poll_oneoff(ctx: int, slots: int) -> int:
        """(subscriptions, events, count, result)"""
        items, event, count = argument(slots, 0), argument(slots, 1), argument(slots, 2)
        if count == 0 or count * (size + _EVENT_SIZE) > HOST_CALL_BYTES:
            set_result(slots, 0, NOMEM if count else INVAL)
            return 0
        now = _now(ctx)
        trap, error, wake = _earliest(ctx, items, count, clock_id, now)
        written = 0
        for number in range(count):
            if trap or error:
                break
            item = items + size * number
            trap, error, deadline = _inspect(ctx, item, clock_id, now)
            if trap == 0 and error == SUCCESS and deadline <= wake:
                userdata, what = guest_load64(ctx, item), guest_load8(ctx, item + 8)
                trap = _write_event(ctx, event + _EVENT_SIZE * written, userdata, what)
                written += 1
        if trap:
            return trap
        if error:
            set_result(slots, 0, error)
            return 0
        ticks = (wake - now + _TICK_NS - 1) // _TICK_NS
        state_store(ctx, Ctx.CLOCK_READS, state_load(ctx, Ctx.CLOCK_READS) + ticks)
        trap = guest_check(ctx, argument(slots, 3), 4, 4)
        if trap == 0:
            guest_store32(ctx, argument(slots, 3), written)
            set_result(slots, 0, SUCCESS)
        return trap

    return poll_oneoff

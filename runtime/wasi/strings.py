"""Arguments and environment: strings of the dispatch, copied into an agent that asks."""

from __future__ import annotations

from ...targets.layout import Ctx, Job
from ..guest import (
    argument,
    copy_to_guest,
    device,
    guest_check,
    guest_store32,
    job_load,
    load8,
    load64,
    set_result,
    state_load,
)
from .errno import SUCCESS

_U32 = 0xFFFFFFFF


@device
def _span(ctx: int, data_field: int, spans_field: int) -> tuple[int, int]:
    """Address and length of the agent's NUL-terminated strings."""
    span = job_load(ctx, spans_field) + 16 * state_load(ctx, Ctx.INDEX)
    return job_load(ctx, data_field) + load64(span), load64(span + 8)


@device
def _sizes(ctx: int, slots: int, data_field: int, spans_field: int) -> int:
    address, length = _span(ctx, data_field, spans_field)
    count = 0
    for offset in range(length):
        if load8(address + offset) == 0:
            count += 1
    for number, value in ((0, count), (1, length)):
        pointer = argument(slots, number)
        trap = guest_check(ctx, pointer, 4, 4)
        if trap:
            return trap
        guest_store32(ctx, pointer, value)
    set_result(slots, 0, SUCCESS)
    return 0


@device
def _get(ctx: int, slots: int, data_field: int, spans_field: int) -> int:
    """Write a pointer to each string, and the strings, one after another."""
    address, length = _span(ctx, data_field, spans_field)
    pointer, to = argument(slots, 0), argument(slots, 1)
    start = 0
    for offset in range(length):
        if load8(address + offset):
            continue
        size = offset + 1 - start
        trap = guest_check(ctx, pointer, 4, 4)
        if trap:
            return trap
        guest_store32(ctx, pointer, to & _U32)
        trap = guest_check(ctx, to, size, 1)
        if trap:
            return trap
        copy_to_guest(ctx, to, address + start, size)
        pointer, to, start = pointer + 4, to + size, offset + 1
    set_result(slots, 0, SUCCESS)
    return 0


def args_sizes_get(ctx: int, slots: int) -> int:
    """(count, size)"""
    return _sizes(ctx, slots, Job.ARGV, Job.ARGV_SPANS)


def args_get(ctx: int, slots: int) -> int:
    """(pointers, strings)"""
    return _get(ctx, slots, Job.ARGV, Job.ARGV_SPANS)


def environ_sizes_get(ctx: int, slots: int) -> int:
    """(count, size)"""
    return _sizes(ctx, slots, Job.ENVIRON, Job.ENVIRON_SPANS)


def environ_get(ctx: int, slots: int) -> int:
    """(pointers, strings)"""
    return _get(ctx, slots, Job.ENVIRON, Job.ENVIRON_SPANS)

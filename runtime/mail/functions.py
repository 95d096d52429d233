"""What agents call: host functions over the mail of a dispatch (see ``layout.MailRow``).

Bytes that are named must lie in the agent's memory, whatever else becomes of the call: a wrong
pointer ends the agent, as one in a load does, and not only when there is mail.
"""

from __future__ import annotations

from ...targets.layout import Ctx, Job, MailRow
from ..guest import (
    argument,
    copy_from_guest,
    copy_to_guest,
    device,
    guest_check,
    job_load,
    load64,
    set_result,
    state_load,
    store64,
)
from .codes import FULL, NO_MESSAGE, NO_SUCH_AGENT, SENT, TOO_LONG

_LOW = 0xFFFF_FFFF
_ROW_SIZE = int(MailRow.END)


@device
def _row(ctx: int) -> int:
    """Address of the agent's row."""
    return job_load(ctx, Job.MAIL_ROWS) + _ROW_SIZE * state_load(ctx, Ctx.INDEX)


@device
def _count(row: int, field: int) -> None:
    store64(row + field, load64(row + field) + 1)


@device
def _next(ctx: int, row: int) -> int:
    """The word of the message that is to be received next; -1: there is none."""
    received = load64(row + MailRow.RECEIVED)
    if received >= load64(row + MailRow.COUNT):
        return -1
    return load64(job_load(ctx, Job.MAIL_ENTRIES) + 8 * (load64(row + MailRow.FIRST) + received))


@device
def _is_peer(ctx: int, row: int, id: int) -> bool:
    """Whether the agent may write to another."""
    peers = job_load(ctx, Job.PEERS) + 8 * load64(row + MailRow.PEERS)
    low, high = 0, load64(row + MailRow.PEER_COUNT)
    if high == 0:
        return False
    likely = id - load64(peers)  # ids follow each other in most cases
    if likely >= 0 and likely < high and load64(peers + 8 * likely) == id:
        return True
    while low < high:
        middle = (low + high) >> 1
        if load64(peers + 8 * middle) < id:
            low = middle + 1
        else:
            high = middle
    return low < load64(row + MailRow.PEER_COUNT) and load64(peers + 8 * low) == id


def mail_id(ctx: int, slots: int) -> int:
    """(): the agent's id"""
    set_result(slots, 0, state_load(ctx, Ctx.AGENT))
    return 0


def mail_peers(ctx: int, slots: int) -> int:
    """(): how many agents it may write to, itself among them"""
    set_result(slots, 0, load64(_row(ctx) + MailRow.PEER_COUNT))
    return 0


def mail_peer(ctx: int, slots: int) -> int:
    """(number): the id of one of them, in ascending order"""
    row, number = _row(ctx), argument(slots, 0)
    found = -1
    if number < load64(row + MailRow.PEER_COUNT):
        found = load64(job_load(ctx, Job.PEERS) + 8 * (load64(row + MailRow.PEERS) + number))
    set_result(slots, 0, found)
    return 0


def mail_pending(ctx: int, slots: int) -> int:
    """(): how many messages wait"""
    row = _row(ctx)
    set_result(slots, 0, load64(row + MailRow.COUNT) - load64(row + MailRow.RECEIVED))
    return 0


def mail_length(ctx: int, slots: int) -> int:
    """(): bytes of the message that is to be received next"""
    entry = _next(ctx, _row(ctx))
    set_result(slots, 0, NO_MESSAGE if entry < 0 else entry >> 32)
    return 0


def mail_sender(ctx: int, slots: int) -> int:
    """(): who sent the message that was received last in this dispatch"""
    set_result(slots, 0, load64(_row(ctx) + MailRow.SENDER))
    return 0


def mail_undelivered(ctx: int, slots: int) -> int:
    """(): how many messages that it sent when it ran last found no room"""
    set_result(slots, 0, load64(_row(ctx) + MailRow.UNDELIVERED))
    return 0


def mail_recv(ctx: int, slots: int) -> int:
    """(address, capacity): takes the next message"""
    address, capacity = argument(slots, 0), argument(slots, 1)
    trap = guest_check(ctx, address, capacity, 1)
    if trap:
        return trap
    row = _row(ctx)
    entry = _next(ctx, row)
    length = entry >> 32
    if entry < 0:
        set_result(slots, 0, NO_MESSAGE)
        return 0
    if length > capacity:
        set_result(slots, 0, TOO_LONG)
        return 0
    place = load64(row + MailRow.PLACE)
    copy_to_guest(ctx, address, job_load(ctx, Job.MAIL_DATA) + 8 * place, length)
    store64(row + MailRow.PLACE, place + ((length + 7) >> 3))
    store64(row + MailRow.SENDER, entry & _LOW)
    _count(row, MailRow.RECEIVED)
    set_result(slots, 0, length)
    return 0


def mail_send(ctx: int, slots: int) -> int:
    """(to, address, length): puts a message into the outbox"""
    to, address, length = argument(slots, 0), argument(slots, 1), argument(slots, 2)
    trap = guest_check(ctx, address, length, 1)
    if trap:
        return trap
    row = _row(ctx)
    size = job_load(ctx, Job.OUTBOX_SIZE)
    padded = (length + 7) & ~7
    used, sent = load64(row + MailRow.SENT_BYTES), load64(row + MailRow.SENT)
    if padded + 8 > size:
        _count(row, MailRow.TOO_LONG)
        set_result(slots, 0, TOO_LONG)
    elif not _is_peer(ctx, row, to):
        _count(row, MailRow.UNKNOWN)
        set_result(slots, 0, NO_SUCH_AGENT)
    elif used + padded + 8 * (sent + 1) > size:
        _count(row, MailRow.FULL)
        set_result(slots, 0, FULL)
    else:
        slot = load64(job_load(ctx, Job.SLOTS) + 8 * state_load(ctx, Ctx.INDEX))
        box = job_load(ctx, Job.OUTBOX) + slot * size
        copy_from_guest(ctx, box + used, address, length)
        store64(box + size - 8 * (sent + 1), to | length << 32)
        store64(row + MailRow.SENT_BYTES, used + padded)
        store64(row + MailRow.SENT, sent + 1)
        set_result(slots, 0, SENT)
    return 0

"""The three descriptors of an agent: standard input, output and error."""

from __future__ import annotations

from ...targets.layout import Ctx, Job
from ..guest import (
    HOST_TRAP,
    argument,
    copy_from_guest,
    copy_to_guest,
    device,
    guest_check,
    guest_load32,
    guest_store8,
    guest_store16,
    guest_store32,
    guest_store64,
    job_load,
    load64,
    set_result,
    state_load,
    state_store,
)
from .errno import BADF, INTR, NOMEM, NOTDIR, SPIPE, SUCCESS

CLOSED = 0
STDIN = 1
STDOUT = 2
STDERR = 3

# What a descriptor is: two bits each in Ctx.FLAGS from this bit on, xored with what it is at
# first, so that a state block of zeros has the three streams open.
_KINDS_BIT = 8

_RIGHT_FD_READ = 1 << 1
_RIGHT_FD_WRITE = 1 << 6
_FDSTAT_SIZE = 24
_FILESTAT_SIZE = 64
_FILESTAT_SIZE_UNSTABLE = 56
_IOVEC_SIZE = 8
_WHENCE_LAST = 2

# wasmtime's bound on what one host call may copy
HOST_CALL_BYTES = 128 << 20


@device
def kind(ctx: int, fd: int) -> int:
    """What descriptor ``fd`` is at this moment."""
    if fd > 2:
        return CLOSED
    return ((state_load(ctx, Ctx.FLAGS) >> (_KINDS_BIT + 2 * fd)) & 3) ^ (fd + 1)


@device
def set_kind(ctx: int, fd: int, value: int) -> None:
    shift = _KINDS_BIT + 2 * fd
    flags = state_load(ctx, Ctx.FLAGS) & ~(3 << shift)
    state_store(ctx, Ctx.FLAGS, flags | ((value ^ (fd + 1)) << shift))


@device
def _first_buffer(ctx: int, iovecs: int, count: int) -> tuple[int, int, int, int]:
    """First buffer that is not empty: (trap, errno, address, length)."""
    if count * _IOVEC_SIZE > HOST_CALL_BYTES:
        return 0, NOMEM, 0, 0
    for number in range(count):
        iovec = iovecs + _IOVEC_SIZE * number
        trap = guest_check(ctx, iovec, _IOVEC_SIZE, 4)
        if trap:
            return trap, SUCCESS, 0, 0
        length = guest_load32(ctx, iovec + 4)
        if length:
            if length > HOST_CALL_BYTES - count * _IOVEC_SIZE:
                return 0, NOMEM, 0, 0
            return 0, SUCCESS, guest_load32(ctx, iovec), length
    return 0, SUCCESS, 0, 0


@device
def _append(ctx: int, stream: int, address: int, length: int) -> None:
    """Keep what fits of a write; the count says how much there would have been."""
    count_field = Ctx.OUT_LEN if stream == STDOUT else Ctx.ERR_LEN
    buffer_field = Job.OUTPUT if stream == STDOUT else Job.ERRORS
    written = state_load(ctx, count_field)
    size = job_load(ctx, Job.OUTPUT_SIZE)
    kept = min(length, size - written)
    if kept > 0:
        slot = load64(job_load(ctx, Job.SLOTS) + 8 * state_load(ctx, Ctx.INDEX))
        copy_from_guest(ctx, job_load(ctx, buffer_field) + slot * size + written, address, kept)
    state_store(ctx, count_field, written + length)


@device
def _store_size(ctx: int, slots: int, pointer: int, value: int) -> int:
    trap = guest_check(ctx, pointer, 4, 4)
    if trap == 0:
        guest_store32(ctx, pointer, value)
        set_result(slots, 0, SUCCESS)
    return trap


def fd_write(ctx: int, slots: int) -> int:
    """(fd, iovecs, count, result)"""
    trap, error, address, length = _first_buffer(ctx, argument(slots, 1), argument(slots, 2))
    if trap:
        return trap
    stream = kind(ctx, argument(slots, 0))
    if error == SUCCESS and stream != STDOUT and stream != STDERR:
        error = BADF
    if error:
        set_result(slots, 0, error)
        return 0
    if length:
        trap = guest_check(ctx, address, length, 1)
        if trap:
            return trap
        _append(ctx, stream, address, length)
    return _store_size(ctx, slots, argument(slots, 3), length)


def fd_pwrite(ctx: int, slots: int) -> int:
    """(fd, iovecs, count, offset, result)"""
    trap, error, _, _ = _first_buffer(ctx, argument(slots, 1), argument(slots, 2))
    if trap:
        return trap
    stream = kind(ctx, argument(slots, 0))
    if error == SUCCESS:
        error = SPIPE if stream == STDOUT or stream == STDERR else BADF
    set_result(slots, 0, error)
    return 0


def fd_read(ctx: int, slots: int) -> int:
    """(fd, iovecs, count, result)"""
    trap, error, address, length = _first_buffer(ctx, argument(slots, 1), argument(slots, 2))
    if trap:
        return trap
    if error == SUCCESS and kind(ctx, argument(slots, 0)) != STDIN:
        error = BADF
    span = job_load(ctx, Job.STDIN_SPANS) + 16 * state_load(ctx, Ctx.INDEX)
    position = state_load(ctx, Ctx.STDIN_POS)
    left = load64(span + 8) - position
    if error == SUCCESS and length == 0 and left > 0:
        error = INTR
    if error:
        set_result(slots, 0, error)
        return 0
    taken = min(length, left)
    if taken > 0:
        trap = guest_check(ctx, address, taken, 1)
        if trap:
            return trap
        copy_to_guest(ctx, address, job_load(ctx, Job.STDIN) + load64(span) + position, taken)
        state_store(ctx, Ctx.STDIN_POS, position + taken)
    return _store_size(ctx, slots, argument(slots, 3), taken)


def fd_pread(ctx: int, slots: int) -> int:
    """(fd, iovecs, count, offset, result)"""
    trap, error, _, _ = _first_buffer(ctx, argument(slots, 1), argument(slots, 2))
    if trap:
        return trap
    if error == SUCCESS:
        error = SPIPE if kind(ctx, argument(slots, 0)) == STDIN else BADF
    set_result(slots, 0, error)
    return 0


def fd_close(ctx: int, slots: int) -> int:
    """(fd)"""
    fd = argument(slots, 0)
    if kind(ctx, fd) == CLOSED:
        set_result(slots, 0, BADF)
        return 0
    set_kind(ctx, fd, CLOSED)
    set_result(slots, 0, SUCCESS)
    return 0


def fd_renumber(ctx: int, slots: int) -> int:
    """(from, to): both must be open"""
    source, to = argument(slots, 0), argument(slots, 1)
    what = kind(ctx, source)
    if what == CLOSED or kind(ctx, to) == CLOSED:
        set_result(slots, 0, BADF)
        return 0
    set_kind(ctx, source, CLOSED)
    set_kind(ctx, to, what)
    set_result(slots, 0, SUCCESS)
    return 0


def fd_seek(ctx: int, slots: int) -> int:
    """(fd, offset, whence, result): streams cannot be positioned"""
    if argument(slots, 2) > _WHENCE_LAST:
        return HOST_TRAP
    return fd_tell(ctx, slots)


@device
def fd_tell(ctx: int, slots: int) -> int:
    """(fd, result)"""
    set_result(slots, 0, BADF if kind(ctx, argument(slots, 0)) == CLOSED else SPIPE)
    return 0


def fd_prestat_dir_name(ctx: int, slots: int) -> int:
    """(fd, path, length): no directory is open"""
    set_result(slots, 0, BADF if kind(ctx, argument(slots, 0)) == CLOSED else NOTDIR)
    return 0


def fd_fdstat_get(ctx: int, slots: int) -> int:
    """(fd, result): streams are no terminals, and their file type is unknown"""
    stream, pointer = kind(ctx, argument(slots, 0)), argument(slots, 1)
    if stream == CLOSED:
        set_result(slots, 0, BADF)
        return 0
    trap = guest_check(ctx, pointer, _FDSTAT_SIZE, 8)
    if trap:
        return trap
    rights = _RIGHT_FD_READ if stream == STDIN else _RIGHT_FD_WRITE
    guest_store8(ctx, pointer, 0)
    guest_store16(ctx, pointer + 2, 0)
    guest_store64(ctx, pointer + 8, rights)
    guest_store64(ctx, pointer + 16, rights)
    set_result(slots, 0, SUCCESS)
    return 0


def fd_filestat_get(ctx: int, slots: int) -> int:
    """(fd, result): nothing but zeros is known of a stream"""
    pointer = argument(slots, 1)
    if kind(ctx, argument(slots, 0)) == CLOSED:
        set_result(slots, 0, BADF)
        return 0
    trap = guest_check(ctx, pointer, _FILESTAT_SIZE, 8)
    if trap:
        return trap
    guest_store8(ctx, pointer + 16, 0)
    for offset in (0, 8, 24, 32, 40, 48, 56):
        guest_store64(ctx, pointer + offset, 0)
    set_result(slots, 0, SUCCESS)
    return 0


def fd_filestat_get_unstable(ctx: int, slots: int) -> int:
    """The same for ``wasi_unstable``, where ``nlink`` has 32 bits."""
    pointer = argument(slots, 1)
    if kind(ctx, argument(slots, 0)) == CLOSED:
        set_result(slots, 0, BADF)
        return 0
    trap = guest_check(ctx, pointer, _FILESTAT_SIZE_UNSTABLE, 8)
    if trap:
        return trap
    guest_store8(ctx, pointer + 16, 0)
    guest_store32(ctx, pointer + 20, 0)
    for offset in (0, 8, 24, 32, 40, 48):
        guest_store64(ctx, pointer + offset, 0)
    set_result(slots, 0, SUCCESS)
    return 0

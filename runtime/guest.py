"""What host functions touch an agent with: its memory, its state block, the dispatch's record.

Host functions are plain Python functions ``f(ctx, slots) -> status`` that Numba compiles. They
reach memory only through the names in ``ACCESSORS``, so that they work wherever an agent's bytes
lie: the first two fields of the state block say so (see :mod:`..targets.addressing`).

Everything is a 64-bit integer: mixing in unsigned ones would make Numba compute in floating point.
Comparisons that must be unsigned are accessors, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from ..ir.types import Trap
from ..targets.addressing import GROUP
from ..targets.layout import Ctx

_F = TypeVar("_F", bound=Callable[..., Any])
_Codegen = Callable[[Any, Any, Any, Any], Any]

_I64 = ir.IntType(64)
_INT = types.int64

OUT_OF_BOUNDS = int(Trap.MEMORY_OUT_OF_BOUNDS)
HOST_TRAP = int(Trap.HOST)


def device(function: _F) -> _F:
    """Mark a Python function as one that host functions may call."""
    marked: _F = register_jitable(function)
    return marked


def _load(bits: int, align: int = 1) -> Callable[[int], int]:
    """Accessor: the unsigned integer of ``bits`` at an absolute address, a multiple of ``align``.

    A GPU loads byte by byte what is not known to be aligned.
    """

    def load(typing: Any, address: Any) -> tuple[Any, _Codegen]:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=align)
            return value if bits == 64 else builder.zext(value, _I64)

        return _INT(_INT), generate

    return cast(Callable[[int], int], intrinsic(load))


def _store(bits: int, align: int = 1) -> Callable[[int, int], None]:
    """Accessor: store the low ``bits`` of a value at an absolute address, see :func:`_load`."""

    def store(typing: Any, address: Any, value: Any) -> tuple[Any, _Codegen]:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = args[1] if bits == 64 else builder.trunc(args[1], ir.IntType(bits))
            builder.store(value, pointer, align=align)
            return context.get_dummy_value()

        return types.void(_INT, _INT), generate

    return cast(Callable[[int, int], None], intrinsic(store))


_raw_memcpy: Any = cgutils.raw_memcpy


def _copy_bytes(typing: Any, to: Any, source: Any, length: Any) -> tuple[Any, _Codegen]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        ends = [builder.inttoptr(address, pointer) for address in args[:2]]
        _raw_memcpy(builder, *ends, args[2], 1)
        return context.get_dummy_value()

    return types.void(_INT, _INT, _INT), generate


def _below(typing: Any, left: Any, right: Any) -> tuple[Any, _Codegen]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_unsigned("<", args[0], args[1])

    return types.boolean(_INT, _INT), generate


load8 = _load(8)
load32 = _load(32, 4)
load64 = _load(64, 8)
store8 = _store(8)
store64 = _store(64, 8)
copy_bytes = cast(Callable[[int, int, int], None], intrinsic(_copy_bytes))
below = cast(Callable[[int, int], bool], intrinsic(_below))

_load16, _load32, _load64 = _load(16), _load(32), _load(64)
_store16, _store32, _store64 = _store(16), _store(32), _store(64)


@device
def state_load(ctx: int, field: int) -> int:
    """A field of the state block's header (see ``layout.Ctx``)."""
    return load64(ctx + field * load64(ctx + Ctx.SCALE))


@device
def state_store(ctx: int, field: int, value: int) -> None:
    store64(ctx + field * load64(ctx + Ctx.SCALE), value)


@device
def job_load(ctx: int, field: int) -> int:
    """A field of the record of the dispatch (see ``layout.Job``)."""
    return load64(state_load(ctx, Ctx.JOB) + field)


@device
def guest_check(ctx: int, address: int, length: int, alignment: int) -> int:
    """0 if the bytes lie in the agent's memory, else the trap as a status word.

    WASI makes a misaligned pointer a trap, as well as one out of bounds.
    """
    size = state_load(ctx, Ctx.MEM_SIZE)
    if below(size, length) or below(size - length, address):
        return OUT_OF_BOUNDS
    if address & (alignment - 1):
        return HOST_TRAP
    return 0


@device
def _place(ctx: int, address: int) -> int:
    """Absolute address of a byte of the agent's memory."""
    mask = state_load(ctx, Ctx.CELL_MASK)
    return state_load(ctx, Ctx.MEM_BASE) + address + (GROUP - 1) * (address & mask)


@device
def _together(ctx: int, address: int, width: int) -> bool:
    """Whether the bytes of an access lie together: in a flat memory, or in one cell."""
    mask = state_load(ctx, Ctx.CELL_MASK)
    return (address & mask) == ((address + width - 1) & mask)


@device
def guest_load8(ctx: int, address: int) -> int:
    """Guest accesses are unchecked: call :func:`guest_check` first."""
    return load8(_place(ctx, address))


@device
def guest_load16(ctx: int, address: int) -> int:
    if _together(ctx, address, 2):
        return _load16(_place(ctx, address))
    return guest_load8(ctx, address) | guest_load8(ctx, address + 1) << 8


@device
def guest_load32(ctx: int, address: int) -> int:
    if _together(ctx, address, 4):
        return _load32(_place(ctx, address))
    return guest_load16(ctx, address) | guest_load16(ctx, address + 2) << 16


@device
def guest_load64(ctx: int, address: int) -> int:
    if _together(ctx, address, 8):
        return _load64(_place(ctx, address))
    return guest_load32(ctx, address) | guest_load32(ctx, address + 4) << 32


@device
def guest_store8(ctx: int, address: int, value: int) -> None:
    store8(_place(ctx, address), value)


@device
def guest_store16(ctx: int, address: int, value: int) -> None:
    if _together(ctx, address, 2):
        _store16(_place(ctx, address), value)
    else:
        guest_store8(ctx, address, value)
        guest_store8(ctx, address + 1, value >> 8)


@device
def guest_store32(ctx: int, address: int, value: int) -> None:
    if _together(ctx, address, 4):
        _store32(_place(ctx, address), value)
    else:
        guest_store16(ctx, address, value)
        guest_store16(ctx, address + 2, value >> 16)


@device
def guest_store64(ctx: int, address: int, value: int) -> None:
    if _together(ctx, address, 8):
        _store64(_place(ctx, address), value)
    else:
        guest_store32(ctx, address, value)
        guest_store32(ctx, address + 4, value >> 32)


@device
def _run(ctx: int, address: int, length: int) -> int:
    """How many of the bytes from ``address`` on lie together: to the end of a cell at most."""
    mask = state_load(ctx, Ctx.CELL_MASK)
    return length if mask == 0 else min(length, (address & mask) - mask - address)


@device
def copy_to_guest(ctx: int, address: int, source: int, length: int) -> None:
    """Copy host bytes at the absolute address ``source`` into the agent's memory."""
    while length > 0:
        count = _run(ctx, address, length)
        copy_bytes(_place(ctx, address), source, count)
        address, source, length = address + count, source + count, length - count


@device
def copy_from_guest(ctx: int, to: int, address: int, length: int) -> None:
    """Copy bytes of the agent's memory to the absolute address ``to``."""
    while length > 0:
        count = _run(ctx, address, length)
        copy_bytes(to, _place(ctx, address), count)
        address, to, length = address + count, to + count, length - count


@device
def argument(slots: int, number: int) -> int:
    """An i32 argument, unsigned (the upper half of its slot means nothing)."""
    return load32(slots + 8 * number)


@device
def argument64(slots: int, number: int) -> int:
    """An i64 argument, or the bit pattern of an f64."""
    return load64(slots + 8 * number)


@device
def set_result(slots: int, number: int, value: int) -> None:
    store64(slots + 8 * number, value)


ACCESSORS = (
    load8, load32, load64, store8, store64, copy_bytes, state_load, state_store, job_load,
    guest_check, guest_load8, guest_load16, guest_load32, guest_load64, guest_store8, guest_store16,
    guest_store32, guest_store64, copy_to_guest, copy_from_guest, argument, argument64, set_result,
)  # fmt: skip

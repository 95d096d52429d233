"""The functions that Binaryen's generated modules import, to say what they compute.

``fuzzing-support.log-i32`` and its kind take a value and keep it in the agent's standard output: a
byte for the type, then the value's bytes. So the order of the calls is compared, too. Functions
that would call back into the module are not provided: they trap as missing imports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...ir.machine import HostCall
from ...ir.state import AgentState
from ...ir.types import FuncType, Type
from ...targets.layout import Ctx, Job
from ..hosts import Implementation, Registration, provide

MODULE = "fuzzing-support"

#: Bytes kept of what one call of an entry point logs, and so of every stream.
LOG_SIZE = 1 << 16

_TYPES = (Type.I32, Type.I64, Type.F32, Type.F64, Type.V128)
LOGS: dict[str, Type] = {f"log-{type_.value}": type_ for type_ in _TYPES}


def logged(module: str, name: str, type_: FuncType) -> Type | None:
    """Type of what an imported function logs; None if it is not one that does."""
    found = LOGS.get(name) if module == MODULE else None
    return found if found is not None and type_ == FuncType((found,), ()) else None


def is_log(module: str, name: str, type_: FuncType) -> bool:
    """Whether an imported function logs its argument."""
    return logged(module, name, type_) is not None


def record(type_: Type, bits: int) -> bytes:
    """What a call leaves in the log."""
    return bytes([_TYPES.index(type_)]) + bits.to_bytes(type_.bits // 8, "little")


def interpreted(log: Callable[[bytes], None]) -> dict[tuple[str, str], HostCall]:
    """The functions for the IR interpreter; ``log`` takes each record."""
    def call(type_: Type, state: AgentState, args: list[int]) -> tuple[int, ...]:
        log(record(type_, args[0]))
        return ()

    return {(MODULE, name): partial(call, type_) for name, type_ in LOGS.items()}


def install() -> None:
    """Make the functions known to everything that this process compiles."""
    for name, type_ in LOGS.items():
        provide(MODULE, name, Registration(FuncType((type_,), ()), f"{MODULE} {name}",
                                           partial(_make_log, type_)))


def _make_log(type_: Type) -> Implementation:
    """The host function, as Numba compiles it."""
    from ..guest import job_load, load8, load64, state_load, state_store, store8

    tag, size = _TYPES.index(type_), type_.bits // 8

    def log(ctx: int, slots: int) -> int:
        written = state_load(ctx, Ctx.OUT_LEN)
        limit = job_load(ctx, Job.OUTPUT_SIZE)
        slot = load64(job_load(ctx, Job.SLOTS) + 8 * state_load(ctx, Ctx.INDEX))
        buffer = job_load(ctx, Job.OUTPUT) + slot * limit
        if written < limit:
            store8(buffer + written, tag)
        for place in range(size):
            if written + 1 + place < limit:
                store8(buffer + written + 1 + place, load8(slots + place))
        state_store(ctx, Ctx.OUT_LEN, written + 1 + size)
        return 0

    return log

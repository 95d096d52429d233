"""Compiled programs: whether one may be used, and into memory with it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ArgumentError, TargetError
from ..targets.addressing import MemoryLayout
from ..targets.base import Kernel, Target
from ..targets.executable import Executable
from .cache import Cache
from .host_api import HostFunction


def check_usable(
    executable: Executable, target: Target, call_depth: int | None, layout: MemoryLayout | None
) -> None:
    """Refuse a program that was compiled for something else than it is to be used for.

    Raises:
        TargetError: for another machine or another version.
        ArgumentError: for another call depth or layout; None: any will do.
    """
    if executable.fingerprint != target.fingerprint():
        raise TargetError(
            f"the program was compiled for {executable.fingerprint!r},"
            f" this is {target.fingerprint()!r}",
            hint="compile it again on this machine",
        )
    if call_depth not in (None, executable.call_depth):
        raise ArgumentError(
            f"the program was compiled for a call_depth of {executable.call_depth},"
            f" not {call_depth}"
        )
    if layout not in (None, executable.layout.memory_layout):
        raise ArgumentError(
            f"the program was compiled for the layout {executable.layout.memory_layout},"
            f" not {layout}"
        )


def load_kernel(
    executable: Executable, target: Target, cache: Cache | None,
    users: Sequence[HostFunction] = (), *, trace: bool = False,
) -> Kernel:  # fmt: skip
    """Load a program together with the host functions that it needs.

    Args:
        users: those of the user's own.
        trace: whether they are to note how they are called.

    Raises:
        LinkError: one that it needs is missing, or has another type.
        TargetError: those that the program contains note nothing.
    """
    addresses: list[int] = []
    if executable.hosts and not target.embeds_hosts:
        from .hosts import resolve  # host functions are compiled when they are needed

        addresses = resolve(executable.hosts, users=users, cache=cache, trace=trace)
    elif executable.hosts and trace and not executable.traced:
        raise TargetError(
            "the program was compiled without a trace of host calls, and contains its host"
            " functions", hint="load the module that it was made from",
        )  # fmt: skip
    return target.load(executable, addresses)

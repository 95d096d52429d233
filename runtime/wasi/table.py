"""Every function of WASI preview 1: its type, and where it is written. Imports no Numba.

``wasi_unstable`` (preview 0) has the same functions but for ``sock_accept``, and two of them lay
their records out in another way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from ...ir.types import FuncType, Type
from .errno import NOTSUP
from .refusals import ALL_RIGHTS, Refusal, make_refusal

PREVIEW1 = "wasi_snapshot_preview1"
UNSTABLE = "wasi_unstable"

_TYPES = {"i": Type.I32, "I": Type.I64}


@dataclass(frozen=True, slots=True)
class Poll:
    """A ``poll_oneoff``: where a subscription has the clock's id."""

    clock_id: int


Home = str | Refusal | Poll


_LOOKUP = (1, 2)

# name: (parameters: i is i32, I is i64; "module.function" it is, or how it refuses)
_ROWS: dict[str, tuple[str, Home]] = {
    "args_get": ("ii", "strings.args_get"),
    "args_sizes_get": ("ii", "strings.args_sizes_get"),
    "clock_res_get": ("ii", "clocks.clock_res_get"),
    "clock_time_get": ("iIi", "clocks.clock_time_get"),
    "environ_get": ("ii", "strings.environ_get"),
    "environ_sizes_get": ("ii", "strings.environ_sizes_get"),
    "fd_advise": ("iIIi", Refusal(limits=((3, 6),))),
    "fd_allocate": ("iII", Refusal()),
    "fd_close": ("i", "streams.fd_close"),
    "fd_datasync": ("i", Refusal()),
    "fd_fdstat_get": ("ii", "streams.fd_fdstat_get"),
    "fd_fdstat_set_flags": ("ii", Refusal(limits=((1, 32),))),
    "fd_fdstat_set_rights": ("iII", Refusal(limits=((1, ALL_RIGHTS), (2, ALL_RIGHTS)))),
    "fd_filestat_get": ("ii", "streams.fd_filestat_get"),
    "fd_filestat_set_size": ("iI", Refusal()),
    "fd_filestat_set_times": ("iIIi", Refusal(limits=((3, 16),), times=3)),
    "fd_pread": ("iiiIi", "streams.fd_pread"),
    "fd_prestat_dir_name": ("iii", "streams.fd_prestat_dir_name"),
    "fd_prestat_get": ("ii", Refusal()),
    "fd_pwrite": ("iiiIi", "streams.fd_pwrite"),
    "fd_read": ("iiii", "streams.fd_read"),
    "fd_readdir": ("iiiIi", Refusal()),
    "fd_renumber": ("ii", "streams.fd_renumber"),
    "fd_seek": ("iIii", "streams.fd_seek"),
    "fd_sync": ("i", Refusal()),
    "fd_tell": ("ii", "streams.fd_tell"),
    "fd_write": ("iiii", "streams.fd_write"),
    "path_create_directory": ("iii", Refusal()),
    "path_filestat_get": ("iiiii", Refusal(limits=(_LOOKUP,))),
    "path_filestat_set_times": ("iiiiIIi", Refusal(limits=(_LOOKUP, (6, 16)), times=6)),
    "path_link": ("iiiiiii", Refusal(limits=(_LOOKUP,))),
    "path_open": ("iiiiiIIii", Refusal(
        limits=(_LOOKUP, (4, 16), (5, ALL_RIGHTS), (6, ALL_RIGHTS), (7, 32)), path=2)),
    "path_readlink": ("iiiiii", Refusal()),
    "path_remove_directory": ("iii", Refusal()),
    "path_rename": ("iiiiii", Refusal()),
    "path_symlink": ("iiiii", Refusal()),
    "path_unlink_file": ("iii", Refusal()),
    "poll_oneoff": ("iiii", Poll(clock_id=16)),
    "proc_exit": ("i", "process.proc_exit"),
    "proc_raise": ("i", Refusal(NOTSUP, limits=((0, 31),))),
    "random_get": ("ii", "random.random_get"),
    "sched_yield": ("", "process.sched_yield"),
    "sock_accept": ("iii", Refusal(limits=((1, 32),), socket=True)),
    "sock_recv": ("iiiiii", Refusal(limits=((3, 4),), socket=True)),
    "sock_send": ("iiiii", Refusal(limits=((3, 1 << 16),), socket=True)),
    "sock_shutdown": ("ii", Refusal(limits=((1, 4),), socket=True)),
}

_UNSTABLE_ROWS: dict[str, tuple[str, Home]] = {
    **{name: row for name, row in _ROWS.items() if name != "sock_accept"},
    "fd_filestat_get": ("ii", "streams.fd_filestat_get_unstable"),
    "poll_oneoff": ("iiii", Poll(clock_id=24)),
}

MODULES = {PREVIEW1: _ROWS, UNSTABLE: _UNSTABLE_ROWS}


def signature(module: str, name: str) -> FuncType | None:
    """Type of a WASI function, or None if there is none of that name."""
    row = MODULES.get(module, {}).get(name)
    if row is None:
        return None
    results = () if name == "proc_exit" else (Type.I32,)
    return FuncType(tuple(_TYPES[letter] for letter in row[0]), results)


def implementation(module: str, name: str) -> str:
    """Name of what a WASI function is: functions that are the same machine code share it."""
    letters, home = MODULES[module][name]
    if isinstance(home, Refusal):
        wide = "".join(letters[number] for number, _ in home.limits)
        return f"refuse {home} {wide}"
    return f"poll_oneoff {home}" if isinstance(home, Poll) else home


def build(module: str, name: str) -> Callable[[int, int], int]:
    """The Python function that Numba compiles to be this WASI function."""
    letters, home = MODULES[module][name]
    if isinstance(home, Refusal):
        return make_refusal(home, tuple(letter == "I" for letter in letters))
    if isinstance(home, Poll):
        from .clocks import make_poll

        return make_poll(home.clock_id)
    file, _, attribute = home.partition(".")
    function: Callable[[int, int], int] = getattr(
        importlib.import_module(f"{__package__}.{file}"), attribute
    )
    return function

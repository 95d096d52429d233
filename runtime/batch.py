"""What each agent of a dispatch runs, and with what: arrays by place in the dispatch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..targets.base import DeviceColumn, Dispatch, Int64s, Strings, Uint64s
from . import inputs, values
from .agents import NO_ENTRY
from .arrays import Columns, columns_of, is_foreign, to_array
from .checks import check_clock, check_fuel, check_seed, to_list
from .device_arguments import split_arguments
from .inputs import InputColumn
from .program import Program

Int32s = NDArray[np.int32]
InputStrings = list[tuple[InputColumn, bytes | list[bytes]]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """WASI inputs and initial memory as a caller gave them; None: not given."""

    stdin: Any = None
    argv: Any = None
    env: Any = None
    memory_init: Any = None

    def encode(self, program: Program, count: int) -> InputStrings:
        """The strings of ``count`` agents, with the columns of the agent table they are for.

        Raises:
            ArgumentError: something has a wrong type, or memory_init is too large.
        """
        table = program.table
        found: InputStrings = []
        if self.stdin is not None:
            found.append((table.stdin, inputs.each_data(self.stdin, count, "stdin")))
        if self.argv is not None:
            found.append((table.argv, inputs.each_argv(self.argv, count)))
        if self.env is not None:
            found.append((table.env, inputs.each_env(self.env, count)))
        if self.memory_init is not None:
            init = inputs.each_data(self.memory_init, count, "memory_init")
            size = len(init) if isinstance(init, bytes) else max(map(len, init), default=0)
            if size > program.initial_memory:
                raise ArgumentError(
                    f"memory_init has {size} bytes,"
                    f" an agent's memory starts with {program.initial_memory}"
                )
            found.append((table.memory_init, init))
        return found

    def strings(self, program: Program, slots: Int64s) -> tuple[Strings, Strings, Strings]:
        """Standard input, arguments and environment for a dispatch: these, or the agents' own."""
        table, count = program.table, len(slots)
        if not program.executable.hosts:  # nobody can ask for them
            none = inputs.pack_strings(b"", count)
            return none, none, none
        given = {id(column): string for column, string in self.encode(program, count)}

        def strings(column: InputColumn) -> Strings:
            if id(column) in given:
                return inputs.pack_strings(given[id(column)], count)
            return column.pack(slots)

        return strings(table.stdin), strings(table.argv), strings(table.env)


def make_request(
    program: Program, agent_ids: Iterable[int] | None, entry_point: str | None, args: Any,
    given: Inputs, *, fuel: int, seed: int, clock: int,
) -> Dispatch:  # fmt: skip
    """The request for what ``SwarmManager.dispatch`` was asked to do.

    Raises:
        KeyError: an agent does not live.
        ArgumentError: there is no such function, or an argument is wrong or missing.
    """
    table = program.table
    ids, slots = table.living() if agent_ids is None else table.select(agent_ids)
    entries = choose_entries(program, slots, entry_point)
    arguments, columns = choose_args(program, ids, slots, entries, args)
    stdin, argv, env = given.strings(program, slots)
    return Dispatch(
        slots, ids, entries, arguments, stdin, argv, env,
        fuel=check_fuel(fuel), seed=check_seed(seed), clock_ns=check_clock(clock),
        columns=columns,
    )  # fmt: skip


def choose_entries(program: Program, slots: Int64s, name: str | None) -> Int32s:
    """Number of the entry point of each agent: the one named, or its own.

    Raises:
        ArgumentError: there is no such function, or an agent has none.
    """
    if name is not None:
        return np.full(len(slots), program.entry(name).number, np.int32)
    entries = program.table.entry[slots]
    if (entries == NO_ENTRY).any():
        raise program.no_entry()
    return entries


def choose_args(
    program: Program, ids: Int64s, slots: Int64s, entries: Int32s, args: Any
) -> tuple[Uint64s, tuple[DeviceColumn, ...]]:
    """Argument slots of each agent: uint64[count, k], from ``args`` or from its spawning.

    Arrays on the GPU that the agents run on are not read; they take the place of some slots.

    Raises:
        ArgumentError: wrong arguments, or an agent that needs some has none.
    """
    numbers = entries[:1].tolist()
    if len(entries) and (entries != entries[0]).any():
        numbers = np.unique(entries).tolist()
    kinds = [program.by_number[number] for number in numbers]
    width = max((values.slot_count(entry.type.params) for entry in kinds), default=0)
    if args is None:
        for entry in kinds:
            if entry.type.params:
                _check_stored(program, ids, slots, entries == entry.number, entry.number)
        return np.ascontiguousarray(program.table.args[slots, :width]), ()
    columns: tuple[DeviceColumn, ...] = ()
    gpu = program.kernel.arrays
    if gpu is not None and len(kinds) == 1:
        args, columns = split_arguments(
            kinds[0].type.params, args, len(slots), kinds[0].name, gpu
        )
    if is_foreign(args):
        args = to_array(args, "args")
    if not isinstance(args, np.ndarray | Columns):
        args = to_list(args, "args", "values")
    if len(kinds) == 1:
        rows = values.encode_rows(kinds[0].type.params, args, len(slots), kinds[0].name)
        return rows, columns
    table = np.zeros((len(slots), width), np.uint64)
    for entry in kinds:
        places = np.flatnonzero(entries == entry.number)
        some = _rows_of(args, places, len(slots))
        rows = values.encode_rows(entry.type.params, some, len(places), entry.name)
        table[places, : rows.shape[1]] = rows
    return table, ()


def _check_stored(
    program: Program, ids: Int64s, slots: Int64s, which: NDArray[np.bool_], number: int
) -> None:
    """Agents that run an entry point need arguments that were given for that entry point."""
    table = program.table
    without = which & ~(table.has_args[slots] & (table.entry[slots] == number))
    if without.any():
        entry = program.by_number[number]
        wrong = values.wrong_count(entry.type.params, 0, entry.name)
        raise ArgumentError(
            f"agent {int(ids[without][0])} has no arguments for {entry.name}: {wrong.message}",
            hint="give args to spawn_agent or to dispatch",
        )


def _rows_of(args: Any, places: Int64s, count: int) -> Any:
    """The rows for some agents of a dispatch; one row for all stays what it is."""
    if isinstance(args, Columns):
        whole = columns_of(args, count, "the entry points")
        return Columns(*(column[places] for column in whole))
    if isinstance(args, np.ndarray):
        return args[places] if len(args) == count else args
    if len(args) == count and all(isinstance(row, list | tuple | np.ndarray) for row in args):
        return [args[place] for place in places.tolist()]
    return args

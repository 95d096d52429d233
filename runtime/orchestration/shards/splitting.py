"""A run of many agents as shards, and the results of shards as that of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....errors import ArgumentError
from ...arrays import Columns, is_foreign
from ...inputs import each_data
from ...result_columns import from_columns
from ...results import SwarmResult, joined
from ...values import Slots, encode_rows
from ..errors import OrchestrationError
from ..verify.shard import Shard
from .program import Program

#: Agents of a shard where nobody says otherwise.
SHARD_SIZE = 1024


class UnsplittableError(OrchestrationError):
    """A program whose agents cannot run in parts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that is split.

    Args:
        run: all of it, with its arguments as bit patterns.
        shards: its parts, in order.
    """

    run: Shard
    program: Program
    shards: tuple[Shard, ...]

    def result(self, place: int, columns: Mapping[str, Any]) -> SwarmResult:
        """What a shard gave, from the columns that its executor made.

        Raises:
            ArgumentError: they are no such columns.
        """
        shard = self.shards[place]
        ids = np.arange(shard.first, shard.first + shard.agents, dtype=np.int64)
        entry = self.program.entry(shard.entry_point)
        return from_columns(self.program.executable, ids, entry, columns)


def split(run: Shard, size: int = SHARD_SIZE) -> Plan:
    """Split a run into shards of ``size`` agents, the last of which may have fewer.

    Raises:
        UnsplittableError: agents of several shards would write to each other.
        ArgumentError: there is no such function, or something given is wrong or missing.
        SwarmcError: the module is malformed or invalid.
    """
    if size < 1:
        raise ArgumentError(f"shards have 1 agent or more, not {size}")
    if run.agents < 0:
        raise ArgumentError(f"a run has no {run.agents} agents")
    program = Program.of(run.module)
    if program.mail and run.agents > size:
        raise UnsplittableError(
            f"agents that exchange messages (the module imports functions of swarm) run in one"
            f" shard: {run.agents:,} do not fit in one of {size:,}",
            hint="agents of different shards could not hear each other",
        )
    run = _prepared(run, program)
    firsts = range(0, max(run.agents, 1), size)
    return Plan(run, program, tuple(_part(run, first, size) for first in firsts))


def merge(parts: Sequence[SwarmResult], total_time_ms: float) -> SwarmResult:
    """The result of a run from those of its shards, in their order."""
    return joined(parts, total_time_ms)


def _prepared(run: Shard, program: Program) -> Shard:
    """A run whose inputs are known to be right, and are what they are in shards."""
    entry = program.entry(run.entry_point)
    args = run.args
    if args is not None or entry.type.params:
        rows = encode_rows(entry.type.params, _given(args), run.agents, entry.name)
        args = Slots(rows[:1] if _one_for_all(rows) else rows)
    stdin = each_data(_listed(run.stdin), run.agents, "stdin")
    memory = run.memory
    if memory is not None:
        memory = each_data(_listed(memory), run.agents, "memory")
    for name, given in (("argv", run.argv), ("env", run.env)):
        if _each(given) and len(given or ()) != run.agents:
            raise ArgumentError(f"{name}: {len(given or ())} given for {run.agents} agents")
    return replace(run, entry_point=entry.name, args=args, stdin=stdin, memory=memory)


def _given(args: Any) -> Any:
    if args is None:
        return ()
    kinds = (np.ndarray, Columns, Slots, list, tuple)
    return args if isinstance(args, kinds) or is_foreign(args) else list(args)


def _one_for_all(rows: Any) -> bool:
    return len(rows) > 0 and bool((rows == rows[0]).all())


def _listed(given: Any) -> Any:
    return given if isinstance(given, (bytes, bytearray, memoryview)) else list(given)


def _each(given: Any) -> bool:
    """Whether command lines or environments are given one an agent."""
    if given is None or isinstance(given, Mapping) or not len(given):
        return False
    return not isinstance(given[0], str | bytes)


def _part(run: Shard, first: int, size: int) -> Shard:
    some = slice(first, min(first + size, run.agents))
    count = some.stop - first
    args = run.args
    if args is not None and len(args.rows) != 1:
        args = Slots(args.rows[some])
    each: dict[str, Any] = {
        name: value[some] if isinstance(value, list) else value
        for name, value in (("stdin", run.stdin), ("memory", run.memory))
    }
    for name, given in (("argv", run.argv), ("env", run.env)):
        each[name] = list(given)[some] if _each(given) and given is not None else given
    return replace(run, first=run.first + first, agents=count, args=args, **each)

"""Running agents: at once, in the background, or more than fit, in waves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CapacityError, SwarmStateError
from ..targets.base import Dispatch, Int64s, Uint64s
from ..targets.executable import Entry
from . import values
from .access import AgentAccess
from .agents import NO_ENTRY
from .arrays import Arguments
from .batch import Inputs, InputStrings, make_request
from .checks import check_integer
from .handles import DispatchHandle, start
from .inputs import Argv, Data, Env
from .program import Program
from .results import SwarmResult, joined

if TYPE_CHECKING:
    from .recompile import Upgrade


class AgentDispatch(AgentAccess):
    """The part of :class:`~.manager.SwarmManager` that runs agents."""

    fuel: int
    seed: int
    clock: int
    max_agents: int
    last_result: SwarmResult | None
    _trace_limit: int
    _upgrade: Upgrade | None
    _stop: Int64s | None
    _starting: threading.Lock
    _handle: DispatchHandle | None = None

    def dispatch(
        self,
        agent_ids: Iterable[int] | None = None,
        entry_point: str | None = None,
        args: Arguments | None = None,
        *,
        fuel: int | None = None,
        seed: int | None = None,
        clock: int | None = None,
        stdin: Data | Sequence[Data] | None = None,
        argv: Argv | Sequence[Argv] | None = None,
        env: Env | Sequence[Env] | None = None,
    ) -> SwarmResult:
        """Run agents to their ends, all at once, and wait for them.

        Agents of a WASI command that run ``_start`` again are reset before.

        Args:
            agent_ids: whom; None: every living agent.
            entry_point: exported function to call in place of the one each was spawned with.
            args: arguments in place of those each was spawned with: an array whose first axis
                runs over the agents, or one row for all (see :func:`~.values.encode_rows`).
            fuel, seed, clock, stdin, argv, env: for this dispatch, in place of the swarm's.

        Raises:
            RuntimeError: no program is loaded.
            KeyError: an agent does not live.
            ArgumentError: there is no such function, or an argument is wrong or missing.
            KeyboardInterrupt: the agents were stopped; ``last_result`` has what there is.
        """
        started = time.perf_counter()
        with self._lock:
            program = self._ready()
            request = make_request(
                program, agent_ids, entry_point, args, Inputs(stdin, argv, env),
                **self._inputs(fuel, seed, clock),
            )  # fmt: skip
            with self._stopped_by(request.stop):
                return self._run(program, request, started)

    def dispatch_async(
        self,
        agent_ids: Iterable[int] | None = None,
        entry_point: str | None = None,
        args: Arguments | None = None,
        *,
        fuel: int | None = None,
        seed: int | None = None,
        clock: int | None = None,
        stdin: Data | Sequence[Data] | None = None,
        argv: Argv | Sequence[Argv] | None = None,
        env: Env | Sequence[Env] | None = None,
    ) -> DispatchHandle:
        """Start a dispatch and go on; what it takes and refuses is ``dispatch``'s.

        Until it has ended, everything else that looks at the swarm's agents or changes them waits
        for it, except ``interrupt``. Dispatches of several swarms run one after another.

        Raises:
            SwarmStateError: another one has not ended yet.
        """
        def run(running: Callable[[Int64s], None]) -> SwarmResult:
            started = time.perf_counter()
            with self._lock:
                program = self._ready()
                request = make_request(
                    program, agent_ids, entry_point, args, Inputs(stdin, argv, env),
                    **self._inputs(fuel, seed, clock),
                )  # fmt: skip
                with self._stopped_by(request.stop):
                    running(request.stop)
                    return self._run(program, request, started)

        with self._starting:
            if self._handle is not None and not self._handle.done():
                raise SwarmStateError(
                    "another dispatch of this swarm is running",
                    hint="wait for its handle, or make another swarm",
                )
            self._handle = start(run)
            return self._handle

    def run_agents(
        self,
        count: int,
        entry_point: str | None = None,
        args: Arguments | None = None,
        memory_init: Data | Sequence[Data] | None = None,
        *,
        waves: bool = False,
        fuel: int | None = None,
        seed: int | None = None,
        clock: int | None = None,
        stdin: Data | Sequence[Data] | None = None,
        argv: Argv | Sequence[Argv] | None = None,
        env: Env | Sequence[Env] | None = None,
    ) -> SwarmResult:
        """Make agents, run them, and remove them again: only their results are left.

        Args:
            waves: whether agents for whom there is no slot wait until others are done. What the
                agents do does not depend on it.
            The others are those of ``spawn_agents`` and ``dispatch``.

        Returns:
            The result of all agents; after ``interrupt``, of those that had begun.

        Raises:
            CapacityError: there are not as many free slots, and none wait; or there is none.
            KeyboardInterrupt: the agents were stopped; ``last_result`` has what there is.
        """
        count = check_integer("count", count, 0, 1 << 31)
        started = time.perf_counter()
        parts: list[SwarmResult] = []
        with self._lock:
            program = self._ready()
            entry, rows = encode_arguments(program, entry_point, args, count)
            strings = Inputs(stdin, argv, env, memory_init).encode(program, count)
            program.free_dead()
            size = self._room(program, count, waves)
            given = self._inputs(fuel, seed, clock)
            stop: Int64s = np.zeros(1, np.int64)  # of all parts
            try:
                with self._stopped_by(stop):
                    for first in range(0, max(count, 1), max(size, 1)):
                        part = slice(first, min(first + size, count))
                        ids = spawn(program, part.stop - first, entry, *_part(rows, strings, part))
                        parts.append(self._run_once(program, ids, given, stop))
                        if size < count:
                            parts[-1].forget_device()  # many waves' would fill the GPU
                        if parts[-1].interrupted:
                            break
            except KeyboardInterrupt:
                if self.last_result is not None:
                    parts.append(self.last_result)
                raise
            finally:
                if parts:
                    took = (time.perf_counter() - started) * 1000
                    self.last_result = joined(parts, took)
            assert self.last_result is not None
            return self.last_result

    def _run_once(
        self, program: Program, ids: Int64s, given: dict[str, int], stop: Int64s
    ) -> SwarmResult:
        """Run agents that are gone afterwards."""
        self.last_result = None
        try:
            request = make_request(program, ids, None, None, Inputs(), **given)
            request.stop = stop
            return self._run(program, request, time.perf_counter())
        finally:
            program.bury(program.table.remove_many(ids))

    def _room(self, program: Program, count: int, waves: bool) -> int:
        """How many agents run at a time."""
        room = program.table.available
        if count <= room or (waves and room and program.mail is None):
            return min(count, room)
        if waves and room:
            raise CapacityError(
                f"{count:,} agents that exchange messages cannot run in waves, and of"
                f" {self.max_agents:,} slots {room:,} are free (max_agents={self.max_agents})",
                hint="make the swarm with a larger max_agents",
            )
        raise CapacityError(
            f"{count:,} agents do not fit: of {self.max_agents:,} slots {room:,} are free"
            f" (max_agents={self.max_agents})",
            hint="waves=True runs them one part after another" if room else "kill agents",
        )

    def interrupt(self) -> None:
        """Stop the dispatch that is running; its agents trap as interrupted."""
        stop = self._stop
        if stop is not None:
            stop[0] = 1

    @contextmanager
    def _stopped_by(self, stop: Int64s) -> Iterator[None]:
        """Let ``interrupt`` set this cell."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _ready(self) -> Program:
        program = self._loaded("dispatching")
        if self._upgrade is not None and self._upgrade.apply():
            self._upgrade = None
        return program

    def _inputs(self, fuel: int | None, seed: int | None, clock: int | None) -> dict[str, int]:
        return {
            "fuel": self.fuel if fuel is None else fuel,
            "seed": self.seed if seed is None else seed,
            "clock": self.clock if clock is None else clock,
        }

    def _run(self, program: Program, request: Dispatch, started: float) -> SwarmResult:
        run = program.run if self._upgrade is None else self._upgrade.run
        if program.mail is not None:
            program.mail.load(request)
        request.trace = program.trace
        outcome, interruption = run(request)
        mail = None if program.mail is None else program.mail.collect(request, outcome)
        self.last_result = result = program.result(request, outcome, started)
        result.mail = mail
        if self._trace_limit:
            result.trace = program.call_trace(outcome)
        if interruption is not None:
            raise interruption
        return result


def encode_arguments(
    program: Program, entry_point: str | None, args: Arguments | None, count: int
) -> tuple[Entry | None, Uint64s | None]:
    """What new agents run, and with what arguments.

    Raises:
        ArgumentError: there is no such function, or an argument is wrong.
    """
    entry = program.default if entry_point is None else program.entry(entry_point)
    if args is None:
        return entry, None
    if entry is None:
        raise program.no_entry()
    return entry, values.encode_rows(entry.type.params, args, count, entry.name)


def spawn(
    program: Program, count: int, entry: Entry | None, rows: Uint64s | None, strings: InputStrings
) -> Int64s:
    """Ids of new agents.

    Raises:
        CapacityError: too few slots are free.
    """
    table = program.table
    if count > table.available:
        program.free_dead()
    ids, slots = table.spawn_many(count)
    table.entry[slots] = NO_ENTRY if entry is None else entry.number
    for column, string in strings:
        column.put_all(slots, string)
    if rows is not None:
        table.set_args(slots, rows, rows.shape[1])
    return ids


def _part(
    rows: Uint64s | None, strings: InputStrings, part: slice
) -> tuple[Uint64s | None, InputStrings]:
    """What some of the agents are given."""
    some = [
        (column, string if isinstance(string, bytes) else string[part])
        for column, string in strings
    ]
    return None if rows is None else rows[part], some

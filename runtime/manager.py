"""The swarm: load a program, spawn agents, dispatch them, look at what they hold."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from ..errors import SwarmStateError
from ..ir.module import DEFAULT_HEAP
from ..ir.types import FuncType
from ..targets.addressing import MemoryLayout, parse_layout
from ..targets.base import Int64s, Target
from ..targets.executable import DEFAULT_CALL_DEPTH, CompileOptions, Entry, Executable
from . import inputs, values
from .agents import NO_ENTRY, AgentTable
from .arrays import Arguments
from .batch import Inputs, InputStrings
from .cache import open_cache
from .checks import (
    check_clock,
    check_fuel,
    check_integer,
    check_options,
    check_seed,
    to_list,
    to_names,
)
from .choosing import choose_target, target_named
from .compile import Progress, compile_wasm
from .dispatching import AgentDispatch, encode_arguments, spawn
from .host_api import HostFunction, check_functions
from .host_calls import trace_shape
from .hosts import exchanges_mail, imports_of
from .inputs import Argv, Data, Env
from .loading import check_usable, load_kernel
from .mail.access import SwarmMail
from .mail.post import PostOffice
from .program import Program
from .recompile import Upgrade, upgrade_for
from .results import SwarmResult

__all__ = ["SwarmManager"]

_DEFAULT_ARGV = ("module.wasm",)


class SwarmManager(AgentDispatch):
    """Up to ``max_agents`` agents of one program. May be used from several threads.

    Args:
        target: name of a target, or one that the caller made; None: ``cuda`` if this machine has a
            GPU that works, else ``cpu``.
        max_agents: most agents at a time; None: ``MAX_AGENTS``.
        memory_per_agent: bytes of scratch memory of an agent whose module declares no memory,
            for the host's use alone.
        globals_per_agent: least number of 32-bit globals an agent has room for. Like memory,
            globals are laid out as the module declares them, so more cost nothing.
        output_size: bytes kept of each agent's standard output, and of its standard error.
        mailbox_size: bytes for messages that wait for an agent, and for those that it sends in
            one dispatch; each takes 8 more than its own, rounded up to 8.
        max_memory: bytes that an agent's memory may grow to; None: its minimum plus 1 MiB.
        fuel: instructions an agent may execute in one dispatch.
        call_depth: units of call depth an agent may use; None: 2048, or what a program that
            was compiled before is compiled for.
        host_functions: functions of one's own that the program may import: see
            :func:`~.host_api.host_function`.
        missing_imports: ``error``, or ``trap`` to let an agent that calls one trap.
        heap: bytes of the heap of an agent whose program makes objects or throws exceptions; None:
            1 MiB. Nothing on it is ever freed, until the agent is reset.
        entry_points: exported functions to compile; None: all.
        opt_level: LLVM's optimisation level, 0 to 3; None: by the size of the program.
        layout: how agents' bytes lie in memory, ``flat`` or ``interleaved``; None: as the target
            likes it. Results do not depend on it.
        max_registers: most registers of a thread on a GPU, 32 to 255; None: as many as the
            assembler likes. Fewer leave room for more agents at a time. No meaning on the CPU.
        seed: what agents' random numbers are made from.
        clock: what agents' clocks start at, in nanoseconds since the epoch.
        stdin, argv, env: WASI inputs of agents that are spawned without. ``argv`` starts with
            the program's name.
        trace_host_calls: how many host calls of each agent are noted in a dispatch, for
            ``SwarmResult.host_calls``; the others are counted. None: nothing is, and nothing costs.
        cache: whether compiled programs are kept on disk, or the directory where.
        progress: called with the name of a stage and 0.0 to 1.0 while a program is compiled.
    """

    MAX_AGENTS: ClassVar[int] = 1024

    def __init__(
        self,
        target: str | Target | None = None,
        *,
        max_agents: int | None = None,
        memory_per_agent: int = 65536,
        globals_per_agent: int = 16,
        output_size: int = 4096,
        mailbox_size: int = 4096,
        max_memory: int | None = None,
        fuel: int = 10**10,
        call_depth: int | None = None,
        host_functions: Sequence[HostFunction] = (),
        missing_imports: str = "error",
        heap: int | None = None,
        entry_points: Sequence[str] | None = None,
        opt_level: int | None = None,
        layout: MemoryLayout | str | None = None,
        max_registers: int | None = None,
        seed: int = 0,
        clock: int = 0,
        stdin: Data = b"",
        argv: Argv = _DEFAULT_ARGV,
        env: Env | None = None,
        trace_host_calls: int | None = None,
        cache: bool | str | os.PathLike[str] = True,
        progress: Progress | None = None,
    ) -> None:
        self.max_agents = check_integer(
            "max_agents", self.MAX_AGENTS if max_agents is None else max_agents, 1, 1 << 31
        )
        check_integer("memory_per_agent", memory_per_agent, 0, 1 << 32)
        check_integer("globals_per_agent", globals_per_agent, 0, 1 << 32)
        check_integer("output_size", output_size, 0, 1 << 40)
        self.target: Target = choose_target(target)
        self._on_any = target is None
        self.memory_per_agent, self.globals_per_agent = memory_per_agent, globals_per_agent
        self.output_size = output_size
        self.mailbox_size = -(-check_integer("mailbox_size", mailbox_size, 8, 1 << 30) // 8) * 8
        self.fuel, self.seed, self.clock = check_fuel(fuel), check_seed(seed), check_clock(clock)
        self._trace_limit = check_integer("trace_host_calls", trace_host_calls or 0, 0, 1 << 24)
        self.last_result: SwarmResult | None = None
        self._call_depth = call_depth
        self._host_functions = check_functions(host_functions)
        self._options = check_options(CompileOptions(
            self.target.name,
            None if entry_points is None else to_names(entry_points, "entry_points"),
            max_memory,
            DEFAULT_CALL_DEPTH if call_depth is None else call_depth,
            opt_level,
            missing_imports=missing_imports,
            heap=DEFAULT_HEAP if heap is None else heap,
            layout=parse_layout(layout) if isinstance(layout, str) else layout,
            max_registers=max_registers,
            host_functions=imports_of(self._host_functions),
        ))  # fmt: skip
        self._defaults = inputs.encode_defaults(stdin, argv, env)
        self._cache = open_cache(cache)
        self._progress = progress
        self._program: Program | None = None
        self._upgrade: Upgrade | None = None
        self._next_id = 0
        self._stop: Int64s | None = None
        self._lock = threading.RLock()
        self._starting = threading.Lock()

    @classmethod
    def from_wasm(cls, wasm_bytes: Data, **options: Any) -> Self:
        """A swarm with its program loaded; the options are the constructor's."""
        swarm = cls(**options)
        swarm.load_bytecode(wasm_bytes)
        return swarm

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self.interrupt()  # nobody waits for what runs in the background
        self.close()

    def __len__(self) -> int:
        return 0 if self._program is None else len(self._program.table)

    def __repr__(self) -> str:
        return f"<SwarmManager on {self.target.name}: {len(self)} of {self.max_agents} agents>"

    @property
    def mock(self) -> bool:
        """Whether agents run on the CPU because no GPU does."""
        return self.target.name != "cuda"

    @property
    def agent_ids(self) -> Int64s:
        """Ids of all living agents, ascending."""
        with self._lock:
            if self._program is None:
                return np.zeros(0, np.int64)
            return self._program.table.living()[0]

    @property
    def executable(self) -> Executable:
        """The loaded program, compiled."""
        return self._loaded("looking at the program").executable

    @property
    def functions(self) -> dict[str, FuncType]:
        """Name and type of every function that can be an entry point."""
        entries = self._loaded("looking at the program").executable.entries
        return {entry.name: entry.type for entry in entries}

    @property
    def default_entry_point(self) -> str | None:
        """What agents run that are spawned without an entry point."""
        entry = self._loaded("looking at the program").default
        return None if entry is None else entry.name

    @property
    def mail(self) -> SwarmMail:
        """Messages between agents.

        Raises:
            RuntimeError: no program is loaded, or one that exchanges none.
        """
        program = self._loaded("looking at mail")
        if program.mail is None:
            raise SwarmStateError(
                "the program exchanges no messages: it imports no function of the module swarm"
            )
        return SwarmMail(program.mail, program.table, self._lock)

    # The program

    def load_bytecode(self, wasm: Data) -> None:
        """Compile and load a module. Agents of a program loaded before are gone.

        Raises:
            SwarmcError: the module is malformed, invalid, needs a feature or an import that
                there is not, or its agents do not fit in memory.
        """
        data = inputs.encode_data(wasm, "bytecode")
        executable = compile_wasm(
            data, self._options, target=self.target, cache=self._cache, progress=self._progress,
            users=self._host_functions, trace=self._trace_limit > 0,
        )
        with self._lock:
            self.load_executable(executable)
            if executable.provisional:
                program = self._loaded("compiling it again")
                self._upgrade = upgrade_for(
                    program, data, self._options, self.target, self._cache,
                    self._host_functions,
                )  # fmt: skip

    def load_executable(self, executable: Executable) -> None:
        """Load a program that was compiled before. It is machine code: it must be trusted.

        A swarm that was made without a target takes the program's.

        Raises:
            TargetError: it was compiled for another machine or another version.
            ArgumentError: it was compiled for another call depth or layout than the swarm is to
                have.
        """
        if self._on_any and executable.target != self.target.name:
            self.target = target_named(executable.target)
            self._options = replace(self._options, target=executable.target)
        check_usable(executable, self.target, self._call_depth, self._options.layout)
        kernel = load_kernel(
            executable, self.target, self._cache, self._host_functions, trace=self._trace_limit > 0
        )
        has_mail = exchanges_mail(executable.hosts, self._host_functions)
        slices = kernel.allocate(
            self.max_agents, self.output_size, self.mailbox_size if has_mail else 0
        )
        with self._lock:
            self.close()
            table = AgentTable(self.max_agents, self._next_id, *self._defaults)
            self._program = Program(
                executable, kernel, slices, table, scratch_size=self.memory_per_agent
            )
            if has_mail:
                self._program.mail = PostOffice(table, slices, self.mailbox_size)
            self._program.trace = trace_shape(executable, self._trace_limit)

    def close(self) -> None:
        """Drop all agents and the program, and give their memory back."""
        with self._lock:
            if self._upgrade is not None:
                self._upgrade.stop()
                self._upgrade = None
            if self._program is not None:
                self._next_id = self._program.table.next_id
                self._program.slices.close()
                self._program = None

    def reset_device(self) -> None:
        """Make the GPU work again after an error that it did not survive, and reload the program.

        All agents are gone, as is everything else that this process had on the GPU: other swarms
        have to be reset, too, and arrays of other libraries are lost.

        Raises:
            TargetError: agents run on the CPU; or the GPU does not come back.
        """
        with self._lock:
            executable = None if self._program is None else self._program.executable
            self.target.reset_device(None if self._program is None else self._program.kernel)
            self.close()
            if executable is not None:
                self.load_executable(executable)

    # Agents

    def spawn_agent(
        self,
        entry_point: str | None = None,
        memory_init: Data | None = None,
        args: Sequence[Any] | None = None,
        *,
        stdin: Data | None = None,
        argv: Argv | None = None,
        env: Env | None = None,
    ) -> int:
        """Make an agent and return its id; nothing of it runs yet.

        Args:
            entry_point: exported function that ``dispatch`` calls; None: ``_start``, else
                ``main``, else the only exported function.
            memory_init: bytes for the start of memory, over the module's data segments and
                before its start function.
            args: the function's arguments; None: they come with ``dispatch``.
            stdin, argv, env: WASI inputs; None: the swarm's.

        Raises:
            RuntimeError: no program is loaded, or no slot is free.
            ArgumentError: there is no such function, or an argument or memory_init is wrong.
        """
        with self._lock:
            program = self._program or self._loaded("spawning agents")
            table = program.table
            entry = program.default if entry_point is None else program.entry(entry_point)
            row = None if args is None else self._row(program, entry, args)
            strings: InputStrings = []
            if not (stdin is None and argv is None and env is None and memory_init is None):
                strings = Inputs(stdin, argv, env, memory_init).encode(program, 1)
            if not table.available:
                program.free_dead()
            id_, slot = table.spawn()
            for column, string in strings:
                column.put_all(np.array([slot]), string)
            table.entry[slot] = NO_ENTRY if entry is None else entry.number
            if row:
                table.set_args(slot, row, len(row))
            elif row is not None:
                table.has_args[slot] = True
            return id_

    @staticmethod
    def _row(program: Program, entry: Entry | None, args: Sequence[Any]) -> list[int]:
        if entry is None:
            raise program.no_entry()
        return values.encode_row(
            entry.type.params, to_list(args, "args", "values"), entry.name
        )

    def spawn_agents(
        self,
        count: int,
        entry_point: str | None = None,
        args: Arguments | None = None,
        memory_init: Data | Sequence[Data] | None = None,
        *,
        stdin: Data | Sequence[Data] | None = None,
        argv: Argv | Sequence[Argv] | None = None,
        env: Env | Sequence[Env] | None = None,
    ) -> Int64s:
        """Make many agents at once: int64[count], their ids.

        Args:
            args: an array whose first axis runs over the agents, or one row for all of them
                (see :func:`~.values.encode_rows`).
            memory_init, stdin, argv, env: as for ``spawn_agent``; a list gives each its own.

        Raises:
            RuntimeError: no program is loaded, or too few slots are free.
            ArgumentError: as ``spawn_agent``.
        """
        count = check_integer("count", count, 0, 1 << 31)
        with self._lock:
            program = self._loaded("spawning agents")
            entry, rows = encode_arguments(program, entry_point, args, count)
            strings = Inputs(stdin, argv, env, memory_init).encode(program, count)
            return spawn(program, count, entry, rows, strings)

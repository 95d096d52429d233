"""``swarmc run``: inputs to agents, one dispatch, and its report."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..compiler.wasm.interface import decode_interface
from ..errors import ArgumentError
from ..ir.types import FuncType
from ..targets.executable import Executable
from . import cli_inputs as inputs
from . import values
from .cli_hosts import read_host_functions
from .cli_module import naming, read_module
from .cli_report import Report, print_report
from .cli_terminal import interruptible, spinner, stage_progress
from .entry_points import default_name, exported_functions, no_entry_point, no_such_function
from .manager import SwarmManager
from .results import SwarmResult

log = logging.getLogger(__name__)

_FAILED = 1
_INTERRUPTED = 130
_ARGUMENT_READERS = frozenset({"args_get", "args_sizes_get"})


@dataclass(frozen=True, slots=True)
class RunCommand:
    """The options of ``swarmc run`` as they were typed; ``swarmc run --help`` explains them."""

    file: Path
    argv: tuple[str, ...] = ()
    agents: str | None = None
    invoke: str | None = None
    args: tuple[str, ...] = ()
    args_file: Path | None = None
    argv_lines: Path | None = None
    stdin: Path | None = None
    stdin_lines: Path | None = None
    stdin_dir: Path | None = None
    env: tuple[str, ...] = ()
    seed: int = 0
    clock: str = "0"
    fuel: str = "1e10"
    target: str | None = None
    max_memory: str | None = None
    heap: str | None = None
    call_depth: int | None = None
    missing_imports: str | None = None
    opt_level: int | None = None
    layout: str | None = None
    cached: bool = True
    output_size: str = "4KiB"
    show: int = 10
    json: bool = False
    csv: Path | None = None
    save_stdout: Path | None = None
    host_functions: tuple[Path, ...] = ()
    at_a_time: str | None = None
    max_registers: int | None = None
    rounds: str = "1"
    mailbox_size: str | None = None
    trace_host_calls: str | None = None


@dataclass(frozen=True, slots=True)
class _Lists:
    """What is given for each agent, and so says how many there are."""

    args: list[list[str]] | None
    argv: list[list[str]] | None
    stdin: list[bytes] | None

    def count(self, agents: str | None) -> int:
        """Number of agents: that of ``--agents``, else as many as there are inputs.

        Raises:
            ArgumentError: there are fewer inputs than agents, or numbers that differ.
        """
        lengths = {
            name: len(given)
            for name, given in (
                ("--args-file", self.args), ("--argv-lines", self.argv),
                ("standard inputs", self.stdin),
            )
            if given is not None
        }  # fmt: skip
        if agents is not None:
            wanted = inputs.parse_count(agents, "--agents")
            if wanted < 1:
                raise ArgumentError(f"--agents takes a number from 1, not {agents}")
            for name, length in lengths.items():
                if length < wanted:
                    raise ArgumentError(f"{name}: {length} for {wanted} agents")
            return wanted
        if not lengths:
            return 1
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise ArgumentError(f"inputs for different numbers of agents ({listed})")
        (count,) = set(lengths.values())
        if count == 0:
            raise ArgumentError(f"{next(iter(lengths))}: there are none")
        return count


@dataclass(frozen=True, slots=True)
class _Interface:
    """What can be called, and whether the program reads its command line."""

    functions: dict[str, FuncType]
    reads_arguments: bool


@dataclass(frozen=True, slots=True)
class Spawning:
    """What agents are made with; all of it is checked before anything is compiled."""

    count: int
    name: str
    args: list[Any] | None
    stdin: list[bytes] | None
    argv: list[str] | list[list[str]]
    env: dict[str, str] | list[dict[str, str]]

    def spawn(self, swarm: SwarmManager) -> Callable[[], SwarmResult]:
        """Make the agents if there is room for all of them; what runs them."""
        given: dict[str, Any] = {"stdin": self.stdin, "argv": self.argv, "env": self.env}
        if self.count > swarm.max_agents:
            return partial(
                swarm.run_agents, self.count, self.name, self.args, waves=True, **given
            )
        swarm.spawn_agents(self.count, self.name, self.args, **given)
        return swarm.dispatch


def run_swarm(command: RunCommand) -> int:
    """Run agents and report; returns the exit code."""
    lists = _read_lists(command)
    count = lists.count(command.agents)
    rounds = _rounds(command)
    program = read_module(command.file)
    if isinstance(program, Executable):
        _refuse_compile_options(command)
    with naming(command.file):
        interface = _interface(program)
    spawning = _plan(command, lists, count, interface)
    name = spawning.name
    started = time.perf_counter()
    slots = count
    if command.at_a_time is not None:
        slots = min(count, max(1, inputs.parse_count(command.at_a_time, "--at-a-time")))
    swarm = _load(command, program, slots)
    load_ms = (time.perf_counter() - started) * 1000
    with swarm:
        run = spawning.spawn(swarm)
        failed = False
        log.info("dispatching %d agents at %s", count, name)
        for number in range(1, rounds + 1):
            result, interrupted = _dispatch(swarm, run, count)
            report = Report(
                str(command.file), swarm.target.name, name, swarm.executable, result, load_ms,
                (number, rounds),
            )  # fmt: skip
            print_report(report, command.show, json_=command.json, csv_=command.csv,
                         save_stdout=command.save_stdout)
            if interrupted:
                print("swarmc: interrupted", file=sys.stderr)
                return _INTERRUPTED
            failed = failed or report.failed
    return _FAILED if failed else 0


def plan_run(command: RunCommand, program: bytes) -> Spawning:
    """What the agents of a module are made with, all of it checked.

    Raises:
        ArgumentError: an option is wrong.
    """
    lists = _read_lists(command)
    with naming(command.file):
        interface = _interface(program)
    return _plan(command, lists, lists.count(command.agents), interface)


def _dispatch(
    swarm: SwarmManager, run: Callable[[], SwarmResult], count: int
) -> tuple[SwarmResult, bool]:
    """What a dispatch gave, and whether it was interrupted."""
    try:
        with spinner(f"running {count:,} agents"):
            return run(), False
    except KeyboardInterrupt:
        if swarm.last_result is None:
            raise
        return swarm.last_result, True


def _rounds(command: RunCommand) -> int:
    rounds = inputs.parse_count(command.rounds, "--rounds")
    if rounds < 1:
        raise ArgumentError(f"--rounds takes a number from 1, not {command.rounds}")
    given = {
        "--at-a-time": command.at_a_time, "--csv": command.csv,
        "--save-stdout": command.save_stdout,
    }  # fmt: skip
    for name, value in given.items():
        if rounds > 1 and value is not None:
            raise ArgumentError(f"--rounds and {name} exclude each other")
    return rounds


def _read_lists(command: RunCommand) -> _Lists:
    stdins = [command.stdin, command.stdin_lines, command.stdin_dir]
    if sum(path is not None for path in stdins) > 1:
        raise ArgumentError("--stdin, --stdin-lines and --stdin-dir exclude each other")
    if command.args and command.args_file is not None:
        raise ArgumentError("--args and --args-file exclude each other")
    stdin = None
    if command.stdin_lines is not None:
        stdin = inputs.input_lines(command.stdin_lines)
    elif command.stdin_dir is not None:
        stdin = inputs.input_directory(command.stdin_dir)
    return _Lists(
        None if command.args_file is None else inputs.csv_rows(command.args_file),
        None if command.argv_lines is None else inputs.argv_lines(command.argv_lines),
        stdin,
    )


def _load(command: RunCommand, program: bytes | Executable, count: int) -> SwarmManager:
    def size(text: str | None, option: str) -> Any:
        return None if text is None else inputs.parse_size(text, option)

    with stage_progress() as progress:
        swarm = SwarmManager(
            command.target,
            max_agents=count,
            output_size=size(command.output_size, "--output-size"),
            mailbox_size=size(command.mailbox_size or "4KiB", "--mailbox-size"),
            max_memory=size(command.max_memory, "--max-memory"),
            heap=size(command.heap, "--heap"),
            fuel=inputs.parse_count(command.fuel, "--fuel"),
            call_depth=command.call_depth,
            missing_imports=command.missing_imports or "error",
            host_functions=read_host_functions(command.host_functions),
            # what only other functions need is not compiled
            entry_points=None if command.invoke is None else (command.invoke,),
            opt_level=command.opt_level,
            layout=command.layout,
            max_registers=command.max_registers,
            seed=command.seed,
            clock=inputs.parse_clock(command.clock),
            stdin=b"" if command.stdin is None else inputs.read_bytes(command.stdin),
            trace_host_calls=inputs.parse_count(
                command.trace_host_calls or "0", "--trace-host-calls"
            ),
            cache=command.cached,
            progress=progress,
        )

        def load() -> None:
            if isinstance(program, Executable):
                swarm.load_executable(program)
            else:
                swarm.load_bytecode(program)

        with naming(command.file):
            interruptible(load)
    return swarm


def _refuse_compile_options(command: RunCommand) -> None:
    given = {
        "--call-depth": command.call_depth, "--max-memory": command.max_memory,
        "--missing-imports": command.missing_imports, "--opt-level": command.opt_level,
        "--layout": command.layout, "--heap": command.heap,
        "--max-registers": command.max_registers,
    }  # fmt: skip
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ArgumentError(
            f"{command.file} is compiled already: {', '.join(names)} would change nothing",
            hint="give such options to swarmc compile",
        )


def _interface(program: bytes | Executable) -> _Interface:
    if isinstance(program, Executable):
        functions = {entry.name: entry.type for entry in program.entries}
        hosts = {host.name for host in program.hosts}
    else:
        module = decode_interface(program)
        functions = exported_functions(module)
        hosts = {item.name for item in module.imported("func")}
    return _Interface(functions, not hosts.isdisjoint(_ARGUMENT_READERS))


def _plan(command: RunCommand, lists: _Lists, count: int, interface: _Interface) -> Spawning:
    functions = interface.functions
    name = default_name(functions) if command.invoke is None else command.invoke
    if name is None:
        raise no_entry_point(functions, "--invoke")
    if name not in functions:
        raise no_such_function(name, functions)
    if command.argv and not interface.reads_arguments:
        raise ArgumentError(
            f"{command.file} takes no arguments from its command line",
            hint=None if name == "_start" else "--args gives them to a function",
        )
    lines = inputs.CommandLines(command.file.name, command.argv, lists.argv, command.env)
    return Spawning(
        count, name, _arguments(command, lists, count, functions[name], name),
        None if lists.stdin is None else lists.stdin[:count],
        lines.argvs(count), lines.envs(count),
    )  # fmt: skip


def _arguments(
    command: RunCommand, lists: _Lists, count: int, type_: FuncType, name: str
) -> list[Any] | None:
    if command.args:
        args = inputs.argument_rows(command.args, type_, count, name)
    elif lists.args is not None:
        args = inputs.csv_arguments(lists.args[:count], type_, name)
    elif type_.params:
        raise inputs.wrong_number(type_, 0, name)
    else:
        return None
    values.encode_rows(type_.params, args, count, name)  # for its errors
    return args

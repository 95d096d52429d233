"""The command line: ``swarmc run | compile | inspect | cache | doctor | fuzz``.

Only what is needed to understand the command line is imported here, so that ``--help`` is quick.

Exit codes: 0, all went well; 1, some agent trapped or exited with another code than 0 (for
``fuzz``: a mismatch was found); 2, the command or its input is wrong; 130, interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from .. import __version__
from ..errors import SwarmcError

EXIT_AGENTS_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

_P = ParamSpec("_P")

app = typer.Typer(
    name="swarmc",
    help="Run any WebAssembly program as a swarm of isolated agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(help="Look at the cache of compiled programs.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")


class Target(StrEnum):
    """Where agents run."""

    CPU = "cpu"


class MissingImports(StrEnum):
    """What becomes of imports that nothing provides."""

    ERROR = "error"
    TRAP = "trap"


class Emit(StrEnum):
    """A stage of compilation whose text can be printed."""

    WAT = "wat"
    IR = "ir"
    LLVM = "llvm"
    ASM = "asm"


def _command(function: Callable[_P, int | None]) -> Callable[_P, None]:
    """Turn what a command returns or raises into an exit code and one clear line."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            code = function(*args, **kwargs) or 0
        except SwarmcError as error:
            logging.getLogger(__name__).debug("the error came from here", exc_info=True)
            typer.echo(f"swarmc: error: {error}", err=True)
            code = EXIT_WRONG_INPUT
        except KeyboardInterrupt:
            from .cli_terminal import leave

            typer.echo("swarmc: interrupted", err=True)
            leave(EXIT_INTERRUPTED)
            code = EXIT_INTERRUPTED
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise typer.Exit(code)

    return run


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"swarmc {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say what is done; twice: more.")
    ] = 0,
) -> None:
    if verbose:
        logging.basicConfig(
            level=logging.INFO if verbose == 1 else logging.DEBUG,
            format="%(relativeCreated)6d ms  %(name)s: %(message)s",
        )
        for noisy in ("numba", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


Module = Annotated[Path, typer.Argument(metavar="FILE", help="A .wasm, .wat or .swarmc file.")]
TargetOption = Annotated[Target, typer.Option(help="Where agents run.")]
MaxMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="How far a memory may grow, e.g. 64MiB.",
                 show_default="its minimum plus 1 MiB"),
]  # fmt: skip
CallDepth = Annotated[int, typer.Option(help="How deep an agent's calls may nest.")]
Imports = Annotated[
    MissingImports,
    typer.Option(help="Refuse a module with unknown imports, or let agents that call one trap."),
]
OptLevel = Annotated[
    int | None,
    typer.Option(min=0, max=3, help="LLVM's optimisation level.", show_default="by size"),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")]

_INPUTS = "What agents are given (an {expression} of id and agents differs for each)"
_RUNNING = "How they run"
_REPORT = "What is shown"


@app.command()
@_command
def run(
    file: Module,
    argv: Annotated[
        list[str] | None, typer.Argument(help="Arguments of the program, best after --.")
    ] = None,
    agents: Annotated[
        str | None, typer.Option("--agents", "-n", metavar="N", help="How many agents.",
                                 show_default="one for each input, else 1")
    ] = None,
    invoke: Annotated[
        str | None, typer.Option(metavar="NAME", help="Exported function to call.",
                                 show_default="_start, else main, else the only one")
    ] = None,
    args: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUES", help="The function's arguments, e.g. '30 {id} {id/agents}'.",
                     rich_help_panel=_INPUTS),
    ] = None,
    args_file: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="A row of arguments for each agent.",
                     rich_help_panel=_INPUTS),
    ] = None,
    argv_lines: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A line of further program arguments for each agent, "
                     "quoted as in a shell.", rich_help_panel=_INPUTS),
    ] = None,
    stdin: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Standard input of every agent; - is swarmc's own.",
                     rich_help_panel=_INPUTS),
    ] = None,
    stdin_lines: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A line of standard input for each agent.",
                     rich_help_panel=_INPUTS),
    ] = None,
    stdin_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A file of standard input for each agent, by name.",
                     rich_help_panel=_INPUTS),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An environment variable.",
                     rich_help_panel=_INPUTS),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="What random numbers are made from.",
                          rich_help_panel=_INPUTS)
    ] = 0,
    clock: Annotated[
        str, typer.Option(metavar="TIME", help="What clocks start at: nanoseconds since 1970, an "
                          "ISO 8601 time, or now.", rich_help_panel=_INPUTS)
    ] = "0",
    fuel: Annotated[
        str, typer.Option(metavar="N", help="Instructions an agent may execute, e.g. 5e9.",
                          rich_help_panel=_RUNNING)
    ] = "1e10",
    target: TargetOption = Target.CPU,
    max_memory: MaxMemory = None,
    call_depth: CallDepth = 2048,
    missing_imports: Imports = MissingImports.ERROR,
    opt_level: OptLevel = None,
    no_cache: NoCache = False,
    output_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Bytes kept of each stream of an agent.",
                          rich_help_panel=_RUNNING)
    ] = "4KiB",
    show: Annotated[
        int, typer.Option(min=0, help="Agents to list.", rich_help_panel=_REPORT)
    ] = 10,
    json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON.", rich_help_panel=_REPORT)
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a row for each agent; - prints them.",
                     rich_help_panel=_REPORT),
    ] = None,
    save_stdout: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the agents' outputs, one after another.",
                     rich_help_panel=_REPORT),
    ] = None,
) -> int:
    """Run agents of a program and show what became of them.

    Exits with 1 if an agent trapped, or exited with another code than 0.
    """
    from .cli_run import RunCommand, run_swarm

    return run_swarm(RunCommand(
        file, tuple(argv or ()), agents, invoke, tuple(args or ()), args_file, argv_lines, stdin,
        stdin_lines, stdin_dir, tuple(env or ()), seed, clock, fuel, target.value, max_memory,
        call_depth, missing_imports.value, opt_level, not no_cache, output_size, show, json, csv,
        save_stdout,
    ))  # fmt: skip


@app.command("compile")
@_command
def compile_(
    file: Module,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE",
                     help="Where to write; - prints.",
                     show_default="FILE with .swarmc; text is printed"),
    ] = None,
    emit: Annotated[
        Emit | None, typer.Option(help="Print a stage's text instead of compiling to a file.")
    ] = None,
    target: TargetOption = Target.CPU,
    entry_point: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Exported function to keep.", show_default="all"),
    ] = None,
    max_memory: MaxMemory = None,
    call_depth: CallDepth = 2048,
    missing_imports: Imports = MissingImports.ERROR,
    opt_level: OptLevel = None,
    no_cache: NoCache = False,
) -> None:
    """Compile a program to machine code that `swarmc run` starts at once.

    A .swarmc file is machine code for this processor: run only those that you trust.
    """
    from .cli_compile import compile_file, compile_options, emit_text

    options = compile_options(
        target.value, tuple(entry_point) if entry_point else None, max_memory, call_depth,
        opt_level, missing_imports.value,
    )  # fmt: skip
    if emit is None:
        compile_file(file, output, options, cached=not no_cache)
    else:
        emit_text(file, output, options, emit.value)


@app.command()
@_command
def inspect(file: Module) -> None:
    """Show what a module imports, exports and needs, and how many agents fit on this machine."""
    from .cli_inspect import inspect_file

    inspect_file(file)


@cache_app.command("list")
@_command
def cache_list() -> None:
    """List what is in the cache."""
    from .cli_cache import list_cache

    list_cache()


@cache_app.command("clear")
@_command
def cache_clear() -> None:
    """Remove everything from the cache."""
    from .cli_cache import clear_cache

    clear_cache()


@app.command()
@_command
def doctor() -> int:
    """Check this machine: targets, versions, cache, and why a GPU is not used."""
    from .doctor import report

    return report()


@app.command()
@_command
def fuzz(
    seconds: Annotated[float, typer.Option(min=0, help="How long to look for mismatches.")] = 60,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Where to start.", show_default="random")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where mismatches are saved.")
    ] = Path("fuzz"),
) -> int:
    """Compare random programs with wasmtime; a mismatch is made small and saved as a .wat.

    Exits with 1 if there was one.
    """
    from .cli_fuzz import fuzz as run_fuzzer

    return run_fuzzer(seconds, seed, output)


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0

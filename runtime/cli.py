"""The command line: ``swarmc run | compile | inspect | deploy | pipeline | cache``, etc.

Only what is needed to understand the command line is imported here, so that ``--help`` is quick.

Exit codes: 0, all went well; 1, some agent trapped or exited with another code than 0 (for
``fuzz``: a mismatch was found; for ``spec``: something did not pass; for ``pipeline`` and
``deploy``: a part of it failed; for ``verify``: the certificate does not hold); 2, the command or
its input is wrong; 130, interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from .. import __version__
from ..errors import SwarmcError
from . import cli_options as o
from .cli_router import add_commands as add_router_commands
from .cli_verify import add_commands as add_verify_command
from .cli_workflows import add_commands as add_workflow_commands

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
pipeline_app = typer.Typer(help="Run pipelines: JSON manifests.", no_args_is_help=True)
app.add_typer(pipeline_app, name="pipeline")


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
    if not verbose:
        logging.basicConfig(level=logging.WARNING, format="swarmc: %(message)s")
        return
    logging.basicConfig(
        level=logging.INFO if verbose == 1 else logging.DEBUG,
        format="%(relativeCreated)6d ms  %(name)s: %(message)s",
    )
    for noisy in ("numba", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@app.command()
@_command
def run(
    file: o.Module,
    argv: o.ProgramArgv = None,
    agents: o.Agents = None,
    at_a_time: o.AtATime = None,
    invoke: o.Invoke = None,
    args: o.Args = None,
    args_file: o.ArgsFile = None,
    argv_lines: o.ArgvLines = None,
    stdin: o.Stdin = None,
    stdin_lines: o.StdinLines = None,
    stdin_dir: o.StdinDir = None,
    env: o.Env = None,
    seed: o.Seed = 0,
    clock: o.Clock = "0",
    fuel: o.Fuel = "1e10",
    target: o.RunTarget = None,
    max_memory: o.MaxMemory = None,
    heap: o.Heap = None,
    call_depth: o.CallDepth = None,
    missing_imports: o.Imports = None,
    host_functions: o.HostFunctions = None,
    opt_level: o.OptLevel = None,
    layout: o.Layout = None,
    max_registers: o.MaxRegisters = None,
    no_cache: o.NoCache = False,
    output_size: o.OutputSize = "4KiB",
    rounds: o.Rounds = "1",
    mailbox_size: o.MailboxSize = None,
    trace_host_calls: o.TraceHostCalls = None,
    router: o.RunRouter = None,
    token_file: o.RunTokenFile = None,
    router_certificate: o.RouterCertificate = None,
    shard_size: o.ShardSize = None,
    verify: o.Verify = None,
    f: o.RunFaulty = None,
    certificates: o.Certificates = None,
    show: o.Show = 10,
    json: o.Json = False,
    csv: o.Csv = None,
    save_stdout: o.SaveStdout = None,
) -> int:
    """Run agents of a program and show what became of them.

    Exits with 1 if an agent trapped, or exited with another code than 0.
    """
    from .cli_run import RunCommand, run_swarm
    from .cli_run_cluster import RemoteOptions, run_remotely

    command = RunCommand(
        file, tuple(argv or ()), agents, invoke, tuple(args or ()), args_file, argv_lines, stdin,
        stdin_lines, stdin_dir, tuple(env or ()), seed, clock, fuel, target and target.value,
        max_memory, heap, call_depth, missing_imports and missing_imports.value, opt_level, layout,
        not no_cache, output_size, show, json, csv, save_stdout,
        tuple(host_functions or ()), at_a_time, max_registers, rounds, mailbox_size,
        trace_host_calls,
    )  # fmt: skip
    remote = RemoteOptions(
        router, token_file, router_certificate, shard_size, verify, f, certificates
    )
    remote.check()
    return run_swarm(command) if router is None else run_remotely(command, remote)


@app.command("compile")
@_command
def compile_(
    file: o.Module,
    output: o.Output = None,
    emit: o.EmitOption = None,
    target: o.TargetOption = o.Target.CPU,
    entry_point: o.EntryPoints = None,
    max_memory: o.MaxMemory = None,
    heap: o.Heap = None,
    call_depth: o.CallDepth = None,
    missing_imports: o.Imports = None,
    host_functions: o.HostFunctions = None,
    opt_level: o.OptLevel = None,
    layout: o.Layout = None,
    arch: o.Arch = None,
    max_registers: o.MaxRegisters = None,
    no_cache: o.NoCache = False,
    json: o.EmitJson = False,
) -> None:
    """Compile a program to machine code that `swarmc run` starts at once.

    A .swarmc file is machine code for this processor: run only those that you trust.
    """
    from .cli_compile import compile_file, compile_options, emit_text
    from .cli_hosts import read_host_functions

    users = read_host_functions(host_functions or ())
    options = compile_options(
        target.value, tuple(entry_point) if entry_point else None, max_memory, heap, call_depth,
        opt_level, missing_imports and missing_imports.value, layout, arch, max_registers, users,
    )  # fmt: skip
    if emit is None:
        compile_file(file, output, options, users, cached=not no_cache, as_json=json)
    else:
        emit_text(file, output, options, emit.value, users, as_json=json)


@app.command()
@_command
def inspect(file: o.Module, json: o.JustJson = False) -> None:
    """Show what a module imports, exports and needs, and how many agents fit on this machine."""
    from .cli_inspect import inspect_file

    inspect_file(file, as_json=json)


@cache_app.command("list")
@_command
def cache_list(json: o.JustJson = False) -> None:
    """List what is in the cache."""
    from .cli_cache import list_cache

    list_cache(as_json=json)


@cache_app.command("clear")
@_command
def cache_clear(json: o.JustJson = False) -> None:
    """Remove everything from the cache."""
    from .cli_cache import clear_cache

    clear_cache(as_json=json)


@pipeline_app.command("run")
@_command
def pipeline_run(
    manifest: o.PipelineManifest,
    input: o.PipelineInput = None,
    sync: o.Sync = False,
    mode: o.PipelineModeOption = o.PipelineMode.NATIVE,
    target: o.RunTarget = None,
    timeout: o.PipelineTimeout = None,
    json: o.PipelineJson = False,
    output: o.PipelineOutput = Path("-"),
) -> int:
    """Run a pipeline and print its result as JSON.

    A manifest is code: it names Python functions, which are imported and called. Modules beside
    it are found as beside a script. Exits with 1 if a node failed.
    """
    from .cli_pipeline import PipelineCommand, run_pipeline

    return run_pipeline(PipelineCommand(
        manifest, input, sync, mode.value, target and target.value, timeout, json, output,
    ))  # fmt: skip


@pipeline_app.command("check")
@_command
def pipeline_check(manifest: o.PipelineManifest, json: o.JustJson = False) -> None:
    """Check a manifest and all that it names, and show the order of its nodes.

    Python modules that it names are imported; none of its nodes runs.
    """
    from .cli_pipeline import check_pipeline

    check_pipeline(manifest, as_json=json)


@app.command()
@_command
def doctor(json: o.JustJson = False) -> int:
    """Check this machine: targets, versions, cache, and why a GPU is not used."""
    from .doctor import report

    return report(as_json=json)


@app.command()
@_command
def fuzz(
    seconds: o.Seconds = 60,
    seed: o.FuzzSeed = None,
    output: o.FuzzOutput = Path("fuzz"),
    target: o.TargetOption = o.Target.CPU,
    layout: o.Layout = None,
    passes: o.Passes = False,
    generator: o.GeneratorOption = o.Generator.OURS,
    malformed: o.Malformed = None,
    json: o.ReportJson = None,
) -> int:
    """Compare random programs with wasmtime; a mismatch is made small and saved as a .wat.

    With --malformed the programs are damaged ones, and only compared is whether they are refused.
    Exits with 1 if there was a mismatch.
    """
    from .cli_fuzz import fuzz as run_fuzzer
    from .cli_fuzz import fuzz_malformed

    if malformed is not None:
        return fuzz_malformed(malformed, seed, output, json_file=json)

    return run_fuzzer(
        seconds, seed, output, target.value, layout, passes=passes, generator=generator.value,
        json_file=json,
    )  # fmt: skip


@app.command()
@_command
def spec(
    path: o.Suite,
    target: o.TargetOption = o.Target.CPU,
    layout: o.Layout = None,
    json: o.ReportJson = None,
    markdown: o.Markdown = None,
) -> int:
    """Run the WebAssembly specification's test scripts and show the score.

    Scripts in a folder 2.0 may use what that version has, all others what 3.0 has.

    Exits with 1 unless everything passed.
    """
    from .cli_spec import spec as run_suite

    return run_suite(path, target.value, layout, json, markdown)


@app.command()
@_command
def bench(
    workload: o.Workloads = None,
    part: o.BenchParts = None,
    quick: o.Quick = False,
    agents: o.BenchAgents = None,
    repeats: o.Repeats = None,
    json: o.BenchJson = None,
    docs: o.BenchDocs = None,
    saved: o.BenchSaved = None,
    corpus: o.BenchCorpus = Path("corpus/bench"),
    gpu_code: o.GpuCode = False,
    arch: o.Arch = None,
) -> None:
    """Measure swarmc beside wasmtime and native C, on the workloads in corpus/bench.

    Every result is checked. Needs wasmtime and ziglang: install swarmc[bench].
    """
    if gpu_code:
        from .cli_gpu_code import gpu_code as count

        return count(corpus, arch or "sm_90", workload or (), json)
    from .cli_bench import bench as run_bench
    from .tools.bench import BenchOptions, Part

    parts = frozenset(Part(item.value) for item in part or ())
    names = tuple(workload or ())
    run_bench(BenchOptions(corpus, names, parts, quick, agents, repeats), saved, json, docs)


add_workflow_commands(app, _command)
add_verify_command(app, _command)
add_router_commands(app, _command)


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0

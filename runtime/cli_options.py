"""The options of the command line: how each is typed, and what its help says."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """Where agents run."""

    CPU = "cpu"
    CUDA = "cuda"
    PTX = "ptx"


class MissingImports(StrEnum):
    """What becomes of imports that nothing provides."""

    ERROR = "error"
    TRAP = "trap"


class Emit(StrEnum):
    """A stage of compilation that can be looked at."""

    WAT = "wat"
    IR = "ir"
    LLVM = "llvm"
    ASM = "asm"
    PTX = "ptx"
    CUBIN = "cubin"
    SASS = "sass"
    RESOURCES = "resources"


class Generator(StrEnum):
    """Who makes the programs of the fuzzer."""

    OURS = "ours"
    WASM_OPT = "wasm-opt"
    BOTH = "both"


class PipelineMode(StrEnum):
    """How values go from one node of a pipeline to the next."""

    NATIVE = "native"
    WASM = "wasm"


class BenchPart(StrEnum):
    """What the benchmark can measure."""

    THROUGHPUT = "throughput"
    START = "start"
    COMPILER = "compiler"
    MEMORY = "memory"


_option = typer.Option
_input = partial(
    typer.Option,
    rich_help_panel="What agents are given (an {expression} of id and agents differs for each)",
)
_running = partial(typer.Option, rich_help_panel="How they run")
_report = partial(typer.Option, rich_help_panel="What is shown")

Module = Annotated[Path, typer.Argument(metavar="FILE", help="A .wasm, .wat or .swarmc file.")]

# How a program is compiled

TargetOption = Annotated[Target, _option(
    help="Where agents run. ptx runs a GPU's code on this machine, for checking only."
)]  # fmt: skip
RunTarget = Annotated[Target | None, _option(
    "--target", envvar="SWARMC_TARGET",
    help="Where agents run. ptx runs a GPU's code on this machine, for checking only.",
    show_default="cuda if there is a GPU that works, else cpu; for a .swarmc file its own",
)]  # fmt: skip
MaxMemory = Annotated[str | None, _option(
    metavar="SIZE", help="How far a memory may grow, e.g. 64MiB.",
    show_default="its minimum plus 1 MiB",
)]  # fmt: skip
CallDepth = Annotated[int | None, _option(
    help="How deep an agent's calls may nest.", show_default="2048",
)]  # fmt: skip
Heap = Annotated[str | None, _option(
    metavar="SIZE", help="Heap of an agent, for objects and exceptions; nothing on it is freed.",
    show_default="1 MiB",
)]  # fmt: skip
Imports = Annotated[MissingImports | None, _option(
    help="Refuse a module with unknown imports, or let agents that call one trap.",
    show_default="error",
)]  # fmt: skip
HostFunctions = Annotated[list[Path] | None, _option(
    metavar="FILE", help="A Python file with host functions, @swarmc.host_function, which the"
    " program may import. It is run.",
)]  # fmt: skip
OptLevel = Annotated[int | None, _option(
    min=0, max=3, help="LLVM's optimisation level.", show_default="by size",
)]  # fmt: skip
Layout = Annotated[str | None, _option(
    metavar="NAME", help="How agents' bytes lie in memory: flat, or interleaved with cells of 4, 8"
    " or 16 bytes (interleaved:8). Results do not depend on it.",
    show_default="flat on the CPU",
)]  # fmt: skip
Arch = Annotated[str | None, _option(
    metavar="SM", help="Compute capability of a GPU to compile for, e.g. sm_90.",
    show_default="sm_90",
)]  # fmt: skip
MaxRegisters = Annotated[int | None, _option(
    min=32, max=255, help="Most registers of a thread on a GPU; fewer leave room for more agents at"
    " a time.", show_default="as the assembler likes",
)]  # fmt: skip
EmitJson = Annotated[bool, _option(
    "--json", help="Print JSON: what was written, or with --emit resources those.",
)]  # fmt: skip
NoCache = Annotated[bool, _option("--no-cache", help="Neither read nor write the cache.")]
Output = Annotated[Path | None, _option(
    "--output", "-o", metavar="FILE", help="Where to write; - prints.",
    show_default="FILE with .swarmc; text is printed",
)]  # fmt: skip
EmitOption = Annotated[Emit | None, _option(
    "--emit", help="Print a stage's text instead of compiling to a file; asm is the CPU's,"
    " ptx, cubin (machine code), sass and resources are a GPU's.",
)]  # fmt: skip
EntryPoints = Annotated[list[str] | None, _option(
    "--entry-point", metavar="NAME", help="Exported function to keep.", show_default="all",
)]  # fmt: skip

# What agents run, and on what

ProgramArgv = Annotated[list[str] | None, typer.Argument(
    help="Arguments of the program, best after --.",
)]  # fmt: skip
Agents = Annotated[str | None, _option(
    "--agents", "-n", metavar="N", help="How many agents.",
    show_default="one for each input, else 1",
)]  # fmt: skip
AtATime = Annotated[str | None, _option(
    "--at-a-time", metavar="N", help="Most agents at a time; others wait until these are done.",
    show_default="all",
)]  # fmt: skip
Invoke = Annotated[str | None, _option(
    metavar="NAME", help="Exported function to call.",
    show_default="_start, else main, else the only one",
)]  # fmt: skip
Args = Annotated[list[str] | None, _input(
    metavar="VALUES", help="The function's arguments, e.g. '30 {id} {id/agents}'.",
)]  # fmt: skip
ArgsFile = Annotated[Path | None, _input(
    metavar="CSV", help="A row of arguments for each agent.",
)]  # fmt: skip
ArgvLines = Annotated[Path | None, _input(
    metavar="FILE", help="A line of further program arguments for each agent, quoted as in a"
    " shell.",
)]  # fmt: skip
Stdin = Annotated[Path | None, _input(
    metavar="FILE", help="Standard input of every agent; - is swarmc's own.",
)]  # fmt: skip
StdinLines = Annotated[Path | None, _input(
    metavar="FILE", help="A line of standard input for each agent.",
)]  # fmt: skip
StdinDir = Annotated[Path | None, _input(
    metavar="DIR", help="A file of standard input for each agent, by name.",
)]  # fmt: skip
Env = Annotated[list[str] | None, _input(metavar="KEY=VALUE", help="An environment variable.")]
Seed = Annotated[int, _input(min=0, help="What random numbers are made from.")]
Clock = Annotated[str, _input(
    metavar="TIME", help="What clocks start at: nanoseconds since 1970, an ISO 8601 time, or now.",
)]  # fmt: skip
Fuel = Annotated[str, _running(
    metavar="N", help="Instructions an agent may execute, e.g. 5e9.",
)]  # fmt: skip
OutputSize = Annotated[str, _running(
    metavar="SIZE", help="Bytes kept of each stream of an agent.",
)]  # fmt: skip
Rounds = Annotated[str, _running(
    "--rounds", metavar="N", help="How often the agents run, one dispatch after another: what they"
    " send each other in one is there in the next. Each is shown; with --json, as a line.",
)]  # fmt: skip
MailboxSize = Annotated[str | None, _running(
    metavar="SIZE", help="Bytes for messages that wait for an agent, and for those that it sends in"
    " one dispatch.", show_default="4KiB",
)]  # fmt: skip
TraceHostCalls = Annotated[str | None, _running(
    metavar="N", help="Note the first N host calls of each agent, and show those of the first.",
)]  # fmt: skip

# Where they run

_elsewhere = partial(typer.Option, rich_help_panel="Where they run, if not here")

RunRouter = Annotated[str | None, _elsewhere(
    "--router", metavar="URL", help="A router, such as ws://127.0.0.1:8080, whose workers run the"
    " agents; what comes of it is the same.",
)]  # fmt: skip
RunTokenFile = Annotated[Path | None, _elsewhere(
    "--token-file", envvar="SWARMC_ROUTER_TOKEN_FILE", metavar="FILE",
    help="File with the router's token.",
)]  # fmt: skip
RouterCertificate = Annotated[Path | None, _elsewhere(
    metavar="PEM", help="Certificate to trust, of a router that has its own.",
)]  # fmt: skip
ShardSize = Annotated[int | None, _elsewhere(
    min=1, metavar="N", help="Agents that a worker is given at a time.", show_default="1024",
)]  # fmt: skip
Verify = Annotated[str | None, _elsewhere(
    metavar="bft", help="Have 2f + 1 workers that fail apart run each shard, and certify what"
    " f + 1 of them sign.",
)]  # fmt: skip
RunFaulty = Annotated[int | None, _elsewhere(
    "--f", min=0, metavar="N", help="How many workers may lie.", show_default="1",
)]  # fmt: skip
Certificates = Annotated[Path | None, _elsewhere(
    metavar="DIR", help="Where certificates go, a file a shard, for swarmc verify.",
)]  # fmt: skip

# What is shown

Show = Annotated[int, _report(min=0, help="Agents to list.")]
Json = Annotated[bool, _report("--json", help="Print everything as JSON.")]
JustJson = Annotated[bool, _option("--json", help="Print JSON.")]
Csv = Annotated[Path | None, _report(
    metavar="FILE", help="Write a row for each agent; - prints them.",
)]  # fmt: skip
SaveStdout = Annotated[Path | None, _report(
    metavar="FILE", help="Write the agents' outputs, one after another.",
)]  # fmt: skip

# swarmc fuzz

Seconds = Annotated[float, _option(min=0, help="How long to look for mismatches.")]
FuzzSeed = Annotated[int | None, _option(min=0, help="Where to start.", show_default="random")]
FuzzOutput = Annotated[Path, _option(
    "--output", "-o", metavar="DIR", help="Where mismatches are saved.",
)]  # fmt: skip

Passes = Annotated[bool, _option(
    "--passes", help="Test each pass by itself, too, in the interpreter; a wrong one is named.",
)]  # fmt: skip
Malformed = Annotated[int | None, _option(
    min=1, metavar="N", help="Damage modules N times instead, and compare what is refused.",
)]  # fmt: skip
GeneratorOption = Annotated[Generator, _option(
    help="Who makes the programs; wasm-opt is Binaryen's, from PATH.",
)]  # fmt: skip

# swarmc pipeline

PipelineManifest = Annotated[Path, typer.Argument(
    metavar="MANIFEST", help="A JSON file; - is standard input.",
)]  # fmt: skip
PipelineInput = Annotated[Path | None, _option(
    "--input", "-i", metavar="FILE", help="A JSON list, with an item for each execution; - is"
    " standard input.",
)]  # fmt: skip
Sync = Annotated[bool, _option("--sync", help="One node after another, in a defined order.")]
PipelineModeOption = Annotated[PipelineMode, _option(
    "--mode", help="How values go to the next node: by reference, or as JSON text.",
)]  # fmt: skip
PipelineTimeout = Annotated[float | None, _option(
    "--timeout", min=0.001, metavar="SECONDS", help="How long it may take.",
    show_default="as long as it takes",
)]  # fmt: skip
PipelineJson = Annotated[bool, _option("--json", help="Print the result in one line.")]
PipelineOutput = Annotated[Path, _option(
    "--output", "-o", metavar="FILE", help="Where the result goes; - is standard output.",
)]  # fmt: skip

# swarmc spec

Suite = Annotated[Path, typer.Argument(
    metavar="PATH", help="A folder of .wast files, with all below it, or one such file.",
)]  # fmt: skip
ReportJson = Annotated[Path | None, _option(
    "--json", metavar="FILE", help="Write everything as JSON; - prints it.",
)]  # fmt: skip
Markdown = Annotated[Path | None, _option(
    metavar="FILE", help="Write a page such as docs/conformance.md.",
)]  # fmt: skip

# swarmc bench

Workloads = Annotated[list[str] | None, _option(
    "--workload", "-w", metavar="NAME", help="A workload to measure.", show_default="all",
)]  # fmt: skip
BenchParts = Annotated[list[BenchPart] | None, _option(
    "--part", help="What to measure.", show_default="all",
)]  # fmt: skip
Quick = Annotated[bool, _option("--quick", help="About a minute, over four workloads.")]
BenchAgents = Annotated[int | None, _option(
    "--agents", "-n", min=1, metavar="N", help="How many agents of each.",
    show_default="what the manifest says",
)]  # fmt: skip
Repeats = Annotated[int | None, _option(
    min=1, metavar="N", help="How often everything is measured.", show_default="7, quick: 3",
)]  # fmt: skip
BenchJson = Annotated[Path | None, _option(
    "--json", metavar="FILE", help="Write every figure as JSON; - prints it.",
)]  # fmt: skip
BenchDocs = Annotated[Path | None, _option(
    "--docs", metavar="FILE", help="Write a page with tables, its plots and its figures.",
)]  # fmt: skip
BenchSaved = Annotated[Path | None, _option(
    "--from", metavar="FILE", help="Measure nothing; take what --json wrote.",
)]  # fmt: skip
GpuCode = Annotated[bool, _option(
    "--gpu-code", help="Run nothing: count the instructions of a GPU's code beside those of"
    " handwritten CUDA C. Needs NVIDIA's tools and NVRTC, and no GPU.",
)]  # fmt: skip
BenchCorpus = Annotated[Path, _option(
    "--corpus", metavar="DIR", help="Where the workloads are.",
)]  # fmt: skip

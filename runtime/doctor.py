"""``swarmc doctor``: what this machine has, checked by using it."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.text import Text

from .. import __version__
from ..errors import SwarmcError, TargetError
from .cli_inspect import available_memory
from .cli_terminal import duration_text, size_text, stdout_console

_REQUIRED = ("numpy", "llvmlite", "numba", "rich", "typer")
_OPTIONAL = (
    ("wasmtime", "to read .wat files, and for swarmc fuzz and bench"),
    ("ziglang", "to rebuild the corpus, and for swarmc bench"),
    ("cuda-bindings", "to run agents on a GPU"),
    ("matplotlib", "for the plots of swarmc bench"),
)

# (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
_PROGRAM = bytes.fromhex(
    "0061736d01000000" "0107016002" "7f7f017f" "03020100" "070701" "036164640000"
    "0a09010700" "20002001" "6a0b"
)  # fmt: skip

_AGENTS = 1000
_WRONG = "agents gave wrong results"

_Check = tuple[bool | None, str, str]  # right, wrong or neither; what; how it is


def report(*, as_json: bool = False) -> int:
    """Print every check; the exit code is 1 if swarmc cannot run agents here."""
    console = stdout_console()
    failed = False
    checks = []
    for check in (_machine, _packages, _cpu_target, _gpu, _cuda_tools, _cache, _optional):
        for good, what, text in check():
            failed |= good is False
            if as_json:
                checks.append({"check": what, "good": good, "text": text})
                continue
            mark, style = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "dim")}[
                good
            ]
            console.print(
                Text.assemble((mark, style), "  ", (f"{what:<14}", "bold"), text), soft_wrap=True
            )
    if as_json:
        typer.echo(json.dumps({"good": not failed, "checks": checks}))
    return 1 if failed else 0


def _machine() -> Iterator[_Check]:
    system, machine = platform.system(), platform.machine()
    supported = system == "Linux" and machine in ("x86_64", "aarch64")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{system} {platform.release()} {machine}, {cores} cores, {cpu_name()}"
    yield supported, "machine", text if supported else f"{text}: not supported"
    available = available_memory()
    if available is not None:
        yield True, "memory", f"{size_text(available)} available"
    yield True, "python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield True, "swarmc", f"{__version__} in {Path(__file__).resolve().parent.parent}"


def cpu_name() -> str:
    """The processor, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown processor"
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def _packages() -> Iterator[_Check]:
    for name in _REQUIRED:
        try:
            yield True, name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield False, name, "not installed"


def _cpu_target() -> Iterator[_Check]:
    from ..targets.cpu.machine import host_machine

    try:
        machine = host_machine()
        yield True, "llvm", f"{machine.llvm_version} for {machine.triple}, {machine.cpu}"
        elapsed = _try_target("cpu")
        text = f"compiled a program and ran {_AGENTS} agents of it in {elapsed}"
        yield elapsed is not None, "target cpu", text if elapsed else _WRONG
        yield True, "threads", f"{len(os.sched_getaffinity(0))}"
    except (SwarmcError, OSError, RuntimeError, ImportError) as error:
        yield False, "target cpu", f"{type(error).__name__}: {error}"


def _try_target(name: str) -> str | None:
    """How long a small program took; None if its results were wrong."""
    from .manager import SwarmManager

    started = time.perf_counter()
    with SwarmManager(name, cache=False) as swarm:
        swarm.load_bytecode(_PROGRAM)
        swarm.spawn_agents(_AGENTS, "add", [20, 22])
        result = swarm.dispatch()
    right = bool((result.results_array() == 42).all())
    return duration_text((time.perf_counter() - started) * 1000) if right else None


def _gpu() -> Iterator[_Check]:
    from ..targets.cuda.target import NoGpuError, usable_gpu
    from .choosing import driver_is_there

    try:
        found = usable_gpu().properties
    except NoGpuError as error:
        yield None, "gpu", f"{error}: agents run on the CPU"
        return
    except TargetError as error:
        wanted = "there is a GPU, but " if driver_is_there() else ""
        yield None, "gpu", f"{wanted}{error}: agents run on the CPU"
        return
    text = f"{found.name}, {found.arch}, {size_text(found.memory)} free, CUDA {found.cuda}"
    yield True, "gpu", f"{text}: agents run there unless a target is named"
    try:
        elapsed = _try_target("cuda")
    except (SwarmcError, OSError) as error:
        yield False, "target cuda", f"{type(error).__name__}: {error}"
        return
    text = f"compiled a program and ran {_AGENTS} agents of it in {elapsed}"
    yield elapsed is not None, "target cuda", text if elapsed else _WRONG


def _cuda_tools() -> Iterator[_Check]:
    from ..targets.cuda.toolchain import TOOLS, find_tool, tool_version

    for name, use in TOOLS.items():
        try:
            yield True, name, f"{tool_version(name)}, {use}: {find_tool(name)}"
        except TargetError as error:
            yield None, name, f"{error}; it is needed {use}"


def _cache() -> Iterator[_Check]:
    from .cache import Cache, default_cache_dir

    directory = default_cache_dir()
    if directory is None:
        yield None, "cache", "none: neither SWARMC_CACHE_DIR nor HOME is set"
        return
    try:
        cache = Cache(directory)
        entries = cache.entries()
        writable = os.access(directory, os.W_OK)
    except SwarmcError as error:
        yield False, "cache", str(error)
        return
    total = size_text(sum(entry.size for entry in entries))
    text = f"{len(entries)} entries, {total}, in {directory}"
    if writable:
        yield True, "cache", text
    else:
        yield None, "cache", f"{text}, which cannot be written to"


def _optional() -> Iterator[_Check]:
    for name, use in _OPTIONAL:
        try:
            yield True, name, f"{importlib.metadata.version(name)}, {use}"
        except importlib.metadata.PackageNotFoundError:
            yield None, name, f"not installed, it is needed {use}"

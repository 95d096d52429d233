"""``swarmc doctor``: what this machine has, checked by using it."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from .. import __version__
from ..errors import SwarmcError
from .cli_inspect import available_memory
from .cli_terminal import duration_text, size_text, stdout_console

_REQUIRED = ("numpy", "llvmlite", "numba", "rich", "typer")
_OPTIONAL = (
    ("wasmtime", "to read .wat files, and for swarmc fuzz and bench"),
    ("ziglang", "to rebuild the corpus, and for swarmc bench"),
    ("matplotlib", "for the plots of swarmc bench"),
)

# (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
_PROGRAM = bytes.fromhex(
    "0061736d01000000" "0107016002" "7f7f017f" "03020100" "070701" "036164640000"
    "0a09010700" "20002001" "6a0b"
)  # fmt: skip

_Check = tuple[bool | None, str, str]  # right, wrong or neither; what; how it is


def report() -> int:
    """Print every check; the exit code is 1 if swarmc cannot run agents here."""
    console = stdout_console()
    failed = False
    for check in (_machine, _packages, _cpu_target, _gpu, _cache, _optional):
        for good, what, text in check():
            failed |= good is False
            mark, style = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "dim")}[
                good
            ]
            console.print(
                Text.assemble((mark, style), "  ", (f"{what:<12}", "bold"), text), soft_wrap=True
            )
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
    from .manager import SwarmManager

    try:
        machine = host_machine()
        yield True, "llvm", f"{machine.llvm_version} for {machine.triple}, {machine.cpu}"
        started = time.perf_counter()
        with SwarmManager("cpu", cache=False) as swarm:
            swarm.load_bytecode(_PROGRAM)
            swarm.spawn_agents(1000, "add", [20, 22])
            result = swarm.dispatch()
        right = bool((result.results_array() == 42).all())
        elapsed = duration_text((time.perf_counter() - started) * 1000)
        text = f"compiled a program and ran 1000 agents of it in {elapsed}"
        yield right, "target cpu", text if right else "agents gave wrong results"
        numba: Any = importlib.import_module("numba")
        yield True, "threads", f"{numba.get_num_threads()} ({numba.threading_layer()})"
    except (SwarmcError, OSError, RuntimeError, ImportError) as error:
        yield False, "target cpu", f"{type(error).__name__}: {error}"


def _gpu() -> Iterator[_Check]:
    reason = f"swarmc {__version__} has no target for GPUs yet: agents run on the CPU"
    for name in _gpu_names():
        yield None, "gpu", f"{name}: not used, {reason}"
    if not _gpu_names():
        found = "the NVIDIA driver finds none" if _has_driver() else "there is no NVIDIA driver"
        yield None, "gpu", f"{found}; and {reason}"


def _gpu_names() -> list[str]:
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                names.append(line.partition(":")[2].strip())
    return names


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


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

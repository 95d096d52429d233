"""``swarmc compile``: write a compiled program, or print the text of a stage on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import typer

from ..errors import ArgumentError
from ..ir.module import DEFAULT_HEAP
from ..targets.addressing import parse_layout
from ..targets.executable import DEFAULT_CALL_DEPTH, CompileOptions
from .cli_inputs import parse_size
from .cli_module import naming, read_wasm
from .cli_terminal import (
    duration_text,
    interruptible,
    size_text,
    stage_progress,
    stdout_console,
    write_file,
)
from .host_api import HostFunction
from .hosts import imports_of

SUFFIX = ".swarmc"


def compile_options(
    target: str,
    entry_points: tuple[str, ...] | None,
    max_memory: str | None,
    heap: str | None,
    call_depth: int | None,
    opt_level: int | None,
    missing_imports: str | None,
    layout: str | None,
    arch: str | None,
    max_registers: int | None,
    users: Sequence[HostFunction] = (),
) -> CompileOptions:
    """The options as they were typed.

    Args:
        users: host functions of the user's.

    Raises:
        ArgumentError: a size is none, or there is no such layout.
    """
    return CompileOptions(
        target=target,
        entry_points=entry_points,
        max_memory=None if max_memory is None else parse_size(max_memory, "--max-memory"),
        call_depth=DEFAULT_CALL_DEPTH if call_depth is None else call_depth,
        heap=DEFAULT_HEAP if heap is None else parse_size(heap, "--heap"),
        opt_level=opt_level,
        patient=True,  # who compiles beforehand wants it done well
        missing_imports=missing_imports or "error",
        layout=None if layout is None else parse_layout(layout),
        arch=arch,
        max_registers=max_registers,
        host_functions=imports_of(users),
    )


def compile_file(
    path: Path, output: Path | None, options: CompileOptions,
    users: Sequence[HostFunction] = (), *, cached: bool, as_json: bool = False,
) -> None:  # fmt: skip
    """Compile a module to a .swarmc file."""
    from .cache import open_cache
    from .compile import compile_wasm

    wasm = read_wasm(path, "swarmc compile")
    output = output or path.with_suffix(SUFFIX)
    started = time.perf_counter()
    with stage_progress() as progress, naming(path):
        executable = interruptible(
            lambda: compile_wasm(
                wasm, options, cache=open_cache(cached), progress=progress, users=users
            )
        )
    data = executable.to_bytes()
    _write(output, data)
    milliseconds = (time.perf_counter() - started) * 1000
    if as_json and str(output) != "-":
        typer.echo(json.dumps({
            "file": str(output), "bytes": len(data), "target": executable.target,
            "milliseconds": round(milliseconds, 3),
        }))  # fmt: skip
    elif str(output) != "-":
        elapsed = duration_text(milliseconds)
        stdout_console().print(f"{output}: {size_text(len(data))}, in {elapsed}", soft_wrap=True)


def emit_text(
    path: Path, output: Path | None, options: CompileOptions, stage: str,
    users: Sequence[HostFunction] = (), *, as_json: bool,
) -> None:  # fmt: skip
    """Write what a stage makes, see :func:`~.cli_stages.stage_text`."""
    from .cli_stages import stage_text

    wasm = read_wasm(path, "swarmc compile")
    with stage_progress() as progress, naming(path):
        progress(f"making {stage}", 0.0)
        made = interruptible(partial(stage_text, wasm, options, stage, users, as_json=as_json))
    data = made if isinstance(made, bytes) else made.encode("utf-8", "backslashreplace")
    _write(output or Path("-"), data)


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, lambda file: file.write(data), binary=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ArgumentError(f"cannot write {path}: {error.strerror}") from None

"""What the commands share on the terminal: progress, sizes, text that is safe to print."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import ArgumentError

T = TypeVar("T")

_STEP_SECONDS = 0.05
_MAX_WIDTH_OF_FILES = 120

_STAGES = {
    "decode": "decoding",
    "validate": "validating",
    "translate": "translating to IR",
    "optimise": "optimising the IR",
    "lower": "lowering to LLVM IR",
    "compile": "compiling to machine code",
    "assemble": "assembling for the GPU",
}

# Control characters but newline and tab would let a program write anywhere on the terminal.
_CONTROL = {c: f"\\x{c:02x}" for c in [*range(32), *range(127, 160)] if c not in (9, 10)}

_abandoned = False


def stdout_console() -> Console:
    """The console for results; a file gets lines of a width that does not depend on anything."""
    return Console() if sys.stdout.isatty() else Console(width=_MAX_WIDTH_OF_FILES)


def report_console(json_file: Path | None) -> Console:
    """The console for a report; standard error where the report's JSON goes to standard output."""
    if json_file is None or str(json_file) != "-":
        return stdout_console()
    return Console(stderr=True, width=None if sys.stderr.isatty() else _MAX_WIDTH_OF_FILES)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, if that is a terminal; gives the callback for it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda stage, share: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def report(stage: str, share: float) -> None:
            text = _STAGES.get(stage, stage)
            progress.update(task, description=text, completed=share, total=1.0 if share else None)

        yield report


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """A spinner with the time that passed, on standard error, if that is a terminal."""
    with stage_progress() as report:
        report(text, 0.0)
        yield


def interruptible(call: Callable[[], T]) -> T:
    """Run something that Ctrl-C cannot interrupt by itself, such as LLVM.

    Raises:
        KeyboardInterrupt: Ctrl-C. The call goes on in its thread, so the process must be left by
            :func:`leave`.
    """
    global _abandoned
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()  # Thread.join, when interrupted, takes a thread for ended

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    try:
        threading.Thread(target=work, daemon=True).start()
        while not done.wait(_STEP_SECONDS):
            pass
    except KeyboardInterrupt:
        _abandoned = not done.is_set()
        raise
    if errors:
        raise errors[0]
    return results[0]


def leave(code: int) -> None:
    """End the process if a call that Ctrl-C left behind still runs in it."""
    if _abandoned:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def printable(data: bytes) -> str:
    """Text of a program's output with nothing in it that would move the cursor."""
    return data.decode("utf-8", "backslashreplace").translate(_CONTROL)


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:,.1f} {unit}"


def duration_text(milliseconds: float) -> str:
    """A duration for people."""
    if milliseconds >= 10_000:
        return f"{milliseconds / 1000:,.1f} s"
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.2f} ms"


def per_second(count: float, milliseconds: float) -> str:
    """A rate for people."""
    rate = count / (milliseconds / 1000) if milliseconds else 0.0
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if rate >= limit:
            return f"{rate / (limit if unit != ' k' else 1e3):,.1f}{unit}"
    return f"{rate:,.0f} "


def write_file(path: Path, write: Callable[[Any], object], *, binary: bool) -> None:
    """Write a file that the user named; - is standard output.

    Raises:
        ArgumentError: it cannot be written.
    """
    if str(path) == "-":
        write(sys.stdout.buffer if binary else sys.stdout)
        sys.stdout.flush()
        return
    try:
        if binary:
            with open(path, "wb") as file:
                write(file)
        else:
            with open(path, "w", encoding="utf-8", newline="") as text_file:
                write(text_file)
    except OSError as error:
        raise ArgumentError(f"cannot write {path}: {error.strerror}") from None

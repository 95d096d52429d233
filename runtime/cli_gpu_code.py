"""``swarmc bench --gpu-code``: instructions of swarmc's code for GPUs beside handwritten code's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from .cli_terminal import report_console, spinner, write_file
from .tools.gpu_code import Code, compare

_KINDS = 8  # of instructions that are listed


def gpu_code(corpus: Path, arch: str, names: Sequence[str], json_file: Path | None) -> None:
    """Show what is counted, and write it to a file."""
    with spinner("compiling for a GPU"):
        found = compare(corpus, arch, names)
    title = f"{arch}: instructions for a unit of work, swarmc's beside handwritten CUDA C's"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("workload", "unit of work", "by", "registers", "warps", "instructions"):
        table.add_column(head, justify="left" if head in ("workload", "unit of work", "by")
                         else "right")  # fmt: skip
    table.add_column("which")
    for one in found:
        times = f"{one.ours.per_unit / one.theirs.per_unit:.2f} times"
        table.add_row(one.workload, one.unit, "swarmc", *_cells(one.ours))
        table.add_row("", times, "hand", *_cells(one.theirs))
    report_console(json_file).print(table)
    if json_file is not None:
        text = json.dumps([one.to_json() for one in found], indent=1) + "\n"
        write_file(json_file, lambda file: file.write(text), binary=False)


def _cells(code: Code) -> tuple[str, ...]:
    kinds = ", ".join(f"{kind} {count:.1f}" for kind, count in code.mix[:_KINDS])
    return str(code.registers), str(code.warps), f"{code.per_unit:.1f}", kinds

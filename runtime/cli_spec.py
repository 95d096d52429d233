"""``swarmc spec``: the specification's suite, with its score on the terminal and in files."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ..targets.addressing import parse_layout
from .choosing import target_named
from .cli_terminal import printable, report_console, stage_progress, write_file
from .tools.spec import Score, SuiteReport, kind_of, run_suite, to_markdown
from .tools.spec_script import State

_FAILED = 1
_SHOWN = 20


def spec(
    path: Path, target: str, layout: str | None, json_file: Path | None, markdown: Path | None
) -> int:
    """Run the suite and print its score; the exit code is 1 unless everything passed."""
    chosen = target_named(target, None if layout is None else parse_layout(layout))
    with stage_progress() as progress:
        report = run_suite(path, chosen, progress=progress)
    _show(report, report_console(json_file))
    if json_file is not None:
        text = json.dumps(report.to_json(), indent=1) + "\n"
        write_file(json_file, lambda file: file.write(text), binary=False)
    if markdown is not None:
        page = to_markdown(report)
        write_file(markdown, lambda file: file.write(page), binary=False)
    total = report.total
    return 0 if total.passed == total.total else _FAILED


def _show(report: SuiteReport, console: Console) -> None:
    failed = [
        f"{name}:{verdict.command.line}: {kind_of(verdict)}: {verdict.reason}"
        for name, verdicts in report.files.items()
        for verdict in verdicts
        if verdict.state is State.FAILED
    ]
    for line in failed[:_SHOWN]:
        text = printable(line.encode("utf-8", "backslashreplace"))
        console.print(text, highlight=False, markup=False)
    if len(failed) > _SHOWN:
        console.print(f"{len(failed) - _SHOWN} more failures", highlight=False)
    table = Table("files", box=box.SIMPLE_HEAD)
    for head in ("passed", "failed", "skipped", ""):
        table.add_column(head, justify="right")
    for name, item in report.groups().items():
        table.add_row(name, *_cells(item))
    table.add_section()
    table.add_row("all", *_cells(report.total))
    console.print(table)


def _cells(item: Score) -> tuple[str, ...]:
    return f"{item.passed:,}", f"{item.failed:,}", f"{item.skipped:,}", item.percentage

"""``swarmc bench``: measures, with the figures on the terminal and in files."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from .cli_terminal import duration_text, per_second, stage_progress, stdout_console, write_file
from .tools.bench import BenchOptions, run_benchmark
from .tools.bench_engines import SWARMC
from .tools.bench_report import BenchReport, Case, Spread


def bench(options: BenchOptions, json_file: Path | None) -> None:
    """Measure, show the figures, and write them to files."""
    with stage_progress() as progress:
        report = run_benchmark(options, progress=progress)
    _show(report)
    if json_file is not None:
        text = json.dumps(report.to_json(), indent=1) + "\n"
        write_file(json_file, lambda file: file.write(text), binary=False)


def _show(report: BenchReport) -> None:
    console = stdout_console()
    for name, value in report.machine.items():
        console.print(f"{name:<12}  {value}", highlight=False, markup=False)
    _show_speeds(console, report, total=False)
    _show_speeds(console, report, total=True)


def _show_speeds(console: Console, report: BenchReport, *, total: bool) -> None:
    others = [name for name in report.engines() if name != SWARMC]
    title = "end to end" if total else "kernel alone"
    table = Table("workload", "inputs", title_justify="left", box=box.SIMPLE_HEAD,
                  title=f"{title}: swarmc, and its speed as a multiple of others'")
    for head in ("agents", "swarmc", "instructions/s", *others):
        table.add_column(head, justify="right")
    for case in report.cases:
        table.add_row(case.workload, case.inputs, f"{case.agents:,}", *_own(case, total=total),
                      *(_ratio(case.speed(name, total=total)) for name in others))
    table.add_section()
    means = (report.geometric_mean(name, total=total) for name in others)
    table.add_row("geometric mean", "", "", "", "",
                  *("" if mean is None else f"{mean:.2f}" for mean in means))
    console.print(table)


def _own(case: Case, *, total: bool) -> tuple[str, str]:
    own = case.engines.get(SWARMC)
    if own is None:
        return "", ""
    ms = Spread.of(own.total if total else own.kernel).median
    return duration_text(ms), per_second(case.instructions, ms)


def _ratio(speed: Spread | None) -> str:
    return "" if speed is None else f"{speed.median:.2f} ±{speed.half_width:.0%}"

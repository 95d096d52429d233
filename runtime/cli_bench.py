"""``swarmc bench``: measures, with the figures on the terminal and in files."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import ArgumentError, SwarmcError
from .cli_terminal import (
    duration_text,
    per_second,
    report_console,
    size_text,
    stage_progress,
    write_file,
)
from .tools.bench import BenchOptions, run_benchmark
from .tools.bench_engines import SWARMC
from .tools.bench_page import to_markdown
from .tools.bench_plots import draw_plots, load_matplotlib
from .tools.bench_report import BUILDS, BenchReport, Case
from .tools.bench_statistics import Spread
from .tools.bench_targets import HEADS, targets


def bench(options: BenchOptions, saved: Path | None, json_file: Path | None, docs: Path | None
          ) -> None:
    """Measure, or take what was measured before; show the figures, and write them to files."""
    if docs is not None:
        load_matplotlib()  # what is missing is said before an hour is spent
    if saved is None:
        with stage_progress() as progress:
            report = run_benchmark(options, progress=progress)
    else:
        report = read_report(saved)
    _show(report, report_console(json_file))
    if json_file is not None:
        _write_json(report, json_file)
    if docs is not None:
        write_page(report, docs)


def read_report(path: Path) -> BenchReport:
    """A report that ``--json`` wrote.

    Raises:
        SwarmcError: the file cannot be read, or is none.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise SwarmcError(f"{path} is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise SwarmcError(f"{path} is no report of a benchmark")
    return BenchReport.from_json(table)


def write_page(report: BenchReport, path: Path) -> None:
    """Write a page, its pictures, and the figures beside it."""
    try:
        pictures = draw_plots(report, path.with_suffix(""))
    except OSError as error:
        raise ArgumentError(f"cannot draw beside {path}: {error.strerror}") from None
    data = path.with_suffix(".json")
    _write_json(report, data)
    page = to_markdown(report, data=data.name, pictures=pictures)
    write_file(path, lambda file: file.write(page), binary=False)


def _write_json(report: BenchReport, path: Path) -> None:
    text = json.dumps(report.to_json(), separators=(",", ":")) + "\n"
    write_file(path, lambda file: file.write(text), binary=False)


def _show(report: BenchReport, console: Console) -> None:
    for name, value in report.machine.items():
        console.print(f"{name:<12}  {value}", highlight=False, markup=False)
    if report.cases:
        _show_speeds(console, report, total=False)
        _show_speeds(console, report, total=True)
    if report.builds() and report.throughput():
        _show_costs(console, report)
    if report.crossings:
        _show_crossings(console, report)
    if report.starts:
        _show_starts(console, report)
    if report.compilations:
        _show_compilations(console, report)
    if report.footprints:
        _show_memory(console, report)
    _show_targets(console, report)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    return table


def _show_speeds(console: Console, report: BenchReport, *, total: bool) -> None:
    others = report.others()
    title = "end to end" if total else "kernel alone"
    table = _table(f"{title}: swarmc, and its speed as a multiple of others'",
                   "workload", "inputs", "agents", "swarmc", "instructions/s", *others)
    for case in report.cases:
        speeds = (case.speed(name, total=total) for name in others)
        table.add_row(case.workload, case.inputs, f"{case.agents:,}", *_own(case, total=total),
                      *("" if speed is None else str(speed) for speed in speeds))
    if report.throughput():
        table.add_section()
        means = (report.mean_speed(name, total=total) or 0.0 for name in others)
        table.add_row("geometric mean", "", "", "", "", *(f"{mean:.2f}" for mean in means))
    console.print(table)


def _show_costs(console: Console, report: BenchReport) -> None:
    builds = report.builds()
    table = _table("what checks cost", "workload", "inputs", *(BUILDS[name] for name in builds))
    for case in report.throughput():
        table.add_row(case.workload, case.inputs, *(_percent(case.cost(name)) for name in builds))
    table.add_section()
    table.add_row("geometric mean", "", *(_percent(report.cost(name)) for name in builds))
    console.print(table)


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:+.0%}"


def _own(case: Case, *, total: bool) -> tuple[str, str]:
    if SWARMC not in case.engines:
        return "", ""
    ms = case.milliseconds(SWARMC, total=total)
    return duration_text(ms), per_second(case.instructions, ms)


def _show_crossings(console: Console, report: BenchReport) -> None:
    others = [name for name in report.crossings[0].total_ms if name != SWARMC]
    table = _table("from how many agents on swarmc is faster, end to end", "workload", *others)
    for item in report.crossings:
        counts = (item.wins_from(name) for name in others)
        table.add_row(item.workload, *("never" if n is None else str(n) for n in counts))
    console.print(table)


def _show_starts(console: Console, report: BenchReport) -> None:
    first = report.starts[0]
    table = _table("a process to its first result", "workload", *first.first_result)
    for start in report.starts:
        samples = (start.first_result[way] for way in first.first_result)
        table.add_row(start.workload, *(duration_text(Spread.of(s).median) for s in samples))
    console.print(table)


def _show_compilations(console: Console, report: BenchReport) -> None:
    table = _table("compiling", "module", "instructions", "optimised", "front end/s", "total",
                   "peak memory", "wasmtime")
    for item in report.compilations:
        table.add_row(size_text(item.bytes), f"{item.instructions:,}",
                      "quick" if item.provisional else "full", f"{item.front_end_rate:,.0f}",
                      duration_text(item.total_ms), size_text(item.peak),
                      duration_text(item.wasmtime_ms))
    console.print(table)


def _show_memory(console: Console, report: BenchReport) -> None:
    table = _table("memory", "workload", "engine", "agents", "bytes for one more",
                   "agents in a GiB", "peak")
    for item in report.footprints:
        table.add_row(item.workload, item.engine, f"{item.agents[-1]:,}",
                      f"{item.per_agent:,.0f}", f"{item.per_gib:,.0f}", size_text(item.peak))
    console.print(table)


def _show_targets(console: Console, report: BenchReport) -> None:
    table = _table("targets", *HEADS)
    for target in targets(report):
        table.add_row(*(cell.strip("*") for cell in target.row))
    if table.row_count:
        console.print(table)

"""The benchmark's page for people, ``docs/performance.md``, written from a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..cli_terminal import duration_text, per_second, size_text
from .bench_engines import SWARMC, UNMETERED
from .bench_report import (
    BUILDS,
    SMALL_AGENTS,
    THROUGHPUT,
    BenchReport,
    crossing_of_processes,
)
from .bench_starts import CACHED, EMPTY_CACHE
from .bench_statistics import Spread, geometric_mean
from .bench_targets import HEADS, targets
from .bench_wasmtime import WASMTIME, WASMTIME_FUEL

_INTRODUCTION = """\
# Performance

`swarmc bench --docs docs/performance.md` made this page and its pictures from one run; nobody edits
them. All figures, with every sample, are in [{data}]({data}).

Every workload is one file of C in `corpus/bench/`, compiled to WebAssembly without SIMD, and, from
the same source, to native code with `-O3 -march=native` (no contraction of floating-point
operations, because every result is compared with the native one, bit for bit). *Convergent* agents
all have the same input, *divergent* ones all have different inputs.

- **native C** calls the function in a loop on every core. Nothing is isolated, counted or checked.
- **wasmtime** has an instance for each agent, a Python thread on every core, and its own defaults;
  **wasmtime+fuel** counts instructions as swarmc does.
- **swarmc-fuel**, **swarmc-bounds** and **swarmc-both** are builds for measuring, which lack what
  their names take away.

*Kernel alone* runs agents that are there already, whose memory has been touched; *end to end* also
makes and drops them, as a user of the Python API would. A ratio says how many times as fast swarmc
is: the median over the repeats of one run, in which all engines take turns, and half of what lies
between the quartiles.
"""

_MEANING_OF_SPEED = "How many times as fast swarmc is; over all workloads the geometric mean."


def to_markdown(report: BenchReport, *, data: str, pictures: Sequence[tuple[str, str]]) -> str:
    """The page.

    Args:
        data: name of the file with the figures, beside the page.
        pictures: what each shows, and its file's name.
    """
    shown = "\n".join(f"![{title}]({name})" for title, name in pictures)
    parts = [_INTRODUCTION.format(data=data), _machine(report), shown]
    for section in _SECTIONS:
        text = section(report)
        if text:
            parts.append(text)
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _machine(report: BenchReport) -> str:
    facts = [[name, value] for name, value in report.machine.items()]
    facts.append(["repeats", f"{report.repeats}{', a quick run' if report.quick else ''}"])
    return _table(["", ""], facts)


def _summary(report: BenchReport) -> str:
    rows = []
    for other in report.others():
        speeds = report.speeds(other)
        if speeds:
            total = report.mean_speed(other, total=True)
            rows.append([other, f"{geometric_mean(speeds):.2f}", f"{min(speeds):.2f}",
                         f"{max(speeds):.2f}", "" if total is None else f"{total:.2f}"])
    unmetered = report.mean_speed(WASMTIME, of=UNMETERED)
    if unmetered is not None:
        rows.append([f"{WASMTIME}, both without fuel", f"{unmetered:.2f}", "", "", ""])
    if not rows:
        return ""
    heads = ["compared with", "kernel alone", "slowest case", "fastest case", "end to end"]
    return f"## Summary\n\n{_MEANING_OF_SPEED}\n\n{_table(heads, rows)}"


def _targets(report: BenchReport) -> str:
    found = targets(report)
    return f"## Targets\n\n{_table(HEADS, [target.row for target in found])}" if found else ""


def _kernel(report: BenchReport) -> str:
    return _speeds(report, "Kernel alone", THROUGHPUT, total=False)


def _total(report: BenchReport) -> str:
    return _speeds(report, "End to end", THROUGHPUT, total=True)


def _small(report: BenchReport) -> str:
    return _speeds(report, "Agents with hardly any work, end to end", SMALL_AGENTS, total=True)


def _speeds(report: BenchReport, title: str, group: str, *, total: bool) -> str:
    others = report.others()
    rows = []
    for case in report.cases:
        if case.group == group and SWARMC in case.engines:
            ms = case.milliseconds(SWARMC, total=total)
            speeds = [case.speed(name, total=total) for name in others]
            rows.append([case.workload, case.inputs, f"{case.agents:,}", duration_text(ms),
                         per_second(case.instructions, ms).strip(),
                         *("" if speed is None else str(speed) for speed in speeds)])
    if not rows:
        return ""
    heads = ["workload", "inputs", "agents", "swarmc", "instructions/s",
             *(f"vs {name}" for name in others)]
    if group == THROUGHPUT:
        means = (report.mean_speed(name, total=total) or 0.0 for name in others)
        rows.append(["**geometric mean**", "", "", "", "", *(f"**{mean:.2f}**" for mean in means)])
    return f"## {title}\n\n{_table(heads, rows)}"


def _costs(report: BenchReport) -> str:
    builds = report.builds()
    cases = report.throughput()
    if not builds or not cases:
        return ""
    rows = [[case.workload, case.inputs, *(_percent(case.cost(name)) for name in builds)]
            for case in cases]
    rows.append(["**geometric mean**", "",
                 *(f"**{_percent(report.cost(name))}**" for name in builds)])
    text = ("Time that the kernel alone takes more than in a build without; what a build without"
            " takes more is noise, or luck of the optimiser.")
    heads = ["workload", "inputs", *(BUILDS[name] for name in builds)]
    return f"## What checks cost\n\n{text}\n\n{_table(heads, rows)}"


def _crossings(report: BenchReport) -> str:
    cases = {case.workload: case for case in report.cases if case.inputs == "divergent"}
    starts = {start.workload: start for start in report.starts}
    rows = []
    for crossing in report.crossings:
        loaded = [_number(crossing.wins_from(name)) for name in (WASMTIME_FUEL, WASMTIME)]
        start, case = starts.get(crossing.workload), cases.get(crossing.workload)
        processes = ["", ""]
        if start is not None and case is not None:
            processes = [_number(crossing_of_processes(start, case, way))
                         for way in (CACHED, EMPTY_CACHE)]
        rows.append([crossing.workload, *loaded, *processes])
    if not rows:
        return ""
    text = ("How many divergent agents it takes until swarmc is faster end to end: with everything"
            " loaded (measured with 1, 2, 4 … up to 256 agents), and as processes that start, run"
            " and end, compared with one of wasmtime without fuel (computed from the time to the"
            " first result and the time for each further agent).")
    heads = ["workload", WASMTIME_FUEL, WASMTIME, "process, program in the cache",
             "process, empty cache"]
    return f"## From how many agents on\n\n{text}\n\n{_table(heads, rows)}"


def _starts(report: BenchReport) -> str:
    if not report.starts:
        return ""
    rows = []
    first = report.starts[0]
    for start in report.starts:
        rows.append([start.workload, size_text(start.bytes),
                     *(_milliseconds(start.first_result.get(way)) for way in first.first_result),
                     *(_milliseconds(start.loading.get(way)) for way in first.loading)])
    heads = ["workload", "module", *(f"first result: {way}" for way in first.first_result),
             *(f"loading: {way}" for way in first.loading)]
    text = ("From the start of a process to its first result, imports included (swarmc: with two"
            " agents a core, or one agent), and of that, from the module's bytes to a program that"
            " can run. With an empty cache, a WASI program's host functions are compiled as well.")
    return f"## Starting\n\n{text}\n\n{_table(heads, rows)}"


def _compilations(report: BenchReport) -> str:
    if not report.compilations:
        return ""
    rows = [
        [size_text(item.bytes), f"{item.instructions:,}", "quick" if item.provisional else "full",
         *(duration_text(ms) for ms in item.stages_ms.values()), duration_text(item.total_ms),
         f"{item.front_end_rate:,.0f}", size_text(item.peak), duration_text(item.wasmtime_ms)]
        for item in report.compilations
    ]
    heads = ["module", "instructions", "optimised", *report.compilations[0].stages_ms, "total",
             "front end, instructions/s", "peak memory", "wasmtime"]
    text = ("Modules made of the workloads' functions, again and again. All but small ones are"
            " compiled quickly first, so that they start soon, and well in the background when that"
            " pays; both are shown.")
    return f"## Compiling\n\n{text}\n\n{_table(heads, rows)}"


def _memory(report: BenchReport) -> str:
    if not report.footprints:
        return ""
    rows = [
        [item.workload, item.engine, f"{item.agents[-1]:,}", f"{item.per_agent:,.0f}",
         f"{item.state}" if item.state else "", f"{item.per_gib:,.0f}", size_text(item.peak)]
        for item in report.footprints
    ]
    heads = ["workload", "engine", "agents", "bytes for one more", "of that, state block",
             "agents in a GiB", "peak of the process"]
    text = "Resident memory of a process whose agents have run and are kept."
    return f"## Memory\n\n{text}\n\n{_table(heads, rows)}"


_SECTIONS: tuple[Callable[[BenchReport], str], ...] = (
    _summary, _targets, _kernel, _total, _small, _costs, _crossings, _starts, _compilations,
    _memory)


def _milliseconds(samples: Sequence[float] | None) -> str:
    return duration_text(Spread.of(samples).median) if samples else ""


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:+.0%}"


def _number(count: int | None) -> str:
    return "never" if count is None else f"{count:,}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |",
             "| --- |" + " ---: |" * (len(heads) - 1) if len(heads) > 2 else "| --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)

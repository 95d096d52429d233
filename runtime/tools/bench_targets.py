"""What swarmc is meant to reach, and how far it is: one line for each figure that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..cli_terminal import duration_text, size_text
from .bench_engines import BARE, SWARMC, UNMETERED
from .bench_native import NATIVE
from .bench_report import SMALL_AGENTS, BenchReport
from .bench_scaling import Compilation
from .bench_starts import CACHED, EMPTY_CACHE, NUMBA, ONE_AGENT
from .bench_statistics import Spread
from .bench_wasmtime import WASMTIME, WASMTIME_FUEL

_MIB, _MEGABYTE = 1 << 20, 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that was measured, and what it is to be.

    Attributes:
        what: what was measured.
        wanted: the least it is to be, or the most if ``at_most``.
        value: what it is.
        text: writes a value.
    """

    what: str
    wanted: float
    value: float
    text: Callable[[float], str]
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    @property
    def row(self) -> list[str]:
        """For tables: what, target, value, whether it is met."""
        bound = "at most" if self.at_most else "at least"
        return [self.what, f"{bound} {self.text(self.wanted)}", self.text(self.value),
                "yes" if self.met else "**no**"]


HEADS = ("figure", "target", "measured", "met")


def targets(report: BenchReport) -> list[Target]:
    """Every target of which the report has the figure."""
    return [*_speeds(report), *_small_agents(report), *_compiling(report), *_starts(report),
            *_memory(report)]


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _speeds(report: BenchReport) -> Iterator[Target]:
    for other, wanted in ((NATIVE, 0.8), (WASMTIME_FUEL, 1.5)):
        mean = report.mean_speed(other)
        if mean is not None:
            yield Target(f"kernel alone, compared with {other}", wanted, mean, _times)
    speeds = report.speeds(WASMTIME_FUEL)
    if speeds:
        yield Target(f"slowest case, compared with {WASMTIME_FUEL}", 1.0, min(speeds), _times)
    unmetered = report.mean_speed(WASMTIME, of=UNMETERED)
    if unmetered is not None:
        yield Target(f"kernel alone, compared with {WASMTIME}, both without fuel", 1.1, unmetered,
                     _times)
    cost = report.cost(BARE)
    if cost is not None:
        yield Target("metering and bounds checks", 0.15, cost, lambda part: f"{part:.0%}",
                     at_most=True)


def _small_agents(report: BenchReport) -> Iterator[Target]:
    for case in report.cases:
        if case.group == SMALL_AGENTS:
            for other in (WASMTIME_FUEL, WASMTIME):
                speed = case.speed(other, total=True)
                if speed is not None:
                    each = case.instructions // case.agents
                    yield Target(
                        f"{case.agents:,} agents of {each:,} instructions, made, run and dropped,"
                        f" {case.inputs}, compared with {other}", 50, speed.median, _times)


def _compiling(report: BenchReport) -> Iterator[Target]:
    found: dict[int, Compilation] = {}  # by size; what starts soon comes first
    for item in report.compilations:
        found.setdefault(item.bytes, item)
    for item in found.values():
        name = f"a module of {size_text(item.bytes)}"
        if 0.8 * _MEGABYTE < item.bytes < 1.2 * _MEGABYTE:
            yield Target(f"front end, {name}", 200_000, item.front_end_rate,
                         lambda rate: f"{rate:,.0f} instructions/s")
            yield Target(f"compiling {name}", 10_000, item.total_ms, duration_text, at_most=True)
            yield Target(f"peak memory of compiling {name}", 1000 * _MIB, item.peak, size_text,
                         at_most=True)
        elif 20_000 < item.bytes < 40_000:
            yield Target(f"compiling {name}", 1000, item.total_ms, duration_text, at_most=True)
    sizes = sorted(size for size in found if size > _MEGABYTE / 2)
    if len(sizes) > 1:
        small, large = found[sizes[0]], found[sizes[-1]]
        growth = large.total_ms / large.bytes / (small.total_ms / small.bytes)
        yield Target(f"compile time of a byte, {size_text(large.bytes)} compared with"
                     f" {size_text(small.bytes)}", 1.25, growth, _times, at_most=True)


def _starts(report: BenchReport) -> Iterator[Target]:
    for way, wanted in ((CACHED, 500), (ONE_AGENT, 500), (NUMBA, 1200)):
        medians = [Spread.of(start.first_result[way]).median for start in report.starts
                   if way in start.first_result]
        if medians:
            yield Target(f"a process to its first result, the slowest: {way}", wanted,
                         max(medians), duration_text, at_most=True)
    for start in report.starts:
        if start.wasi:
            cold = Spread.of(start.loading[EMPTY_CACHE]).median
            yield Target(f"loading {start.workload} ({size_text(start.bytes)}) and WASI, nothing"
                         " cached", 1000, cold, duration_text, at_most=True)


def _memory(report: BenchReport) -> Iterator[Target]:
    for item in report.footprints:
        if item.engine == SWARMC and item.agents[-1] >= 100_000:
            yield Target(f"bytes of each of {item.agents[-1]:,} agents, beside its slices", 100,
                         item.per_agent - item.state, lambda size: f"{size:,.0f}", at_most=True)

"""The benchmark's pictures, drawn with matplotlib as SVG that is the same for the same figures."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TargetError
from .bench_engines import SWARMC
from .bench_native import NATIVE
from .bench_report import BenchReport
from .bench_wasmtime import WASMTIME, WASMTIME_FUEL

_COLOURS = {WASMTIME_FUEL: "#8da0cb", WASMTIME: "#66c2a5", NATIVE: "#fc8d62", SWARMC: "#222222"}


def load_matplotlib() -> Any:
    """matplotlib, set up to draw files.

    Raises:
        TargetError: it is not installed.
    """
    try:
        matplotlib = importlib.import_module("matplotlib")
        importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise TargetError("the plots need matplotlib", hint="install swarmc[bench]") from None
    matplotlib.use("svg")
    matplotlib.rcParams.update({
        "svg.hashsalt": "swarmc", "svg.fonttype": "none", "font.size": 9,
        "axes.spines.top": False, "axes.spines.right": False,
    })  # fmt: skip
    return matplotlib.pyplot


def draw_plots(report: BenchReport, stem: Path) -> list[tuple[str, str]]:
    """Draw what the report has figures for, as files beside ``stem``: title and name of each.

    Raises:
        TargetError: matplotlib is not installed.
    """
    plt = load_matplotlib()
    drawn = []
    for name, (title, draw) in _PLOTS.items():
        figure = draw(plt, report)
        if figure is not None:
            path = stem.with_name(f"{stem.name}-{name}.svg")
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)
            drawn.append((title, path.name))
    return drawn


def _speeds(plt: Any, report: BenchReport) -> Any:
    """Bars: how many times as fast as each other engine swarmc is."""
    cases = report.throughput()
    others = report.others()
    if not cases or not others:
        return None
    figure, axes = plt.subplots(figsize=(9, 0.32 * len(cases) + 1.2))
    places = np.arange(len(cases))
    height = 0.8 / len(others)
    for number, name in enumerate(others):
        speeds = [speed for case in cases if (speed := case.speed(name)) is not None]
        medians = np.array([speed.median for speed in speeds])
        error = np.array([(s.median - s.low, s.high - s.median) for s in speeds]).T
        axes.barh(places + (number - (len(others) - 1) / 2) * height, medians - 1, height,
                  left=1, xerr=error, label=f"vs {name}", color=_COLOURS[name],
                  error_kw={"linewidth": 0.6})
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, [f"{case.workload}, {case.inputs}" for case in cases])
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("speed of swarmc, kernel alone, as a multiple of others'")
    axes.legend(frameon=False)
    return figure


def _crossings(plt: Any, report: BenchReport) -> Any:
    """Lines: time over the number of agents, a field for each workload."""
    crossings = report.crossings
    if not crossings:
        return None
    columns = min(4, len(crossings))
    rows = -(-len(crossings) // columns)
    figure, fields = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.1 * rows),
                                  squeeze=False, layout="constrained")
    for axes, crossing in zip(fields.flat, crossings, strict=False):
        for name in crossing.total_ms:
            axes.loglog(crossing.agents, crossing.medians(name), label=name, marker=".",
                        color=_COLOURS.get(name), linewidth=1)
        axes.set_title(crossing.workload, fontsize=9)
    for axes in fields.flat[len(crossings) :]:
        axes.set_axis_off()
    figure.supxlabel("agents")
    figure.supylabel("milliseconds, end to end")
    fields[0, 0].legend(frameon=False, fontsize=7)
    return figure


def _compiling(plt: Any, report: BenchReport) -> Any:
    """Lines: compile time over the size of the module."""
    found = report.compilations
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for provisional, label in ((False, "swarmc, optimised"), (True, "swarmc, quickly")):
        some = [item for item in found if item.provisional is provisional]
        if not some:
            continue
        axes.loglog([item.bytes for item in some], [item.total_ms for item in some],
                    marker="o", label=label, color="#222222",
                    linestyle="--" if provisional else "-")
    unique = {item.bytes: item.wasmtime_ms for item in found}
    axes.loglog(list(unique), list(unique.values()), marker="o", label=WASMTIME,
                color=_COLOURS[WASMTIME])
    axes.set_xlabel("bytes of the module")
    axes.set_ylabel("milliseconds")
    axes.legend(frameon=False)
    return figure


_PLOTS: dict[str, tuple[str, Callable[[Any, BenchReport], Any]]] = {
    "speed": ("Speed of swarmc as a multiple of others'", _speeds),
    "agents": ("Time over the number of agents", _crossings),
    "compile": ("Compile time over the size of the module", _compiling),
}

"""The benchmark: what it measures is checked, paired and reported; nothing here depends on time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from swarmc.errors import ArgumentError, SwarmcError
from swarmc.runtime.cli import app
from swarmc.runtime.cli_bench import read_report
from swarmc.runtime.tools.bench import (
    BenchOptions,
    Part,
    default_engines,
    measure,
    run_benchmark,
)
from swarmc.runtime.tools.bench_engines import (
    BARE,
    SWARMC,
    UNCHECKED,
    UNMETERED,
    Lap,
    measuring_builds,
)
from swarmc.runtime.tools.bench_native import NATIVE, NativeEngine
from swarmc.runtime.tools.bench_report import BenchReport
from swarmc.runtime.tools.bench_starts import (
    CACHED,
    EMPTY_CACHE,
    NUMBA,
    ONE_AGENT,
    OTHER_RUNTIME,
)
from swarmc.runtime.tools.bench_statistics import Spread
from swarmc.runtime.tools.bench_wasmtime import WASMTIME, WASMTIME_FUEL
from swarmc.runtime.tools.bench_workloads import Inputs, Seeds, Workload, load_workloads

from .machines import DIRECTORY, WORKLOADS

TIMES = [4.0, 1.0, 2.0, 8.0]


class FakeEngine:
    """Returns the seeds, or something else, and says that it took the times it was given."""

    def __init__(self, name: str, times: Sequence[float], wrong: int = 0) -> None:
        self.name = name
        self.log: list[str] = []
        self._times = iter(times)
        self._wrong = wrong
        self._settled: Seeds = np.zeros(0, np.uint32)

    def open(self, workload: Workload, capacity: int) -> FakeEngine:
        self.log.append(f"open {workload.name} for {capacity}")
        return self

    def fresh(self, seeds: Seeds) -> Lap:
        self.log.append("fresh")
        return Lap(0.5, seeds.astype(np.int64), 10)

    def settle(self, seeds: Seeds) -> None:
        self._settled = seeds

    def again(self) -> Lap:
        self.log.append("again")
        results = self._settled.astype(np.int64)
        results[len(results) - self._wrong :] += 1
        return Lap(next(self._times), results, 10 * len(results))

    def close(self) -> None:
        self.log.append("close")


def measured(ours: FakeEngine, theirs: FakeEngine, repeats: int) -> BenchReport:
    report = BenchReport({}, quick=False, repeats=repeats)
    measure(WORKLOADS["nbody"], [ours, theirs], 3, report)
    return report


def test_samples_of_a_repeat_stay_together() -> None:
    ours, theirs = FakeEngine(SWARMC, TIMES), FakeEngine(NATIVE, [2 * t for t in TIMES])
    cases = measured(ours, theirs, repeats=2).cases
    assert [case.inputs for case in cases] == ["convergent", "divergent"]
    assert [case.engines[SWARMC].kernel for case in cases] == [TIMES[:2], TIMES[2:]]
    assert [case.engines[NATIVE].kernel for case in cases] == [[8.0, 2.0], [4.0, 16.0]]
    for case in cases:
        assert case.speed(NATIVE) == Spread(2.0, 2.0, 2.0)
        assert case.speed(NATIVE, total=True) == Spread(1.0, 1.0, 1.0)
        assert case.speed("another") is None
        assert (case.agents, case.instructions) == (3, 30)
    assert theirs.log[0] == "open nbody for 3"
    assert ours.log[-1] == theirs.log[-1] == "close"


def test_a_wrong_result_ends_the_benchmark() -> None:
    ours, theirs = FakeEngine(SWARMC, TIMES, wrong=1), FakeEngine(NATIVE, TIMES)
    with pytest.raises(SwarmcError, match=r"nbody in swarmc: 1 of 3 .* seed 1 .* 0x2, not 0x1"):
        measured(ours, theirs, repeats=1)
    assert ours.log[-1] == theirs.log[-1] == "close"


def test_inputs() -> None:
    assert Inputs.CONVERGENT.seeds(3).tolist() == [1, 1, 1]
    assert Inputs.DIVERGENT.seeds(3).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", WORKLOADS)
def test_all_engines_agree(name: str) -> None:
    options = BenchOptions(DIRECTORY, (name,), frozenset({Part.THROUGHPUT}), agents=5, repeats=1)
    names = [SWARMC, WASMTIME_FUEL, WASMTIME, NATIVE]
    report = run_benchmark(
        options, engines=[engine for engine in default_engines() if engine.name in names])
    for case in report.cases:
        assert (case.workload, case.agents) == (name, 5)
        assert case.instructions > 0
        assert list(case.engines) == names
        for samples in case.engines.values():
            assert len(samples.kernel) == len(samples.total) == 1
            assert min(samples.kernel + samples.total) > 0
    (crossing,) = report.crossings
    assert crossing.agents == [1, 2, 4]
    assert report.machine["wasmtime"] == "50.0.1"


def test_builds_for_measuring_give_the_same_results() -> None:
    report = BenchReport({}, quick=False, repeats=1)
    for name in ("sudoku", "blur"):
        measure(WORKLOADS[name], [*measuring_builds(), NativeEngine()], 3, report)
    assert all(list(case.engines) == [UNMETERED, UNCHECKED, BARE, NATIVE] for case in report.cases)


def bench(*args: object) -> Any:
    return CliRunner().invoke(app, ["bench", "--corpus", str(DIRECTORY), *map(str, args)])


def test_command_line(tmp_path: Path) -> None:
    """A quick run of tiny sizes, from one end to the other: every part, every file."""
    json_file, page = tmp_path / "report.json", tmp_path / "performance.md"
    names = ("--workload", "mandelbrot", "--workload", "luhn")
    result = bench("--quick", *names, "--agents", 4, "--repeats", 2, "--json", json_file,
                   "--docs", page)
    assert result.exit_code == 0, result.output
    report = read_report(json_file)
    assert report == read_report(page.with_suffix(".json"))
    assert report.quick and report.repeats == 2
    assert [case.workload for case in report.cases] == ["mandelbrot"] * 2 + ["luhn"] * 2
    for name in (*report.others(), "geometric mean", "kernel alone", "end to end", "compiling",
                 "memory", "what checks cost", "targets",
                 *(case.workload for case in report.cases)):
        assert name in result.output
    mean = report.mean_speed(WASMTIME)
    assert mean is not None and f"{mean:.2f}" in result.output

    assert [start.workload for start in report.starts] == ["mandelbrot", "hello.wasm"]
    assert [start.wasi for start in report.starts] == [False, True]
    for start in report.starts:
        assert list(start.first_result) == [
            EMPTY_CACHE, CACHED, ONE_AGENT, NUMBA, OTHER_RUNTIME]
        assert all(len(samples) == 1 for samples in start.first_result.values())
    assert {compilation.provisional for compilation in report.compilations} == {True, False}
    for compilation in report.compilations:
        assert list(compilation.stages_ms) == [
            "decode", "validate", "translate", "optimise", "lower", "compile"]
        assert compilation.peak > 50_000_000
    ours, theirs = report.footprints
    assert (ours.engine, theirs.engine) == (SWARMC, WASMTIME)
    assert ours.state > 0 and ours.per_gib > 1000

    text = page.read_text()
    copy = tmp_path / "copy" / page.name
    copy.parent.mkdir()
    again = bench("--from", json_file, "--docs", copy)
    assert again.exit_code == 0 and again.output == result.output
    assert copy.read_text() == text
    for picture in ("speed", "agents", "compile"):
        drawn = page.with_name(f"performance-{picture}.svg").read_bytes()
        assert drawn == copy.with_name(f"performance-{picture}.svg").read_bytes()
        assert b"<svg" in drawn and f"performance-{picture}.svg" in text


def test_one_part_of_one_workload() -> None:
    result = bench("--quick", "--part", "memory", "--workload", "luhn")
    assert result.exit_code == 0, result.output
    assert "agents in a GiB" in result.output
    assert "kernel alone" not in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--workload", "nothing"), "no workload 'nothing'; there are: scrypt, pbkdf2"),
        (("--corpus", "nowhere"), "cannot read nowhere/manifest.toml"),
        (("--from", "nowhere.json"), "cannot read nowhere.json"),
        (("--from", DIRECTORY / "bench.h"), "is not JSON"),
    ],
)
def test_wrong_command_line(args: Sequence[str], message: str) -> None:
    result = bench(*args)
    assert result.exit_code == 2
    assert message in result.output


def test_wrong_options() -> None:
    with pytest.raises(ArgumentError, match="repeats must be 1 or more, not 0"):
        run_benchmark(BenchOptions(DIRECTORY, repeats=0))


def test_a_corpus_without_workloads_is_refused() -> None:
    with pytest.raises(SwarmcError, match="lists no workloads"):
        load_workloads(DIRECTORY.parent)


def test_an_unknown_native_build_is_refused(tmp_path: Path) -> None:
    text = (DIRECTORY / "manifest.toml").read_text().replace('"native_scalar"', '"fast"')
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(SwarmcError, match="scrypt: there is no build 'fast'"):
        load_workloads(tmp_path)


def test_a_missing_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_bytes((DIRECTORY / "manifest.toml").read_bytes())
    with pytest.raises(SwarmcError, match=r"cannot read .*pbkdf2\.wasm"):
        load_workloads(tmp_path, ["pbkdf2"])

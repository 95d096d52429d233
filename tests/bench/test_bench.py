"""The benchmark: what it measures is checked, paired and reported; nothing here depends on time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from swarmc.errors import ArgumentError, SwarmcError
from swarmc.runtime.cli import app
from swarmc.runtime.tools.bench import (
    BenchOptions,
    default_engines,
    measure,
    rotated,
    run_benchmark,
)
from swarmc.runtime.tools.bench_engines import SWARMC, Lap
from swarmc.runtime.tools.bench_native import NATIVE
from swarmc.runtime.tools.bench_report import BenchReport, Case, Samples, Spread, geometric_mean
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


def test_samples_of_a_repeat_stay_together() -> None:
    ours, theirs = FakeEngine(SWARMC, TIMES), FakeEngine(NATIVE, [2 * t for t in TIMES])
    cases = measure(WORKLOADS["nbody"], [ours, theirs], agents=3, repeats=2)
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
    engines = [FakeEngine(SWARMC, TIMES, wrong=1), FakeEngine(NATIVE, TIMES)]
    with pytest.raises(SwarmcError, match=r"nbody in swarmc: 1 of 3 .* seed 1 .* 0x2, not 0x1"):
        measure(WORKLOADS["nbody"], engines, agents=3, repeats=1)
    assert engines[0].log[-1] == engines[1].log[-1] == "close"


def test_order_rotates() -> None:
    assert [rotated("abc", n) for n in range(4)] == [
        ["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_inputs() -> None:
    assert Inputs.CONVERGENT.seeds(3).tolist() == [1, 1, 1]
    assert Inputs.DIVERGENT.seeds(3).tolist() == [1, 2, 3]


def test_spread() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert spread == Spread(3.0, 2.0, 4.0)
    assert spread.half_width == pytest.approx(1 / 3)


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    engines = {SWARMC: Samples([1.0], [1.0]), NATIVE: Samples([2.0], [4.0])}
    report = BenchReport({}, False, 1, [
        Case("a", "throughput", "divergent", 1, 1, 1, engines),
        Case("b", "small agents", "divergent", 1, 1, 1, {SWARMC: Samples([1.0], [1.0]),
                                                       NATIVE: Samples([9.0], [9.0])}),
    ])  # fmt: skip
    assert report.geometric_mean(NATIVE) == pytest.approx(2.0)
    assert report.geometric_mean(NATIVE, total=True) == pytest.approx(4.0)
    assert report.geometric_mean(NATIVE, inputs="convergent") is None
    assert report.geometric_mean("another") is None


def test_report_survives_json() -> None:
    report = BenchReport({"cores": "2"}, True, 1, [
        Case("a", "throughput", "divergent", 1, 2, 3, {SWARMC: Samples([1.0], [2.0])})])
    table = json.loads(json.dumps(report.to_json()))
    assert BenchReport.from_json(table) == report
    for wrong in (table | {"format": 0}, table | {"cases": [{}]}, table | {"more": 1}):
        with pytest.raises(SwarmcError, match="this"):
            BenchReport.from_json(wrong)


def test_all_workloads_in_all_engines() -> None:
    report = run_benchmark(BenchOptions(DIRECTORY, agents=5, repeats=1))
    assert {case.workload for case in report.cases} == set(WORKLOADS)
    assert report.engines() == [engine.name for engine in default_engines()]
    for case in report.cases:
        assert case.agents == 5
        assert case.instructions > 0
        for samples in case.engines.values():
            assert len(samples.kernel) == len(samples.total) == 1
            assert min(samples.kernel + samples.total) > 0
    assert report.machine["wasmtime"] == "50.0.1"


def bench(*args: object) -> Any:
    return CliRunner().invoke(app, ["bench", "--corpus", str(DIRECTORY), *map(str, args)])


def test_command_line(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    result = bench("--quick", "--agents", 4, "--repeats", 2, "--json", file)
    assert result.exit_code == 0, result.output
    report = BenchReport.from_json(json.loads(file.read_text()))
    assert report.quick
    assert report.repeats == 2
    assert len(report.cases) == 2 * len(load_workloads(DIRECTORY, quick=True))
    for name in (WASMTIME_FUEL, WASMTIME, NATIVE, "geometric mean", "kernel alone", "end to end",
                 *(case.workload for case in report.cases)):
        assert name in result.output
    mean = report.geometric_mean(WASMTIME)
    assert mean is not None
    assert f"{mean:.2f}" in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--workload", "nothing"), "no workload 'nothing'; there are: scrypt, pbkdf2"),
        (("--corpus", "nowhere"), "cannot read nowhere/manifest.toml"),
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

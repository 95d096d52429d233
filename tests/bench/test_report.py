"""What is computed from samples, and the page: from reports made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import SwarmcError
from swarmc.ir import ops as o
from swarmc.runtime.cli_bench import read_report, write_page
from swarmc.runtime.compile import read_module, to_program
from swarmc.runtime.tools.bench_child import Mark, stage_times
from swarmc.runtime.tools.bench_crossing import Crossing, powers_of_two
from swarmc.runtime.tools.bench_engines import BARE, SWARMC, UNCHECKED, UNMETERED
from swarmc.runtime.tools.bench_memory import Footprint
from swarmc.runtime.tools.bench_modules import module_of_size
from swarmc.runtime.tools.bench_native import NATIVE
from swarmc.runtime.tools.bench_page import to_markdown
from swarmc.runtime.tools.bench_report import (
    SMALL_AGENTS,
    THROUGHPUT,
    BenchReport,
    Case,
    Samples,
    crossing_of_processes,
)
from swarmc.runtime.tools.bench_scaling import Compilation
from swarmc.runtime.tools.bench_starts import CACHED, EMPTY_CACHE, OTHER_RUNTIME, Start
from swarmc.runtime.tools.bench_statistics import Spread, geometric_mean, rotated
from swarmc.runtime.tools.bench_targets import targets
from swarmc.runtime.tools.bench_variants import BOUNDS, METERING, take_out
from swarmc.runtime.tools.bench_wasmtime import WASMTIME, WASMTIME_FUEL
from swarmc.targets.executable import CompileOptions

from .machines import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]


def same(*samples: float) -> Samples:
    return Samples(list(samples), list(samples))


CASE = Case("sorting", THROUGHPUT, "divergent", 7, 10, 1000, {
    SWARMC: Samples([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]),
    UNMETERED: same(0.8, 1.6, 3.2), UNCHECKED: same(1.0, 2.0, 4.0), BARE: same(0.5, 1.0, 2.0),
    WASMTIME_FUEL: same(3.0, 6.0, 12.0), WASMTIME: same(1.5, 4.0, 8.0),
    NATIVE: same(0.5, 1.0, 2.0),
})  # fmt: skip
SMALL = replace(CASE, workload="adding", group=SMALL_AGENTS,
                engines={name: same(9.0) for name in CASE.engines} | {SWARMC: same(1.0)})
START = Start(
    "sorting", 1234, {EMPTY_CACHE: [900.0, 1100.0], CACHED: [500.0], OTHER_RUNTIME: [100.0]},
    {EMPTY_CACHE: [800.0]},
)  # fmt: skip
REPORT = BenchReport(
    {"processor": "a quick one"}, quick=False, repeats=3, cases=[CASE, SMALL],
    crossings=[Crossing("sorting", [1, 2, 4], {
        SWARMC: [[3.0], [4.0], [5.0]], WASMTIME: [[2.0], [4.5], [9.0]],
        WASMTIME_FUEL: [[4.0], [5.0], [4.0]]})],
    starts=[START],
    compilations=[
        Compilation(10_000, 4000, False, {"decode": 10.0, "compile": 90.0}, 1 << 28, 7.0)],
    footprints=[Footprint("sorting", SWARMC, [100, 300], [1 << 20, 3 << 20], 4 << 20, 192)],
)  # fmt: skip


def test_spread() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert spread == Spread(3.0, 2.0, 4.0)
    assert spread.half_width == pytest.approx(1 / 3)
    assert str(spread) == "3.00 ±33%"


def test_order_rotates() -> None:
    assert [rotated("abc", n) for n in range(4)] == [
        ["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_speeds_are_means_over_throughput() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert REPORT.speeds(NATIVE) == [0.5]
    assert REPORT.mean_speed(WASMTIME) == 2.0
    assert REPORT.mean_speed(WASMTIME, total=True) == 1.0
    assert REPORT.mean_speed(WASMTIME, of=UNMETERED) == pytest.approx(2.5)
    assert REPORT.mean_speed("another") is None
    assert REPORT.others() == [WASMTIME_FUEL, WASMTIME, NATIVE]
    assert REPORT.builds() == [UNMETERED, UNCHECKED, BARE]
    costs = [REPORT.cost(name) for name in REPORT.builds()]
    assert costs == pytest.approx([0.25, 0.0, 1.0])


def test_crossings() -> None:
    (crossing,) = REPORT.crossings
    assert crossing.wins_from(WASMTIME) == 2
    assert crossing.wins_from(WASMTIME_FUEL) is None
    assert powers_of_two(5) == [1, 2, 4] and powers_of_two(8) == [1, 2, 4, 8]


def test_crossings_of_processes() -> None:
    case = replace(CASE, engines={SWARMC: same(10.0), WASMTIME: same(50.0)})  # of 10 agents
    assert crossing_of_processes(START, case, CACHED) == 400 / 4 + 1
    assert crossing_of_processes(START, case, EMPTY_CACHE) == 900 / 4 + 1
    slower = replace(CASE, engines={SWARMC: same(50.0), WASMTIME: same(10.0)})
    assert crossing_of_processes(START, slower, CACHED) is None
    alone = replace(CASE, engines={SWARMC: same(10.0)})
    assert crossing_of_processes(START, alone, CACHED) is None


def test_report_survives_json() -> None:
    table = json.loads(json.dumps(REPORT.to_json()))
    assert BenchReport.from_json(table) == REPORT
    for wrong in (table | {"format": 0}, table | {"cases": [{}]}, table | {"more": 1}):
        with pytest.raises(SwarmcError, match="this"):
            BenchReport.from_json(wrong)


def test_page() -> None:
    page = to_markdown(REPORT, data="performance.json", pictures=[("a plot", "plot.svg")])
    for line in (
        "| processor | a quick one |",
        "![a plot](plot.svg)",
        "| native C | 0.50 | 0.50 | 0.50 | 0.25 |",
        "| wasmtime, both without fuel | 2.50 |  |  |  |",
        "| sorting | divergent | 10 | 2.00 ms | 500.0 k | 3.00 ±0% | 2.00 ±6% | 0.50 ±0% |",
        "| **geometric mean** |  |  |  |  | **3.00** | **2.00** | **0.50** |",
        "| sorting | divergent | +25% | +0% | +100% |",
        "| **geometric mean** |  | **+25%** | **+0%** | **+100%** |",
        "| adding | divergent | 10 | 1.00 ms | 1.0 M | 9.00 ±0% | 9.00 ±0% | 9.00 ±0% |",
        "| sorting | never | 2 | never | never |",
        "| kernel alone, compared with native C | at least 0.80x | 0.50x | **no** |",
        "| metering and bounds checks | at most 15% | 100% | **no** |",
        "| 10 agents of 100 instructions, made, run and dropped, divergent, compared with wasmtime"
        " | at least 50.00x | 9.00x | **no** |",
        "| a process to its first result, the slowest: swarmc, cached | at most 500 ms | 500 ms"
        " | yes |",
        "| sorting | 1.2 KiB | 1,000 ms | 500 ms | 100 ms | 800 ms |",
        "| 9.8 KiB | 4,000 | full | 10.00 ms | 90.00 ms | 100 ms | 400,000 | 256 MiB | 7.00 ms |",
        "| sorting | swarmc | 300 | 10,486 | 192 | 102,400 | 4.0 MiB |",
    ):
        assert line in page.splitlines(), page
    empty = to_markdown(BenchReport({}, True, 1), data="x", pictures=[])
    assert "## " not in empty and "| repeats | 1, a quick run |" in empty


def test_targets_of_compiling_and_memory() -> None:
    stages = {"decode": 250.0, "translate": 250.0, "compile": 1500.0}
    large = Compilation(1_000_000, 100_000, True, stages, 900 << 20, 7.0)
    slow = replace(large, provisional=False, stages_ms={"decode": 1000.0, "compile": 80_000.0})
    huge = replace(large, bytes=10_000_000,
                   stages_ms={name: 20 * ms for name, ms in stages.items()})
    command = Start("hello.wasm", 23_000, {CACHED: [300.0]}, {EMPTY_CACHE: [900.0]}, wasi=True)
    report = BenchReport(
        {}, quick=False, repeats=1, starts=[command], compilations=[large, slow, huge],
        footprints=[Footprint("adding", SWARMC, [0, 100_000], [0, 26_000_000], 4 << 20, 192)])
    found = {target.what: (target.value, target.met) for target in targets(report)}
    assert found == {
        "front end, a module of 977 KiB": (200_000.0, True),
        "compiling a module of 977 KiB": (2000.0, True),
        "peak memory of compiling a module of 977 KiB": (900 << 20, True),
        "compile time of a byte, 9.5 MiB compared with 977 KiB": (2.0, False),
        "a process to its first result, the slowest: swarmc, cached": (300.0, True),
        "loading hello.wasm (22.5 KiB) and WASI, nothing cached": (900.0, True),
        "bytes of each of 100,000 agents, beside its slices": (68.0, True),
    }
    assert targets(BenchReport({}, True, 1)) == []


def test_the_committed_page_is_what_the_command_writes(tmp_path: Path) -> None:
    data = ROOT / "docs" / "performance.json"
    if not data.exists():
        assert not data.with_suffix(".md").exists(), "a page without its figures"
        pytest.skip("nothing has been measured yet")
    write_page(read_report(data), tmp_path / "performance.md")
    for path in tmp_path.iterdir():
        assert (data.parent / path.name).exists()
        if path.suffix != ".svg":  # which differ between versions of matplotlib
            assert (data.parent / path.name).read_text() == path.read_text()


def test_stage_times() -> None:
    marks = [Mark("a", 0.0, 1.0), Mark("b", 0.5, 2.0), Mark("b", 1.0, 4.0), Mark("c", 0.5, 7.0)]
    assert stage_times(marks, 8.0) == {"a": 1000.0, "b": 2000.0, "c": 4000.0}


@pytest.mark.parametrize("size", [1, 10_000, 40_000])
def test_modules_of_a_size_are_valid(size: int) -> None:
    wasm = module_of_size([workload.wasm for workload in WORKLOADS.values()], size)
    module = decode(wasm)
    validate(module)
    assert len(wasm) == pytest.approx(max(size, len(WORKLOADS["scrypt"].wasm)), rel=0.35)
    names = [export.name for export in module.exports]
    assert len(set(names)) == len(names) >= 1


def test_builds_for_measuring_lack_their_checks() -> None:
    wasm = WORKLOADS["stream"].wasm

    def ops(without: frozenset[o.Op]) -> set[o.Op]:
        program = to_program(read_module(wasm), CompileOptions())
        take_out(program, without)
        return {inst.op for function in program.functions.values() for inst in function.insts()}

    everything = ops(frozenset())
    assert everything >= BOUNDS | {o.CHARGE, o.FUEL_CHECK, o.FUEL_COVERS}
    assert ops(METERING) == everything - METERING
    assert ops(METERING | BOUNDS) == everything - METERING - BOUNDS

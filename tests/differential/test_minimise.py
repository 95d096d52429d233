"""Minimising and fuzzing, with an executor that is wrong on purpose."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import BY_NAME
from swarmc.runtime.tools import fuzz
from swarmc.runtime.tools.choices import Choices, RandomSource
from swarmc.runtime.tools.differential import Mismatch, check
from swarmc.runtime.tools.execution import AgentRun, Call, Loaded, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.fuzz_report import FuzzReport
from swarmc.runtime.tools.generator import generate, generate_scripts
from swarmc.runtime.tools.minimise import Case, minimise, save
from swarmc.runtime.tools.oracle import Oracle


def contains(data: bytes, name: str) -> bool:
    row = BY_NAME[name]
    return any(row in func.body.ops for func in decode(data).funcs)


class Wrong:
    """An interpreter that counts one unit too many in modules with a certain instruction."""

    name = "wrong"

    def __init__(self, instruction: str) -> None:
        self._instruction, self._inner = instruction, InterpreterExecutor(level=0)

    def load(self, data: bytes, setup: Setup) -> Loaded:
        loaded = self._inner.load(data, setup)
        return _WrongLoaded(loaded) if contains(data, self._instruction) else loaded


class _WrongLoaded:
    def __init__(self, inner: Loaded) -> None:
        self._inner = inner

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        runs = self._inner.run(workload)
        for agent in runs:
            agent.outcomes[:] = [
                dataclasses.replace(outcome, fuel=(outcome.fuel or 0) + 1)
                for outcome in agent.outcomes
            ]
        return runs


def failing_case(instruction: str, executor: Wrong) -> tuple[Case, Oracle]:
    oracle = Oracle()
    for seed in range(100):
        choices = Choices(RandomSource(seed))
        generated = generate(choices)
        record = tuple(choices.record)
        workload = Workload(generate_scripts(choices, generated, 3, 2), 5000)
        setup = Setup(missing_imports="trap", heap=1 << 16)
        if contains(generated.data, instruction):
            found = check(oracle, executor, generated.data, setup, workload)
            if found is not None:
                return Case(generated.data, setup, workload, found, record), oracle
    raise AssertionError("no module fails")


@pytest.mark.parametrize("known", [True, False], ids=["choices known", "module only"])
def test_a_failing_module_becomes_small(known: bool, tmp_path: Path) -> None:
    executor = Wrong("i32.popcnt")
    case, oracle = failing_case("i32.popcnt", executor)
    if not known:
        case = dataclasses.replace(case, record=None)

    def still(data: bytes, setup: Setup, workload: Workload) -> Mismatch | None:
        return check(oracle, executor, data, setup, workload)

    smaller = minimise(case, still, seconds=120.0)
    assert smaller.mismatch.kind == case.mismatch.kind == "fuel"
    assert len(smaller.workload.scripts) == 1
    assert len(smaller.workload.scripts[0].calls) == 1
    assert contains(smaller.data, "i32.popcnt")
    assert len(smaller.data) < len(case.data) / 4
    ops = sum(len(func.body.ops) for func in decode(smaller.data).funcs)
    assert ops < 30


def test_saved_case(tmp_path: Path) -> None:
    data = bytes(wat2wasm('(module (func (export "f") (param i32) (result i32) (local.get 0)))'))
    workload = Workload((Script((Call("f", (0xFFFF,)),)),), 500)
    mismatch = Mismatch("fuel", "(0xffff) fuel 3, not (0xffff) fuel 2", "cpu", 0, 0)
    path = save(Case(data, Setup(max_memory=65536), workload, mismatch), tmp_path / "new", "case")
    assert path == tmp_path / "new" / "case.wat"
    text = path.read_text()
    assert "(0xffff) fuel 3, not (0xffff) fuel 2" in text
    assert decode(bytes(wat2wasm(text))).exports[0].name == "f"
    assert (tmp_path / "new" / "case.wasm").read_bytes() == data
    described = json.loads((tmp_path / "new" / "case.json").read_text())
    assert described["agents"][0]["calls"] == [["f", "0xffff"]]
    assert described["setup"]["max_memory"] == 65536
    assert described["fuel"] == 500


def test_fuzz_finds_minimises_and_saves(tmp_path: Path) -> None:
    seen: list[int] = []
    report = fuzz.run(
        1000.0, 7, tmp_path, modules=4, agents=2, executors=[Wrong("i32.const")],
        minimise_seconds=5.0, progress=lambda report: seen.append(report.modules))
    assert seen == [1, 2, 3, 4]
    assert report.saved
    for path, mismatch in report.saved:
        assert path.exists() and path.suffix == ".wat"
        assert mismatch.kind == "fuel"
        assert path.with_name(f"{path.stem}-whole.wasm").exists()
    assert f"mismatches   {len(report.saved)}" in str(report)


def test_fuzz_is_deterministic(tmp_path: Path) -> None:
    def run() -> FuzzReport:
        return fuzz.run(1000.0, 3, tmp_path, modules=5, agents=2,
                        executors=[InterpreterExecutor(level=0)])

    first, second = run(), run()
    assert first.tally == second.tally
    assert first.traps == second.traps and first.coverage.executed == second.coverage.executed
    assert first.modules == 5 and first.tally.executions > 20


def test_an_exception_is_a_mismatch(tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        def load(self, data: bytes, setup: Setup) -> Loaded:
            raise ZeroDivisionError("oh")

    report = fuzz.run(1000.0, 1, tmp_path, modules=1, executors=[Broken()], minimise_seconds=0.0)
    assert [mismatch.kind for _, mismatch in report.saved] == ["error"]
    assert "ZeroDivisionError: oh" in str(report)


def test_time_limit(tmp_path: Path) -> None:
    report = fuzz.run(0.0, 1, tmp_path, executors=[InterpreterExecutor()])
    assert report.modules == 0 and report.not_generated

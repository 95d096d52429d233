"""A large program starts quickly compiled and goes on well compiled."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from swarmc.runtime import SwarmManager, recompile
from swarmc.runtime.compile import compile_wasm
from swarmc.targets.cpu import CpuTarget, launcher, target
from swarmc.targets.executable import CompileOptions, Effort, Executable
from swarmc.targets.layout import Job

CORPUS = Path(__file__).parents[2] / "corpus"


def test_large_program_is_exchanged_between_dispatches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasm = (CORPUS / "sha256_lib.wasm").read_bytes()
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    swarm = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    assert swarm.executable.provisional
    upgrade = swarm._upgrade
    assert upgrade is not None
    agent = swarm.spawn_agent()
    first = swarm.dispatch([agent], "digest_of_number", [7])
    before = swarm.get_agent_memory(agent)
    assert upgrade.apply(seconds=120.0)
    assert not swarm.executable.provisional
    assert swarm.get_agent_memory(agent) == before
    second = swarm.dispatch([agent], "digest_of_number", [7])
    assert second.agent_results == first.agent_results
    assert second.instruction_counts == first.instruction_counts
    swarm.close()
    again = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    assert not again.executable.provisional
    again.close()


def test_the_cache_gets_it_after_the_swarm_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasm = (CORPUS / "lib.wasm").read_bytes()
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    swarm = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    upgrade = swarm._upgrade
    assert upgrade is not None and upgrade._recompilation is not None
    process = upgrade._recompilation._process
    swarm.close()
    assert process.wait(120) == 0
    again = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    assert not again.executable.provisional
    again.close()
    assert not list(tmp_path.glob("*.lock"))


def test_without_a_cache_it_ends_with_the_swarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    swarm = SwarmManager.from_wasm((CORPUS / "lib.wasm").read_bytes(), cache=False)
    upgrade = swarm._upgrade
    assert upgrade is not None and upgrade._recompilation is not None
    process = upgrade._recompilation._process
    process.send_signal(signal.SIGSTOP)  # so that it is not done before
    swarm.close()
    assert process.wait(120) != 0


def test_another_program_is_not_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "LARGE_PROGRAM", 1)
    swarm = SwarmManager(cache=tmp_path, max_agents=4)
    for number in (111, 222):
        swarm.load_bytecode(
            wasmtime.wat2wasm(f'(module (func (export "f") (result i32) (i32.const {number})))')
        )
    agent = swarm.spawn_agent()
    upgrade = swarm._upgrade
    assert upgrade is not None and upgrade.apply(seconds=120.0)
    assert not swarm.executable.provisional
    assert swarm.dispatch([agent]).agent_results == {agent: 222}
    swarm.close()


def test_a_program_of_medium_size_is_compiled_again_when_it_has_run_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "MEDIUM_PROGRAM", 100)
    swarm = SwarmManager.from_wasm((CORPUS / "lib.wasm").read_bytes(), cache=tmp_path)
    assert swarm.executable.effort is Effort.LESS
    upgrade = swarm._upgrade
    assert upgrade is not None
    agent = swarm.spawn_agent("fib", args=[10])
    assert swarm.dispatch().agent_results == {agent: 55}
    assert not upgrade.begun and not upgrade.apply()
    monkeypatch.setattr(upgrade, "_wait", 0.0)
    assert swarm.dispatch([agent], "fib", [30]).agent_results == {agent: 832040}
    assert upgrade.begun and upgrade.apply(seconds=120.0)
    assert swarm.executable.effort is Effort.FULL
    assert swarm.dispatch().agent_results == {agent: 55}
    swarm.close()


class _Done:
    """A compilation that is done when agents have begun."""

    succeeded = True

    def __init__(self, executable: Executable, begun: threading.Event) -> None:
        self._executable = executable
        self._begun = begun

    def done(self, seconds: float = 0.0) -> bool:
        return self._begun.is_set()

    def result(self) -> Executable:
        return self._executable

    def stop(self) -> None:
        """There is nothing to stop."""


@pytest.mark.parametrize("begun", [0, 3])
def test_agents_that_have_not_begun_run_the_better_program(
    begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches: list[int] = []
    running = threading.Event()

    def launch(address: int, job: int, workers: int) -> None:
        counter = ctypes.c_int64.from_address(job + Job.COUNTER)
        if not launches:
            counter.value = begun  # as if others had run them
            running.set()
            deadline = time.monotonic() + 60
            while counter.value < 1 << 62 and time.monotonic() < deadline:
                time.sleep(0.001)
        launches.append(address)
        launcher.launch(address, job, workers)

    monkeypatch.setattr(target, "MEDIUM_PROGRAM", 100)
    monkeypatch.setattr(recompile, "_STEP_SECONDS", 0.001)
    wasm = (CORPUS / "lib.wasm").read_bytes()
    options: dict[str, Any] = {"target": CpuTarget(run_workers=launch), "cache": False}
    with SwarmManager.from_wasm(wasm, **options) as swarm:
        full = compile_wasm(wasm, CompileOptions(patient=True))
        assert swarm._upgrade is not None
        monkeypatch.setattr(swarm._upgrade, "_recompilation", _Done(full, running))
        ids = swarm.spawn_agents(8, "fib", args=[[n] for n in range(8)])
        result = swarm.dispatch(ids)
        assert len(set(launches)) == len(launches) == 2
        assert swarm.executable.effort is Effort.FULL
        expected = [0] * begun + [0, 1, 1, 2, 3, 5, 8, 13][begun:]
        assert result.results_array().tolist() == expected
        assert [count > 0 for count in result.counts_array] == [n >= begun for n in range(8)]
        again = swarm.dispatch(ids)
        assert again.results_array().tolist() == [0, 1, 1, 2, 3, 5, 8, 13]
        assert again.counts_array.tolist()[begun:] == result.counts_array.tolist()[begun:]


def test_a_large_function_makes_a_large_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "MEDIUM_PROGRAM", 100)
    wasm = (CORPUS / "lib.wasm").read_bytes()
    assert compile_wasm(wasm, CompileOptions()).effort is Effort.LESS
    monkeypatch.setattr(target, "LARGE_FUNCTION", 50)
    assert compile_wasm(wasm, CompileOptions()).effort is Effort.LEAST
    assert compile_wasm(wasm, CompileOptions(patient=True)).effort is Effort.FULL


def test_many_small_functions_make_a_large_program() -> None:
    functions = "".join(
        f'(func (export "f{n}") (result i32) (i32.const {n}))' for n in range(2000)
    )
    wasm = bytes(wasmtime.wat2wasm(f"(module {functions})"))
    assert compile_wasm(wasm, CompileOptions()).effort is Effort.LEAST
    few = compile_wasm(wasm, CompileOptions(entry_points=("f1", "f7")))
    assert few.effort is Effort.FULL


def test_a_machine_that_starts_no_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    monkeypatch.setattr("sys.executable", "")
    swarm = SwarmManager.from_wasm((CORPUS / "lib.wasm").read_bytes(), cache=tmp_path)
    assert swarm.executable.provisional and swarm._upgrade is None
    agent = swarm.spawn_agent("fib", args=[10])
    assert swarm.dispatch().agent_results == {agent: 55}
    swarm.close()

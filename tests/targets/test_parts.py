"""A program compiled in many parts, in several processes, is the same program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import wasmtime

from swarmc.runtime import SwarmManager, SwarmResult
from swarmc.runtime.compile import compile_wasm
from swarmc.targets.cpu import target
from swarmc.targets.executable import CompileOptions

CORPUS = Path(__file__).parents[2] / "corpus"


def run(name: str, stdin: bytes) -> SwarmResult:
    wasm = (CORPUS / f"{name}.wasm").read_bytes()
    with SwarmManager.from_wasm(wasm, cache=False, max_agents=8, stdin=stdin) as swarm:
        swarm.spawn_agents(4)
        return swarm.dispatch()


@pytest.mark.parametrize("name", ["interp", "recursion"])
def test_parts_agree_with_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(name, b"")
    monkeypatch.setattr(target, "PART_SIZE", 800)
    parts = run(name, b"")
    assert len(parts.agent_outputs) == 4
    assert parts.agent_outputs == whole.agent_outputs
    assert parts.instruction_counts == whole.instruction_counts
    assert parts.exit_codes == whole.exit_codes


def test_indirect_calls_and_tables_cross_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    wasm = (CORPUS / "tables.wasm").read_bytes()
    results = []
    for size in (target.PART_SIZE, 20):
        monkeypatch.setattr(target, "PART_SIZE", size)
        with SwarmManager.from_wasm(wasm, cache=False) as swarm:
            assert (len(swarm.executable.objects) > 1) == (size == 20)
            entries = [name for name, type_ in swarm.functions.items() if not type_.params]
            agents = [swarm.spawn_agent(name) for name in entries]
            result = swarm.dispatch()
            results.append(
                [(result.agent_results.get(a), result.instruction_counts[a]) for a in agents]
            )
    assert results[0] == results[1]
    assert results[0]


@pytest.mark.parametrize(("loops", "level"), [(10, 2), (999, 1), (3000, 1)])
def test_functions_with_very_many_loops_are_optimised_less(
    loops: int, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []

    def compile_modules(texts: Sequence[str], level: int, *rest: object) -> list[bytes]:
        levels.append(level)
        return [b""] * len(texts)

    monkeypatch.setattr(target, "compile_modules", compile_modules)
    text = f'(module (func (export "f") {"(loop)" * loops}))'
    compile_wasm(bytes(wasmtime.wat2wasm(text)), CompileOptions(patient=True))
    assert levels == [level]

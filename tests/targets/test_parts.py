"""A program compiled in many parts, in several processes, is the same program."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime import SwarmManager, SwarmResult
from swarmc.targets.cpu import target

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

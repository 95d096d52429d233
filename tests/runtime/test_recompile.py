"""A large program starts quickly compiled and goes on well compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime import SwarmManager
from swarmc.runtime.recompile import Upgrade
from swarmc.targets.cpu import target

CORPUS = Path(__file__).parents[2] / "corpus"


def test_large_program_is_exchanged_between_dispatches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasm = (CORPUS / "sha256_lib.wasm").read_bytes()
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    swarm = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    assert swarm.executable.provisional
    program, upgrade = swarm._program, swarm._upgrade
    assert program is not None and isinstance(upgrade, Upgrade)
    agent = swarm.spawn_agent()
    first = swarm.dispatch([agent], "digest_of_number", [7])
    before = swarm.get_agent_memory(agent)
    assert upgrade.apply(program, seconds=60.0)
    assert not swarm.executable.provisional
    assert swarm.get_agent_memory(agent) == before
    second = swarm.dispatch([agent], "digest_of_number", [7])
    assert second.agent_results == first.agent_results
    assert second.instruction_counts == first.instruction_counts
    swarm.close()
    again = SwarmManager.from_wasm(wasm, cache=tmp_path, max_agents=4)
    assert not again.executable.provisional
    again.close()


def test_closing_a_swarm_ends_the_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "LARGE_PROGRAM", 100)
    swarm = SwarmManager.from_wasm((CORPUS / "mlp.wasm").read_bytes(), cache=tmp_path)
    upgrade = swarm._upgrade
    assert upgrade is not None
    process = upgrade._recompilation._process
    assert process.poll() is None
    swarm.close()
    assert process.wait(30) != 0

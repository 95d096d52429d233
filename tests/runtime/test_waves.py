"""More agents than there are slots run in waves, and cannot tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import swarmc
from swarmc.errors import ArgumentError, CapacityError, UnknownAgentError
from swarmc.runtime import SwarmManager

CORPUS = Path(__file__).resolve().parents[2] / "corpus"

Make = Callable[..., SwarmManager]


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_waves_give_what_one_dispatch_gives(make_swarm: Make, library: bytes, target: str) -> None:
    args = swarmc.Columns(np.arange(100), np.arange(100) % 9)
    results = []
    for slots in (100, 33, 1):
        swarm = make_swarm(library, target=target, max_agents=slots)
        result = swarm.run_agents(100, "divide", args, waves=True)
        results.append((
            result.ids.tolist(), result.results_array().tolist(), result.traps,
            result.instruction_counts, result.status.tolist(),
        ))  # fmt: skip
        assert len(swarm) == 0 and swarm.last_result is result
        assert len(result) == 100 and sorted(result.traps) == list(range(0, 100, 9))
    assert results[0] == results[1] == results[2]


def test_inputs_go_to_the_agents_that_they_are_for(make_swarm: Make) -> None:
    wasm = (CORPUS / "wasi.wasm").read_bytes()
    stdins = [b"line %d\n" % n for n in range(10)]
    outputs = []
    for slots in (10, 3):
        swarm = make_swarm(wasm, max_agents=slots)
        cat = swarm.run_agents(10, argv=["wasi", "cat"], stdin=stdins, waves=True)
        drawn = swarm.run_agents(10, argv=["wasi", "random", "4"], waves=True, seed=3)
        echo = swarm.run_agents(
            4, argv=[["wasi", "args", str(n)] for n in range(4)], waves=True
        )
        outputs.append([one.agent_outputs for one in (cat, drawn, echo)])
        assert list(cat.agent_outputs.values()) == stdins
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0][1].values())) == 10


def test_without_waves_all_must_fit(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, max_agents=10)
    kept = swarm.spawn_agents(4, "tick")
    assert len(swarm.run_agents(6, "tick")) == 6
    with pytest.raises(CapacityError, match=r"7 agents do not fit: of 10 slots 6 are free.*waves"):
        swarm.run_agents(7, "tick")
    result = swarm.run_agents(13, "tick", waves=True)
    assert result.results_array().tolist() == [1] * 13
    assert swarm.dispatch(kept).results_array().tolist() == [1] * 4
    swarm.spawn_agents(6)
    with pytest.raises(CapacityError, match=r"of 10 slots 0 are free.*kill agents"):
        swarm.run_agents(1, "tick", waves=True)


def test_nothing_is_left_of_them(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, max_agents=2)
    result = swarm.run_agents(4, "poke", [8, 1], waves=True)
    with pytest.raises(UnknownAgentError):
        swarm.get_agent_memory(int(result.ids[0]))
    assert swarm.get_agent_memory(swarm.spawn_agent(), 8, 1) == b"\0"
    assert len(swarm.run_agents(0, "tick")) == 0
    for name, args in (("tick", [1]), (None, None), ("add", None)):
        with pytest.raises(ArgumentError):
            swarm.run_agents(3, name, args, waves=True)
        assert len(swarm) == 1


def test_an_interrupt_ends_the_waves(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, max_agents=2, fuel=1 << 62)
    timer = threading.Timer(0.2, swarm.interrupt)
    timer.start()
    result = swarm.run_agents(10, "forever", waves=True)
    timer.join()
    assert len(result) == 2 and result.interrupted and len(swarm) == 0


def test_ctrl_c_leaves_the_results_of_what_ran(
    make_swarm: Make, library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = make_swarm(library, max_agents=2)
    assert swarm._program is not None
    run, waves = swarm._program.run, iter(range(10))

    def interrupted(request: object) -> object:
        outcome, _ = run(request)  # type: ignore[arg-type]
        return outcome, KeyboardInterrupt() if next(waves) == 2 else None

    monkeypatch.setattr(swarm._program, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        swarm.run_agents(10, "tick", waves=True)
    assert swarm.last_result is not None
    assert len(swarm.last_result) == 6 and len(swarm) == 0

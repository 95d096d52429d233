"""Slips of a caller get errors that say what is wrong, not those of whatever they break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swarmc.errors import ArgumentError
from swarmc.runtime import SwarmManager
from swarmc.runtime.compile import compile_wasm
from swarmc.targets.executable import CompileOptions

Make = Callable[..., SwarmManager]


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        (lambda s: s.spawn_agent("double", args=5), "args must be a sequence of values, not 5"),
        (lambda s: s.spawn_agent("double", args=np.array(5)), "args must be a sequence of values"),
        (lambda s: s.spawn_agent("double", args="5"), "args must be a sequence of values, not '5'"),
        (lambda s: s.spawn_agents(2, "double", args=5), "args must be a sequence of values, not 5"),
        (lambda s: s.spawn_agents(2, "double", args={}), "args must be a sequence of values"),
        (lambda s: s.spawn_agent(["double"]), r"no function \['double'\]"),
        (lambda s: s.dispatch(agent_ids=3), "agent_ids must be a sequence of integers, not 3"),
        (lambda s: s.dispatch(agent_ids=[[0], [0, 1]]), "agent_ids must be a sequence of integers"),
        (lambda s: s.dispatch([0], "double", 5), "args must be a sequence of values, not 5"),
        (lambda s: s.get_agent_memory(0, 1.5), "offset must be an integer, not 1.5"),
        (lambda s: s.get_agent_memory(0, 0, "1"), "length must be an integer, not '1'"),
        (lambda s: s.get_agent_memory(0, memory=0.5), "memory must be an integer, not 0.5"),
        (lambda s: s.set_agent_memory(0, b"", offset="a"), "offset must be an integer, not 'a'"),
        (lambda s: s.memory_size(0, memory=None), "memory must be an integer, not None"),
    ],
)
def test_of_agents(
    make_swarm: Make, library: bytes, slip: Callable[[SwarmManager], Any], message: str
) -> None:
    swarm = make_swarm(library)
    swarm.spawn_agent("nothing")
    with pytest.raises(ArgumentError, match=message):
        slip(swarm)
    assert len(swarm) == 1
    assert swarm.dispatch().returned_array.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 5}, "target must be the name of one, or a target, not 5"),
        ({"entry_points": "fib"}, "entry_points must be a sequence of names, not 'fib'"),
        ({"entry_points": 5}, "entry_points must be a sequence of names, not 5"),
        ({"entry_points": ["a", 5]}, "entry_points must be a sequence of names, 5 is none"),
        ({"call_depth": 1.5}, "call_depth must be an integer"),
    ],
)
def test_of_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SwarmManager(**options)


def test_another_call_depth_than_a_program_was_compiled_for(single: bytes) -> None:
    executable = compile_wasm(single, CompileOptions(call_depth=77, opt_level=0))
    for accepted in (None, 77):
        with SwarmManager(max_agents=1, call_depth=accepted) as swarm:
            swarm.load_executable(executable)
    with SwarmManager(max_agents=1, call_depth=2048) as swarm:
        with pytest.raises(ArgumentError, match="compiled for a call_depth of 77, not 2048"):
            swarm.load_executable(executable)

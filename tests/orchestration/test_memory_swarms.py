"""Regions go into agents' linear memories and come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from swarmc.errors import ArgumentError, UnknownAgentError
from swarmc.runtime.manager import SwarmManager
from swarmc.runtime.orchestration.memory import (
    MemoryConfig,
    MemoryManager,
    RegionRangeError,
    UnknownRegionError,
)

#: (memory 1) (func (export "bump") ...): adds 1 to the byte at address 5.
BUMP = bytes.fromhex(
    "0061736d01000000 01040160 0000 03020100 0503010001 070801 0462756d70 0000"
    "0a110 10f00 4105 4105 2d0000 4101 6a 3a0000 0b".replace(" ", "")
)


@pytest.fixture(params=["flat", "interleaved"])
def swarm(request: pytest.FixtureRequest) -> Iterator[SwarmManager]:
    options: dict[str, Any] = {"layout": request.param, "max_agents": 4, "cache": False}
    with SwarmManager.from_wasm(BUMP, **options) as made:
        made.spawn_agents(3)
        yield made


def test_there_and_back(swarm: SwarmManager) -> None:
    manager = MemoryManager(MemoryConfig(total_size=2048, region_size=1024))
    first, second = manager.allocate("a", 1000), manager.allocate("b", 1000)
    data = np.random.default_rng(1).integers(0, 255, 1000, np.uint8)
    manager.write(first, data)
    manager.allocate("c", 2048)  # which evicts both
    agent = int(swarm.agent_ids[1])
    manager.load_agent(swarm, agent, first)
    assert swarm.get_agent_memory(agent, 0, 1001) == data.tobytes() + b"\0"
    swarm.dispatch()
    data[5] += 1
    manager.save_agent(swarm, agent, second)
    assert manager.read(second) == data.tobytes()
    assert swarm.get_agent_memory(0, 0, 8) == b"\0" * 5 + b"\1\0\0"  # another agent's


def test_parts(swarm: SwarmManager) -> None:
    manager = MemoryManager()
    region = manager.allocate("a", 100)
    manager.write(region, b"abcdef", 10)
    manager.load_agent(swarm, 2, region, 65530, offset=10, length=6)
    assert swarm.get_agent_memory(2, 65529) == b"\0abcdef"
    manager.save_agent(swarm, 2, region, 65531, offset=95, length=5)
    assert manager.read(region, 94) == b"\0bcdef"


def test_what_does_not_fit_is_refused(swarm: SwarmManager) -> None:
    manager = MemoryManager()
    region = manager.allocate("a", 100)
    for move in (manager.load_agent, manager.save_agent):
        with pytest.raises(ArgumentError, match="not in the memory of 65536 bytes that agent 2"):
            move(swarm, 2, region, 65500)
        with pytest.raises(RegionRangeError):
            move(swarm, 2, region, offset=50, length=51)
        with pytest.raises(UnknownAgentError):
            move(swarm, 9, region)
        with pytest.raises(UnknownRegionError):
            move(swarm, 2, 77)
    manager.free(region)  # nothing shows it any more


def test_scratch_memory() -> None:
    nothing = bytes.fromhex("0061736d01000000") + bytes.fromhex(
        "010401600000 03020100 070501 0166 0000 0a040102000b".replace(" ", "")
    )
    manager = MemoryManager()
    region = manager.allocate("a", 64)
    manager.write(region, b"scratch")
    with SwarmManager.from_wasm(nothing, cache=False, memory_per_agent=128) as swarm:
        agent = swarm.spawn_agent()
        manager.load_agent(swarm, agent, region, 64)
        manager.write(region, bytes(7))
        manager.save_agent(swarm, agent, region, 64)
    assert manager.read(region, 0, 7) == b"scratch"

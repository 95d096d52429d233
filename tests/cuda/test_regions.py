"""Regions of the memory manager go to agents on a GPU and come back."""

from __future__ import annotations

import numpy as np
import pytest

from swarmc.runtime.orchestration.memory import MemoryManager

from .fake_driver import FakeDriver
from .test_gpu import swarm

pytestmark = pytest.mark.usefixtures("only_ptx")


@pytest.mark.parametrize("layout", ["flat", "interleaved"])
def test_there_and_back(fake: FakeDriver, layout: str) -> None:
    agents = swarm(fake, max_agents=40, layout=layout)
    ids = agents.spawn_agents(35)
    manager = MemoryManager()
    there, back = manager.allocate("a", 1001), manager.allocate("b", 1001)
    data = np.random.default_rng(3).integers(0, 255, 1001, np.uint8)
    manager.write(there, data)
    manager.load_agent(agents, int(ids[33]), there, 77)
    assert agents.get_agent_memory(33, 76, 1003) == b"\0" + data.tobytes() + b"\0"
    assert not any(agents.get_agent_memory(32, 0, 2000))
    manager.save_agent(agents, 33, back, 77)
    assert manager.read(back) == data.tobytes()

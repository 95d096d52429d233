"""A hundred thousand agents are cheap."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable

import numpy as np

from swarmc.runtime import SwarmManager
from swarmc.runtime.agents import AgentTable

COUNT = 100_000


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_spawn_dispatch_kill(make_swarm: Callable[..., SwarmManager], library: bytes) -> None:
    swarm = make_swarm(library, max_agents=COUNT)
    before = resident_bytes()
    ids = swarm.spawn_agents(COUNT, "double", np.arange(COUNT))
    assert resident_bytes() - before < 100 * COUNT
    result = swarm.dispatch()
    assert (result.results_array() == 2 * np.arange(COUNT)).all()
    assert result.agent_results[99_999] == 199_998
    assert len(result.instruction_counts) == COUNT
    slow = int(ids[12_345])
    spun = swarm.dispatch([slow, int(ids[0])], "spin", [[1_000_000], [1]])
    assert spun.counts_array.tolist() == [5_000_000 + 1, 5 + 1]
    swarm.kill_agents(ids[1:])
    assert swarm.agent_ids.tolist() == [0]
    again = swarm.spawn_agents(COUNT - 1, "peek", [4])
    assert (swarm.dispatch(again).results_array() == ord("d")).all()


def test_one_by_one(make_swarm: Callable[..., SwarmManager], single: bytes) -> None:
    swarm = make_swarm(single, max_agents=COUNT)
    ids = [swarm.spawn_agent(args=[i]) for i in range(COUNT)]
    assert swarm.dispatch(ids).results_array().tolist() == list(range(COUNT))
    for id_ in ids:
        swarm.kill_agent(id_)
    assert len(swarm) == 0


def test_the_table_takes_few_bytes_an_agent() -> None:
    tracemalloc.start()
    table = AgentTable(COUNT, 0, b"", b"", b"")
    _, slots = table.spawn_many(COUNT)
    table.set_args(slots, np.zeros((COUNT, 1), np.uint64), 1)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 100 * COUNT

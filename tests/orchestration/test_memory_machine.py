"""The memory manager does what a dictionary does, however little of it fits in its pool."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from swarmc.runtime.orchestration.memory import EvictionPolicy

from .memory_machine import AGENTS, Machine

SETTINGS = settings(
    derandomize=True, deadline=None, database=None, max_examples=120, stateful_step_count=60,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
)


def machine(policy: EvictionPolicy) -> Any:
    return type("Machine", (Machine,), {"policy": policy})


@pytest.mark.parametrize("policy", EvictionPolicy)
def test_against_a_dictionary(policy: EvictionPolicy) -> None:
    run_state_machine_as_test(machine(policy), settings=SETTINGS)


#: How often, and what.
STEPS: list[tuple[int, Callable[[Any, Random, int], Any]]] = [
    (4, lambda m, r, n: m.allocate(r.choice(AGENTS), r.choice((1, 30, 64, 65, 200)),
                                   r.choice((None, None, 5, 50)))),
    (5, lambda m, r, n: m.write(n, r.randbytes(r.choice((1, 20, 64))), r.randrange(30))),
    (5, lambda m, r, n: m.read(n, 0, None)),
    (1, lambda m, r, n: m.view(n, 7)),
    (1, lambda m, r, n: m.pin(n)),
    (2, lambda m, r, n: m.let_go(n)),
    (1, lambda m, r, n: m.transfer(n, r.choice(AGENTS))),
    (1, lambda m, r, n: m.free(n)),
    (1, lambda m, r, n: r.randrange(10) or m.agent_gone(r.choice(AGENTS))),
    (1, lambda m, r, n: m.garbage_collect()),
    (1, lambda m, r, n: m.compact()),
    (1, lambda m, r, n: m.wait(2)),
]  # fmt: skip


@pytest.mark.parametrize("policy", EvictionPolicy)
@pytest.mark.parametrize("seed", range(4))
def test_long_runs(policy: EvictionPolicy, seed: int) -> None:
    """The same machine, driven evenly: hypothesis likes short runs with few rules."""
    random, tested = Random(seed), machine(policy)()
    tested.start(seed % 2 == 0, seed % 3 == 1, seed == 3, [50, 100, 64, 10, 130, 1])
    weights, steps = zip(*STEPS, strict=True)
    for step in random.choices(steps, weights, k=500):
        step(tested, random, random.randrange(1 << 16))
        tested.same_as_the_dictionary()
    counts = tested.manager.stats()
    tested.teardown()
    assert min(counts.evictions, counts.faults, counts.frees, counts.transfers) > 5

"""What is evicted is what the policy says, against a plain restatement of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from swarmc.runtime.orchestration.memory import EvictionPolicy, MemoryConfig, MemoryManager

UNITS = 5


@dataclass
class Page:
    entered: int  # when it came into the pool
    used: int
    uses: int
    expires: float


ORDER: dict[EvictionPolicy, Callable[[Page], tuple[float, int]]] = {
    EvictionPolicy.LRU: lambda page: (page.used, 0),
    EvictionPolicy.LFU: lambda page: (page.uses, page.used),
    EvictionPolicy.FIFO: lambda page: (page.entered, 0),
    EvictionPolicy.TTL: lambda page: (page.expires, page.entered),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", EvictionPolicy)
def test_the_right_region_goes(policy: EvictionPolicy, seed: int) -> None:
    random = Random(seed)
    config = MemoryConfig(total_size=UNITS * 64, region_size=64, eviction_policy=policy, ttl=1e9)
    manager = MemoryManager(config, clock=lambda: 0.0)
    pages: dict[int, Page] = {}
    inside: set[int] = set()

    def enter(region: int, now: int) -> None:
        if len(inside) == UNITS:
            inside.remove(min(inside, key=lambda known: ORDER[policy](pages[known])))
        inside.add(region)
        pages[region].entered = now

    for now in range(1, 600):
        choice = random.random()
        if choice < 0.2 or not pages:
            ttl = random.choice((None, 10.0, 20.0))
            region = manager.allocate("a", 64, ttl=ttl)
            default = 1e9 if policy is EvictionPolicy.TTL else float("inf")
            page = Page(now, now, 0, default if ttl is None else ttl)
            pages[region] = page
            enter(region, now)
        elif choice < 0.85:
            region = random.choice(sorted(pages)[-8:])
            manager.read(region)
            if region not in inside:
                enter(region, now)
            pages[region].used, pages[region].uses = now, pages[region].uses + 1
        elif len(pages) > 3:
            region = random.choice(sorted(pages))
            manager.free(region)
            del pages[region]
            inside.discard(region)
        assert {region for region in pages if manager.info(region).resident} == inside
    assert manager.stats().evictions_by_policy[policy] == manager.stats().evictions > 60


def test_what_is_pinned_is_passed_over() -> None:
    manager = MemoryManager(MemoryConfig(total_size=3 * 64, region_size=64))
    first, second, third = (manager.allocate("a", 64) for _ in range(3))
    manager.pin(first)
    manager.read(second)
    for region in (third, second):
        manager.allocate("a", 64)
        assert not manager.info(region).resident
    manager.unpin(first)
    manager.read(second), manager.read(third)
    assert not manager.info(first).resident


def test_the_queue_does_not_grow() -> None:
    manager = MemoryManager(MemoryConfig(total_size=3 * 64, region_size=64))
    kept = manager.allocate("a", 64)
    for _ in range(1000):
        manager.free(manager.allocate("a", 64))
    assert len(manager._frames._queue._heap) < 100
    manager.allocate("a", 64), manager.allocate("a", 64), manager.allocate("a", 64)
    assert not manager.info(kept).resident

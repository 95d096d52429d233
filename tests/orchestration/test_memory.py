"""Regions: what is promised of views, transfers, expiry, limits and errors."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pytest

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.memory import (
    EvictionPolicy,
    MemoryConfig,
    MemoryConfigError,
    MemoryLimitError,
    MemoryManager,
    NotOwnerError,
    PoolFullError,
    RegionBusyError,
    RegionRangeError,
    UnknownRegionError,
)

KIB = 1024


def small(units: int = 4, **options: object) -> MemoryManager:
    config = MemoryConfig(total_size=units * KIB, region_size=KIB, **options)  # type: ignore[arg-type]
    return MemoryManager(config)


def address(array: np.ndarray[tuple[int], np.dtype[np.generic]]) -> int:
    return int(array.__array_interface__["data"][0])


def test_defaults() -> None:
    config = MemoryConfig()
    assert (config.total_size, config.region_size) == (28 << 20, 64 << 10)
    assert (config.max_agents, config.eviction_policy) == (256, EvictionPolicy.LRU)
    stats = MemoryManager().stats()
    assert stats.free_size == stats.largest_free == 28 << 20
    assert (stats.utilization, stats.fragmentation) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_size": 0}, "total_size must be an int of at least 64, not 0"),
        ({"total_size": 64 * KIB + 1}, r"total_size must be a multiple of region_size \(65,536\)"),
        ({"total_size": 1 << 60}, "at most"),
        ({"region_size": 100}, "region_size must be a multiple of 64, not 100"),
        ({"region_size": 1e5}, "region_size must be an int"),
        ({"eviction_policy": "lru"}, "eviction_policy must be an EvictionPolicy, not 'lru'"),
        ({"compression_level": 10}, "compression_level must be 1 to 9"),
        ({"max_agents": 0}, "max_agents must be an int of at least 1"),
        ({"agent_limit": -1}, "agent_limit must not be negative"),
        ({"backing_size": -1}, "backing_size must be"),
        ({"ttl": 0.0}, "ttl must be positive and finite"),
    ],
)
def test_impossible_configurations(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MemoryConfigError, match=message):
        MemoryConfig(**changes)  # type: ignore[arg-type]


def test_a_pool_costs_what_is_written() -> None:
    def resident() -> int:
        """Bytes that are there of the pool, which is the one mapping so large."""
        lines = Path("/proc/self/smaps").read_text().splitlines()
        sizes = [int(line.split()[1]) for line in lines if line.startswith("Size:")]
        there = [int(line.split()[1]) for line in lines if line.startswith("Rss:")]
        (found,) = (r for s, r in zip(sizes, there, strict=True) if s * KIB >= 48 << 30)
        return found * KIB

    with MemoryManager(MemoryConfig(total_size=64 << 30)) as manager:
        region = manager.allocate("a", 8 << 20)
        assert resident() < 1 << 20
        manager.write(region, b"\1" * (8 << 20))
        assert 8 << 20 <= resident() < 9 << 20
        manager.free(region)
        manager.garbage_collect()
        assert resident() < 1 << 20
        assert manager.read(manager.allocate("a", 4 * KIB)) == bytes(4 * KIB)


def test_what_is_used_again_is_zero() -> None:
    manager = small()
    for _ in range(3):
        region = manager.allocate("a", 4 * KIB)
        assert manager.read(region) == bytes(4 * KIB)
        manager.write(region, b"\xff" * 4 * KIB)
        manager.free(region)
    manager.garbage_collect()  # of pages that are larger than units, too
    assert manager.read(manager.allocate("b", 100)) == bytes(100)


def test_arrays_of_any_order_are_written_in_c_order() -> None:
    manager = small()
    region = manager.allocate("a", KIB)
    data = np.arange(12, dtype="<i4").reshape(3, 4)
    for given in (data, np.asfortranarray(data), memoryview(data.tobytes()), bytearray(data)):
        manager.write(region, bytes(100))
        manager.write(region, given, 4)
        assert manager.read(region, 4, 48) == data.tobytes()
    manager.write(region, data[:, ::2], 0)
    assert manager.view(region, "<i4", 0, 6).tolist() == [0, 2, 4, 6, 8, 10]
    manager.write(region, np.zeros((0, 3)), KIB)
    with pytest.raises(ArgumentError, match="Python objects"):
        manager.write(region, np.array([None]))
    with pytest.raises(ArgumentError, match="must be bytes or an array, not str"):
        manager.write(region, "text")  # type: ignore[arg-type]


def test_a_view_is_the_region() -> None:
    manager = small()
    region = manager.allocate("a", KIB)
    array = manager.view(region, np.float64, 8, 3)
    array[:] = (1, 2, 3)
    assert np.frombuffer(manager.read(region, 8, 24)).tolist() == [1, 2, 3]
    assert address(array) == (manager.info(region).address or 0) + 8
    assert len(manager.view(region)) == KIB and len(manager.view(region, "<u2", 3)) == 510
    fixed = manager.view(region, writeable=False)
    with pytest.raises(ValueError, match="read-only"):
        fixed[0] = 1
    with pytest.raises(RegionRangeError, match="bytes 8 to 1,032 are not in region 1"):
        manager.view(region, offset=8, count=KIB)
    with pytest.raises(ArgumentError, match="nothing that lies in a region"):
        manager.view(region, object)


def test_what_is_shown_stays() -> None:
    manager = small(2)
    shown, other = manager.allocate("a", KIB), manager.allocate("a", KIB)
    part = manager.view(shown)[10:20].view("<u2")[1:]  # the first array is gone already
    part[:] = 7
    for _ in range(5):
        manager.allocate("a", KIB)
    assert manager.info(shown).resident and not manager.info(other).resident
    with pytest.raises(RegionBusyError, match="region 1 is shown by an array; unpin it, or drop"):
        manager.free(shown)
    with pytest.raises(PoolFullError, match=r"no room for 2 regions of 1,024 bytes in a row: of 2, "
                       r"2 are in use, 1 of them pinned or shown by arrays; the longest free run "
                       r"has 0; free regions, drop arrays"):  # fmt: skip
        manager.allocate("a", 2 * KIB)
    look = memoryview(cast(Any, part))
    del part
    with pytest.raises(RegionBusyError):
        manager.free(shown)
    look.release()
    del look
    manager.free(shown)


def test_arrays_outlive_the_manager() -> None:
    with small() as manager:
        region = manager.allocate("a", KIB)
        array = manager.view(region)
        array[:] = 5
    del manager
    assert int(array.sum()) == 5 * KIB


def test_a_transfer_copies_nothing() -> None:
    manager = small()
    region = manager.allocate("a", 2 * KIB)
    array = manager.view(region)
    array[:] = 3
    before = address(array)
    manager.transfer(region, "b", source="a")
    info = manager.info(region)
    assert (info.owner, info.address) == ("b", before)
    assert address(manager.view(region)) == before
    assert manager.regions("a") == [] and manager.regions("b") == [region]
    assert set(manager.stats().agents) == {"b"}
    with pytest.raises(NotOwnerError, match="region 1 belongs to 'b', not to 'a'"):
        manager.transfer(region, "c", source="a")


def test_pins() -> None:
    manager = small(1)
    region = manager.allocate("a", KIB)
    with manager.pinned(region) as where:
        assert where == manager.info(region).address
        with pytest.raises(RegionBusyError, match="region 1 is pinned 1 times"):
            manager.free(region)
        with pytest.raises(PoolFullError):
            manager.allocate("a", 1)
    with pytest.raises(ArgumentError, match="is not pinned"):
        manager.unpin(region)
    manager.allocate("a", 1)
    assert not manager.info(region).resident
    assert manager.info(region).stored == KIB


def test_expiry_frees() -> None:
    now = [0.0]
    config = MemoryConfig(eviction_policy=EvictionPolicy.TTL, ttl=10)
    manager = MemoryManager(config, clock=lambda: now[0])
    usual, short = manager.allocate("a", 1), manager.allocate("a", 1, ttl=2)
    held, shown = manager.allocate("a", 1), manager.allocate("b", 1)
    manager.pin(held)
    array = manager.view(shown)
    now[0] = 2
    assert manager.regions() == [usual, held, shown]
    with pytest.raises(UnknownRegionError, match="region 2 is not there any more"):
        manager.read(short)
    assert manager.info(usual).expires == 8
    now[0] = 10
    assert manager.regions() == [held, shown]
    array[0] = 1
    manager.unpin(held)
    assert manager.regions() == [shown]
    del array
    assert manager.garbage_collect() == 1
    assert (manager.stats().expired, manager.stats().regions) == (4, 0)


def test_regions_expire_under_other_policies_if_told_to() -> None:
    now = [0.0]
    manager = MemoryManager(clock=lambda: now[0])
    manager.allocate("a", 1), manager.allocate("a", 1, ttl=5)
    now[0] = 1e9
    assert manager.regions() == [1]


def test_agents_that_are_gone() -> None:
    manager = small()
    first, second, held = (manager.allocate("a", 10) for _ in range(3))
    other = manager.allocate("b", 10)
    manager.write(first, b"over")
    manager.set_agent_limit("a", 0)
    array = manager.view(held)
    assert manager.agent_gone("a") == 3 and manager.agent_gone("a") == 0
    assert manager.info(first).owner is None and manager.stats().orphans == 3
    manager.transfer(first, "b")
    assert manager.garbage_collect() == 1
    assert manager.regions() == [first, held, other] and array[0] == 0
    with pytest.raises(UnknownRegionError):
        manager.read(second)
    del array
    assert manager.garbage_collect() == 1
    assert manager.read(first, 0, 4) == b"over"
    manager.allocate("a", 10)  # its limit went with it


def test_limits_of_agents() -> None:
    manager = small(8, agent_limit=2 * KIB, max_agents=2)
    manager.allocate("a", 1), manager.allocate("a", 1)
    with pytest.raises(MemoryLimitError, match="agent 'a' owns 2,048 bytes, and may own 2,048: "
                       "not 1,024 more; free some"):  # fmt: skip
        manager.allocate("a", 1)
    manager.set_agent_limit("a", None)
    moving = manager.allocate("a", 3 * KIB)
    manager.allocate(7, 1)
    with pytest.raises(MemoryLimitError, match="2 agents own regions, as many as may: not 'c'"):
        manager.allocate("c", 1)
    with pytest.raises(MemoryLimitError, match="agent 7 owns 1,024 bytes"):
        manager.transfer(moving, np.int64(7))  # type: ignore[arg-type]
    assert manager.info(moving).owner == "a"
    usage = manager.stats().agents
    assert (usage["a"].regions, usage["a"].size, usage["a"].limit) == (3, 5 * KIB, None)
    assert (usage[7].regions, usage[7].size, usage[7].limit) == (1, KIB, 2 * KIB)


def test_wrong_arguments() -> None:
    manager = small()
    region = manager.allocate("a", 10)
    with pytest.raises(UnknownRegionError, match="there is no region 99"):
        manager.read(99)
    with pytest.raises(UnknownRegionError, match="there is no region 'x'"):
        manager.free("x")  # type: ignore[arg-type]
    for size in (0, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="size must be an int of at least 1"):
            manager.allocate("a", size)  # type: ignore[arg-type]
    for agent in (None, 1.5, True):
        with pytest.raises(ArgumentError, match="an agent's id is a str or an int"):
            manager.allocate(agent, 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="ttl must be positive"):
        manager.allocate("a", 1, ttl=0)
    with pytest.raises(RegionRangeError, match="bytes 8 to 11 are not in region 1, which has 10"):
        manager.write(region, b"abc", 8)
    with pytest.raises(RegionRangeError):
        manager.read(region, -1, 1)
    with pytest.raises(RegionRangeError):
        manager.read(region, 11)
    assert manager.stats().hits == 0


def test_closed() -> None:
    manager = small()
    region = manager.allocate("a", 1)
    manager.close()
    manager.close()
    for call in (manager.stats, manager.garbage_collect, lambda: manager.read(region)):
        with pytest.raises(ClosedError, match="the memory manager is closed"):
            call()


def test_many_threads() -> None:
    """Threads own regions of their own, hand one around, and never see others' bytes."""
    manager = small(8, compression_enabled=True)
    common = manager.allocate(0, 8)
    failures: list[BaseException] = []
    counts = [0] * 4

    def work(number: int) -> None:
        random, mine = Random(number), {}
        for step in range(150):
            size = random.choice((100, KIB, 2 * KIB))
            region = manager.allocate(number, size)
            mine[region] = bytes([number * 50 + step % 50]) * size
            manager.write(region, mine[region])
            for known in random.sample(list(mine), min(3, len(mine))):
                assert manager.read(known) == mine[known]
            if len(mine) > 6:
                manager.free(region)
                del mine[region]
            try:
                manager.transfer(common, (number + 1) % 4, source=number)
                counts[number] += 1
            except NotOwnerError:
                continue
        for known, data in mine.items():
            assert manager.read(known) == data
            manager.free(known)

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    stats = manager.stats()
    assert stats.regions == 1 and stats.allocations == 601 and stats.evictions > 100
    assert manager.info(common).owner == sum(counts) % 4  # each hand-over happened once, in turn
    assert max(counts) - min(counts) <= 1 and stats.transfers == sum(counts)

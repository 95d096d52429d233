"""A memory manager and a dictionary that every operation is done on, and compared."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.memory import (
    AgentUsage,
    BackingStoreFullError,
    EvictionPolicy,
    MemoryConfig,
    MemoryLimitError,
    MemoryManager,
    MemoryStats,
    PoolFullError,
    RegionBusyError,
    RegionInfo,
    RegionRangeError,
    UnknownRegionError,
)

UNIT, UNITS = 64, 8
LIMIT = 5 * UNIT  # of the agents that have one
AGENTS: list[str | int] = ["a", "b", 3, 4]
MAX_AGENTS = 3  # at a time
SIZE = st.integers(1, UNIT) | st.integers(1, 3 * UNIT) | st.just(UNITS * UNIT + 1)
PICK = st.integers(0, 1 << 16)


@dataclass
class Model:
    """A region as the dictionary has it."""

    owner: str | int | None
    data: bytearray
    expires: float
    pins: int = 0
    views: list[Any] = field(default_factory=list)
    resident: bool = True

    @property
    def busy(self) -> bool:
        return bool(self.pins or self.views)

    @property
    def reserved(self) -> int:
        return -(-len(self.data) // UNIT) * UNIT


def some(machine: Any) -> bool:
    """Whether there are regions."""
    return bool(machine.model)


class Machine(RuleBasedStateMachine):
    """Every operation, on the manager and on the dictionary."""

    policy: EvictionPolicy

    @initialize(compressed=st.booleans(), spilled=st.booleans(), tight=st.booleans(),
                sizes=st.lists(SIZE, min_size=4, max_size=10))  # fmt: skip
    def start(self, compressed: bool, spilled: bool, tight: bool, sizes: list[int]) -> None:
        few, many = (2 * 4096, 1 << 20) if spilled else (2 * UNIT, 1 << 16)
        self.directory = tempfile.TemporaryDirectory() if spilled else None
        self.now = 0.0
        self.manager = MemoryManager(
            MemoryConfig(
                total_size=UNITS * UNIT, region_size=UNIT, eviction_policy=self.policy,
                compression_enabled=compressed, max_agents=MAX_AGENTS, ttl=30.0,
                backing_size=few if tight else many,
                spill_directory=self.directory.name if self.directory else None,
            ),
            clock=lambda: self.now,
        )  # fmt: skip
        self.manager.set_agent_limit("b", LIMIT)
        self.limited = True
        self.model: dict[int, Model] = {}
        self.gone: list[int] = []
        self.counts = dict.fromkeys(
            ("allocations", "frees", "transfers", "expired", "collected", "hits", "misses",
             "faults", "bytes_read", "bytes_written"), 0,
        )  # fmt: skip
        self.dropped_evicted = 0
        for number, size in enumerate(sizes):
            self.allocate(AGENTS[number % 3], size, None)
            if number + 1 in self.model:
                self.write(number, bytes([number + 1]) * size, 0)
            self.same_as_the_dictionary()

    def release(self, region: int) -> None:
        model = self.model[region]
        model.views.clear()
        for _ in range(model.pins):
            self.manager.unpin(region)
        model.pins = 0

    # What the dictionary does

    def drop(self, region: int) -> None:
        self.dropped_evicted += not self.model.pop(region).resident
        self.gone.append(region)

    def expire(self) -> None:
        for region, model in list(self.model.items()):
            if model.expires <= self.now and not model.busy:
                self.drop(region)
                self.counts["expired"] += 1

    def pick(self, number: int) -> int | None:
        self.expire()
        return sorted(self.model)[number % len(self.model)] if self.model else None

    def owned(self, agent: str | int) -> int:
        return sum(m.reserved for m in self.model.values() if m.owner == agent)

    def may_own(self, agent: str | int, more: int) -> bool:
        owners = {m.owner for m in self.model.values()} - {None}
        if agent == "b" and self.limited and self.owned(agent) + more > LIMIT:
            return False
        return agent in owners or len(owners) < MAX_AGENTS

    def fits(self, size: int) -> bool:
        """Whether there are enough units in a row without a busy region."""
        taken = [False] * UNITS
        for region, model in self.model.items():
            if model.busy:
                first = self.unit(self.manager.info(region))
                taken[first : first + model.reserved // UNIT] = [True] * (model.reserved // UNIT)
        text = "".join("x" if unit else "." for unit in taken)
        return max(map(len, text.split("x"))) >= -(-size // UNIT)

    def unit(self, info: RegionInfo) -> int:
        assert info.address is not None
        return (info.address - self.manager._frames.pool.address(0)) // UNIT

    def refused(self, before: MemoryStats, error: Exception) -> None:
        """Check that what was refused could not be done, and has changed nothing."""
        if isinstance(error, BackingStoreFullError):
            movable = sum(
                max(4096, len(m.data)) if self.directory else len(m.data)
                for m in self.model.values() if m.resident and not m.busy
            )  # fmt: skip
            assert before.backing_used + movable > before.backing_limit
        after = self.manager.stats()
        for name in ("regions", "used_size", "evicted", "backing_used", "evictions", "faults"):
            assert getattr(after, name) == getattr(before, name)

    def used(self, region: int, call: Any) -> Any:
        """Make a call that uses a region; None if there is no room for it."""
        model = self.model[region]
        resident = model.resident
        before = self.manager.stats()
        self.counts["hits" if resident else "misses"] += 1
        try:
            found = call()
        except BackingStoreFullError as error:
            assert not resident
            self.refused(before, error)
            return None
        except PoolFullError as error:
            assert not resident and not self.fits(len(model.data))
            self.refused(before, error)
            return None
        self.counts["faults"] += not resident
        return (found,)

    # Operations

    @rule(agent=st.sampled_from(AGENTS), size=SIZE, ttl=st.none() | st.integers(1, 60))
    def allocate(self, agent: str | int, size: int, ttl: int | None) -> None:
        self.expire()
        before = self.manager.stats()
        reserved = -(-size // UNIT) * UNIT
        try:
            region = self.manager.allocate(agent, size, ttl=ttl)
        except MemoryLimitError:
            assert not self.may_own(agent, reserved)
            return
        except BackingStoreFullError as error:
            self.refused(before, error)
            return
        except PoolFullError as error:
            assert not self.fits(size)
            self.refused(before, error)
            return
        assert self.may_own(agent, reserved)
        assert region not in self.model and region not in self.gone
        seconds = ttl if ttl is not None else 30 if self.policy is EvictionPolicy.TTL else None
        expires = float("inf") if seconds is None else self.now + seconds
        self.model[region] = Model(agent, bytearray(size), expires)
        self.counts["allocations"] += 1

    @precondition(some)
    @rule(number=PICK, data=st.binary(max_size=3 * UNIT), offset=st.integers(0, 2 * UNIT))
    def write(self, number: int, data: bytes, offset: int) -> None:
        region = self.pick(number)
        if region is None:
            return
        model = self.model[region]
        if offset + len(data) > len(model.data):
            with pytest.raises(RegionRangeError):
                self.manager.write(region, data, offset)
        elif self.used(region, lambda: self.manager.write(region, data, offset)):
            model.data[offset : offset + len(data)] = data
            self.counts["bytes_written"] += len(data)

    @precondition(some)
    @rule(number=PICK, offset=st.integers(0, UNIT), length=st.none() | st.integers(0, UNIT))
    def read(self, number: int, offset: int, length: int | None) -> None:
        region = self.pick(number)
        if region is None:
            return
        data = self.model[region].data
        end = max(offset, len(data)) if length is None else offset + length
        if end > len(data):
            with pytest.raises(RegionRangeError):
                self.manager.read(region, offset, length)
        elif found := self.used(region, lambda: self.manager.read(region, offset, length)):
            assert found[0] == data[offset:end]
            self.counts["bytes_read"] += end - offset

    @precondition(some)
    @rule(number=PICK, value=st.integers(0, 255))
    def view(self, number: int, value: int) -> None:
        region = self.pick(number)
        if region is None:
            return
        model = self.model[region]
        found = self.used(region, lambda: self.manager.view(region))
        if found:
            (array,) = found
            assert array.tobytes() == model.data
            array[len(array) // 2] = value
            model.data[len(array) // 2] = value
            model.views.append(array[:1].view("i1"))  # shows it, though array itself is gone

    @precondition(some)
    @rule(number=PICK)
    def pin(self, number: int) -> None:
        region = self.pick(number)
        if region is not None and self.used(region, lambda: self.manager.pin(region)):
            self.model[region].pins += 1

    @precondition(some)
    @rule(number=PICK)
    def unpin(self, number: int) -> None:
        region = self.pick(number)
        if region is None:
            return
        if self.model[region].pins:
            self.manager.unpin(region)
            self.model[region].pins -= 1
        else:
            with pytest.raises(ArgumentError):
                self.manager.unpin(region)

    @precondition(some)
    @rule(number=PICK)
    def let_go(self, number: int) -> None:
        region = self.pick(number)
        if region is not None:
            self.release(region)

    @precondition(some)
    @rule(number=PICK, agent=st.sampled_from(AGENTS))
    def transfer(self, number: int, agent: str | int) -> None:
        region = self.pick(number)
        if region is None:
            return
        model, address = self.model[region], self.manager.info(region).address
        if model.owner != agent and not self.may_own(agent, model.reserved):
            with pytest.raises(MemoryLimitError):
                self.manager.transfer(region, agent)
            return
        self.manager.transfer(region, agent)
        assert self.manager.info(region).address == address
        model.owner = agent
        self.counts["transfers"] += 1

    @precondition(some)
    @rule(number=PICK)
    def free(self, number: int) -> None:
        region = self.pick(number)
        if region is None:
            return
        if self.model[region].busy:
            with pytest.raises(RegionBusyError):
                self.manager.free(region)
        else:
            self.manager.free(region)
            self.drop(region)
            self.counts["frees"] += 1

    @precondition(lambda self: self.gone)
    @rule(number=PICK)
    def use_freed(self, number: int) -> None:
        region = self.gone[number % len(self.gone)]
        for call in (self.manager.read, self.manager.free, self.manager.pin, self.manager.view):
            with pytest.raises(UnknownRegionError):
                call(region)

    @rule(agent=st.sampled_from(AGENTS))
    def agent_gone(self, agent: str | int) -> None:
        self.expire()
        lost = [m for m in self.model.values() if m.owner == agent]
        assert self.manager.agent_gone(agent) == len(lost)
        for model in lost:
            model.owner = None
        self.limited &= agent != "b"

    @rule()
    def garbage_collect(self) -> None:
        orphans = [r for r, m in self.model.items() if m.owner is None and not m.busy]
        assert self.manager.garbage_collect() == len(orphans)
        for region in orphans:
            self.drop(region)
        self.counts["collected"] += len(orphans)

    @rule()
    def compact(self) -> None:
        self.expire()
        self.manager.compact()
        if not any(m.busy for m in self.model.values()):
            assert self.manager.stats().fragmentation == 0

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    # What must always be true

    @invariant()
    def same_as_the_dictionary(self) -> None:
        self.expire()
        assert self.manager.regions() == sorted(self.model)
        infos = {region: self.manager.info(region) for region in self.model}
        units: list[int] = []
        for region, model in self.model.items():
            info, model.resident = infos[region], infos[region].resident
            assert (info.owner, info.size, info.reserved, info.pins, info.viewed) == (
                model.owner, len(model.data), model.reserved, model.pins, bool(model.views),
            )  # fmt: skip
            assert info.resident != bool(info.stored)
            if info.resident:
                first = self.unit(info)
                units.extend(range(first, first + info.reserved // UNIT))
            for array in model.views:
                assert array.__array_interface__["data"][0] == info.address
        assert len(units) == len(set(units))  # no byte belongs to two regions
        assert set(units) <= set(range(UNITS))
        self.check_statistics(infos, len(units))

    def check_statistics(self, infos: dict[int, RegionInfo], units: int) -> None:
        stats = self.manager.stats()
        for name, count in self.counts.items():
            assert (name, getattr(stats, name)) == (name, count)
        evicted = sum(not info.resident for info in infos.values())
        assert stats.used_size == units * UNIT == stats.total_size - stats.free_size
        assert stats.evicted == evicted == stats.evictions - stats.faults - self.dropped_evicted
        assert stats.backing_used == sum(i.stored for i in infos.values()) <= stats.backing_limit
        assert stats.pinned == sum(m.busy for m in self.model.values())
        assert stats.orphans == sum(m.owner is None for m in self.model.values())
        assert stats.evictions_by_policy[self.policy] == stats.evictions
        owners = {m.owner for m in self.model.values() if m.owner is not None}
        assert stats.agents == {
            agent: AgentUsage(
                sum(m.owner == agent for m in self.model.values()), self.owned(agent),
                LIMIT if agent == "b" and self.limited else None,
            )
            for agent in owners
        }  # fmt: skip

    def teardown(self) -> None:
        if not hasattr(self, "manager"):
            return
        # First what is in the pool, which then makes room for the rest.
        for region, model in sorted(self.model.items(), key=lambda item: not item[1].resident):
            assert self.manager.read(region) == model.data
            self.release(region)
            if region in self.manager.regions():  # it may have expired when it was let go
                self.manager.free(region)
        stats = self.manager.stats()
        assert (stats.used_size, stats.backing_used, stats.regions) == (0, 0, 0)
        assert stats.largest_free == stats.total_size
        self.manager.close()
        if self.directory:
            self.directory.cleanup()

"""The memory manager: regions that agents allocate, write, read, and hand to each other."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ....errors import ArgumentError
from ..errors import ClosedError
from . import swarms
from .config import MemoryConfig
from .errors import NotOwnerError, PoolFullError, RegionBusyError
from .frames import Frames
from .ledger import Ledger, agent_key
from .region import NEVER, AgentId, Region
from .stats import MemoryStats, RegionInfo
from .table import RegionTable, check_range

if TYPE_CHECKING:
    from ...manager import SwarmManager

Data = bytes | bytearray | memoryview | NDArray[Any]


class MemoryManager:
    """A pool of regions. May be used from several threads.

    Regions that do not fit are evicted to a backing store, by the policy of the configuration, and
    come back when they are used. A region that is pinned, or that an array from :meth:`view`
    shows, stays where it is: it is not evicted, moved or freed, and does not expire, until it is
    let go.

    Args:
        clock: seconds; what regions expire by.

    Raises:
        CapacityError: there is not that much address space.
        BackingStoreError: there can be no file in ``spill_directory``.
    """

    def __init__(
        self, config: MemoryConfig | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = MemoryConfig() if config is None else config
        self._clock = clock
        self._lock = threading.Lock()  # guards everything below, and what it refers to
        self._frames = Frames(self.config)
        self._ledger = Ledger(self.config)
        self._table = RegionTable(self.config, self._frames, self._ledger, clock)
        self._closed = False
        self._allocations = self._frees = self._transfers = self._collected = 0
        self._read = self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._table.regions)

    def close(self) -> None:
        """Free all regions. Arrays that show some stay as they are; may be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._table.regions.clear()
                self._frames.close()

    # Regions

    def allocate(self, agent: AgentId, size: int, *, ttl: float | None = None) -> int:
        """Make a region of zeros and return its id, which no other region ever has.

        Args:
            ttl: seconds until it expires: until it is freed, unless it is busy then; None: the
                configuration's, under the policy TTL, else never.

        Raises:
            MemoryLimitError: the agent may not own so much.
            PoolFullError: it is larger than the pool, or what is in its way is pinned or viewed.
            BackingStoreError: what would have to be evicted does not fit in the backing store.
        """
        agent, size = agent_key(agent), _integer("size", size, 1)
        if ttl is not None and not ttl > 0:
            raise ArgumentError(f"ttl must be positive, not {ttl!r}")
        with self._lock:
            self._begin()
            frames = self._frames
            units = frames.units(size)
            if units > frames.count:
                raise PoolFullError(
                    f"{size:,} bytes are more than the pool has: {self.config.total_size:,}",
                    hint="raise total_size",
                )
            self._ledger.check(agent, units)
            region = self._table.make(agent, size, units, ttl)
            self._allocations += 1
            return region.id

    def write(self, region_id: int, data: Data, offset: int = 0) -> None:
        """Copy bytes, or those of an array in C order, into a region.

        Raises:
            UnknownRegionError: there is none. RegionRangeError: they do not fit.
            PoolFullError, BackingStoreError: it was evicted, and cannot come back now.
        """
        raw = data if isinstance(data, bytes) else _contiguous(data)
        length = raw.nbytes if isinstance(raw, memoryview) else len(raw)
        with self._lock:
            region = self._get(region_id)
            check_range(region, offset, length)
            first = self._frames.use(region)
            if length:
                self._frames.pool.write(first, offset, raw)
            self._written += length

    def read(self, region_id: int, offset: int = 0, length: int | None = None) -> bytes:
        """A copy of bytes of a region; ``length`` None: to its end. Errors: :meth:`write`'s."""
        with self._lock:
            region = self._get(region_id)
            if length is None:
                length = max(0, region.size - offset)
            check_range(region, offset, length)
            first = self._frames.use(region)
            self._read += length
            return self._frames.pool.read(first, offset, length)

    def view(
        self, region_id: int, dtype: DTypeLike = np.uint8, offset: int = 0,
        count: int | None = None, *, writeable: bool = True,
    ) -> NDArray[Any]:  # fmt: skip
        """The bytes themselves, as an array: dtype[count]. Errors: :meth:`write`'s.

        As long as this array lives, or one that was made of it without a copy, the region is not
        evicted, moved or freed. What several threads do with arrays, they have to agree upon.

        Args:
            offset: in bytes. count: elements; None: as many as there are.
        """
        kind = np.dtype(dtype)
        if kind.hasobject or not kind.itemsize:
            raise ArgumentError(f"dtype {kind} is nothing that lies in a region")
        with self._lock:
            region = self._get(region_id)
            if count is None:
                count = max(0, region.size - offset) // kind.itemsize
            check_range(region, offset, count * kind.itemsize)
            first = self._frames.use(region)
            shown = None if region.shown is None else region.shown()
            if shown is None:
                shown = self._frames.pool.show(first, region.size)
                region.shown = weakref.ref(shown)
            array: NDArray[Any] = np.ndarray((count,), kind, cast(Any, shown), offset)
        array.flags.writeable = writeable
        return array

    def transfer(
        self, region_id: int, target_agent: AgentId, *, source: AgentId | None = None
    ) -> None:
        """Make another agent the owner. Nothing is copied: the bytes stay where they are.

        A region of an agent that is gone can be transferred until it is collected.

        Args:
            source: who must be the owner now; None: whoever.

        Raises:
            NotOwnerError: ``source`` is not the owner.
            MemoryLimitError: the target may not own so much.
        """
        target = agent_key(target_agent)
        with self._lock:
            region = self._get(region_id)
            if source is not None and region.owner != agent_key(source):
                raise NotOwnerError(
                    f"region {region_id} belongs to {region.owner!r}, not to {source!r}"
                )
            if region.owner != target:
                self._ledger.check(target, region.units)
                self._ledger.remove(region)
                self._ledger.add(region, target)
            self._transfers += 1

    def free(self, region_id: int) -> None:
        """Free a region.

        Raises:
            RegionBusyError: it is pinned, or an array shows it.
        """
        with self._lock:
            region = self._get(region_id)
            if region.busy:
                what = f"pinned {region.pins} times" if region.pins else "shown by an array"
                raise RegionBusyError(
                    f"region {region_id} is {what}", hint="unpin it, or drop the arrays, first"
                )
            self._table.drop(region)
            self._frees += 1

    def pin(self, region_id: int) -> None:
        """Bring a region into the pool, and keep it there until as many calls of :meth:`unpin`."""
        with self._lock:
            region = self._get(region_id)
            self._frames.use(region)
            region.pins += 1

    def unpin(self, region_id: int) -> None:
        """Undo one :meth:`pin`."""
        with self._lock:
            region = self._get(region_id)
            if not region.pins:
                raise ArgumentError(f"region {region_id} is not pinned")
            region.pins -= 1

    @contextlib.contextmanager
    def pinned(self, region_id: int) -> Iterator[int]:
        """Keep a region in the pool inside a ``with`` block; gives its address."""
        self.pin(region_id)
        try:
            with self._lock:
                address = self._frames.pool.address(self._get(region_id).first)
            yield address
        finally:
            self.unpin(region_id)

    # All regions

    def garbage_collect(self) -> int:
        """Free regions of agents that are gone; how many, with those that had expired.

        The memory of what is free goes back to the operating system.
        """
        with self._lock:
            before = self._table.expired
            self._begin()
            orphans = [r for r in self._table.regions.values() if r.owner is None and not r.busy]
            for region in orphans:
                self._table.drop(region)
            self._collected += len(orphans)
            self._frames.give_back()
            return self._table.expired - before + len(orphans)

    def compact(self) -> int:
        """Move regions in the pool together, so that what is free lies in one piece; how many.

        Regions that are busy stay where they are. Costs a copy of what is moved.
        """
        with self._lock:
            self._begin()
            return self._frames.compact()

    def agent_gone(self, agent: AgentId) -> int:
        """An agent does not come back; how many regions are nobody's now.

        They can still be used, and transferred to another agent, until :meth:`garbage_collect`.
        """
        agent = agent_key(agent)
        with self._lock:
            self._begin()
            owned = self._ledger.owned(agent)
            for region_id in owned:
                self._ledger.remove(self._table.regions[region_id])
            self._ledger.forget(agent)
            return len(owned)

    def set_agent_limit(self, agent: AgentId, limit: int | None) -> None:
        """Set what one agent may own, in bytes; None: everything. It keeps what it has."""
        agent = agent_key(agent)
        limit = None if limit is None else _integer("limit", limit, 0)
        with self._lock:
            self._begin()
            self._ledger.set_limit(agent, limit)

    def regions(self, agent: AgentId | None = None) -> list[int]:
        """Ids of an agent's regions, ascending; None: of all."""
        with self._lock:
            self._begin()
            if agent is None:
                return sorted(self._table.regions)
            return self._ledger.owned(agent_key(agent))

    def info(self, region_id: int) -> RegionInfo:
        """What is known of a region. This is no use of it."""
        with self._lock:
            region = self._get(region_id)
            unit, pool = self.config.region_size, self._frames.pool
            return RegionInfo(
                region.id, region.owner, region.size, region.units * unit,
                pool.address(region.first) if region.first >= 0 else None,
                region.stored.cost if region.stored else 0,
                region.pins, region.viewed, region.uses,
                None if region.expires == NEVER else max(0.0, region.expires - self._clock()),
            )  # fmt: skip

    def stats(self) -> MemoryStats:
        """State and counts."""
        with self._lock:
            self._begin()
            frames, unit = self._frames, self.config.region_size
            regions = self._table.regions.values()
            free = frames.free.total * unit
            return MemoryStats(
                policy=self.config.eviction_policy,
                total_size=self.config.total_size, region_size=unit,
                used_size=self.config.total_size - free, free_size=free,
                largest_free=frames.free.longest * unit,
                regions=len(regions), evicted=sum(r.first < 0 for r in regions),
                pinned=sum(r.busy for r in regions), orphans=sum(r.owner is None for r in regions),
                agents=self._ledger.usage(),
                allocations=self._allocations, frees=self._frees, transfers=self._transfers,
                expired=self._table.expired, collected=self._collected,
                hits=frames.hits, misses=frames.misses, faults=frames.faults,
                evictions=frames.evictions, moved=frames.moves,
                evicted_bytes=frames.evicted_bytes, stored_bytes=frames.stored_bytes,
                bytes_read=self._read, bytes_written=self._written,
                backing_limit=frames.store.limit, backing_used=frames.store.used,
            )  # fmt: skip

    # Agents of a swarm

    def load_agent(
        self, swarm: SwarmManager, agent_id: int, region_id: int, address: int = 0, *,
        offset: int = 0, length: int | None = None, memory: int | str = 0,
    ) -> None:  # fmt: skip
        """Copy bytes of a region into the linear memory of an agent of a swarm.

        One copy on the CPU, in the layout ``flat``; elsewhere one more, in this process.

        Args:
            address: in the agent's memory. offset, length: in the region; None: to its end.

        Raises:
            KeyError: the agent does not live, or there is no such region.
            ArgumentError: they do not fit in the agent's memory.
        """
        part = self.view(region_id, offset=offset, count=length, writeable=False)
        swarms.load(swarm, agent_id, part, address, memory)

    def save_agent(
        self, swarm: SwarmManager, agent_id: int, region_id: int, address: int = 0, *,
        offset: int = 0, length: int | None = None, memory: int | str = 0,
    ) -> None:  # fmt: skip
        """Copy bytes of an agent's linear memory into a region: :meth:`load_agent` backwards."""
        part = self.view(region_id, offset=offset, count=length)
        swarms.save(swarm, agent_id, part, address, memory)

    # Inside the lock

    def _begin(self) -> None:
        if self._closed:
            raise ClosedError("the memory manager is closed")
        self._table.expire()

    def _get(self, region_id: int) -> Region:
        self._begin()
        return self._table.get(region_id)


def _integer(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name} must be an int of at least {least}, not {value!r}")
    return int(value)


def _contiguous(data: Data) -> bytes | memoryview:
    try:
        raw = memoryview(cast(Any, data))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"data must be bytes or an array, not {type(data).__name__}") from error
    if "O" in raw.format:
        raise ArgumentError("data of Python objects is nothing that lies in a region")
    return raw if raw.c_contiguous else raw.tobytes()

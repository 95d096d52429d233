"""Where regions are: in the pool, or evicted from it. Guarded by the manager's lock."""

from __future__ import annotations

from .backing import BackingStore, FileStore
from .config import MemoryConfig
from .errors import BackingStoreFullError, PoolFullError
from .pool import Pool
from .region import Region
from .runs import FreeRuns
from .victims import VictimQueue


class Frames:
    """Pool and backing store.

    What fails leaves every region where it was, with its bytes. A region is in the pool or in the
    store, and in both only while it moves.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._unit = config.region_size
        self.count = config.total_size // self._unit
        self.pool = Pool(config.total_size, self._unit)
        level = config.compression_level if config.compression_enabled else None
        self.store: BackingStore
        if config.spill_directory is None:
            self.store = BackingStore(config.backing_size, level)
        else:
            self.store = FileStore(config.backing_size, level, config.spill_directory)
        self.free = FreeRuns(self.count)
        self.evictions = self.hits = self.misses = self.faults = self.moves = 0
        self.evicted_bytes = self.stored_bytes = 0  # of all evictions: before, after compression
        self._queue = VictimQueue(config.eviction_policy)
        self._tick = 0

    def close(self) -> None:
        """Let go of everything."""
        self.store.close()
        self.pool.close()

    def units(self, size: int) -> int:
        """How many units so many bytes take."""
        return -(-size // self._unit)

    def place(self, region: Region) -> None:
        """Bring a new region into the pool; it is zero.

        Raises:
            PoolFullError, BackingStoreError: there is no room, and none can be made.
        """
        first = self._room(region.units, 0)
        self.pool.clean(first, region.size)
        self._enter(region, first)

    def use(self, region: Region) -> int:
        """Count a use of a region, which is in the pool then; its first unit.

        Raises:
            PoolFullError, BackingStoreError: it was evicted, and cannot come back now.
        """
        if region.first >= 0:
            self.hits += 1
        else:
            self.misses += 1
            self._bring_back(region)
        self._tick += 1
        region.used = self._tick
        region.uses += 1
        return region.first

    def drop(self, region: Region) -> None:
        """Forget a region's bytes."""
        if region.stored is not None:
            self.store.drop(region.stored)
            region.stored = None
        else:
            self._leave(region)

    def _enter(self, region: Region, first: int) -> None:
        self._tick += 1
        region.first = first
        region.entered = self._tick
        if not region.used:
            region.used = self._tick
        self._queue.add(region)

    def _leave(self, region: Region) -> None:
        self._queue.remove(region)
        self.free.release(region.first, region.units)
        region.first = -1

    def _bring_back(self, region: Region) -> None:
        stored = region.stored
        assert stored is not None
        data = self.store.get(stored)
        first = self._room(region.units, stored.cost)
        self.pool.soil(first, region.size)
        self.pool.write(first, 0, data)
        self.store.drop(stored)
        region.stored = None
        self.faults += 1
        self._enter(region, first)

    def _room(self, units: int, leaving: int) -> int:
        """First of so many free units in a row. ``leaving`` is what leaves the store for them."""
        first = self.free.take(units)
        if first is None:
            self._evict(self._victims(units), leaving)
            first = self.free.take(units)
            assert first is not None
        return first

    def _victims(self, units: int) -> list[Region]:
        """What has to go so that there are so many free units in a row."""
        victim = self._queue.first()
        if victim is not None and victim.units >= units:
            return [victim]
        # In the policy's order, until what is free and what goes make a run that is long enough.
        # Of those, only what lies in the run has to go.
        trial, going = self.free.copy(), []
        for region in self._queue.ordered():
            going.append(region)
            start, length = trial.release(region.first, region.units)
            if length >= units:
                end = start + units
                return [r for r in going if r.first < end and r.first + r.units > start]
        raise self._full(units)

    def _evict(self, victims: list[Region], leaving: int) -> None:
        packs = []
        for region in victims:
            with self.pool.window(region.first, region.size) as window:
                packs.append(self.store.pack(window))
        cost = sum(pack.cost for pack in packs)
        if not self.store.has_room(cost - leaving):
            raise BackingStoreFullError(
                f"{cost:,} bytes should be evicted, but the backing store has"
                f" {self.store.limit - self.store.used + leaving:,} of"
                f" {self.store.limit:,} bytes left",
                hint="free regions, or raise backing_size or total_size",
            )
        for region, pack in zip(victims, packs, strict=True):
            region.stored = self.store.put(pack)
            self._leave(region)
            self.evictions += 1
            self.evicted_bytes += region.size
            self.stored_bytes += len(pack.data)

    def _full(self, units: int) -> PoolFullError:
        busy = sum(region.units for region in self._queue if region.busy)
        return PoolFullError(
            f"no room for {units} regions of {self._unit:,} bytes in a row: of {self.count:,},"
            f" {self.count - self.free.total:,} are in use, {busy:,} of them pinned or shown by"
            f" arrays; the longest free run has {self.free.longest:,}",
            hint="free regions, drop arrays that show them, unpin some, or raise total_size",
        )

    def compact(self) -> int:
        """Move regions that are not busy together, to the beginning; how many were moved."""
        moved = 0
        for region in sorted(self._queue, key=lambda region: region.first):
            if region.busy:
                continue
            old = region.first
            self.free.release(old, region.units)
            first = self.free.take(region.units)  # the first run that is long enough: this or lower
            assert first is not None and first <= old
            if first != old:
                self.pool.move(old, first, region.size)
                region.first = first
                moved += 1
        self.moves += moved
        return moved

    def give_back(self) -> None:
        """Give the memory of free units back to the operating system."""
        for first, count in self.free:
            self.pool.give_back(first, count)

"""What does not fit in the pool: where it goes, and what happens if it cannot."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from swarmc.runtime.orchestration.memory import (
    BackingStoreError,
    BackingStoreFullError,
    MemoryConfig,
    MemoryManager,
    PoolFullError,
)

KIB = 1024


def small(units: int = 4, **options: object) -> MemoryManager:
    config = MemoryConfig(total_size=units * KIB, region_size=KIB, **options)  # type: ignore[arg-type]
    return MemoryManager(config)


def test_the_backing_store_is_bounded() -> None:
    manager = small(2, backing_size=2 * KIB)
    regions = [manager.allocate("a", KIB) for _ in range(4)]
    for region in regions:
        manager.write(region, bytes([region]) * KIB)  # which moves them in and out
    with pytest.raises(BackingStoreFullError, match="1,024 bytes should be evicted, but the "
                       "backing store has 0 of 2,048 bytes left; free regions"):  # fmt: skip
        manager.allocate("a", KIB)
    assert [manager.read(region)[0] for region in regions] == regions
    assert manager.stats().backing_used == 2 * KIB


def test_compression() -> None:
    manager = small(1, compression_enabled=True, backing_size=KIB + 200)
    plain, noise = manager.allocate("a", KIB), manager.allocate("a", KIB)
    manager.write(plain, b"ab" * 512)
    random = Random(1).randbytes(KIB)
    manager.write(noise, random)
    assert manager.info(plain).stored < 100
    assert manager.read(plain) == b"ab" * 512
    assert manager.info(noise).stored == KIB  # compressed, it would be more
    assert manager.read(noise) == random
    stats = manager.stats()
    assert 0 < stats.stored_bytes < stats.evicted_bytes == stats.evictions * KIB
    assert stats.compressed_bytes == stats.evicted_bytes - stats.stored_bytes


@pytest.mark.parametrize("compressed", [False, True])
def test_spill_file(tmp_path: Path, compressed: bool) -> None:
    config = MemoryConfig(
        total_size=64 * KIB, region_size=KIB, spill_directory=tmp_path,
        compression_enabled=compressed, backing_size=1 << 20,
    )  # fmt: skip
    random, held = Random(2), {}
    with MemoryManager(config) as manager:
        for number in range(120):
            data = random.randbytes(random.randrange(1, 3 * KIB)) + bytes(random.randrange(1, 9000))
            region = manager.allocate(number, len(data))
            manager.write(region, data)
            held[region] = data
            if number % 3 == 2:
                manager.free(region)
                del held[region]
        for region, data in held.items():
            assert manager.read(region) == data
        assert manager.stats().evictions > 100
    assert list(tmp_path.iterdir()) == []  # nor was there a name meanwhile


def test_spill_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BackingStoreError, match=r"no backing store in .*nothing: No such"):
        MemoryManager(MemoryConfig(spill_directory=tmp_path / "nothing"))


def test_a_disk_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = small(2, spill_directory=tmp_path)
    regions = [manager.allocate("a", KIB) for _ in range(3)]
    for region in regions:
        manager.write(region, bytes([region]) * KIB)

    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        with pytest.raises(BackingStoreError, match=r"cannot evict .*: No space left on device"):
            manager.allocate("a", KIB)
        with pytest.raises(BackingStoreError):
            manager.read(regions[0])
        patch.setattr("os.pread", full)
        with pytest.raises(BackingStoreError, match="cannot read what was evicted"):
            manager.read(regions[0])
    assert [manager.read(region)[-1] for region in regions] == regions


@pytest.mark.parametrize(("compressed", "what", "message"), [
    (True, b"xx", "evicted bytes are damaged: "),
    (False, b"", "1,024 bytes are missing in the file of evicted regions"),
])  # fmt: skip
def test_a_file_that_another_wrote_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool, what: bytes, message: str
) -> None:
    manager = small(1, spill_directory=tmp_path, compression_enabled=compressed)
    region = manager.allocate("a", KIB)
    manager.allocate("a", KIB)
    with monkeypatch.context() as patch:
        patch.setattr("os.pread", lambda file, length, offset: (what * length)[:length])
        with pytest.raises(BackingStoreError, match=message):
            manager.read(region)
    assert manager.read(region) == bytes(KIB)


def test_room_in_a_row() -> None:
    manager = small(6)
    regions = [manager.allocate("a", KIB) for _ in range(6)]
    for number in (1, 3, 5):
        manager.free(regions[number])
    stats = manager.stats()
    assert (stats.free_size, stats.largest_free) == (3 * KIB, KIB)
    assert stats.fragmentation == pytest.approx(2 / 3)
    manager.read(regions[0])
    wide = manager.allocate("a", 3 * KIB)  # one has to go, if it is the right one
    assert [manager.info(regions[n]).resident for n in (0, 2, 4)] == [True, False, True]
    manager.free(wide)
    manager.read(regions[2])
    manager.free(regions[2])
    assert manager.stats().fragmentation > 0
    assert manager.compact() == 1
    assert manager.stats().fragmentation == 0
    with pytest.raises(PoolFullError, match="6,145 bytes are more than the pool has: 6,144"):
        manager.allocate("a", 6 * KIB + 1)


def test_only_what_is_in_the_way_goes() -> None:
    manager = small(4)
    regions = [manager.allocate("a", KIB) for _ in range(4)]
    for number in (2, 0, 1, 3):
        manager.read(regions[number])
    manager.allocate("a", 2 * KIB)
    assert [manager.info(region).resident for region in regions] == [False, False, True, True]

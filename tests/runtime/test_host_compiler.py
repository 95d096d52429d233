"""Host functions that a program needs are compiled in another process, into the cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmc.ir.types import FuncType, Type
from swarmc.runtime import hosts
from swarmc.runtime.cache import Cache
from swarmc.runtime.host_compiler import compiled_meanwhile
from swarmc.runtime.hosts import is_cached
from swarmc.targets.executable import HostImport

SCHED_YIELD = HostImport("wasi_snapshot_preview1", "sched_yield", FuncType((), (Type.I32,)))


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have loaded the function."""
    monkeypatch.setattr(hosts, "_addresses", {})


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="needs a second core")
def test_what_the_cache_lacks_is_there_afterwards(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert not is_cached(SCHED_YIELD, cache)
    with compiled_meanwhile([SCHED_YIELD], cache):
        pass
    assert is_cached(SCHED_YIELD, cache)
    files = {entry.path for entry in cache.entries()}
    with compiled_meanwhile([SCHED_YIELD], cache):
        pass
    assert {entry.path for entry in cache.entries()} == files


def test_without_a_cache_nothing_is_done() -> None:
    with compiled_meanwhile([SCHED_YIELD], None):
        pass


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="needs a second core")
def test_an_error_in_the_block_ends_the_other_process(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(ZeroDivisionError), compiled_meanwhile([SCHED_YIELD], cache):
        raise ZeroDivisionError
    assert not is_cached(SCHED_YIELD, cache)

"""A router with a dispatcher whose operation ``hold`` waits for the test, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.router.client import RouterClient

from .routing import Holding, RunningDispatcher


@pytest.fixture
def holding() -> Holding:
    return Holding()


@pytest.fixture
def host(tmp_path: Path, holding: Holding) -> Iterator[RunningDispatcher]:
    with RunningDispatcher(tmp_path, holding.table()) as host:
        yield host
        holding.go.set()


@pytest.fixture
def client(host: RunningDispatcher) -> Iterator[RouterClient]:
    with host.client() as client:
        yield client

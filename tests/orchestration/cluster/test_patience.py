"""How long a worker waits for a router that is away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from swarmc.runtime.orchestration.cluster import worker as module
from swarmc.runtime.orchestration.cluster.worker import TaskWorker, TaskWorkerConfig
from swarmc.runtime.orchestration.config_file import SwarmConfig
from swarmc.runtime.orchestration.router.client import RouterUnavailableError
from swarmc.runtime.orchestration.router.protocol_workers import WorkerJoined


class Connection:
    """To a router that lets a worker in, and is away when that says that it is ready."""

    gone = True
    welcome = SimpleNamespace(heartbeat_interval=100, challenge=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    close = __enter__

    def call(self, method: str, params: Any, timeout: float | None = None) -> Any:
        if method != "worker_join":
            raise RouterUnavailableError("it is away")
        return WorkerJoined(
            worker_id="w", engine="tls://127.0.0.1:1", place="w/1", certificate="", authority=""
        )


def test_patience_begins_when_the_worker_is_none_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    config = TaskWorkerConfig("ws://127.0.0.1:1", "w", keys=tmp_path)
    worker = TaskWorker(config, SwarmConfig())
    joins = 0

    def make_runner(*more: Any) -> Any:
        nonlocal joins
        joins += 1
        if joins == 2:
            worker.drain()
        now[0] += 10 * config.patience  # it was a worker for long
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(worker, "_make_runner", make_runner)
    monkeypatch.setattr(worker, "_connect", Connection)
    assert worker.run()
    assert joins == 2

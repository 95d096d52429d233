"""What is sampled of the machine is what happens on it."""

from __future__ import annotations

import os
import threading
import time

import psutil
import pytest

from swarmc.runtime.orchestration import resources
from swarmc.runtime.orchestration.resources import ResourceMonitor


def test_this_process() -> None:
    usage = ResourceMonitor().sample()
    assert usage.cores == os.cpu_count()
    assert usage.threads >= threading.active_count()
    assert 10 << 20 < usage.memory_bytes < usage.machine_memory_bytes
    assert 0 < usage.memory_utilization < 1
    assert usage.machine_memory_bytes == psutil.virtual_memory().total
    assert usage.uptime_seconds > 0
    with open(os.devnull):
        assert ResourceMonitor().sample().open_files > usage.open_files


def test_a_busy_process() -> None:
    now = [0.0]
    monitor = ResourceMonitor(lambda: now[0])
    end = time.process_time() + 0.15
    while time.process_time() < end:
        pass
    now[0] = 0.5
    usage = monitor.sample()
    assert 0.2 < usage.cpu < 1.5  # 0.15 s of 0.5 s, and what other threads do
    assert 0 <= usage.machine_cpu <= 1
    now[0] = 0.55
    assert monitor.sample().cpu == usage.cpu  # too soon for another


def test_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = resources._Reading
    found = resources._rates(
        reading(1.0, 2.0, 100.0, 200.0, 1000, 50), reading(3.0, 5.0, 103.0, 204.0, 5000, 60)
    )
    assert found == (1.5, 0.75, 2000.0, 5.0)
    # A counter that was set back, as a network's that was taken away.
    found = resources._rates(reading(1.0, 2.0, 1.0, 1.0, 9, 9), reading(2.0, 2.0, 1.0, 1.0, 0, 0))
    assert found == (0.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    usage = ResourceMonitor().sample()
    assert (usage.sent_bytes, usage.received_bytes) == (0, 0)

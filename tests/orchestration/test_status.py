"""A status as text and as JSON."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.histogram import Distribution, Histogram
from swarmc.runtime.orchestration.memory import MemoryConfig, MemoryManager
from swarmc.runtime.orchestration.status import render_json, render_text, to_data


class Topology(enum.Enum):
    MESH = "mesh"


class Level(enum.IntEnum):
    HIGH = 10


@dataclass(frozen=True, slots=True)
class Queue:
    queued: int = 1200
    queue_time: Distribution = field(default_factory=lambda: Histogram().snapshot())
    limit_bytes: int = 28 << 20
    uptime: float = 0.0015

    @property
    def utilization(self) -> float:
        return 0.125


@dataclass(frozen=True, slots=True)
class Status:
    name: str = "production"
    topology: Topology = Topology.MESH
    running: bool = True
    throughput: float = 1234.5
    error: str | None = None
    agents: tuple[str, ...] = ("a", "b")
    tags: frozenset[str] = frozenset("yx")
    store: Path = Path("/x.db")
    queue: Queue = field(default_factory=Queue)
    states: Mapping[Topology, int] = field(default_factory=lambda: {Topology.MESH: 3})


def test_text() -> None:
    assert render_text(Status(), "swarm") == """\
swarm
  name        production
  topology    mesh
  running     yes
  throughput  1,234.50
  error       -
  agents      a, b
  tags        x, y
  store       /x.db
  queue
    queued       1,200
    queue time   none yet
    limit bytes  28.0 MiB
    uptime       1.5 ms
    utilization  12.5%
  states
    mesh  3"""


def test_json() -> None:
    data = json.loads(render_json(Status(throughput=float("inf"))))
    assert list(data) == ["name", "topology", "running", "throughput", "error", "agents", "tags",
                          "store", "queue", "states"]  # fmt: skip
    assert (data["topology"], data["throughput"], data["tags"]) == ("mesh", None, ["x", "y"])
    assert data["queue"]["queue_time"] == {"count": 0, "mean": 0.0, "p50": 0, "p90": 0, "p99": 0}
    assert data["queue"]["utilization"] == 0.125
    assert data["states"] == {"mesh": 3}
    assert to_data(Level.HIGH) == 10 and type(to_data(Level.HIGH)) is int


def test_durations() -> None:
    times = Histogram()
    for seconds in (0.00002, 0.0004, 0.0004, 500.0):
        times.observe(seconds)
    text = render_text(Queue(queue_time=times.snapshot()))
    assert "queue time   4 times, mean 125 s, p50 ≤ 500 µs, p99 > 100 s" in text
    assert to_data(times.snapshot())["p99"] is None


def test_a_list_of_parts() -> None:
    text = render_text({"queues": [Queue(), Queue(queued=1)]})
    assert text.startswith("queues\n  1\n    queued       1,200\n")
    assert "\n  2\n    queued       1\n" in text


def test_memory() -> None:
    manager = MemoryManager(MemoryConfig())
    manager.allocate("vision", 100_000)
    text = render_text(manager.stats())
    assert "\nutilization       0.4%\n" in text and "\ntotal size        28.0 MiB\n" in text
    assert "agents\n  vision\n    regions  1\n    size     128.0 KiB\n    limit    -" in text
    assert json.loads(render_json(manager.stats()))["evictions_by_policy"]["lru"] == 0


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="a status has no object"):
        render_json({"x": object()})

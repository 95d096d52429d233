"""Metrics say what the parts' statistics say, in Prometheus' words, and to this machine only."""

from __future__ import annotations

import dataclasses
import urllib.request
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarmc.runtime.orchestration.agents.breaker import BreakerState, BreakerStatistics
from swarmc.runtime.orchestration.agents.health import HealthStatistics
from swarmc.runtime.orchestration.agents.registry import AgentRegistry, RegistryStatistics
from swarmc.runtime.orchestration.agents.supervisor import SupervisorStatistics
from swarmc.runtime.orchestration.coordinator import (
    CoordinationStats,
    ProposalType,
    SwarmCoordinator,
    VoteDecision,
)
from swarmc.runtime.orchestration.errors import OrchestrationError
from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.histogram import Distribution, Histogram
from swarmc.runtime.orchestration.hub import CommunicationHub, HubStats, SwarmTopology
from swarmc.runtime.orchestration.memory import MemoryConfig, MemoryManager, MemoryStats
from swarmc.runtime.orchestration.metrics import Metrics, MetricsError
from swarmc.runtime.orchestration.metrics_table import ROWS, Kind
from swarmc.runtime.orchestration.resources import ResourceMonitor, ResourceUsage
from swarmc.runtime.orchestration.router.counts import RouterStats
from swarmc.runtime.orchestration.scheduler import SchedulerStats
from swarmc.runtime.orchestration.store import Store, StoreStats

STATISTICS: dict[str, type] = {
    "scheduler": SchedulerStats, "store": StoreStats, "agents": RegistryStatistics,
    "health": HealthStatistics, "supervisor": SupervisorStatistics, "breakers": BreakerStatistics,
    "memory": MemoryStats, "hub": HubStats, "resources": ResourceUsage,
    "coordinator": CoordinationStats, "router": RouterStats,
}  # fmt: skip

#: What follows from others, or never changes.
LEFT_OUT = {
    "memory": {"policy", "region_size", "free_size", "evictions", "moved"},
    "breakers": {"failures_in_row"}, "coordinator": {"leader"},
    "resources": {"sent_per_second", "received_per_second"},
}


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by name and values of labels, in the labels' order of names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }


def leaves(kind: type) -> set[str]:
    """Fields of statistics, and with dots, of statistics in them."""
    found = set()
    for name, hint in get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint) and hint is not Distribution:
            found |= {f"{name}.{field.name}" for field in dataclasses.fields(hint)}
        else:
            found.add(name)
    return found


@pytest.mark.parametrize("part", ROWS)
def test_every_field_is_exported(part: str) -> None:
    kind = STATISTICS[part]
    fields = leaves(kind)
    rows = {row.field for row in ROWS[part]}
    assert fields - rows == LEFT_OUT.get(part, set())
    assert all(isinstance(getattr(kind, name, None), property) for name in rows - fields)
    hints = get_type_hints(kind)
    for row in ROWS[part]:
        distribution = row.field in hints and hints[row.field].__name__ == "Distribution"
        assert (row.kind is Kind.HISTOGRAM) == distribution


def test_names_are_told_apart() -> None:
    names = [row.name for rows in ROWS.values() for row in rows]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.endswith("_total")]


def test_memory() -> None:
    with MemoryManager(MemoryConfig(total_size=2048, region_size=1024)) as manager:
        metrics = Metrics({"memory": manager.stats}, {"swarm": "s"})
        for _ in range(3):
            manager.allocate("a", 1)
        found = samples(metrics)
        assert found["swarmc_memory_allocations_total", "s"] == 3
        assert found["swarmc_memory_agent_bytes", "a", "s"] == 3072
        assert found["swarmc_memory_evictions_total", "lru", "s"] == 1
        assert found["swarmc_memory_evictions_total", "ttl", "s"] == 0
        assert found["swarmc_memory_utilization", "s"] == 1
        assert found["swarmc_part_up", "memory", "s"] == 1
    # Closed: there is nothing to say, which is said.
    found = samples(metrics)
    assert found["swarmc_part_up", "memory", "s"] == 0
    assert ("swarmc_memory_allocations_total", "s") not in found


def test_store(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", power_safe=False) as store:
        metrics = Metrics({"store": store.stats})
        for agent in "abc":
            agent_data = {"name": agent, "kind": "generic", "capabilities": []}
            store.append([Event(EventKind.AGENT_REGISTERED, agent, agent_data)])
        found = samples(metrics)
    assert found["swarmc_store_events_total",] == 3
    assert found["swarmc_store_commits_total",] == 3
    assert found["swarmc_store_commit_seconds_count",] == 3
    assert found["swarmc_store_commit_seconds_bucket", "+Inf"] == 3
    assert found["swarmc_store_commit_seconds_sum",] > 0


def test_histogram_buckets_add_up() -> None:
    times = Histogram((0.001, 1.0))
    for seconds in (0.0005, 0.001, 0.5, 7.0):
        times.observe(seconds)
    numbers: dict[str, Any] = dict.fromkeys((f.name for f in dataclasses.fields(SchedulerStats)), 0)
    numbers |= {"queue_time": times.snapshot(), "run_time": Histogram().snapshot()}
    found = samples(Metrics({"scheduler": lambda: SchedulerStats(**numbers)}))
    buckets = [found["swarmc_task_queue_seconds_bucket", le] for le in ("0.001", "1.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert found["swarmc_task_queue_seconds_sum",] == pytest.approx(7.5015)
    assert found["swarmc_task_run_seconds_count",] == 0


def test_breakers_and_agents() -> None:
    one = BreakerStatistics(BreakerState.OPEN, 2, 0.5, 10, 3, 5, 5, 1)
    metrics = Metrics({"breakers": lambda: {"wasm": one}, "agents": AgentRegistry().stats})
    found = samples(metrics)
    assert found["swarmc_breaker_state", "wasm", "open"] == 1
    assert found["swarmc_breaker_state", "wasm", "closed"] == 0
    assert found["swarmc_breaker_refused_calls_total", "wasm"] == 3
    assert found["swarmc_agents", "ready"] == 0


def test_hub() -> None:
    hub = CommunicationHub(SwarmTopology.STAR, "abc")
    hub.send("b", "c", b"through a")
    found = samples(Metrics({"hub": hub.stats}))
    assert found["swarmc_hub_members",] == 3
    assert found["swarmc_mailbox_sent_messages_total",] == 1
    assert found["swarmc_mailbox_waiting_messages",] == 1
    assert found["swarmc_channel_sent_messages_total",] == 0
    assert found["swarmc_hub_hops_total",] == 2
    assert found["swarmc_hub_forwarded_messages_total", "a"] == 1


def test_coordinator() -> None:
    coordinator = SwarmCoordinator(["a", "b", "c", "d"])
    metrics = Metrics({"coordinator": coordinator.coordination_stats})
    assert ("swarmc_coordination_leader", "a") not in samples(metrics)
    coordinator.election.elect("a")
    proposal = coordinator.submit_proposal("b", ProposalType.TASK_ASSIGNMENT, {"task": "t"})
    coordinator.cast_vote(proposal, "c", VoteDecision.APPROVE, "why not")
    found = samples(metrics)
    assert found["swarmc_coordination_members",] == 4
    assert found["swarmc_coordination_quorum",] == 3
    assert found["swarmc_coordination_tolerated_liars",] == 1
    assert found["swarmc_coordination_proposals", "open"] == 1
    assert found["swarmc_coordination_proposals", "approved"] == 1
    assert found["swarmc_coordination_leader", "a"] == 1
    assert found["swarmc_coordination_epoch",] == found["swarmc_coordination_elections_total",] == 1
    assert found["swarmc_coordination_votes_total",] >= 4


def test_a_part_that_cannot_say_anything_takes_no_other_with_it() -> None:
    def fails() -> None:
        raise OrchestrationError("the disk is full")

    sources = {"store": fails, "coordinator": lambda: None, "agents": AgentRegistry().stats}
    found = samples(Metrics(sources))
    up = {part: found["swarmc_part_up", part] for part in sources}
    assert up == {"store": 0, "coordinator": 0, "agents": 1}
    assert found["swarmc_agents", "ready"] == 0


def test_each_has_a_registry_of_its_own() -> None:
    first, second = Metrics({"resources": ResourceMonitor().sample}), Metrics()
    assert ("swarmc_process_threads",) in samples(first)
    assert samples(second) == {}
    second.watch("resources", ResourceMonitor().sample)
    assert samples(second)["swarmc_process_threads",] >= 1
    with pytest.raises(MetricsError, match="nothing is known of the metrics of 'x'; parts: sched"):
        second.watch("x", dict)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def test_served_on_this_machine() -> None:
    manager = MemoryManager()
    with Metrics({"memory": manager.stats}) as metrics:
        with metrics.serve() as server:
            assert server.url == f"http://127.0.0.1:{server.port}/metrics"
            assert "swarmc_memory_allocations_total 0.0" in get(server.url)
            manager.allocate("a", 1)
            some = get(f"{server.url}?name[]=swarmc_memory_allocations_total")
            assert "swarmc_memory_allocations_total 1.0" in some
            assert "swarmc_memory_regions" not in some
            with pytest.raises(MetricsError, match=r"cannot serve metrics on 127.0.0.1:\d+: Addr"):
                metrics.serve(server.port)
        with pytest.raises(OSError):
            get(server.url)
        left_open = metrics.serve(host="localhost")
    with pytest.raises(OSError):
        get(left_open.url)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(MetricsError, match="everybody who reaches it could read them"):
            metrics.serve(host=host)

"""Everything that the document on the orchestrator shows is there and behaves so.

The document writes Rust; here ``SwarmTopology::Mesh`` is ``SwarmTopology.MESH``, ``x.into()`` is
``x``, ``Duration::from_secs(30)`` is ``30`` or a timedelta, and what returns a ``Result`` raises.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import swarmc.runtime.orchestration as orchestration
from swarmc.runtime.orchestration import (
    AgentFactory,
    AgentSelectionStrategy,
    EvictionPolicy,
    MemoryConfig,
    ProposalState,
    ProposalType,
    SchedulerConfig,
    SwarmBuilder,
    SwarmOrchestrator,
    SwarmTopology,
    TaskBuilder,
    TaskPriority,
    TaskState,
    VoteDecision,
)


@pytest.fixture
def orchestrator() -> Iterator[SwarmOrchestrator]:
    built = (
        SwarmBuilder()
        .name("production_swarm")
        .max_agents(64)
        .topology(SwarmTopology.MESH)
        .fault_tolerance(True)
        .build()
    )
    built.initialize()
    yield built
    built.close()


def test_every_name_is_public() -> None:
    for name in (
        "SwarmBuilder", "SwarmTopology", "TaskBuilder", "TaskPriority", "AgentFactory",
        "ProposalType", "VoteDecision", "SchedulerConfig", "AgentSelectionStrategy",
        "MemoryConfig", "EvictionPolicy", "SwarmOrchestrator", "Scheduler", "MemoryManager",
        "SwarmCoordinator", "CommunicationHub", "AgentRegistry",
    ):  # fmt: skip
        assert inspect.isclass(getattr(orchestration, name)), name
        assert name in orchestration.__all__


def test_basic_setup_and_a_task(orchestrator: SwarmOrchestrator) -> None:
    agent_ids = orchestrator.bootstrap_default_agents()
    kinds = [orchestrator.registry.get(agent_id).kind for agent_id in agent_ids]
    assert kinds == ["neural", "quantum", "generic"]
    input_data = bytes(range(64))
    task = (
        TaskBuilder("neural_analysis")
        .payload(input_data)
        .priority(TaskPriority.HIGH)
        .requires("neural_inference")
        .timeout(timedelta(seconds=30))
        .build()
    )
    task_id = orchestrator.submit_task(task)
    assert orchestrator.get_task_result(task_id) is None
    stats = orchestrator.process_cycle()
    assert (stats.completed, stats.failed, stats.idle) == (1, 0, True)
    result = orchestrator.get_task_result(task_id)
    assert result is not None
    assert result.state is TaskState.COMPLETED
    assert result.agent == agent_ids[0]
    assert result.result is not None


def test_custom_agents(orchestrator: SwarmOrchestrator) -> None:
    neural_agent = AgentFactory.create_neural("vision_net", 2048)
    quantum_agent = AgentFactory.create_quantum("optimizer", 16)
    custom_agent = AgentFactory.create_generic("preprocessor")
    for agent in (neural_agent, quantum_agent, custom_agent):
        agent_id = orchestrator.register_agent(agent)
        assert orchestrator.registry.get(agent_id) is agent
    assert orchestrator.metrics().active_agents == 3
    assert [a.name for a in orchestrator.status().agents] == [
        "vision_net", "optimizer", "preprocessor",
    ]  # fmt: skip


def test_coordination(orchestrator: SwarmOrchestrator) -> None:
    agent_id, voter_agent, *_ = orchestrator.bootstrap_default_agents()
    proposal_id = orchestrator.coordinator.submit_proposal(
        agent_id, ProposalType.TASK_ASSIGNMENT, {"task": "neural_analysis"}
    )
    orchestrator.coordinator.cast_vote(
        proposal_id, voter_agent, VoteDecision.APPROVE, "Resource allocation approved"
    )
    stats = orchestrator.coordination_stats()
    assert (stats.proposals[ProposalState.OPEN], stats.votes) == (1, 1)
    orchestrator.coordinator.cast_vote(proposal_id, agent_id, VoteDecision.APPROVE)
    third = orchestrator.registry.by_capability()[2].id
    orchestrator.coordinator.cast_vote(proposal_id, third, VoteDecision.APPROVE, None)
    proposal = orchestrator.coordinator.proposal(proposal_id)
    assert proposal.state is ProposalState.APPROVED


def test_memory(orchestrator: SwarmOrchestrator) -> None:
    agent_id, target_agent, *_ = orchestrator.bootstrap_default_agents()
    region_id = orchestrator.memory_manager.allocate(agent_id, 4096)
    orchestrator.memory_manager.write(region_id, b"data")
    orchestrator.memory_manager.transfer(region_id, target_agent)
    assert orchestrator.memory_manager.read(region_id, 0, 4) == b"data"
    orchestrator.memory_manager.garbage_collect()
    assert orchestrator.memory_manager.info(region_id).owner == target_agent
    orchestrator.retire_agent(target_agent)
    orchestrator.memory_manager.garbage_collect()
    assert orchestrator.memory_manager.regions() == []


def test_metrics_and_reports(orchestrator: SwarmOrchestrator) -> None:
    orchestrator.bootstrap_default_agents()
    metrics = orchestrator.metrics()
    assert f"Active agents: {metrics.active_agents}" == "Active agents: 3"
    assert f"Memory utilization: {metrics.memory_utilization * 100:.1f}%" == (
        "Memory utilization: 0.0%"
    )
    assert f"Task throughput: {metrics.throughput:.2f}/sec" == "Task throughput: 0.00/sec"
    report = orchestrator.export_status()
    assert "production_swarm" in report
    assert "vision" not in report
    data = json.loads(orchestrator.export_status("json"))
    assert data["metrics"]["active_agents"] == 3
    assert data["topology"] == "mesh"
    for stats in (orchestrator.scheduler_stats(), orchestrator.memory_stats()):
        assert dataclasses.is_dataclass(stats)


def test_configuration_of_the_document() -> None:
    builder = (
        SwarmBuilder()
        .max_agents(128)
        .topology(SwarmTopology.HIERARCHICAL)
        .scheduler_config(SchedulerConfig(
            selection_strategy=AgentSelectionStrategy.LOAD_BALANCED,
            max_concurrent_tasks=512,
            task_queue_size=10000,
            load_balancing=True,
            dependency_resolution=True,
        ))
        .memory_config(MemoryConfig(
            total_size=64 * 1024 * 1024,
            region_size=128 * 1024,
            eviction_policy=EvictionPolicy.LRU,
            compression_enabled=True,
        ))
        .fault_tolerance(True)
        .monitoring(True)
    )  # fmt: skip
    with builder.build() as orchestrator:
        assert orchestrator.config.max_agents == 128
        assert orchestrator.memory_stats().total_size == 64 << 20
        assert orchestrator.scheduler.config.task_queue_size == 10_000


@pytest.mark.parametrize(
    ("enum", "members"),
    [
        (SwarmTopology, "CENTRALIZED MESH HIERARCHICAL RING STAR"),
        (AgentSelectionStrategy, "ROUND_ROBIN LEAST_LOADED LOAD_BALANCED CAPABILITY_BASED"),
        (EvictionPolicy, "LRU LFU FIFO TTL"),
    ],
)
def test_enumerations_have_exactly_the_members(enum: Any, members: str) -> None:
    assert [member.name for member in enum] == members.split()


def test_members_that_the_document_names() -> None:
    assert TaskPriority.HIGH.value > TaskPriority.NORMAL.value == 0


def test_defaults() -> None:
    with SwarmBuilder().build() as orchestrator:
        assert orchestrator.config.max_agents == 256
        assert orchestrator.memory_stats().total_size == 28 << 20
        assert orchestrator.config.memory.region_size == 64 << 10
        vitals = orchestrator._vitals
        assert vitals is not None
        assert vitals.monitor.policy.interval == 0.1  # heartbeats every 100 ms
    assert TaskBuilder("t").build().timeout == 30
    assert TaskBuilder("t").build().retries == 3
    assert TaskBuilder("t").build().priority == 0

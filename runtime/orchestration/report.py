"""What an orchestrator tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from .agents.entries import AgentEntry
from .hub import HubStats
from .memory import MemoryStats
from .resources import ResourceUsage
from .scheduler import SchedulerStats


@dataclass(frozen=True, slots=True)
class CycleStats:
    """What happened in one cycle.

    Args:
        completed, failed, cancelled: tasks that became so. retried: attempts that failed and will
            be made again.
        waiting: tasks that have not ended and do not run. running: those that do.
        regions_collected: of the memory pool.
        idle: whether the cycle ended because nothing more could run, and not for want of time.
        duration: seconds.
    """

    completed: int
    failed: int
    cancelled: int
    retried: int
    waiting: int
    running: int
    regions_collected: int
    idle: bool
    duration: float


@dataclass(frozen=True, slots=True)
class OrchestratorMetrics:
    """The figures that matter most.

    Args:
        active_agents: ready, busy or suspect. total_agents: failed ones too.
        memory_utilization: part of the pool that is taken, 0 to 1.
        throughput: tasks completed a second, over the last ten seconds.
        queued_tasks: all that have not ended and do not run.
        uptime: seconds.
    """

    active_agents: int
    total_agents: int
    memory_utilization: float
    throughput: float
    completed_tasks: int
    failed_tasks: int
    queued_tasks: int
    running_tasks: int
    uptime: float


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent at one moment."""

    id: str
    name: str
    kind: str
    state: str
    running: int
    capacity: int
    served: int
    capabilities: tuple[str, ...]

    @classmethod
    def of(cls, entry: AgentEntry) -> AgentStatus:
        """What the registry knows."""
        return cls(
            entry.id, entry.agent.name, entry.agent.kind, entry.state.value, entry.running,
            entry.capacity, entry.served, tuple(sorted(entry.capabilities)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SwarmStatus:
    """All there is to know of an orchestrator at one moment."""

    name: str
    state: str
    topology: str
    metrics: OrchestratorMetrics
    agents: tuple[AgentStatus, ...]
    scheduler: SchedulerStats
    memory: MemoryStats
    hub: HubStats
    resources: ResourceUsage | None

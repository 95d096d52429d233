"""Tasks, agents, memory, messages, workflows and pipelines over the swarm runtime.

Names are imported when they are first used: a part costs nothing to those who do without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agents import (
        AgentFactory,
        AgentRegistry,
        BreakerPolicy,
        Breakers,
        CircuitBreaker,
        HealthMonitor,
        HealthPolicy,
        RestartPolicy,
    )
    from .builder import SwarmBuilder
    from .errors import OrchestrationError, TaskError
    from .hub import BroadcastChannel, CommunicationHub, MessageChannel, SwarmTopology, Topology
    from .interfaces import AgentState
    from .memory import EvictionPolicy, MemoryConfig, MemoryManager
    from .metrics import Metrics
    from .orchestrator import SwarmConfig, SwarmOrchestrator
    from .scheduler import AgentSelectionStrategy, Scheduler, SchedulerConfig
    from .store import Store
    from .tasks import Task, TaskBuilder, TaskContext, TaskPriority, TaskRecord, TaskState
    from .worker import Worker

__all__ = [
    "AgentFactory",
    "AgentRegistry",
    "AgentSelectionStrategy",
    "AgentState",
    "BreakerPolicy",
    "Breakers",
    "BroadcastChannel",
    "CircuitBreaker",
    "CommunicationHub",
    "EvictionPolicy",
    "HealthMonitor",
    "HealthPolicy",
    "MemoryConfig",
    "MemoryManager",
    "MessageChannel",
    "Metrics",
    "OrchestrationError",
    "RestartPolicy",
    "Scheduler",
    "SchedulerConfig",
    "Store",
    "SwarmBuilder",
    "SwarmConfig",
    "SwarmOrchestrator",
    "SwarmTopology",
    "Task",
    "TaskBuilder",
    "TaskContext",
    "TaskError",
    "TaskPriority",
    "TaskRecord",
    "TaskState",
    "Topology",
    "Worker",
]

_HOMES = {
    "AgentFactory": ".agents",
    "AgentRegistry": ".agents",
    "AgentSelectionStrategy": ".scheduler",
    "AgentState": ".interfaces",
    "BreakerPolicy": ".agents",
    "Breakers": ".agents",
    "BroadcastChannel": ".hub",
    "CircuitBreaker": ".agents",
    "CommunicationHub": ".hub",
    "EvictionPolicy": ".memory",
    "HealthMonitor": ".agents",
    "HealthPolicy": ".agents",
    "MemoryConfig": ".memory",
    "MemoryManager": ".memory",
    "MessageChannel": ".hub",
    "Metrics": ".metrics",
    "OrchestrationError": ".errors",
    "RestartPolicy": ".agents",
    "Scheduler": ".scheduler",
    "SchedulerConfig": ".scheduler",
    "Store": ".store",
    "SwarmBuilder": ".builder",
    "SwarmConfig": ".orchestrator",
    "SwarmOrchestrator": ".orchestrator",
    "SwarmTopology": ".hub",
    "Task": ".tasks",
    "TaskBuilder": ".tasks",
    "TaskContext": ".tasks",
    "TaskError": ".errors",
    "TaskPriority": ".tasks",
    "TaskRecord": ".tasks",
    "TaskState": ".tasks",
    "Topology": ".hub",
    "Worker": ".worker",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

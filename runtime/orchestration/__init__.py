"""Tasks, agents, memory, messages, workflows and pipelines over the swarm runtime.

Names are imported when they are first used: a part costs nothing to those who do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy

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
    from .coordinator import ProposalState, ProposalType, SwarmCoordinator, VoteDecision
    from .dispatcher import Dispatcher, create_dispatcher, create_worker
    from .errors import OrchestrationError, TaskError
    from .executors import InternalExecutor, ProcessExecutor, WasmExecutor
    from .hub import BroadcastChannel, CommunicationHub, MessageChannel, SwarmTopology, Topology
    from .interfaces import AgentState
    from .logger import Logger
    from .memory import EvictionPolicy, MemoryConfig, MemoryManager
    from .metrics import Metrics
    from .orchestrator import SwarmConfig, SwarmOrchestrator
    from .scheduler import AgentSelectionStrategy, Scheduler, SchedulerConfig
    from .state_manager import StateManager
    from .store import Store
    from .tasks import Task, TaskBuilder, TaskContext, TaskPriority, TaskRecord, TaskState
    from .worker import Worker
    from .workflow import WorkflowManifest, WorkflowResult, WorkflowRunner, load_manifest

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
    "Dispatcher",
    "EvictionPolicy",
    "HealthMonitor",
    "HealthPolicy",
    "InternalExecutor",
    "Logger",
    "MemoryConfig",
    "MemoryManager",
    "MessageChannel",
    "Metrics",
    "OrchestrationError",
    "ProcessExecutor",
    "ProposalState",
    "ProposalType",
    "RestartPolicy",
    "Scheduler",
    "SchedulerConfig",
    "StateManager",
    "Store",
    "SwarmBuilder",
    "SwarmConfig",
    "SwarmCoordinator",
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
    "VoteDecision",
    "WasmExecutor",
    "Worker",
    "WorkflowManifest",
    "WorkflowResult",
    "WorkflowRunner",
    "create_dispatcher",
    "create_worker",
    "load_manifest",
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
    "Dispatcher": ".dispatcher",
    "EvictionPolicy": ".memory",
    "HealthMonitor": ".agents",
    "HealthPolicy": ".agents",
    "InternalExecutor": ".executors",
    "Logger": ".logger",
    "MemoryConfig": ".memory",
    "MemoryManager": ".memory",
    "MessageChannel": ".hub",
    "Metrics": ".metrics",
    "OrchestrationError": ".errors",
    "ProcessExecutor": ".executors",
    "ProposalState": ".coordinator",
    "ProposalType": ".coordinator",
    "RestartPolicy": ".agents",
    "Scheduler": ".scheduler",
    "SchedulerConfig": ".scheduler",
    "StateManager": ".state_manager",
    "Store": ".store",
    "SwarmBuilder": ".builder",
    "SwarmConfig": ".orchestrator",
    "SwarmCoordinator": ".coordinator",
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
    "VoteDecision": ".coordinator",
    "WasmExecutor": ".executors",
    "Worker": ".worker",
    "WorkflowManifest": ".workflow",
    "WorkflowResult": ".workflow",
    "WorkflowRunner": ".workflow",
    "create_dispatcher": ".dispatcher",
    "create_worker": ".dispatcher",
    "load_manifest": ".workflow",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)

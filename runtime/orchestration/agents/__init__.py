"""Agents: who runs tasks, how they come and go, how it is noticed that they are not well.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

if TYPE_CHECKING:
    from .breaker import (
        BreakerOpenError,
        BreakerPolicy,
        Breakers,
        BreakerState,
        BreakerStatistics,
        CircuitBreaker,
    )
    from .entries import AgentEntry
    from .factory import AgentFactory
    from .generic import GenericAgent
    from .health import HealthMonitor, HealthPolicy, HealthReport, HealthStatistics, Heart, Ticker
    from .local import LocalAgent
    from .networks import Activation
    from .neural import NeuralAgent
    from .phi import PhiDetector
    from .problems import GateKind
    from .quantum import QuantumAgent
    from .registry import AgentRegistry, RegistryStatistics
    from .shedding import LoadLevel, LoadShedder, OverloadedError, ShedPolicy, ShedStatistics
    from .states import AgentLimitError, AgentStateError, DuplicateAgentError, InvalidAgentError
    from .supervisor import RestartPolicy, Supervisor, SupervisorStatistics, Vitals

__all__ = [
    "Activation",
    "AgentEntry",
    "AgentFactory",
    "AgentLimitError",
    "AgentRegistry",
    "AgentStateError",
    "BreakerOpenError",
    "BreakerPolicy",
    "BreakerState",
    "BreakerStatistics",
    "Breakers",
    "CircuitBreaker",
    "DuplicateAgentError",
    "GateKind",
    "GenericAgent",
    "HealthMonitor",
    "HealthPolicy",
    "HealthReport",
    "HealthStatistics",
    "Heart",
    "InvalidAgentError",
    "LoadLevel",
    "LoadShedder",
    "LocalAgent",
    "NeuralAgent",
    "OverloadedError",
    "PhiDetector",
    "QuantumAgent",
    "RegistryStatistics",
    "RestartPolicy",
    "ShedPolicy",
    "ShedStatistics",
    "Supervisor",
    "SupervisorStatistics",
    "Ticker",
    "Vitals",
]

_HOMES = {
    "Activation": ".networks",
    "AgentEntry": ".entries",
    "AgentFactory": ".factory",
    "AgentLimitError": ".states",
    "AgentRegistry": ".registry",
    "AgentStateError": ".states",
    "BreakerOpenError": ".breaker",
    "BreakerPolicy": ".breaker",
    "BreakerState": ".breaker",
    "BreakerStatistics": ".breaker",
    "Breakers": ".breaker",
    "CircuitBreaker": ".breaker",
    "DuplicateAgentError": ".states",
    "GateKind": ".problems",
    "GenericAgent": ".generic",
    "HealthMonitor": ".health",
    "HealthPolicy": ".health",
    "HealthReport": ".health",
    "HealthStatistics": ".health",
    "Heart": ".health",
    "InvalidAgentError": ".states",
    "LoadLevel": ".shedding",
    "LoadShedder": ".shedding",
    "LocalAgent": ".local",
    "NeuralAgent": ".neural",
    "OverloadedError": ".shedding",
    "PhiDetector": ".phi",
    "QuantumAgent": ".quantum",
    "RegistryStatistics": ".registry",
    "RestartPolicy": ".supervisor",
    "ShedPolicy": ".shedding",
    "ShedStatistics": ".shedding",
    "Supervisor": ".supervisor",
    "SupervisorStatistics": ".supervisor",
    "Ticker": ".health",
    "Vitals": ".supervisor",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)

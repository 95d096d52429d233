"""Agents: who runs tasks, how they come and go, how it is noticed that they are not well.

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

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
    from .health import HealthMonitor, HealthPolicy, HealthReport, HealthStatistics, Heart, Ticker
    from .phi import PhiDetector
    from .registry import AgentRegistry, RegistryStatistics
    from .states import AgentLimitError, AgentStateError, DuplicateAgentError
    from .supervisor import RestartPolicy, Supervisor, SupervisorStatistics, Vitals

__all__ = [
    "AgentEntry",
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
    "HealthMonitor",
    "HealthPolicy",
    "HealthReport",
    "HealthStatistics",
    "Heart",
    "PhiDetector",
    "RegistryStatistics",
    "RestartPolicy",
    "Supervisor",
    "SupervisorStatistics",
    "Ticker",
    "Vitals",
]

_HOMES = {
    "AgentEntry": ".entries",
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
    "HealthMonitor": ".health",
    "HealthPolicy": ".health",
    "HealthReport": ".health",
    "HealthStatistics": ".health",
    "Heart": ".health",
    "PhiDetector": ".phi",
    "RegistryStatistics": ".registry",
    "RestartPolicy": ".supervisor",
    "Supervisor": ".supervisor",
    "SupervisorStatistics": ".supervisor",
    "Ticker": ".health",
    "Vitals": ".supervisor",
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

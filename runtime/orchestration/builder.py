"""An orchestrator, said step by step."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from .errors import OrchestrationError
from .hub import SwarmTopology
from .memory import MemoryConfig
from .orchestrator import SwarmConfig, SwarmOrchestrator
from .scheduler import SchedulerConfig


class SwarmBuilder:
    """Collects settings; :meth:`build` makes the orchestrator. What is not said is the default."""

    def __init__(self) -> None:
        self._config = SwarmConfig()

    def _with(self, **changes: Any) -> Self:
        self._config = replace(self._config, **changes)
        return self

    def name(self, name: str) -> Self:
        """What people call the swarm."""
        _refuse_unless("name", name, str)
        return self._with(name=name)

    def max_agents(self, count: int) -> Self:
        """Most agents at a time; 256 if not said."""
        _refuse_unless("max_agents", count, int)
        if count < 1:
            raise OrchestrationError(f"max_agents must be at least 1, not {count}")
        return self._with(max_agents=count)

    def topology(self, topology: SwarmTopology) -> Self:
        """Who may message whom; a mesh if not said."""
        try:
            return self._with(topology=SwarmTopology(topology))
        except ValueError as error:
            names = ", ".join(member.value for member in SwarmTopology)
            message = f"topology must be one of {names}, not {topology!r}"
            raise OrchestrationError(message) from error

    def fault_tolerance(self, enabled: bool = True) -> Self:
        """Whether agents are watched, restarted, and left alone while they keep failing."""
        return self._with(fault_tolerance=enabled)

    def monitoring(self, enabled: bool = True) -> Self:
        """Whether use of processor, memory and network is measured."""
        return self._with(monitoring=enabled)

    def scheduler_config(self, config: SchedulerConfig) -> Self:
        """Settings of the scheduler."""
        _refuse_unless("scheduler_config", config, SchedulerConfig)
        return self._with(scheduler=config)

    def memory_config(self, config: MemoryConfig) -> Self:
        """Settings of the memory pool."""
        _refuse_unless("memory_config", config, MemoryConfig)
        return self._with(memory=config)

    def store(self, path: str | os.PathLike[str]) -> Self:
        """Keep everything in this file, which is made if it is not there."""
        return self._with(store=Path(path))

    def build(self) -> SwarmOrchestrator:
        """The orchestrator, not yet initialized.

        Raises:
            StoreError: the file cannot be used.
        """
        return SwarmOrchestrator(self._config)


def _refuse_unless(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise OrchestrationError(f"{what} takes {kind.__name__}, not {value!r}")

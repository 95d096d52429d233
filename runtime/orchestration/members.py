"""Lets hub, memory and health see agents as the registry does."""

from __future__ import annotations

import logging
import queue
import threading

from .agents.health import HealthMonitor
from .agents.registry import AgentRegistry
from .errors import UnknownAgentError
from .hub import CommunicationHub
from .interfaces import AgentState
from .memory import MemoryManager

log = logging.getLogger(__name__)


class Members:
    """Follows the states of agents, in a thread of its own.

    The registry tells of changes with its lock held, when nothing may be waited for.

    Args:
        registry: whose agents they are.
        hub: agents join it, are failed there, and leave.
        memory: is told of those that are gone.
    """

    def __init__(
        self, registry: AgentRegistry, hub: CommunicationHub, memory: MemoryManager
    ) -> None:
        self.monitor: HealthMonitor | None = None  #: watches agents, if there is one
        self._registry, self._hub, self._memory = registry, hub, memory
        self._membership = threading.Lock()  # one thread at a time lets agents in and out
        self._changes: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="swarmc-members", daemon=True)
        self._thread.start()
        self._unwatch = registry.on_change(lambda agent_id, old, new: self._changes.put(agent_id))

    def follow(self, agent_id: str) -> None:
        """Look at an agent now, rather than soon."""
        with self._membership:
            try:
                self._see(agent_id)
            except UnknownAgentError:  # retired meanwhile
                self._see(agent_id)

    def close(self) -> None:
        """Follow nobody any more."""
        self._unwatch()
        self._changes.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (agent_id := self._changes.get()) is not None:
            try:
                self.follow(agent_id)
            except Exception:  # the next one is followed all the same
                log.exception("agent %s cannot be followed", agent_id)

    def _see(self, agent_id: str) -> None:
        state = self._registry.state(agent_id) if agent_id in self._registry else None
        member = agent_id in self._hub.members
        if state is None:
            self._memory.agent_gone(agent_id)
            if member:
                self._hub.leave(agent_id)
        elif state is AgentState.FAILED:
            if member:
                self._hub.fail(agent_id)
        elif state is not AgentState.CREATED:
            if not member:
                self._hub.join(agent_id)
            if self.monitor is not None:
                self.monitor.watch(agent_id)

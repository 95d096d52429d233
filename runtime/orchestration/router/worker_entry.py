"""What the desk of workers knows of each."""

from __future__ import annotations

from dataclasses import dataclass

from ..agents.registry import AgentRegistry
from ..cluster.agent import RemoteAgent
from .protocol_workers import Worker, WorkerJoin, WorkerState
from .wire import Connection


@dataclass(eq=False, slots=True)
class WorkerEntry:
    """A worker.

    Args:
        agent: what stands for it in the registry; another one each time it joins.
        connection: None: it is not there.
        heard: when it last beat; or when it was lost, on the clock.
        completed: attempts that it has ended, as far as is known.
    """

    join: WorkerJoin
    agent: RemoteAgent
    connection: Connection | None
    heard: float
    state: WorkerState = "joining"
    completed: int = 0
    reason: str | None = None

    @property
    def worker_id(self) -> str:
        """The same each time it joins."""
        return self.agent.id

    @property
    def domain(self) -> str:
        """What fails together with it."""
        return self.join.domain or self.join.host

    def describe(self, registry: AgentRegistry, now: float) -> Worker:
        """As clients see it."""
        running = self._count(registry)
        state = "busy" if self.state == "ready" and running else self.state
        join = self.join
        return Worker(
            worker_id=self.worker_id, name=join.name, state=state, host=join.host, pid=join.pid,
            domain=self.domain, targets=join.targets, executors=join.executors,
            capabilities=join.capabilities, resources=join.resources, capacity=join.capacity,
            running=running, completed=self.completed, public_key=join.public_key,
            heard_ms=None if self.connection is None else max(0, round((now - self.heard) * 1000)),
            reason=self.reason,
        )  # fmt: skip

    def _count(self, registry: AgentRegistry) -> int:
        """How many attempts it runs; notes how many it has ended."""
        with registry.lock:
            if self.worker_id not in registry:
                return 0
            entry = registry.entry(self.worker_id)
            if entry.agent is not self.agent:
                return 0
            self.completed = entry.served - entry.running
            return entry.running

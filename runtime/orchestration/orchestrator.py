"""The orchestrator: tasks, agents, memory, messages and their health, put together.

Each part works without the others; this is the one that most programs want.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .agents.breaker import Breakers
from .agents.registry import DEFAULT_MAX_AGENTS, AgentRegistry
from .agents.shedding import LoadShedder
from .agents.supervisor import Vitals
from .errors import ClosedError, OrchestrationError
from .hub import CommunicationHub, SwarmTopology
from .interfaces import Agent
from .members import Members
from .memory import MemoryConfig, MemoryManager, MemoryStats
from .report import AgentStatus, CycleStats, OrchestratorMetrics, SwarmStatus
from .scheduler import Scheduler, SchedulerConfig, SchedulerStats
from .tasks import Task, TaskRecord, TaskState

if TYPE_CHECKING:
    from .coordinator import CoordinationStats, SwarmCoordinator
    from .metrics import Metrics
    from .resources import ResourceMonitor
    from .store import Store

_CYCLE_LOOK = 60.0  # seconds a cycle takes at most, unless told otherwise


@dataclass(frozen=True, slots=True)
class SwarmConfig:
    """Settings of an orchestrator; :class:`SwarmBuilder` makes one.

    Args:
        name: what people call the swarm.
        max_agents: most agents at a time.
        topology: who may message whom.
        fault_tolerance: whether agents are watched, restarted, and left alone while they keep
            failing, and tasks of low priority refused under load. Retries, timeouts and failover
            of tasks do not depend on it.
        monitoring: whether use of processor, memory and network is measured.
        scheduler, memory: settings of those.
        store: file that everything is kept in; None: nothing outlives the process.
    """

    name: str = "swarm"
    max_agents: int = DEFAULT_MAX_AGENTS
    topology: SwarmTopology = SwarmTopology.MESH
    fault_tolerance: bool = True
    monitoring: bool = False
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    store: Path | None = None


class OrchestratorState(enum.Enum):
    """Where an orchestrator is in its life."""

    BUILT = "built"  #: not initialized
    IDLE = "idle"  #: tasks run while :meth:`SwarmOrchestrator.process_cycle` does
    RUNNING = "running"  #: tasks run as soon as they can
    CLOSED = "closed"


class SwarmOrchestrator:
    """Agents and the tasks that they run.

    Two ways of use: call :meth:`process_cycle` when tasks are to run, or :meth:`start` once and
    tasks run in the background from then on. May be used from several threads.
    """

    def __init__(self, config: SwarmConfig | None = None) -> None:
        self.config = config or SwarmConfig()
        self._state = OrchestratorState.BUILT
        self._lock = threading.RLock()  # guards the state and _cycles; taken before any other
        self._cycles = 0  # threads in process_cycle
        self._closing = threading.Lock()  # held while closing; nobody who has another lock waits
        self._ended: bool | None = None  # what close() has given
        self._began = time.monotonic()
        self._store: Store | None = None
        self._vitals: Vitals | None = None
        if self.config.store is not None:
            from .store import Store

            self._store = Store(self.config.store)
        self.registry = AgentRegistry(self._store, max_agents=self.config.max_agents)
        self.memory_manager = MemoryManager(self.config.memory)
        self.hub = CommunicationHub(self.config.topology, log=self._store)
        self._breakers = Breakers() if self.config.fault_tolerance else None
        self.scheduler = Scheduler(
            self.registry, self._store, self.config.scheduler, breakers=self._breakers,
            shedder=LoadShedder() if self.config.fault_tolerance else None, paused=True,
        )  # fmt: skip
        self._coordinator: SwarmCoordinator | None = None
        self._resources: ResourceMonitor | None = None
        if self.config.monitoring:
            from .resources import ResourceMonitor

            self._resources = ResourceMonitor()
        self._members = Members(self.registry, self.hub, self.memory_manager)

    def __enter__(self) -> Self:
        if self._state is OrchestratorState.BUILT:
            self.initialize()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.config.name

    @property
    def state(self) -> OrchestratorState:
        """Where it is in its life."""
        return self._state

    @property
    def store(self) -> Store | None:
        """Where everything is kept, if it is."""
        return self._store

    # Life

    def initialize(self) -> int:
        """Get ready: watch agents, and take up what the store has of an earlier process.

        Returns:
            How many tasks of an earlier process will run again.

        Raises:
            OrchestrationError: it was called before.
        """
        with self._lock:
            if self._state is not OrchestratorState.BUILT:
                raise OrchestrationError(f"{self.name} is initialized already")
            recovered = self.scheduler.recover()
            if self.config.fault_tolerance:
                self._vitals = Vitals(self.registry).start()
                self._members.monitor = self._vitals.monitor
            self._state = OrchestratorState.IDLE
            return recovered

    def start(self) -> None:
        """Run tasks in the background from now on."""
        with self._lock:
            self._refuse_unless_ready()
            self._state = OrchestratorState.RUNNING
        self.scheduler.resume()

    def stop(self) -> None:
        """Start no more tasks until :meth:`start` or :meth:`process_cycle`; what runs goes on."""
        with self._lock:
            self._refuse_unless_ready()
            self._state = OrchestratorState.IDLE
        self.scheduler.pause()

    def close(self, timeout: float = 10.0) -> bool:
        """End: wait for what runs, this many seconds at most, then let all agents go.

        Returns:
            Whether everything that ran has ended. What has not run stays in the store.
        """
        with self._lock:
            self._state = OrchestratorState.CLOSED
        with self._closing:
            if self._ended is None:
                self._ended = self._close(timeout)
            return self._ended

    def _close(self, timeout: float) -> bool:
        if self._vitals is not None:
            self._vitals.close()
        ended = self.scheduler.close(timeout)
        self._members.close()
        self.registry.close()
        self.hub.close()
        self.memory_manager.close()
        if self._store is not None:
            self._store.close()
        return ended

    # Agents

    def register_agent(self, agent: Agent) -> str:
        """Take an agent in and give its id.

        Raises:
            AgentLimitError: there are ``max_agents``.
            DuplicateAgentError: another agent has its id.
        """
        self._refuse_unless_ready()
        agent_id = self.registry.register(agent)
        self._members.follow(agent_id)
        return agent_id

    def bootstrap_default_agents(self) -> list[str]:
        """Register a neural, a quantum and a generic agent, as far as ``max_agents`` allows.

        Returns:
            Their ids.
        """
        from .agents.factory import AgentFactory

        self._refuse_unless_ready()
        makers: tuple[Callable[[], Agent], ...] = (
            lambda: AgentFactory.create_neural("neural-0", 2048),
            lambda: AgentFactory.create_quantum("quantum-0", 8),
            lambda: AgentFactory.create_generic("generic-0"),
        )
        room = self.config.max_agents - len(self.registry)
        return [self.register_agent(make()) for make in makers[:room]]

    def retire_agent(self, agent_id: str) -> None:
        """Let an agent go; what it runs is given to another. Raises UnknownAgentError."""
        self.registry.retire(agent_id)
        self._members.follow(agent_id)

    # Tasks

    def submit_task(self, task: Task) -> str:
        """Accept a task and give its id.

        Raises:
            As :meth:`.scheduler.Scheduler.submit`.
        """
        self._refuse_unless_ready()
        return self.scheduler.submit(task)

    def submit_tasks(self, tasks: Iterable[Task]) -> list[str]:
        """Accept tasks, all or none; they may depend on each other."""
        self._refuse_unless_ready()
        return self.scheduler.submit_many(list(tasks))

    def process_cycle(self, timeout: float = _CYCLE_LOOK) -> CycleStats:
        """Run what can run, until nothing can or the time is over; collect garbage.

        What waits for another attempt, or for an agent that is not there, is left for a later
        cycle, and what still runs when the time is over goes on.

        Args:
            timeout: seconds.
        """
        self._refuse_unless_ready()
        began = time.monotonic()
        before = self.scheduler.stats()
        with self._lock:
            self._cycles += 1
        try:
            self.scheduler.resume()
            idle = self.scheduler.wait_idle(timeout)
        finally:
            with self._lock:
                self._cycles -= 1
                if self._state is OrchestratorState.IDLE and not self._cycles:
                    self.scheduler.pause()
        collected = self.memory_manager.garbage_collect()
        after = self.scheduler.stats()
        return CycleStats(
            completed=after.completed - before.completed,
            failed=after.failed - before.failed,
            cancelled=after.cancelled - before.cancelled,
            retried=after.retried - before.retried,
            waiting=after.waiting + after.queued + after.delayed,
            running=after.running,
            regions_collected=collected,
            idle=idle,
            duration=time.monotonic() - began,
        )

    def get_task_result(self, task_id: str) -> TaskRecord | None:
        """What became of a task; None as long as it is not final.

        Raises:
            UnknownTaskError: no task has this id.
        """
        record = self.scheduler.record(task_id)
        return record if record.state.final else None

    def task_state(self, task_id: str) -> TaskState:
        """Where a task is in its life. Raises UnknownTaskError."""
        return self.scheduler.record(task_id).state

    def wait(self, task_ids: Iterable[str], timeout: float | None = None) -> list[TaskRecord]:
        """Wait for tasks; as :meth:`.scheduler.Scheduler.wait`, after :meth:`start`."""
        return self.scheduler.wait(task_ids, timeout)

    def cancel_task(self, task_id: str, reason: str = "cancelled") -> bool:
        """End a task wherever it is; as :meth:`.scheduler.Scheduler.cancel`."""
        return self.scheduler.cancel(task_id, reason)

    # Agreement

    @property
    def coordinator(self) -> SwarmCoordinator:
        """Proposals, votes, the leader; made when it is first asked for."""
        with self._lock:
            if self._coordinator is None:
                from .coordinator import SwarmCoordinator

                self._coordinator = SwarmCoordinator(self.registry, self._store)
            return self._coordinator

    # What there is to know

    def metrics(self) -> OrchestratorMetrics:
        """The figures that matter most."""
        scheduler, memory = self.scheduler.stats(), self.memory_stats()
        agents = self.registry.stats()
        return OrchestratorMetrics(
            active_agents=agents.active,
            total_agents=len(self.registry),
            memory_utilization=memory.utilization,
            throughput=scheduler.throughput,
            completed_tasks=scheduler.completed,
            failed_tasks=scheduler.failed,
            queued_tasks=scheduler.queued + scheduler.waiting + scheduler.delayed,
            running_tasks=scheduler.running,
            uptime=time.monotonic() - self._began,
        )

    def scheduler_stats(self) -> SchedulerStats:
        """Counts of the scheduler."""
        return self.scheduler.stats()

    def memory_stats(self) -> MemoryStats:
        """Counts of the memory manager."""
        return self.memory_manager.stats()

    def coordination_stats(self) -> CoordinationStats:
        """Counts of the coordinator."""
        return self.coordinator.coordination_stats()

    def status(self) -> SwarmStatus:
        """All there is to know at this moment."""
        with self.registry.lock:
            agents = tuple(AgentStatus.of(entry) for entry in self.registry)
        return SwarmStatus(
            name=self.name,
            state=self._state.value,
            topology=self.config.topology.value,
            metrics=self.metrics(),
            agents=agents,
            scheduler=self.scheduler_stats(),
            memory=self.memory_stats(),
            hub=self.hub.stats(),
            resources=self._resources.sample() if self._resources is not None else None,
        )

    def export_status(self, format: str = "text") -> str:
        """A report, as ``text`` for people or as ``json``.

        Raises:
            OrchestrationError: there is no such format.
        """
        from .status import render_json, render_text

        if format == "json":
            return render_json(self.status())
        if format == "text":
            return render_text(self.status(), self.name)
        raise OrchestrationError(f"a status is text or json, not {format!r}")

    def prometheus(self) -> Metrics:
        """All statistics as Prometheus' metrics: ``prometheus().serve(port)``, ``.text()``."""
        from .metrics import Metrics

        parts: dict[str, Callable[[], object]] = {
            "scheduler": self.scheduler_stats, "memory": self.memory_stats,
            "agents": self.registry.stats, "hub": self.hub.stats,
            "coordinator": lambda: self._coordinator and self._coordinator.coordination_stats(),
        }  # fmt: skip
        if self._vitals is not None:
            parts["health"] = self._vitals.monitor.stats
            parts["supervisor"] = self._vitals.supervisor.stats
        if self._breakers is not None:
            parts["breakers"] = self._breakers.stats
        if self._store is not None:
            parts["store"] = self._store.stats
        if self._resources is not None:
            parts["resources"] = self._resources.sample
        return Metrics(parts, labels={"swarm": self.name})

    def _refuse_unless_ready(self) -> None:
        if self._state is OrchestratorState.BUILT:
            raise OrchestrationError(f"{self.name} is not initialized", hint="call initialize()")
        if self._state is OrchestratorState.CLOSED:
            raise ClosedError(f"{self.name} is closed")

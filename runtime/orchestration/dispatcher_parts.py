"""What exists while a dispatcher is open: store, agents, scheduler, runner, worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .agents.registry import AgentRegistry
from .backends import make_executors, task_defaults
from .config_file import SwarmConfig
from .engine import Engine, LocalEngine
from .engine.dask import DaskEngine
from .events import Event, EventKind
from .executors.internal import Operation
from .interfaces import AgentState, Executor
from .scheduler import Scheduler, SchedulerConfig
from .store import Store
from .tasks import SWARM_TURN
from .worker import Worker
from .workflow.run import WorkflowRunner


@dataclass(frozen=True, slots=True)
class Options:
    """What a dispatcher was made with; see there."""

    config: SwarmConfig
    executors: Mapping[str, Executor] = field(default_factory=dict)
    operations: Mapping[str, Operation | str] | None = None
    local_worker: bool = True
    engine: Engine | None = None


class Parts:
    """What exists while a dispatcher is open."""

    def __init__(self, options: Options) -> None:
        config = options.config
        path = config.dispatcher.state_db_path
        self.store = Store(None if path == ":memory:" else config.path(path))
        try:
            self._build(options, config)
        except BaseException:
            self.store.close()
            raise

    def _build(self, options: Options, config: SwarmConfig) -> None:
        _retire_left_agents(self.store)
        configured = make_executors(
            config, operations=options.operations, state=self.store
        )
        self.executors: dict[str, Executor] = {**configured, **options.executors}
        self.registry = AgentRegistry(self.store, max_agents=config.coordinator.max_workers)
        settings = SchedulerConfig(load_balancing=config.coordinator.enable_load_balancing)
        # Workers of other processes may come; until one does, nothing of Dask is loaded.
        self.engine = options.engine or DaskEngine(LocalEngine(settings.max_concurrent_tasks))
        self.scheduler = Scheduler(
            self.registry, self.store, settings, engine=self.engine
        )  # fmt: skip
        self.runner = WorkflowRunner(self.scheduler, self.store, defaults=task_defaults(config))
        self._worker: Worker | None = None
        if options.local_worker:
            self._worker = Worker(
                config.worker.node_name, self.executors.values(),
                max_concurrent_tasks=config.worker.max_concurrent_tasks,
                capabilities=capabilities_of(config), id=config.worker.node_name,
            )  # fmt: skip
            self.registry.register(self._worker)

    def nodes(self) -> tuple[int, int]:
        """How many workers are idle, and how many busy."""
        active = [e for e in self.registry if e.state in (AgentState.READY, AgentState.BUSY)]
        busy = sum(entry.running > 0 for entry in active)
        return len(active) - busy, busy

    def offered_elsewhere(self) -> set[str]:
        """Capabilities of workers other than this process's own."""
        found: set[str] = set()
        for entry in self.registry:
            if entry.agent is not self._worker:
                found |= entry.capabilities
        return found

    def resume(self) -> list[str]:
        """What ``Dispatcher.resume`` does. Turns of swarms are the router's."""
        self.scheduler.pause()  # until the runner has looked what is to be cancelled
        try:
            self.scheduler.recover(lambda task: task.requires != SWARM_TURN)
            return self.runner.resume()
        finally:
            self.scheduler.resume()

    def close(self, timeout: float) -> None:
        """Wait this many seconds at most for what runs, and close everything."""
        self.runner.close()
        self.scheduler.close(timeout)
        self.registry.close()
        self.store.close()


def capabilities_of(config: SwarmConfig) -> list[str]:
    """What the configured worker offers besides its executors."""
    offered = config.worker.capabilities.model_dump()
    return [name for name, there in offered.items() if there]


def _retire_left_agents(store: Store) -> None:
    """Agents that a process registered which ended without closing."""
    reason = "its process has ended"
    events = [
        Event(EventKind.AGENT_STATE, agent.id, {"state": "retired", "reason": reason})
        for agent in store.agents()
        if agent.state is not AgentState.RETIRED
    ]
    if events:
        store.append(events)

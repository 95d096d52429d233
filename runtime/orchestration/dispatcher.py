"""The dispatcher: a store, a scheduler, a worker and a runner of workflows, in this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from .agents.registry import AgentRegistry
from .backends import ExecutorsMissingError, make_executors, missing_executors, task_defaults
from .config_file import SwarmConfig, config_of
from .dispatcher_status import DispatcherStatus, status_of
from .errors import ClosedError, OrchestrationError
from .events import Event, EventKind
from .executors.internal import Operation
from .interfaces import Agent, AgentState, Executor
from .scheduler import Scheduler, SchedulerConfig
from .store import Store
from .worker import Worker
from .workflow.manifest import load_manifest
from .workflow.result import WorkflowResult
from .workflow.run import WorkflowRunner
from .workflow.schema import WorkflowManifest

log = logging.getLogger(__name__)

_STEP = 0.2  # seconds between looks whether a waiting coroutine was cancelled


class DispatcherServer(Protocol):
    """Lets workers and clients of other processes connect to a dispatcher."""

    def start(self, dispatcher: Dispatcher) -> None:
        """Begin to listen; called when the dispatcher works."""

    def stop(self) -> None:
        """End all connections; called before the dispatcher stops."""


class ServerMissingError(OrchestrationError):
    """A dispatcher was asked for a WebSocket server, which is not installed."""


def _make_server() -> DispatcherServer:
    try:
        from .router.attached import AttachedRouter
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "swarmc":
            raise
        raise ServerMissingError(
            f"enable_websocket needs {error.name}, which is not installed",
            hint="pip install 'swarmc[web]', or set enable_websocket to false",
        ) from error
    return AttachedRouter()


class Dispatcher:
    """Deploys workflows. May be used from several threads.

    >>> with create_dispatcher(state_db_path=":memory:") as dispatcher:  # doctest: +SKIP
    ...     result = dispatcher.run_file("workflow.yaml")

    Args:
        config: see ``config_file``. ``state_db_path`` may be ``:memory:``.
        executors: more executors, or others in the place of configured ones.
        operations: functions for the executor ``internal``, by name.
        server: that other processes connect to; None: there is none.
        local_worker: whether tasks run in this process.
    """

    def __init__(
        self,
        config: SwarmConfig | None = None,
        *,
        executors: Iterable[Executor] = (),
        operations: Mapping[str, Operation | str] | None = None,
        server: DispatcherServer | None = None,
        local_worker: bool = True,
    ) -> None:
        self.config = config or SwarmConfig()
        self._more = {executor.name: executor for executor in executors}
        self._operations = operations
        self._server = server
        self._local_worker = local_worker
        self._parts: _Parts | None = None
        self._lock = threading.Lock()  # guards _parts

    # Starting and stopping

    async def start(self) -> None:
        """Open the store and get ready; what :meth:`open` does, and the server.

        Raises:
            ServerMissingError: ``enable_websocket`` was set, and what the server needs is not
                installed.
            StoreError: the store cannot be opened.
        """
        wanted = "enable_websocket" in self.config.dispatcher.model_fields_set
        if wanted and self.config.dispatcher.enable_websocket and self._server is None:
            self._server = _make_server()
        await asyncio.to_thread(self.open)
        if self._server is not None and self.config.dispatcher.enable_websocket:
            await asyncio.to_thread(self._server.start, self)

    async def stop(self) -> None:
        """Let running tasks end, and close everything; may be called more than once."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
        await asyncio.to_thread(self.close)

    def open(self) -> Self:
        """Open the store and begin to run tasks."""
        with self._lock:
            if self._parts is None:
                self._parts = _Parts(self)
        return self

    def close(self, timeout: float = 10.0) -> None:
        """Wait this many seconds at most for tasks that run, and close everything.

        Runs that have not ended stay in the store: see :meth:`resume`.
        """
        with self._lock:
            parts, self._parts = self._parts, None
        if parts is not None:
            parts.close(timeout)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    # Its parts

    @property
    def _open_parts(self) -> _Parts:
        parts = self._parts
        if parts is None:
            raise ClosedError("the dispatcher is not started", hint="call start() or open() first")
        return parts

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self._open_parts.store

    @property
    def scheduler(self) -> Scheduler:
        """What runs tasks."""
        return self._open_parts.scheduler

    @property
    def runner(self) -> WorkflowRunner:
        """What runs workflows."""
        return self._open_parts.runner

    @property
    def executors(self) -> dict[str, Executor]:
        """Of this process's worker, by name."""
        return self._open_parts.executors

    def register(self, agent: Agent) -> str:
        """Have an agent run tasks, too; gives its id."""
        return self._open_parts.registry.register(agent)

    # Workflows

    def load(self, path: str | Path, format: str | None = None) -> WorkflowManifest:
        """Read a manifest, whose ``dispatch`` may name any executor that there is.

        Raises:
            DocumentError: with all mistakes in it.
        """
        names = dict.fromkeys((*self.config.backends.names(), *self._more))
        return load_manifest(path, format=format, executors=tuple(names))

    def deploy(self, manifest: WorkflowManifest) -> str:
        """Start a workflow and give the id of its run.

        Raises:
            ExecutorsMissingError: it needs executors that cannot work here.
        """
        parts = self._open_parts
        if self._local_worker:
            problems = missing_executors(manifest, self.config, parts.executors)
            remote = parts.offered_elsewhere()
            problems = {name: why for name, why in problems.items() if name not in remote}
            if problems:
                raise ExecutorsMissingError(problems)
        return parts.runner.deploy(manifest)

    def run(self, manifest: WorkflowManifest, timeout: float | None = None) -> WorkflowResult:
        """Deploy a workflow and wait for its end."""
        return self.runner.wait(self.deploy(manifest), timeout)

    def run_file(self, path: str | Path, timeout: float | None = None) -> WorkflowResult:
        """Deploy the workflow of a file and wait for its end."""
        return self.run(self.load(path), timeout)

    async def dispatch(self, manifest: WorkflowManifest) -> WorkflowResult:
        """Deploy a workflow and wait for its end.

        If the coroutine is cancelled, so is the run, which is then rolled back.
        """
        run_id = await asyncio.to_thread(self.deploy, manifest)
        try:
            while True:
                try:
                    return await asyncio.to_thread(self.runner.wait, run_id, _STEP)
                except TimeoutError:
                    continue
        except asyncio.CancelledError:
            self.runner.cancel(run_id, "whoever waited for it was cancelled")
            raise

    async def dispatch_from_file(self, path: str | Path) -> WorkflowResult:
        """Deploy the workflow of a file and wait for its end.

        >>> result = await dispatcher.dispatch_from_file("./workflow.yaml")  # doctest: +SKIP
        >>> print(f"Completed: {result.completed_tasks}/{result.total_tasks}")  # doctest: +SKIP

        Raises:
            DocumentError: with all mistakes in the file.
            ExecutorsMissingError: it needs executors that cannot work here.
        """
        return await self.dispatch(await asyncio.to_thread(self.load, path))

    def resume(self) -> list[str]:
        """Go on with all that an earlier process left unfinished; ids of the runs.

        Tasks that are no workflow's go on, too.
        """
        return self._open_parts.resume()

    def unfinished(self) -> list[str]:
        """Ids of runs of an earlier process that :meth:`resume` would go on with."""
        known = set(self.runner.runs())
        stored = self.store.workflows(["running", "rolling_back"])
        return [record.id for record in stored if record.id not in known]

    def status(self) -> DispatcherStatus:
        """Counts as they are now."""
        parts = self._open_parts
        active = [e for e in parts.registry if e.state in (AgentState.READY, AgentState.BUSY)]
        busy = sum(entry.running > 0 for entry in active)
        return status_of(parts.store, nodes=(len(active) - busy, busy))


class _Parts:
    """What exists while a dispatcher is open."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        config = dispatcher.config
        path = config.dispatcher.state_db_path
        self.store = Store(None if path == ":memory:" else config.path(path))
        try:
            self._build(dispatcher, config)
        except BaseException:
            self.store.close()
            raise

    def _build(self, dispatcher: Dispatcher, config: SwarmConfig) -> None:
        _retire_left_agents(self.store)
        configured = make_executors(
            config, operations=dispatcher._operations, state=self.store
        )
        self.executors: dict[str, Executor] = {**configured, **dispatcher._more}
        self.registry = AgentRegistry(self.store, max_agents=config.coordinator.max_workers)
        self.scheduler = Scheduler(
            self.registry, self.store,
            SchedulerConfig(load_balancing=config.coordinator.enable_load_balancing),
        )  # fmt: skip
        self.runner = WorkflowRunner(self.scheduler, self.store, defaults=task_defaults(config))
        self._worker: Worker | None = None
        if dispatcher._local_worker:
            self._worker = Worker(
                config.worker.node_name, self.executors.values(),
                max_concurrent_tasks=config.worker.max_concurrent_tasks,
                capabilities=_capabilities(config), id=config.worker.node_name,
            )  # fmt: skip
            self.registry.register(self._worker)

    def offered_elsewhere(self) -> set[str]:
        """Capabilities of workers other than this process's own."""
        found: set[str] = set()
        for entry in self.registry:
            if entry.agent is not self._worker:
                found |= entry.capabilities
        return found

    def resume(self) -> list[str]:
        self.scheduler.pause()  # until the runner has looked what is to be cancelled
        try:
            self.scheduler.recover()
            return self.runner.resume()
        finally:
            self.scheduler.resume()

    def close(self, timeout: float) -> None:
        self.runner.close()
        self.scheduler.close(timeout)
        self.registry.close()
        self.store.close()


def _capabilities(config: SwarmConfig) -> list[str]:
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


def create_dispatcher(
    settings: Mapping[str, Any] | SwarmConfig | None = None, **more: Any
) -> Dispatcher:
    """A dispatcher, which :meth:`~Dispatcher.start` starts.

    Args:
        settings: a configuration; or keys of its section ``[dispatcher]``, and whole sections.
        more: keys as in ``settings``; ``executors``, ``operations`` and ``server`` are
            :class:`Dispatcher`'s.

    Raises:
        DocumentError: a key is unknown, or a value is wrong.
    """
    own = ("executors", "operations", "server", "local_worker")
    options = {name: more.pop(name) for name in own if name in more}
    if isinstance(settings, SwarmConfig):
        if more:
            raise OrchestrationError(f"settings are given twice: {', '.join(more)}")
        return Dispatcher(settings, **options)
    return Dispatcher(config_of({**(settings or {}), **more}), **options)


def create_worker(
    settings: Mapping[str, Any] | SwarmConfig | None = None, **more: Any
) -> Worker:
    """A worker with the configured back ends, for :meth:`Dispatcher.register`.

    Args:
        settings: a configuration; or keys of its section ``[worker]``, and whole sections.
        more: keys as in ``settings``; ``operations`` are for the executor ``internal``.

    Raises:
        DocumentError: a key is unknown, or a value is wrong.
    """
    operations = more.pop("operations", None)
    if isinstance(settings, SwarmConfig):
        config = settings
    else:
        given = {**(settings or {}), **more}
        sections = {key: given.pop(key) for key in tuple(given) if key in SwarmConfig.model_fields}
        worker = {**sections.get("worker", {}), **given}
        config = config_of({**sections, "worker": worker})
    executors = make_executors(config, operations=operations)
    return Worker(
        config.worker.node_name, executors.values(),
        max_concurrent_tasks=config.worker.max_concurrent_tasks,
        capabilities=_capabilities(config),
    )  # fmt: skip

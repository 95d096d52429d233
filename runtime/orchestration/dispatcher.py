"""The dispatcher: a store, a scheduler, a worker and a runner of workflows, in this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from .agents.registry import AgentRegistry
from .backends import ExecutorsMissingError, make_executors, missing_executors
from .config_file import SwarmConfig, config_of
from .dispatcher_parts import Options, Parts, capabilities_of
from .dispatcher_status import DispatcherStatus, status_of
from .engine import Engine
from .errors import ClosedError, OrchestrationError
from .executors.internal import Operation
from .interfaces import Agent, Executor
from .scheduler import Scheduler
from .store import Store
from .worker import Worker
from .workflow.manifest import load_manifest, manifest_of
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
        engine: where attempts run; None: threads of this process. It is closed with the dispatcher,
            which cannot be opened again then.
    """

    def __init__(
        self,
        config: SwarmConfig | None = None,
        *,
        executors: Iterable[Executor] = (),
        operations: Mapping[str, Operation | str] | None = None,
        server: DispatcherServer | None = None,
        local_worker: bool = True,
        engine: Engine | None = None,
    ) -> None:
        self.config = config or SwarmConfig()
        more = {executor.name: executor for executor in executors}
        self._options = Options(self.config, more, operations, local_worker, engine)
        self._server = server
        self._parts: Parts | None = None
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
                self._parts = Parts(self._options)
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
    def _open_parts(self) -> Parts:
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
    def engine(self) -> Engine:
        """Where attempts run."""
        return self._open_parts.engine

    @property
    def registry(self) -> AgentRegistry:
        """Who runs tasks."""
        return self._open_parts.registry

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
        return load_manifest(path, format=format, executors=self._names)

    def parse(self, data: Any) -> WorkflowManifest:
        """A manifest of what a file has in it; else as :meth:`load`."""
        return manifest_of(data, executors=self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        """Of executors that manifests may name."""
        return tuple(dict.fromkeys((*self.config.backends.names(), *self._options.executors)))

    def deploy(
        self, manifest: WorkflowManifest, run_id: str | None = None, reference: str | None = None
    ) -> str:
        """Start a workflow and give the id of its run.

        Args:
            run_id: made up if not given.
            reference: what who asks for it calls it, told again in what is told of it.

        Raises:
            ExecutorsMissingError: it needs executors that cannot work here.
        """
        parts = self._open_parts
        if self._options.local_worker:
            problems = missing_executors(manifest, self.config, parts.executors)
            remote = parts.offered_elsewhere()
            problems = {name: why for name, why in problems.items() if name not in remote}
            if problems:
                raise ExecutorsMissingError(problems)
        return parts.runner.deploy(manifest, run_id=run_id, reference=reference)

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
        return status_of(parts.store, nodes=parts.nodes())


def create_dispatcher(
    settings: Mapping[str, Any] | SwarmConfig | None = None, **more: Any
) -> Dispatcher:
    """A dispatcher, which :meth:`~Dispatcher.start` starts.

    Args:
        settings: a configuration; or keys of its section ``[dispatcher]``, and whole sections.
        more: keys as in ``settings``; ``executors``, ``operations``, ``server``, ``local_worker``
            and ``engine`` are :class:`Dispatcher`'s.

    Raises:
        DocumentError: a key is unknown, or a value is wrong.
    """
    own = ("executors", "operations", "server", "local_worker", "engine")
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
        capabilities=capabilities_of(config),
    )  # fmt: skip

"""A router in a thread, with workers in threads of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from starlette.routing import BaseRoute

from swarmc.runtime.orchestration.dispatcher import create_dispatcher
from swarmc.runtime.orchestration.executors import Call
from swarmc.runtime.orchestration.executors.internal import Operation
from swarmc.runtime.orchestration.providers import Job, JobSpec, JobState, JobStatus
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.core import Router
from swarmc.runtime.orchestration.router.desk import Desk
from swarmc.runtime.orchestration.router.hosting import desks_of
from swarmc.runtime.orchestration.router.jobs import ProviderCluster
from swarmc.runtime.orchestration.router.node import NodeConfig, NodeWorker
from swarmc.runtime.orchestration.router.protocol import Event
from swarmc.runtime.orchestration.router.server import Listen, RouterServer
from swarmc.runtime.orchestration.router.swarms import RouterConfig
from swarmc.runtime.orchestration.store import Store

from ..ports import free_port

LONG = 60.0
_T = TypeVar("_T")


class ThreadProvider:
    """Starts workers as threads of this process. The test may hold them back or lose them."""

    name = "threads"
    settling = 0.0

    def __init__(self) -> None:
        self.workers: dict[str, list[NodeWorker]] = {}
        self.threads: list[threading.Thread] = []
        self.cancelled: list[str] = []
        self.ended: dict[str, JobState] = {}
        self.start = True
        self.specs: dict[str, JobSpec] = {}

    def submit(self, spec: JobSpec) -> Job:
        job_id = f"job-{len(self.workers) + 1}"
        self.specs[job_id] = spec
        self.workers[job_id] = []
        if self.start:
            for node in range(spec.nodes):
                self.begin(job_id, node)
        return Job(job_id, spec.swarm_id, spec.nodes, "runs", self.name, "1", 0.0)

    def begin(self, job_id: str, node: int) -> NodeWorker:
        spec = self.specs[job_id]
        config = NodeConfig(
            spec.command[-1], spec.swarm_id, node, spec.secrets["SWARMC_TOKEN"], patience=LONG
        )
        worker = NodeWorker(config)

        def run() -> None:
            with suppress(CommandRejectedError):  # it came back, and its swarm had ended
                worker.run()

        thread = threading.Thread(target=run, daemon=True)
        self.workers[job_id].append(worker)
        self.threads.append(thread)
        thread.start()
        return worker

    def status(self, job_id: str) -> JobStatus:
        return JobStatus(job_id, self.ended.get(job_id, JobState.RUNNING))

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        return {job_id: self.status(job_id) for job_id in job_ids}

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        for worker in self.workers[job_id]:
            worker.drain()

    def adopt(self, swarm_id: str) -> Job | None:
        return None

    def jobs(self) -> Sequence[Job]:
        return []

    def close(self) -> None:
        for workers in self.workers.values():
            for worker in workers:
                worker.drain()
        for thread in self.threads:
            thread.join(LONG)


class RunningRouter:
    """A router that serves, until the block ends."""

    routes: tuple[BaseRoute, ...] = ()

    def __init__(
        self, folder: Path, provider: ThreadProvider | None = None, **config: Any
    ) -> None:
        self.provider = provider or ThreadProvider()
        self._store_path = folder / "swarm-state.db"
        # Threads of a busy process are not lost; tests of silence say how long it may be.
        self._config = {"heartbeat_timeout": LONG, **config}
        self._port = free_port()  # a client that looks for it again finds nobody else there

    def open_store(self) -> Store:
        """Open it, and what belongs to it."""
        return Store(self._store_path, power_safe=False)

    def close_store(self) -> None:
        """Close what was opened."""
        self._store.close()

    def desks(self) -> tuple[Desk, ...]:
        """What does more than swarms."""
        return ()

    def __enter__(self) -> Self:
        self._store = self.open_store()
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.result(LONG)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self.provider.close()

    def stop(self) -> None:
        """End the router alone, as if its process ended."""
        self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(LONG)
        self.close_store()

    def _serve(self, ready: Future[None]) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            config = RouterConfig(command=("worker",), **self._config)
            self.router = Router(
                self._store, ProviderCluster(self.provider), config, desks=self.desks()
            )
            self.router.recover()
            listen = Listen(port=self._port, tcp_port=0)
            self.server = RouterServer(self.router, listen, self.routes)
            await self.server.run(begun)

        def begun() -> None:
            self.router.address = f"ws://127.0.0.1:{self.server.port}"
            ready.set_result(None)

        try:
            asyncio.run(main())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    def in_loop(self, function: Callable[[], _T]) -> _T:
        """Call something where the router lives."""

        async def call() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(LONG)

    def restart(self) -> None:
        """Stop the router and start another one on the same port and store."""
        self.stop()
        self.start_again()

    def start_again(self) -> None:
        """Start a router on the port and store of the one that was stopped."""
        self.__enter__()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}"

    def client(self, **options: Any) -> RouterClient:
        return RouterClient(self.url, timeout=LONG, **options)


class RunningDispatcher(RunningRouter):
    """A router that serves with a dispatcher, until the block ends.

    ``patience``: seconds for tasks that run when it ends; 0: they are left as they are.
    """

    patience = 10.0

    def __init__(
        self, folder: Path, operations: Mapping[str, Operation | str] | None = None,
        settings: Mapping[str, Any] | None = None, **config: Any,
    ) -> None:  # fmt: skip
        super().__init__(folder, **config)
        self._operations = operations
        self._settings = settings or {}

    def open_store(self) -> Store:
        self.dispatcher = create_dispatcher(
            {**self._settings, "state_db_path": str(self._store_path)}, operations=self._operations
        ).open()
        return self.dispatcher.store

    def close_store(self) -> None:
        self.dispatcher.close(self.patience)

    def desks(self) -> tuple[Desk, ...]:
        return desks_of(self.dispatcher)


class Holding:
    """An operation ``hold`` that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)

    def hold(self, call: Call) -> Any:
        """Gives ``value``."""
        self.begun.release()
        while not self.go.wait(0.01):
            call.task_context.check()
        return call.parameters.get("value")

    def table(self) -> dict[str, Any]:
        return {"hold": self.hold}


def until(condition: Callable[[], _T]) -> _T:
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError("it did not become so")
        time.sleep(0.01)
    return found


def collect(client: RouterClient, last: Callable[[Event], bool]) -> list[Event]:
    """Events up to the first one that is the last."""
    found = []
    for event in client.events(LONG):
        found.append(event)
        if last(event):
            return found
    raise TimeoutError(f"no such event among {[event.type for event in found]}")

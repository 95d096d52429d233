"""An engine of a cluster and workers of it, in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from swarmc.runtime.orchestration import AgentRegistry, Scheduler, Task
from swarmc.runtime.orchestration.cluster.agent import RemoteAgent
from swarmc.runtime.orchestration.cluster.authority import Authority, Credentials, KeyPair
from swarmc.runtime.orchestration.cluster.runner import Runner
from swarmc.runtime.orchestration.engine import LocalEngine
from swarmc.runtime.orchestration.engine.dask import DaskEngine
from swarmc.runtime.orchestration.executors.calls import Call
from swarmc.runtime.orchestration.executors.internal import InternalExecutor, Operation
from swarmc.runtime.orchestration.worker import Worker

LONG = 30.0


def echo(call: Call) -> Any:
    return call.parameters["value"]


class Waiting:
    """An operation that waits until it is told to stop."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, call: Call) -> None:
        self.begun.set()
        if call.task_context.cancelled.wait(LONG):
            self.stopped.set()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Fleet:
    """A scheduler whose tasks run on workers that joined."""

    def __init__(self, *, fail_lost: bool = True) -> None:
        self.authority = Authority.create()
        self.registry = AgentRegistry()
        self.engine = DaskEngine(LocalEngine())
        self.scheduler = Scheduler(self.registry, engine=self.engine)
        self.came: dict[str, threading.Event] = {}
        self.agents: dict[str, RemoteAgent] = {}
        self.runners: dict[str, Runner] = {}
        self.fail_lost = fail_lost
        self.engine.watch(self._came, self._went)
        self.address = self.engine.start("127.0.0.1", self.authority.credentials("dispatcher"))

    def _came(self, place: str) -> None:
        self.came[place].set()

    def _went(self, place: str) -> None:
        if self.fail_lost:
            for agent in self.agents.values():
                if agent.place == place and agent.id in self.registry:
                    self.registry.fail(agent.id, "gone")

    def credentials(self, name: str) -> Credentials:
        pair = KeyPair(name)
        certificate = self.authority.issue(pair.request, name)
        return pair.credentials(certificate, self.authority.certificate)

    def join(self, name: str, operations: Mapping[str, Operation], capacity: int = 2) -> Runner:
        agent = self.agents[name] = RemoteAgent(name, name, ["internal"], capacity)
        event = self.came[agent.place] = threading.Event()
        self.engine.admit(agent)
        worker = Worker(name, [InternalExecutor(operations)], max_concurrent_tasks=capacity)
        runner = self.runners[name] = Runner(
            self.address, agent.place, "127.0.0.1", self.credentials(agent.place), worker
        )
        assert event.wait(LONG)
        self.registry.register(agent)
        return runner

    def run(self, operation: str, **parameters: Any) -> Any:
        """Submit a task, wait for it, give its record."""
        (record,) = self.scheduler.wait([self.submit(operation, **parameters)], LONG)
        return record

    def submit(
        self, operation: str, *, retries: int = 0, timeout: float = LONG, **parameters: Any
    ) -> str:
        payload = {"operation": operation, **parameters}
        task = Task("t", payload, executor="internal", retries=retries, timeout=timeout)
        return self.scheduler.submit(task)

    def close(self) -> None:
        for runner in self.runners.values():
            runner.close()
        assert self.scheduler.close(LONG)
        self.registry.close()


@contextmanager
def fleet(**options: Any) -> Iterator[Fleet]:
    made = Fleet(**options)
    try:
        yield made
    finally:
        made.close()


def ask(engine: str, credentials: Credentials, **message: Any) -> Any:
    """What the engine answers to a message of Dask's. Raises OSError if it hangs up."""
    from distributed.comm.core import connect

    from swarmc.runtime.orchestration.cluster.dask_tls import security

    async def talk() -> Any:
        arguments = security(credentials).get_connection_args("client")
        comm = await connect(engine, **arguments)
        try:
            await comm.write(message)
            return await asyncio.wait_for(comm.read(), LONG)
        finally:
            comm.abort()

    return asyncio.run(talk())

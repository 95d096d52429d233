"""A worker of tasks in a process of its own: joins a dispatcher, runs what it gives, drains."""

from __future__ import annotations

import base64
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

from ...cache import default_cache_dir
from ...choosing import choose_target
from ..backends import make_executors
from ..codec import dumps, loads
from ..config_file import SwarmConfig
from ..coordinator.signing import Ed25519Signer
from ..dispatcher_parts import capabilities_of
from ..errors import OrchestrationError
from ..executors.shard import ShardExecutor
from ..interfaces import Executor
from ..router.client import CommandRejectedError, RouterClient, RouterUnavailableError
from ..router.protocol import PROTOCOL, Code, Drain, Hello, Nothing, Params
from ..router.protocol_workers import (
    ModuleData,
    ModuleGet,
    StateDelete,
    StateFound,
    StateGet,
    StateSet,
    WorkerJoin,
    WorkerJoined,
)
from ..shards.modules import ModuleCache as DiskCache
from ..worker import Worker
from .authority import KeyPair
from .errors import ClusterMissingError
from .modules import ModuleCache
from .proof import statement

_LOG = logging.getLogger(__name__)
#: Seconds for which a worker that has no router looks for one, before it ends.
PATIENCE = 60.0
_PAUSE = 0.2  # seconds between looks for a router
_DRAIN = 24 * 3600.0  # seconds that a drain may take: attempts have timeouts of their own


@dataclass(frozen=True, slots=True)
class TaskWorkerConfig:
    """How a worker joins.

    Args:
        url: of the router.
        name: unique among those that are there.
        token: what the router asks for.
        certificate: to trust, of a router with its own.
        keys: folder of the keys by which workers sign.
        domain: what fails together with this worker; None: its host.
        patience: seconds without a router, after which it ends.
    """

    url: str
    name: str
    token: str | None = None
    certificate: Path | None = None
    keys: Path = Path("swarm-keys")
    domain: str | None = None
    patience: float = PATIENCE


class Link:
    """The connection to the router, whichever it is at the moment, as executors see it.

    It is a ``State``, so that ``set_state`` and its like mean the dispatcher's, too.
    """

    def __init__(self) -> None:
        self.client: RouterClient | None = None

    def call(self, method: str, params: Params) -> Any:
        """Ask the router. Raises RouterUnavailableError, CommandRejectedError."""
        client = self.client
        if client is None:
            raise RouterUnavailableError("the worker is not connected")
        return client.call(method, params)

    def module(self, digest: str) -> bytes:
        """A module that a client gave the dispatcher."""
        found: ModuleData = self.call("module_get", ModuleGet(digest=digest))
        return base64.b64decode(found.data)

    def get_state(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        found: StateFound = self.call("state_get", StateGet(key=key))
        return loads(bytes(found.value)) if isinstance(found.value, msgspec.Raw) else default

    def set_state(self, key: str, value: Any) -> None:
        """Set the value of a key."""
        self.call("state_set", StateSet(key=key, value=msgspec.Raw(dumps(value).encode())))

    def delete_state(self, key: str) -> None:
        """Forget a key."""
        self.call("state_delete", StateDelete(key=key))


class TaskWorker:
    """Joins, again and again if it must, until it is drained.

    Args:
        settings: executors, capabilities, how many tasks at a time.
        more: executors besides those configured, or in their place.
        joined: called with the worker's id, each time that it gets tasks from now on.

    Raises:
        ClusterMissingError: Dask is not installed.
    """

    def __init__(
        self, config: TaskWorkerConfig, settings: SwarmConfig, more: Iterable[Executor] = (),
        joined: Callable[[str], object] = lambda worker_id: None,
    ) -> None:  # fmt: skip
        try:
            from .runner import Runner
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "swarmc":
                raise
            raise ClusterMissingError(error.name) from error
        self._make_runner = Runner
        self._config = config
        self._link = Link()
        #: Modules that clients gave the dispatcher, for executors.
        self.modules = ModuleCache(self._link.module)
        self._signer = _signer(config)
        self._targets = [choose_target(None).name]
        shards = ShardExecutor(
            DiskCache(
                self.modules.get, _module_folder(), limit=settings.worker.module_storage_mib << 20
            ), signer=self._signer,
        )
        executors = {
            **make_executors(settings, state=self._link), shards.name: shards, **_by_name(more)
        }
        offered = [executor for executor in executors.values() if _works(executor)]
        self._agent = Worker(
            config.name, offered, max_concurrent_tasks=settings.worker.max_concurrent_tasks,
            capabilities=capabilities_of(settings), resources=_resources(),
        )  # fmt: skip
        self._joined = joined
        self._draining = self._stopping = False
        self._seen = 0.0  # when it was last a worker of the router, on the clock
        #: Wakes the main thread. Its ``put`` may be called by a handler of a signal, which
        #: interrupts that thread anywhere.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self) -> bool:
        """Work until it is drained; False if the router has been away for too long.

        Raises:
            CommandRejectedError: the router does not want it.
        """
        self._seen = time.monotonic()
        try:
            while not self._draining:
                try:
                    with self._connect() as client:
                        self._serve(client)
                    self._seen = time.monotonic()
                except RouterUnavailableError as error:
                    if time.monotonic() - self._seen > self._config.patience:
                        _LOG.error("giving up: %s", error)
                        return False
                    self._wait(_PAUSE)
            return True
        finally:
            self._agent.close()

    def drain(self) -> None:
        """Take nothing new, end what runs, then leave. Asked a second time, leave at once."""
        self._stopping = self._draining
        self._draining = True
        self._wake.put(None)

    def _wait(self, timeout: float | None = None) -> None:
        """Until something has happened; also now and then if nothing has."""
        with suppress(queue.Empty):
            self._wake.get(timeout=timeout)

    def _connect(self) -> RouterClient:
        config = self._config
        hello = Hello(
            protocol=PROTOCOL, role="task_worker", token=config.token, pid=os.getpid(),
            host=socket.gethostname(), targets=self._targets,
        )  # fmt: skip
        return RouterClient(
            config.url, hello=hello, certificate=config.certificate, asked=self._asked,
            ended=lambda: self._wake.put(None),
        )  # fmt: skip

    def _asked(self, method: str, params: Params, answer: Callable[[Any], None]) -> None:
        """In the thread that reads the connection: must not wait."""
        if isinstance(params, Drain):
            answer(None)
            self.drain()

    def _serve(self, client: RouterClient) -> None:
        """Join, and work until the connection ends or all is drained."""
        beats = threading.Thread(
            target=self._beat, args=(client,), name="swarmc-beats", daemon=True
        )
        beats.start()
        self._link.client = client
        try:
            with _later_if_internal(client):
                self._work(client)
        finally:
            self._link.client = None
            client.close()
            beats.join()

    def _work(self, client: RouterClient) -> None:
        pair = KeyPair(self._config.name)
        joined: WorkerJoined = client.call(
            "worker_join", self._description(pair.request, client.welcome.challenge)
        )
        cut = threading.Event()

        def gone() -> None:
            cut.set()
            self._wake.put(None)

        try:
            runner = self._make_runner(
                joined.engine, joined.place, _own_host(joined.engine),
                pair.credentials(joined.certificate, joined.authority), self._agent, gone,
                lambda: not client.gone,
            )  # fmt: skip
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise RouterUnavailableError(f"the engine at {joined.engine}: {error}") from error
        try:
            for executor in self._agent.executors.values():
                if isinstance(executor, ShardExecutor):
                    executor.replica = joined.worker_id
            client.call("worker_ready", Nothing())
            self._joined(joined.worker_id)
            while not (client.gone or cut.is_set() or self._draining):
                self._wait()
            if self._draining and not client.gone:
                self._leave(client)
        finally:
            runner.close()
            self._seen = time.monotonic()  # however it ended: patience begins now

    def _leave(self, client: RouterClient) -> None:
        """Wait until what runs has ended and is told, unless that is not wanted any more."""
        failed: list[OrchestrationError] = []
        done = threading.Event()

        def ask() -> None:
            try:
                client.call("worker_drain", Nothing(), _DRAIN)
            except OrchestrationError as error:
                failed.append(error)
            done.set()
            self._wake.put(None)

        threading.Thread(target=ask, name="swarmc-drain", daemon=True).start()
        while not (done.is_set() or self._stopping):
            self._wait()
        if failed:
            _LOG.warning("what ran when the worker left runs again elsewhere: %s", failed[0])

    def _beat(self, client: RouterClient) -> None:
        interval = client.welcome.heartbeat_interval / 1000
        pause = threading.Event()
        while not client.gone:
            try:
                client.tell("heartbeat", Nothing())
            except RouterUnavailableError:
                return  # the connection has ended, which everybody notices
            pause.wait(interval)

    def _description(self, request: str, challenge: str | None) -> WorkerJoin:
        agent, config, key = self._agent, self._config, self._signer.public_key.hex()
        executors = sorted(agent.executors)
        proof = None
        if challenge is not None:  # a router that asks for no proof gives none
            stated = statement(challenge, config.name, key, request)
            proof = self._signer.sign(stated).hex()
        return WorkerJoin(
            name=config.name, host=socket.gethostname(), pid=os.getpid(), targets=self._targets,
            executors=executors, capabilities=sorted(agent.capabilities - {*executors}),
            resources=dict(agent.resources), capacity=agent.capacity, domain=config.domain,
            public_key=key, certificate_request=request, proof=proof,
        )  # fmt: skip


@contextmanager
def _later_if_internal(client: RouterClient) -> Iterator[None]:
    """What the router could not do at the moment is tried again; what it refuses is not."""
    try:
        yield
    except CommandRejectedError as error:
        if error.code != Code.INTERNAL:
            raise
        raise RouterUnavailableError(f"{client.url}: {error.message}") from error


def _signer(config: TaskWorkerConfig) -> Ed25519Signer:
    config.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Ed25519Signer.from_file(config.keys / f"{config.name}.key")


def _module_folder() -> Path | None:
    """Where workers of this user keep modules that they have fetched."""
    cache = default_cache_dir()
    return None if cache is None else cache / "modules"


def _by_name(executors: Iterable[Executor]) -> Mapping[str, Executor]:
    return {executor.name: executor for executor in executors}


def _works(executor: Executor) -> bool:
    """Whether it could run something here: its program is installed."""
    find = getattr(executor, "problem", None)
    return find is None or find() is None


def _resources() -> dict[str, float]:
    """What this machine has for tasks to occupy."""
    found = {
        "cpu": float(len(os.sched_getaffinity(0))),
        "memory_mib": float(psutil.virtual_memory().total >> 20),
    }
    if choose_target(None).name == "cuda":
        found["gpu"] = 1.0
    return found


def _own_host(engine: str) -> str:
    """The address of this machine that the engine's machine reaches."""
    where = urlsplit(engine)
    assert where.hostname is not None
    family = socket.AF_INET6 if ":" in where.hostname else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((where.hostname, where.port or 1))  # sends nothing
        return str(probe.getsockname()[0])

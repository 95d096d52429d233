"""The desk of workers: they join, beat, drain and are lost; clients see them, and exclude liars."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..agents.states import AgentLimitError
from ..cluster.agent import RemoteAgent, pin_of
from ..cluster.authority import Authority
from ..cluster.errors import AuthorityError, ClusterError, ClusterMissingError
from ..cluster.exclusions import Exclusions
from ..coordinator.errors import CoordinationError
from ..engine.dask import DaskEngine
from ..interfaces import AgentState
from ..tasks import new_id
from .desk import Desk, Handler
from .protocol import Code, Hello, Params
from .protocol_workers import (
    Worker,
    WorkerExclude,
    WorkerJoin,
    WorkerJoined,
    WorkerList,
    WorkerState,
)
from .wire import Connection, RequestError
from .worker_entry import WorkerEntry, absent, check_lie, refusal

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

#: Workers that are known: there, or lost not long ago. All of them fit into one answer.
MAX_WORKERS = 1000
_LOOK = 0.02  # seconds between looks whether a draining worker still runs something
_ACTIVE = (AgentState.READY, AgentState.BUSY)


class WorkerDesk(Desk):
    """Workers of a dispatcher's tasks, in processes of their own.

    Args:
        dispatcher: must be open.
    """

    role = "task_worker"

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._registry = dispatcher.registry
        self._workers: dict[str, WorkerEntry] = {}  # by name
        self._of: dict[Connection, WorkerEntry] = {}
        self._present: set[str] = set()  # places of those that are in the engine
        self._agents: dict[str, RemoteAgent] = {}  # by place; read by the engine's thread, too
        self._making = threading.Lock()  # held by the one thread that opens the authority
        self._authority: Authority | None = None
        self._swept = 0.0
        config = dispatcher.config
        self._folder: Path | None = None
        if config.dispatcher.state_db_path != ":memory:":
            self._folder = config.path(config.dispatcher.state_db_path).parent

    def handlers(self) -> Mapping[str, Handler]:
        """Those of workers."""
        return {
            "worker_join": self._join, "worker_ready": self._ready, "worker_drain": self._drain,
            "worker_list": self._list, "worker_exclude": self._exclude,
        }  # fmt: skip

    async def open(self, router: Router) -> None:
        """Hear of the engine; remember who is excluded."""
        await super().open(router)
        self._excluded = await router.call(Exclusions, self._dispatcher.store)
        self._swept = router.clock()
        if isinstance(self._dispatcher.engine, DaskEngine):
            self._dispatcher.engine.watch(self._engine_came, self._engine_went)

    async def close(self) -> None:
        """Let all workers go; what they run is left to the next process."""
        if isinstance(self._dispatcher.engine, DaskEngine):
            self._dispatcher.engine.watch(lambda place: None, lambda place: None)
        for entry in list(self._of.values()):
            self._leave(entry, "lost", "the dispatcher ends", tell=False)

    # -- joining -----------------------------------------------------------------------------

    def welcome(self, connection: Connection, hello: Hello) -> None:
        """The router's token was right; who it is, it says, and proves, when it joins."""
        connection.challenge = secrets.token_hex(32)

    async def _join(self, connection: Connection, join: WorkerJoin) -> WorkerJoined:
        if connection in self._of:
            raise RequestError(Code.INVALID_REQUEST, "worker_join was said already")
        self._refuse(join, connection.challenge)
        before = self._workers.get(join.name)
        if before is not None and before.connection is not None:
            if not before.has_key(join.public_key):
                why = f"a worker {join.name} of another key is here; give this one another name"
                self.router.reject("worker_join", why, join)
            if before.beats_elsewhere(join, self.router.clock(), self.router.config):
                raise RequestError(Code.INTERNAL, f"another process is worker {join.name}")
            self._leave(before, "lost", "it joined again")
        elif before is not None and before.join.public_key != join.public_key:
            self._forget(before, "a worker of another key has its name")
            before = None
        worker_id = before.worker_id if before is not None else new_id("worker")
        agent = RemoteAgent(
            worker_id, join.name,
            {*join.executors, *join.capabilities, *join.targets, pin_of(worker_id)},
            join.capacity, join.resources,
        )  # fmt: skip
        entry = WorkerEntry(join, agent, connection, self.router.clock())
        self._workers[join.name] = self._of[connection] = entry
        try:
            engine, authority = await self.router.call(self._engine)
            certificate = await self.router.call(
                authority.issue, join.certificate_request, agent.place
            )
        except (ClusterMissingError, ClusterError, AuthorityError, OSError) as error:
            if entry.connection is connection:
                self._leave(entry, "lost", str(error), cut=False)
            self.router.reject("worker_join", str(error), join)
        if entry.connection is not connection:
            raise RequestError(Code.REJECTED, "the connection was lost meanwhile")
        self._agents[agent.place] = agent
        engine.admit(agent)
        self._changed(entry)
        return WorkerJoined(
            worker_id=agent.id, engine=engine.address or "", place=agent.place,
            certificate=certificate, authority=authority.certificate,
        )  # fmt: skip

    def _refuse(self, join: WorkerJoin, challenge: str | None) -> None:
        """Reject who has not the key, who is excluded, and who would get what is another's."""
        why = refusal(join, challenge, self._excluded.find(join.name, join.public_key))
        if why is not None:
            self.router.reject("worker_join", why, join)
        for twin in list(self._workers.values()):  # two of one key: evidence would show nothing
            if twin.join.name == join.name or not twin.has_key(join.public_key):
                continue
            if twin.connection is not None:
                why = f"worker {twin.join.name} has this key; give each a key of its own"
                self.router.reject("worker_join", why, join)
            self._forget(twin, f"it came back as {join.name}")
        if join.name not in self._workers and len(self._workers) >= MAX_WORKERS:
            self._make_room(join)

    def _make_room(self, join: WorkerJoin) -> None:
        """Forget who has been away for longest; reject who comes if nobody is.

        Who is excluded stays so, and in the list.
        """
        away = [entry for entry in self._workers.values() if entry.state in ("lost", "excluded")]
        if not away:
            why = f"there are {MAX_WORKERS:,} workers, and no room for one more"
            self.router.reject("worker_join", why, join)
        oldest = min(away, key=lambda entry: entry.heard)
        if oldest.state == "excluded":
            del self._workers[oldest.join.name]
        else:
            self._forget(oldest, oldest.reason or "")

    def _engine(self) -> tuple[DaskEngine, Authority]:
        """The engine, listening, and who signs for it. In threads: it may take a second."""
        engine = self._dispatcher.engine
        if not isinstance(engine, DaskEngine):
            raise ClusterError("this dispatcher's engine runs tasks in its own process only")
        with self._making:
            if self._authority is None:
                folder = self._folder
                self._authority = (
                    Authority.open(folder / "swarm-cluster.pem") if folder else Authority.create()
                )
        host = urlsplit(self.router.address).hostname or "127.0.0.1"
        address = "127.0.0.1" if host == "localhost" else host
        engine.start(address, self._authority.credentials("dispatcher"))
        return engine, self._authority

    async def _ready(self, connection: Connection, nothing: Params) -> None:
        entry = self.entry_of(connection)
        if entry.state != "joining":
            raise RequestError(Code.INVALID_REQUEST, f"worker_ready, but it is {entry.state}")
        if entry.agent.place not in self._present:
            self.router.reject("worker_ready", "it is not in the engine", nothing)
        try:
            self._registry.register(entry.agent)
        except AgentLimitError as error:
            self.router.reject("worker_ready", str(error), nothing)
        entry.state, entry.reason = "ready", None
        self._changed(entry)

    def entry_of(self, connection: Connection) -> WorkerEntry:
        """Who has joined over a connection. Raises RequestError: nobody."""
        entry = self._of.get(connection)
        if entry is None:
            raise RequestError(Code.INVALID_REQUEST, "the first request is worker_join")
        return entry

    # -- leaving -----------------------------------------------------------------------------

    async def _drain(self, connection: Connection, nothing: Params) -> None:
        """It gets nothing new; answered when it runs nothing any more."""
        entry = self.entry_of(connection)
        if entry.state != "draining":
            entry.state = "draining"
            self._suspect(entry, "it drains")
            self._changed(entry)
        while self._of.get(connection) is entry:
            if not entry.describe(self._registry, self.router.clock()).running:
                self._forget(entry, "drained")
                return
            await asyncio.sleep(_LOOK)

    def _forget(self, entry: WorkerEntry, reason: str) -> None:
        """It has left as it should, or is long gone."""
        self._leave(entry, "lost", reason, tell=False, cut=False)
        if self._workers.get(entry.join.name) is entry:
            del self._workers[entry.join.name]
        self._changed(entry, gone=True)

    def _leave(
        self, entry: WorkerEntry, state: WorkerState, reason: str, *, tell: bool = True,
        cut: bool = True,
    ) -> None:  # fmt: skip
        """It is not there any more; what it ran runs elsewhere."""
        now = self.router.clock()
        entry.describe(self._registry, now)  # notes what it has done
        connection, entry.connection = entry.connection, None
        entry.state, entry.reason, entry.heard = state, reason, now
        if connection is not None:
            self._of.pop(connection, None)
        self._fail(entry.agent, reason)
        self._present.discard(entry.agent.place)
        self._agents.pop(entry.agent.place, None)
        if isinstance(self._dispatcher.engine, DaskEngine):
            self._dispatcher.engine.drop(entry.agent)
        if connection is not None and cut:
            connection.cut()
        if tell:
            self._changed(entry)

    def _fail(self, agent: RemoteAgent, reason: str) -> None:
        """Have what it runs run elsewhere. In any thread."""
        with self._registry.lock:
            if agent.id not in self._registry or self._registry.get(agent.id) is not agent:
                return
            if self._registry.state(agent.id) is not AgentState.FAILED:
                self._registry.fail(agent.id, reason)
            self._registry.retire(agent.id, reason, close=False)

    def lost(self, connection: Connection) -> None:
        """Its connection is gone."""
        entry = self._of.get(connection)
        if entry is not None:
            self._leave(entry, "lost", "its connection was lost")

    def _engine_came(self, place: str) -> None:
        """In the engine's thread."""
        self._present.add(place)

    def _engine_went(self, place: str) -> None:
        """In the engine's thread: at once, so that what it ran runs elsewhere."""
        agent = self._agents.get(place)
        if agent is not None:
            self._fail(agent, "its engine's connection was lost")
            self.router.feed.put(self._went, agent)

    def _went(self, agent: RemoteAgent) -> None:
        entry = self._workers.get(agent.name)
        if entry is not None and entry.agent is agent and entry.connection is not None:
            self._leave(entry, "lost", "its engine's connection was lost")

    # -- beats -------------------------------------------------------------------------------

    def beat(self, connection: Connection) -> None:
        """It is there."""
        entry = self._of.get(connection)
        if entry is None:
            return
        entry.heard = self.router.clock()
        if entry.state == "suspect":
            entry.state, entry.reason = "ready", None
            with self._registry.lock:
                known = entry.worker_id in self._registry
                if known and self._registry.state(entry.worker_id) is AgentState.SUSPECT:
                    self._registry.recover(entry.worker_id)
            self._changed(entry)

    async def sweep(self) -> None:
        """Miss those that do not beat."""
        now, timeout = self.router.clock(), self.router.config.heartbeat_timeout
        late, self._swept = now - self._swept > timeout / 2, now
        for entry in list(self._of.values()):
            if late:  # it was the router that stood still: beats wait to be read
                entry.heard = max(entry.heard, now - timeout / 2)
            silent = now - entry.heard
            if silent > timeout:
                self._leave(entry, "lost", "its heartbeat is missing")
            elif silent > timeout / 2 and entry.state == "ready":
                entry.state, entry.reason = "suspect", "its heartbeat is late"
                self._suspect(entry, entry.reason)
                self._changed(entry)
        for entry in list(self._workers.values()):
            if entry.state == "lost" and now - entry.heard > self.router.config.retention:
                self._forget(entry, entry.reason or "")

    def _suspect(self, entry: WorkerEntry, reason: str) -> None:
        """It gets nothing new."""
        with self._registry.lock:
            known = entry.worker_id in self._registry
            if known and self._registry.state(entry.worker_id) in _ACTIVE:
                self._registry.suspect(entry.worker_id, reason)

    def _changed(self, entry: WorkerEntry, *, gone: bool = False) -> None:
        worker = entry.describe(self._registry, self.router.clock())
        data = {"worker": worker, "gone": True} if gone else {"worker": worker}
        self.router.events.emit("worker_changed", data=data)

    # -- what clients ask --------------------------------------------------------------------

    async def _list(self, connection: Connection, nothing: Params) -> WorkerList:
        now = self.router.clock()
        workers = [entry.describe(self._registry, now) for entry in self._workers.values()]
        known = {worker.worker_id for worker in workers}
        workers += [absent(one) for one in self._excluded if one.worker_id not in known]
        return WorkerList(seq=self.router.events.seq, workers=workers)

    async def _exclude(self, connection: Connection, which: WorkerExclude) -> Worker:
        entry = next(
            (e for e in self._workers.values() if e.worker_id == which.worker_id), None
        )
        if entry is None:
            self.router.reject("worker_exclude", f"no worker {which.worker_id!r}", which)
        if which.evidence is not None:
            await self._check(entry, which)
        if entry.state != "excluded":
            await self.router.call(
                self._excluded.add, entry.worker_id, entry.join.name, entry.join.public_key,
                which.reason, which.evidence,
            )  # fmt: skip
            for one in list(self._workers.values()):  # it may have joined again meanwhile
                if self._excluded.find(one.join.name, one.join.public_key) is not None:
                    self._leave(one, "excluded", one.reason or which.reason)
        now = self.router.clock()
        return self._workers.get(entry.join.name, entry).describe(self._registry, now)

    async def _check(self, entry: WorkerEntry, which: WorkerExclude) -> None:
        """Reject what does not show that a worker has lied: who says so may lie as well."""
        known = list(self._workers.values())
        try:
            await self.router.call(check_lie, which.evidence, entry, known)
        except CoordinationError as error:
            self.router.reject("worker_exclude", f"the evidence shows nothing: {error}", which)

"""The router: the single truth about swarms, their nodes and their turns.

It lives in one event loop. The store and the provider, which may wait for a disk or a cluster, are
called in threads. Commands are accepted when they are durable.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from .... import __version__
from ..errors import OrchestrationError
from ..events import Event as StoredEvent
from ..events import EventKind
from ..providers import SubmitUncertainError
from ..store import Store, StoreError
from ..tasks import SWARM_TURN, Task, new_id
from .book import ENDED, NodeEntry, SwarmEntry, Turn
from .desk import Desk, Handler
from .feed import Feed
from .jobs import Cluster
from .protocol import (
    PROTOCOL,
    Code,
    Hello,
    Inject,
    Injected,
    Launch,
    OfSwarm,
    Params,
    Status,
    Subscribe,
    Subscribed,
    Swarm,
    SwarmList,
    TurnEvent,
    Welcome,
)
from .swarms import RouterConfig, Swarms
from .wire import Connection, RequestError

_LOG = logging.getLogger(__name__)
_THREADS = 16  # for what desks wait for
T = TypeVar("T")


class Router(Swarms):
    """Handles what connections ask; see ``docs/protocol.md``.

    Args:
        store: where swarms and turns are kept.
        cluster: what starts workers.
        clock: for heartbeats and retention.
        desks: what does the methods that are not about swarms.
    """

    def __init__(
        self, store: Store, cluster: Cluster, config: RouterConfig,
        clock: Callable[[], float] = time.monotonic, desks: Sequence[Desk] = (),
    ) -> None:  # fmt: skip
        super().__init__(store, cluster, config, clock)
        self.desks = tuple(desks)
        self._opened = contextlib.AsyncExitStack()
        self.feed = Feed()  #: what other threads tell
        self._pool = ThreadPoolExecutor(_THREADS, "swarmc-desk")
        self._handlers: dict[str, Handler] = {
            "hello": self._hello, "swarm_launch": self._launch, "swarm_inject": self._inject,
            "swarm_status": self._swarm_status, "swarm_list": self._list,
            "swarm_terminate": self._terminate, "subscribe": self._subscribe,
            "status": self._status, "heartbeat": self._heartbeat, "turn_event": self._turn_event,
            "node_drain": self._node_drain,
        }  # fmt: skip
        for desk in self.desks:
            self._handlers.update(desk.handlers())

    async def open(self) -> None:
        """Begin, before connections are taken."""
        self.feed.open()
        for desk in self.desks:
            await desk.open(self)
            self._opened.push_async_callback(desk.close)

    async def close(self) -> None:
        """End, when there are no connections any more: all desks, whatever one of them raises."""
        try:
            await self._opened.aclose()
        finally:
            self.feed.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def request(self, connection: Connection, method: str, params: Params) -> Any:
        """Do what is asked."""
        handler = self._handlers.get(method)
        if handler is None:
            raise RequestError(
                Code.UNKNOWN_METHOD, f"this router does swarms only, and not {method}"
            )
        return await handler(connection, params)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call, in a thread of the router's, what may wait for a disk or a lock."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    # -- connections -------------------------------------------------------------------------

    async def _hello(self, connection: Connection, hello: Hello) -> Welcome:
        if hello.protocol != PROTOCOL:
            raise RequestError(
                Code.WRONG_PROTOCOL, f"this router speaks {PROTOCOL}, not {hello.protocol!r}"
            )
        if connection.role is not None:
            raise RequestError(Code.INVALID_REQUEST, "hello was said already")
        if connection.ended:  # it would be counted among those that are there, for ever
            raise RequestError(Code.INVALID_REQUEST, "the connection has ended")
        if hello.role == "worker":
            self._welcome_worker(connection, hello)
        elif not self.knows(hello.token):
            why = "this router needs a token, and not this one"
            if hello.token is None:
                why = "this router needs a token"
            raise RequestError(Code.NOT_AUTHORISED, why)
        elif hello.role != "client":
            desk = next((desk for desk in self.desks if desk.role == hello.role), None)
            if desk is None:
                raise RequestError(Code.NOT_AUTHORISED, f"this router takes no {hello.role}")
            desk.welcome(connection, hello)
        connection.role, connection.hello = hello.role, hello
        connection.client = hello.instance or connection.client
        self.events.connections.add(connection)
        return Welcome(
            protocol=PROTOCOL, server=f"swarmc {__version__}", seq=self.events.seq,
            heartbeat_interval=round(self.config.heartbeat_interval * 1000),
            heartbeat_timeout=round(self.config.heartbeat_timeout * 1000),
            challenge=connection.challenge,
        )  # fmt: skip

    def knows(self, token: str | None) -> bool:
        """Whether a token lets a client in."""
        return self.config.token is None or _same(token, self.config.token)

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        super().lost(connection)
        for desk in self.desks:
            desk.lost(connection)

    async def sweep(self) -> None:
        """Look after everything; called some ten times a second."""
        await super().sweep()
        for desk in self.desks:
            await desk.sweep()

    def _welcome_worker(self, connection: Connection, hello: Hello) -> None:
        entry = self.swarms.get(hello.swarm_id or "")
        if entry is None or not _same(hello.token, entry.token):
            raise RequestError(Code.NOT_AUTHORISED, "no worker of a swarm that is known here")
        if hello.node is None or hello.node >= len(entry.nodes):
            raise RequestError(Code.INVALID_PARAMS, f"{entry.swarm_id} has no node {hello.node}")
        if entry.status in ENDED:
            raise RequestError(Code.REJECTED, f"swarm {entry.swarm_id} is {entry.status}")
        node = entry.nodes[hello.node]
        if node.connection is not None:  # a worker that came back sooner than it was missed
            self.leave(entry, node, "its worker connected again")
        node.connection, node.heard = connection, self.clock()
        node.targets, node.host, node.pid = list(hello.targets), hello.host, hello.pid
        node.instance, node.draining, node.state = hello.instance, False, "idle"
        node.restarts, node.reason = hello.restarts, None
        if hello.restarts:
            node.reason = f"its worker {hello.restart_reason}"
        self.changed(entry, node, node.reason)
        # After the answer to hello, which goes out when this has returned.
        asyncio.get_running_loop().call_soon(self.turns.begin, entry, node)

    # -- what clients ask --------------------------------------------------------------------

    def reject(
        self, command: str, why: str, params: Any, code: int = Code.REJECTED
    ) -> NoReturn:
        """Refuse a command: the one who asked is told, and everybody sees the event."""
        event = self.events.emit(
            "command_rejected", swarm_id=getattr(params, "swarm_id", None),
            data={"command": command, "reason": why},
            reference=getattr(params, "reference", None),
        )  # fmt: skip
        raise RequestError(code, why, event)

    async def _launch(self, connection: Connection, launch: Launch) -> Swarm:
        module = launch.module or self.config.module
        if module is None:
            self.reject("swarm_launch", "no module was named, and none is configured", launch)
        if (why := await asyncio.to_thread(self.jobs.module_problem, module)) is not None:
            self.reject("swarm_launch", why, launch)
        entry = SwarmEntry(
            new_id("swarm"), launch, module, secrets.token_urlsafe(24),
            [NodeEntry(number) for number in range(launch.nodes)], created=time.time(),
        )  # fmt: skip
        await self.save(entry)
        self.swarms[entry.swarm_id] = entry
        self.events.emit(
            "swarm_launched", swarm_id=entry.swarm_id, data={"swarm": entry.describe()},
            reference=launch.reference,
        )  # fmt: skip
        command = (*self.config.command, self.address)
        self.launching.add(entry.swarm_id)
        try:
            job = await asyncio.to_thread(
                self.jobs.submit, entry.swarm_id, launch.nodes, command, entry.token
            )
        except SubmitUncertainError as error:
            # It may run: its workers will say so, and the sweep looks for it.
            _LOG.warning("swarm %s: %s", entry.swarm_id, error)
            return entry.describe()
        except OrchestrationError as error:
            await self.end(entry, "failed", f"it could not be started: {error}")
            self.reject("swarm_launch", str(error), launch)
        finally:
            self.launching.discard(entry.swarm_id)
        entry.job_id = job.id
        for node in entry.nodes:
            if node.state == "pending":
                node.state, node.heard = "starting", self.clock()
        await self.save(entry)
        self.swarm_changed(entry, launch.reference)
        return entry.describe()

    async def _inject(self, connection: Connection, inject: Inject) -> Injected:
        entry = self._find(inject, "swarm_inject")
        if entry.status in ("terminating", *ENDED):
            self.reject("swarm_inject", f"swarm {entry.swarm_id} is {entry.status}", inject)
        data = self._bytes_of(inject)
        nodes = self._nodes_of(entry, inject)
        full = next((node for node in nodes if len(node.queue) >= self.config.queue), None)
        if full is not None:
            why = f"{len(full.queue)} injections wait at node {full.number} already"
            self.reject("swarm_inject", why, inject)
        payload = {"data": data, "reference": inject.reference}
        turns = [
            Turn(Task("turn", {"node": node.number, **payload}, workflow=entry.swarm_id,
                      requires=SWARM_TURN, id=new_id("turn")), inject.reference, durable=False)
            for node in nodes
        ]  # fmt: skip
        for node, turn in zip(nodes, turns, strict=True):  # in the order in which they came
            node.queue.append(turn)
        await self._store_turns(entry, nodes, turns)
        for node in nodes:
            self.turns.begin(entry, node)
        return Injected(turns={n.number: t.task.id for n, t in zip(nodes, turns, strict=True)})

    def _nodes_of(self, entry: SwarmEntry, inject: Inject) -> list[NodeEntry]:
        """The nodes that an injection is for: named, or all that have not ended."""
        if inject.nodes is None:
            nodes = [node for node in entry.nodes if not node.gone]
            if not nodes:
                why = f"all nodes of swarm {entry.swarm_id} have failed or ended"
                self.reject("swarm_inject", why, inject)
            return nodes
        if wrong := set(inject.nodes) - {*range(len(entry.nodes))}:
            why = f"swarm {entry.swarm_id} has no node {min(wrong)}: it has {len(entry.nodes)}"
            self.reject("swarm_inject", why, inject)
        nodes = [entry.nodes[number] for number in dict.fromkeys(inject.nodes)]
        if (gone := next((node for node in nodes if node.gone), None)) is not None:
            have = "has failed" if gone.state == "failed" else "has ended"
            why = f"node {gone.number} of swarm {entry.swarm_id} {have}: {gone.reason}"
            self.reject("swarm_inject", why, inject)
        return nodes

    async def _store_turns(
        self, entry: SwarmEntry, nodes: list[NodeEntry], turns: list[Turn]
    ) -> None:
        """Make turns durable that wait already; if that fails, they wait no more."""
        accepted = [
            StoredEvent(EventKind.TASK_ACCEPTED, turn.task.id, turn.task.to_data())
            for turn in turns
        ]
        try:
            await self.append(accepted)
        except StoreError:
            for node, turn in zip(nodes, turns, strict=True):
                with contextlib.suppress(ValueError):  # the swarm ended
                    node.queue.remove(turn)
                self.turns.begin(entry, node)
            raise
        for turn in turns:
            turn.durable = True

    def _bytes_of(self, inject: Inject) -> str:
        """What is injected, in base64."""
        if (inject.prompt is None) == (inject.data is None):
            raise RequestError(Code.INVALID_PARAMS, "swarm_inject: give prompt or data, not both")
        if inject.prompt is not None:
            return base64.b64encode(inject.prompt.encode()).decode()
        try:
            base64.b64decode(inject.data or "", validate=True)
        except binascii.Error as error:
            raise RequestError(Code.INVALID_PARAMS, f"swarm_inject: data: {error}") from error
        return inject.data or ""

    def _find(self, params: Inject | OfSwarm, command: str) -> SwarmEntry:
        entry = self.swarms.get(params.swarm_id)
        if entry is None:
            self.reject(command, f"no swarm {params.swarm_id!r}", params)
        return entry

    async def _swarm_status(self, connection: Connection, which: OfSwarm) -> Swarm:
        return self._find(which, "swarm_status").describe()

    async def _list(self, connection: Connection, nothing: Params) -> SwarmList:
        swarms = [entry.describe() for entry in self.swarms.values()]
        return SwarmList(seq=self.events.seq, swarms=swarms)

    async def _terminate(self, connection: Connection, which: OfSwarm) -> Swarm:
        entry = self._find(which, "swarm_terminate")
        if entry.status in ENDED:
            return entry.describe()
        entry.status, entry.reason = "terminating", which.reason or "terminated"
        await self.save(entry)
        self.swarm_changed(entry, which.reference)
        await self.finish(entry, which.reference)
        return entry.describe()

    async def _subscribe(self, connection: Connection, wanted: Subscribe) -> Subscribed:
        after = self.events.seq if wanted.after is None else wanted.after
        connection.only = wanted.swarm_id
        # The answer goes out first; nothing is emitted before the missed events are.
        asyncio.get_running_loop().call_soon(self._begin_events, connection, after)
        return Subscribed(seq=after, complete=self.events.since(after)[0])

    def _begin_events(self, connection: Connection, after: int) -> None:
        connection.events = True
        for event, encoded in list(self.events.since(after)[1]):
            connection.tell(event, encoded)

    async def _status(self, connection: Connection, nothing: Params) -> Status:
        nodes = [node for entry in self.swarms.values() for node in entry.nodes]
        states = [node.state for node in nodes]
        known: dict[str, Any] = {}
        for desk in self.desks:
            known.update(await desk.status())
        return Status(
            nodes=sum(state in ("idle", "busy") for state in states), idle=states.count("idle"),
            busy=states.count("busy"), queued=sum(len(node.queue) for node in nodes),
            running=states.count("busy"), completed=self.turns.completed,
            failed=self.turns.failed,
            swarms=sum(entry.status not in ENDED for entry in self.swarms.values()),
            clients=sum(c.role == "client" for c in self.events.connections), seq=self.events.seq,
            uptime=self.clock() - self.began, **known,
        )  # fmt: skip

    # -- what workers tell -------------------------------------------------------------------

    async def _heartbeat(self, connection: Connection, nothing: Params) -> None:
        place = self._place(connection)
        if place is not None:
            place[1].heard = self.clock()
        for desk in self.desks:
            if desk.role is not None and desk.role == connection.role:
                desk.beat(connection)

    async def _turn_event(self, connection: Connection, event: TurnEvent) -> None:
        place = self._place(connection)
        if place is not None:
            place[1].heard = self.clock()
            self.turns.heard(*place, event)

    async def _node_drain(self, connection: Connection, nothing: Params) -> None:
        """A worker ends: it has no further turn."""
        place = self._place(connection)
        if place is not None:
            place[1].draining = True

    def _place(self, connection: Connection) -> tuple[SwarmEntry, NodeEntry] | None:
        """The node that a worker's connection is for; None if another worker has taken it."""
        hello = connection.hello
        if hello is None or hello.swarm_id is None or hello.node is None:
            return None
        entry = self.swarms.get(hello.swarm_id)
        if entry is None:  # it ended long ago, and its worker beats on
            return None
        node = entry.nodes[hello.node]
        return (entry, node) if node.connection is connection else None


def _same(given: str | None, wanted: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())

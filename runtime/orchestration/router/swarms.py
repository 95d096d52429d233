"""What becomes of swarms: their nodes come and go, their jobs end, their turns with them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OrchestrationError
from ..events import Event as StoredEvent
from ..events import EventKind
from ..providers import TrackedJob
from ..store import Store
from ..tasks import TaskState
from .book import ENDED, EventBook, NodeEntry, SwarmEntry, Turn
from .jobs import Cluster, Jobs, ended, heed
from .protocol import Drain
from .turns import Turns
from .wire import Connection, RequestError

_LOG = logging.getLogger(__name__)
#: Seconds after which a swarm has failed whose job nobody knows: its router ended before it asked.
_LAUNCH_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Settings. Times are in seconds.

    Args:
        module: what swarms run that name no module.
        token: what clients must know; None: nothing (loopback only).
        command: of a node's worker, without the address of the router.
        retention: for how long terminated swarms are listed.
        heartbeat_interval, heartbeat_timeout: of workers.
        poll: between looks at jobs.
        queue: injections that may wait at a node.
        attempts: workers that may be lost while they run a turn, after which it has failed.
    """

    module: str | None = None
    token: str | None = None
    command: tuple[str, ...] = ()
    retention: float = 900.0
    heartbeat_interval: float = 0.1
    heartbeat_timeout: float = 1.5
    poll: float = 2.0
    queue: int = 1000
    attempts: int = 3


class Swarms:
    """The books on swarms, and what keeps them true. Lives in one event loop.

    The store and the cluster, which may wait for a disk or a network, are called in threads.

    Args:
        store: where swarms and turns are kept.
        cluster: what starts workers.
        clock: for heartbeats and retention.
    """

    def __init__(
        self, store: Store, cluster: Cluster, config: RouterConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.config = config
        self.store = store
        self.jobs = Jobs(cluster)
        self.clock = clock
        self.began = self.polled = self.swept = clock()
        self.address = ""  #: where workers find the router; known when it listens
        self.swarms: dict[str, SwarmEntry] = {}
        first = store.get_state("router/seq", 0)
        self.events = EventBook(first, lambda seq: store.set_state("router/seq", seq))
        self.turns = Turns(store, self.append, self.events, self.changed, config.attempts)
        self.launching: set[str] = set()  #: swarms whose job is being asked for
        self._unfinished: list[SwarmEntry] = []  # that an earlier process did not end
        self._polling: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    # -- after a restart ---------------------------------------------------------------------

    def recover(self) -> int:
        """Take up the swarms of an earlier process; how many that have not ended.

        Called before connections are taken. Workers that still run connect by themselves.
        """
        for key in self.store.state_keys():
            if key.startswith("swarm/"):
                entry = SwarmEntry.from_data(self.store.get_state(key))
                self.swarms[entry.swarm_id] = entry
        live = [entry for entry in self.swarms.values() if entry.status not in ENDED]
        unfinished = (TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING)
        for entry in live:
            for record in self.store.tasks(unfinished, workflow=entry.swarm_id):
                payload = record.task.payload
                reference = payload.get("reference")
                turn = Turn(record.task, reference, record.attempts, worker=record.agent)
                entry.nodes[payload["node"]].queue.append(turn)
            for node in entry.nodes:
                node.state, node.heard = "starting", self.clock()
            if entry.status == "terminating":
                self._unfinished.append(entry)
            else:
                entry.status = "launching"
        return len(live)

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        self.events.connections.discard(connection)
        for entry in self.swarms.values():
            for node in entry.nodes:
                if node.connection is connection:
                    self.leave(entry, node, "its connection was lost")

    def leave(self, entry: SwarmEntry, node: NodeEntry, reason: str) -> None:
        """The node's worker is gone; what it ran will run again."""
        connection, node.connection = node.connection, None
        if connection is not None:
            connection.cut()
        if node.running is not None and not node.running.over:
            node.queue.appendleft(node.running)
            node.running = None
        drained, node.draining = node.draining, False
        node.reason = "its worker was drained" if drained else reason
        node.state = "ended" if drained or entry.status in ("terminating", *ENDED) else "lost"
        self.changed(entry, node, node.reason)

    def changed(self, entry: SwarmEntry, node: NodeEntry, reason: str | None = None) -> None:
        """A node has another state: say so, and find out what that makes of the swarm."""
        data = {"node": node.describe(), "reason": reason}
        self.events.emit("node_changed", swarm_id=entry.swarm_id, node=node.number, data=data)
        if entry.status in ("launching", "running", "degraded"):
            states = {other.state for other in entry.nodes}
            if states & {"lost", "failed"}:
                status = "degraded"
            else:
                status = "launching" if states & {"pending", "starting"} else "running"
            if status != entry.status:
                entry.status = status  # type: ignore[assignment]
                self.swarm_changed(entry)

    def swarm_changed(self, entry: SwarmEntry, reference: str | None = None) -> None:
        data = {"swarm": entry.describe()}
        self.events.emit("swarm_changed", swarm_id=entry.swarm_id, data=data, reference=reference)

    async def cancel_job(self, entry: SwarmEntry) -> None:
        for node in entry.nodes:
            if node.connection is not None:
                self.spawn(self._drain(node.connection, entry.reason or ""))
        await asyncio.to_thread(self.jobs.cancel, entry.swarm_id)

    async def _drain(self, connection: Connection, reason: str) -> None:
        try:
            await connection.ask("drain", Drain(reason=reason))
        except (ConnectionError, RequestError):
            pass  # it has ended, which is what was asked

    async def end(
        self, entry: SwarmEntry, status: Any, reason: str | None, reference: str | None = None
    ) -> None:
        """A swarm is over: its turns too."""
        if entry.status in ENDED:
            return
        entry.status, entry.reason, entry.ended = status, reason, time.time()
        dropped = []
        for node in entry.nodes:
            waiting = [node.running, *node.queue]
            dropped += [turn for turn in waiting if turn is not None and not turn.over]
            node.queue.clear()
            node.running, node.state = None, "ended"
        events = [
            StoredEvent(EventKind.TASK_CANCELLED, turn.task.id, {"reason": f"swarm {status}"})
            for turn in dropped
        ]
        if events:
            await self.append(events)
        await self.save(entry)
        self.events.emit(
            "swarm_terminated", swarm_id=entry.swarm_id, data={"swarm": entry.describe()},
            reference=reference,
        )  # fmt: skip

    # -- now and then ------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Miss workers that do not beat, ask for jobs, forget what ended long ago."""
        now, timeout = self.clock(), self.config.heartbeat_timeout
        slept, self.swept = now - self.swept > timeout / 2, now
        for entry in list(self.swarms.values()):
            if entry.status in ENDED:
                if entry.ended is not None and time.time() - entry.ended > self.config.retention:
                    await self._remove(entry)
                continue
            for node in entry.nodes:
                if slept:  # this process was stopped: their beats wait to be read
                    node.heard = now
                if node.connection is not None and now - node.heard > timeout:
                    self.leave(entry, node, "its heartbeat is missing")
        if now - self.polled >= self.config.poll and (not self._polling or self._polling.done()):
            self.polled = now
            # In the background: a cluster may take long to answer, and workers are to be missed.
            self._polling = asyncio.ensure_future(self._look_at_jobs())
        for entry in self._unfinished:
            self.spawn(self.finish(entry))
        self._unfinished.clear()

    async def finish(self, entry: SwarmEntry, reference: str | None = None) -> None:
        """Terminate a swarm."""
        await self.cancel_job(entry)
        await self.end(entry, "terminated", entry.reason, reference)

    async def _look_at_jobs(self) -> None:
        """Did jobs end, or nodes of them? A cluster that cannot say changes nothing.

        The jobs of ended swarms are looked at, too: they may have to be cancelled once more.
        """
        try:
            found = await asyncio.to_thread(self.jobs.poll)
            missing = []
            for entry in list(self.swarms.values()):
                tracked = found.get(entry.swarm_id)
                if tracked is not None:
                    await self._heed(entry, tracked)
                elif entry.status not in ENDED and entry.swarm_id not in self.launching:
                    missing.append(entry)
            if missing or self.jobs.some_unwanted:
                await self._adopt(missing)
        except OrchestrationError as error:
            _LOG.warning("the jobs of swarms: %s; they are looked at again", error)

    async def _heed(self, entry: SwarmEntry, tracked: TrackedJob) -> None:
        if entry.status in ("terminating", *ENDED):
            return
        for seen in tracked.status.nodes:
            node = entry.nodes[seen.node]
            if heed(node, seen):
                self.changed(entry, node, node.reason)
                self.turns.begin(entry, node)
        over = ended(tracked)
        if over is not None:
            await self.turns.settle()  # what waited at nodes that have failed
            await self.end(entry, *over)

    async def _adopt(self, entries: list[SwarmEntry]) -> None:
        """Find the jobs of swarms of an earlier process, or that were taken silently."""
        found = await asyncio.to_thread(self.jobs.adopt, [entry.swarm_id for entry in entries])
        for entry in entries:
            job = found.get(entry.swarm_id)
            if job is not None and job.id != entry.job_id:
                entry.job_id = job.id
                await self.save(entry)
                self.swarm_changed(entry)
            elif job is None and entry.job_id is None:
                if time.time() - entry.created > _LAUNCH_LIMIT:
                    await self.end(entry, "failed", "its job was never submitted")

    async def _remove(self, entry: SwarmEntry) -> None:
        del self.swarms[entry.swarm_id]
        self.jobs.forget(entry.swarm_id)
        await asyncio.to_thread(self.store.delete_state, f"swarm/{entry.swarm_id}")
        self.events.emit("swarm_removed", swarm_id=entry.swarm_id)

    async def append(self, events: Sequence[StoredEvent]) -> None:
        """Make events durable, in the order of the calls. Raises StoreError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.done():
                return  # whoever waited was cancelled
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def stored(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        self.store.append_soon(events, stored)
        await done

    async def save(self, entry: SwarmEntry) -> None:
        data = entry.to_data()
        await asyncio.to_thread(self.store.set_state, f"swarm/{entry.swarm_id}", data)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Future[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("what the router did beside its requests failed", exc_info=error)

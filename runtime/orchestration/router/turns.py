"""Turns: one injection at a time on each node, every event of it in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from ..events import Event as StoredEvent
from ..events import EventKind
from ..store import Store, StoreError
from .book import EventBook, NodeEntry, SwarmEntry, Turn
from .protocol import TurnDone, TurnEvent, TurnRun
from .wire import Connection, RequestError

_LOG = logging.getLogger(__name__)
_DONE = msgspec.json.Decoder(TurnDone)
#: The outputs of turns are told, and not stored.
_NO_RESULT: dict[str, str | None] = {"result": None}

#: Called when a node has another state.
Changed = Callable[[SwarmEntry, NodeEntry, str | None], None]
#: Makes events durable. Raises StoreError.
Append = Callable[[Sequence[StoredEvent]], Awaitable[None]]


class Turns:
    """Gives turns to workers, and tells what becomes of them. Lives in the router's event loop.

    Args:
        most: how many workers may be lost while they run a turn, after which it has failed.
    """

    def __init__(
        self, store: Store, append: Append, events: EventBook, changed: Changed, most: int
    ) -> None:
        self._store = store
        self._append = append
        self._events = events
        self._changed = changed
        self._most = most
        self.completed = self.failed = 0
        self._running: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Task[None]] = set()

    def begin(self, entry: SwarmEntry, node: NodeEntry) -> None:
        """Run the next turn of a node, if it has one and can."""
        if node.state == "failed":
            self._give_up(entry, node)
            return
        connection = node.connection
        if connection is None or node.draining or node.running is not None or not node.queue:
            return
        if not node.queue[0].durable:
            return  # whoever has it stored begins it
        node.running = node.queue.popleft()
        node.state = "busy"
        self._changed(entry, node, None)
        _keep(self._running, self._run(entry, node, node.running, connection))

    def _give_up(self, entry: SwarmEntry, node: NodeEntry) -> None:
        """Nobody will run what waits at a node that has failed."""
        error = f"node {node.number} has failed: {node.reason}"
        waiting = [turn for turn in node.queue if turn.durable]
        if waiting:
            done = TurnDone(outcome="failed", error=error)
            _keep(self._given_up, self._end(entry, node, waiting, done))

    async def settle(self) -> None:
        """Wait until it is told what became of turns at nodes that have failed."""
        await asyncio.gather(*self._given_up)

    async def _run(
        self, entry: SwarmEntry, node: NodeEntry, turn: Turn, connection: Connection
    ) -> None:
        if not self._attempt(turn, connection):
            error = f"{turn.attempts} workers were lost while they ran it"
            await self._end(entry, node, [turn], TurnDone(outcome="failed", error=error))
            return
        self._emit(entry, node, turn, "turn_started", {"attempt": turn.attempts})
        environment = {
            "SWARM_ID": entry.swarm_id, "SWARM_NODE": str(node.number),
            "SWARM_NODES": str(len(entry.nodes)), "SWARM_PROMPT": entry.launch.prompt,
        }  # fmt: skip
        request = TurnRun(
            turn_id=turn.task.id, module=entry.module, agents=entry.launch.agents,
            data=turn.task.payload["data"], fuel=entry.launch.fuel, trace=entry.launch.trace,
            environment=environment,
        )  # fmt: skip
        try:
            done = _DONE.decode(await connection.ask("turn_run", request))
        except ConnectionError:
            return  # the node was left: it has the turn again, for its next worker
        except (RequestError, msgspec.DecodeError) as error:
            done = TurnDone(outcome="failed", error=f"its worker did not answer well: {error}")
        if node.connection is not connection:
            return  # left while it answered: the events before it went unheard; it tells all again
        await self._end(entry, node, [turn], done)

    def _attempt(self, turn: Turn, connection: Connection) -> bool:
        """Count an attempt; False if there were too many.

        A worker that was away for a while goes on with what it ran: that is no other attempt.
        """
        worker = connection.hello.instance if connection.hello is not None else None
        if worker is not None and worker == turn.worker:
            return True
        if turn.attempts >= self._most:
            return False
        turn.attempts += 1
        turn.worker = worker
        self._note(turn, {"agent": worker, "attempt": turn.attempts})
        return True

    async def _end(
        self, entry: SwarmEntry, node: NodeEntry, turns: list[Turn], done: TurnDone
    ) -> None:
        """Tell that turns have ended, when that is durable: after a restart they do not run again.

        A turn that is over stays the node's running one until then: none follows it sooner.
        """
        turns = [turn for turn in turns if not turn.over]
        if entry.ended is not None or not turns:
            return  # the swarm was terminated, and its turns with it; or it was told already
        for turn in turns:
            turn.over = True
            with contextlib.suppress(ValueError):
                node.queue.remove(turn)
        if done.outcome == "completed":
            kind, data = EventKind.TASK_COMPLETED, _NO_RESULT
        else:
            kind, data = EventKind.TASK_FAILED, {"error": done.error or "it failed"}
        try:
            await self._append([StoredEvent(kind, turn.task.id, data) for turn in turns])
        except StoreError as error:  # the turn runs again after a restart
            _LOG.error("the end of turns could not be stored: %s", error)
        for turn in turns:
            self.completed += done.outcome == "completed"
            self.failed += done.outcome == "failed"
            node.turns += 1
            told = {"outcome": done.outcome, "error": done.error}
            self._emit(entry, node, turn, "turn_complete", told)
        if node.running in turns:
            node.running = None
            if node.connection is not None:
                node.state = "idle"
            self._changed(entry, node, None)
        self.begin(entry, node)

    def heard(self, entry: SwarmEntry, node: NodeEntry, event: TurnEvent) -> None:
        """A worker tells what an agent did."""
        turn = node.running
        if turn is not None and turn.task.id == event.turn_id:
            self._emit(entry, node, turn, event.type, event.data)

    def _emit(
        self, entry: SwarmEntry, node: NodeEntry, turn: Turn, type: Any, data: dict[str, Any]
    ) -> None:
        self._events.emit(
            type, swarm_id=entry.swarm_id, node=node.number, turn_id=turn.task.id, data=data,
            reference=turn.reference,
        )  # fmt: skip

    def _note(self, turn: Turn, data: dict[str, Any]) -> None:
        """Have it stored that a turn was begun."""
        event = StoredEvent(EventKind.TASK_STARTED, turn.task.id, data)
        self._store.append_soon((event,), _noted)


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _noted(error: BaseException | None) -> None:
    if isinstance(error, StoreError):
        _LOG.error("a turn's progress could not be stored: %s", error)

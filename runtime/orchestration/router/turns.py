"""Turns: one injection at a time on each node, every event of it in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
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
#: How often a turn is given to a worker before it counts as what kills them.
_MOST_ATTEMPTS = 3

#: Called when a node has another state.
Changed = Callable[[SwarmEntry, NodeEntry, str | None], None]


class Turns:
    """Gives turns to workers, and tells what becomes of them. Lives in the router's event loop."""

    def __init__(self, store: Store, events: EventBook, changed: Changed) -> None:
        self._store = store
        self._events = events
        self._changed = changed
        self.completed = self.failed = 0
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, entry: SwarmEntry, node: NodeEntry) -> None:
        """Run the next turn of a node, if it has one and can."""
        connection = node.connection
        if connection is None or node.running is not None or not node.queue:
            return
        if not node.queue[0].durable:
            return  # whoever has it stored begins it
        node.running = node.queue.popleft()
        node.state = "busy"
        self._changed(entry, node, None)
        work = asyncio.ensure_future(self._run(entry, node, node.running, connection))
        self._running.add(work)
        work.add_done_callback(self._running.discard)

    async def _run(
        self, entry: SwarmEntry, node: NodeEntry, turn: Turn, connection: Connection
    ) -> None:
        turn.attempts += 1
        self._emit(entry, node, turn, "turn_started", {"attempt": turn.attempts})
        self._note(EventKind.TASK_STARTED, turn, {"agent": None, "attempt": turn.attempts})
        environment = {
            "SWARM_ID": entry.swarm_id, "SWARM_NODE": str(node.number),
            "SWARM_NODES": str(len(entry.nodes)), "SWARM_PROMPT": entry.launch.prompt,
        }  # fmt: skip
        request = TurnRun(
            turn_id=turn.task.id, module=entry.module, agents=entry.launch.agents,
            data=turn.task.payload["data"], fuel=entry.launch.fuel, environment=environment,
        )  # fmt: skip
        try:
            done = _DONE.decode(await connection.ask("turn_run", request))
        except ConnectionError:
            if turn.attempts < _MOST_ATTEMPTS:
                return  # the node was left: it has the turn again, for its next worker
            if turn in node.queue:
                node.queue.remove(turn)
            done = TurnDone(
                outcome="failed", error=f"{turn.attempts} workers were lost while they ran it"
            )
        except (RequestError, msgspec.DecodeError) as error:
            done = TurnDone(outcome="failed", error=f"its worker did not answer well: {error}")
        self._end(entry, node, turn, done)

    def _end(self, entry: SwarmEntry, node: NodeEntry, turn: Turn, done: TurnDone) -> None:
        if entry.ended is not None:
            return  # the swarm was terminated, and its turns with it
        if done.outcome == "completed":
            self.completed += 1
            self._note(EventKind.TASK_COMPLETED, turn, {"result": None})
        else:
            self.failed += 1
            self._note(EventKind.TASK_FAILED, turn, {"error": done.error or "it failed"})
        node.turns += 1
        data = {"outcome": done.outcome, "error": done.error}
        self._emit(entry, node, turn, "turn_complete", data)
        if node.running is turn:
            node.running = None
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

    def _note(self, kind: EventKind, turn: Turn, data: dict[str, Any]) -> None:
        """Have it stored. If that fails, the turn runs again after a restart."""
        self._store.append_soon((StoredEvent(kind, turn.task.id, data),), _noted)


def _noted(error: BaseException | None) -> None:
    if isinstance(error, StoreError):
        _LOG.error("a turn's progress could not be stored: %s", error)

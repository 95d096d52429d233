"""What the router knows: swarms, their nodes, their turns, and the events of all of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..tasks import Task
from .protocol import MAX_MESSAGE, Event, EventType, Launch, Node, NodeState, Swarm, SwarmState
from .wire import Connection, encode_event

#: Events that clients who were away can have again.
KEPT_EVENTS = 100_000
KEPT_BYTES = 64 << 20  #: of those, encoded
#: Sequence numbers are taken from the store in blocks, so that an event costs no write. A restart
#: goes on behind the block: no number is given out twice.
SEQ_BLOCK = 100_000

ENDED: frozenset[SwarmState] = frozenset({"terminated", "failed"})


@dataclass(eq=False, slots=True)
class Turn:
    """An injection into one node.

    Args:
        task: what is stored of it. durable: whether it is: it does not run sooner.
        worker: which process ran it last. over: whether it has ended, and only that is to be told.
    """

    task: Task
    reference: str | None
    attempts: int = 0
    durable: bool = True
    worker: str | None = None
    over: bool = False


@dataclass(eq=False, slots=True)
class NodeEntry:
    """A node.

    Args:
        connection: of its worker, if there is one. heard: when it last beat, on the clock.
        queue: turns that wait. running: the one that does not.
        draining: its worker takes no more turns, and ends.
        instance: the worker's process. restarts, reason: as :class:`Node` has them.
    """

    number: int
    state: NodeState = "pending"
    connection: Connection | None = None
    heard: float = 0.0
    queue: deque[Turn] = field(default_factory=deque)
    running: Turn | None = None
    turns: int = 0
    targets: list[str] = field(default_factory=list)
    host: str | None = None
    pid: int | None = None
    draining: bool = False
    instance: str | None = None
    restarts: int = 0
    reason: str | None = None

    @property
    def gone(self) -> bool:
        """Whether no worker of it is to be expected any more."""
        return self.state in ("failed", "ended")

    def describe(self) -> Node:
        """As clients are told."""
        return Node(
            node=self.number, state=self.state, turns=self.turns, queued=len(self.queue),
            targets=self.targets, host=self.host, pid=self.pid, restarts=self.restarts,
            reason=self.reason,
        )  # fmt: skip


@dataclass(eq=False, slots=True)
class SwarmEntry:
    """A swarm. ``token`` lets its workers in."""

    swarm_id: str
    launch: Launch
    module: str
    token: str
    nodes: list[NodeEntry]
    status: SwarmState = "launching"
    job_id: str | None = None
    created: float = 0.0
    ended: float | None = None
    reason: str | None = None

    def describe(self) -> Swarm:
        """As clients are told."""
        return Swarm(
            swarm_id=self.swarm_id, job_id=self.job_id, node_count=len(self.nodes),
            status=self.status, nodes=[node.describe() for node in self.nodes],
            name=self.launch.name, module=self.module, agents=self.launch.agents,
            prompt=self.launch.prompt, created=self.created, ended=self.ended, reason=self.reason,
        )  # fmt: skip

    def to_data(self) -> dict[str, Any]:
        """As it is stored. States of nodes are not: their workers tell them anew."""
        launch = {name: getattr(self.launch, name) for name in self.launch.__struct_fields__}
        names = ("swarm_id", "module", "token", "status", "job_id", "created", "ended", "reason")
        return {"launch": launch, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SwarmEntry:
        """The swarm of what :meth:`to_data` gave."""
        fields = dict(data)
        launch = Launch(**fields.pop("launch"))
        nodes = [NodeEntry(number) for number in range(launch.nodes)]
        if fields["status"] in ENDED:
            for node in nodes:
                node.state = "ended"
        return cls(launch=launch, nodes=nodes, **fields)


class EventBook:
    """Numbers events, keeps the latest, and sends them to connections.

    Args:
        first: the number behind which it begins.
        reserve: makes it durable that numbers up to this one may be given out.
    """

    def __init__(self, first: int, reserve: Callable[[int], None]) -> None:
        self.seq = self.first = first
        self._reserve = reserve
        self._reserved = first
        self._kept: deque[tuple[Event, bytes]] = deque()
        self._size = 0  # of the encoded ones
        self.connections: set[Connection] = set()

    def emit(
        self, type: EventType, *, swarm_id: str | None = None, node: int | None = None,
        turn_id: str | None = None, data: dict[str, Any] | None = None,
        reference: str | None = None,
    ) -> Event:  # fmt: skip
        """Something happened: number it and tell everybody; of what is too large, that it was."""
        if self.seq >= self._reserved:
            self._reserved = self.seq + SEQ_BLOCK
            self._reserve(self._reserved)
        self.seq += 1
        event = Event(
            seq=self.seq, at=time.time(), type=type, swarm_id=swarm_id, node=node,
            turn_id=turn_id, data=data or {}, reference=reference,
        )  # fmt: skip
        encoded = encode_event(event)
        if len(encoded) > MAX_MESSAGE:  # no client would take it, whenever it connects again
            event = msgspec.structs.replace(event, data={"omitted_bytes": len(encoded)})
            encoded = encode_event(event)
        self._kept.append((event, encoded))
        self._size += len(encoded)
        while len(self._kept) > KEPT_EVENTS or (self._size > KEPT_BYTES and len(self._kept) > 1):
            self._size -= len(self._kept.popleft()[1])
        for connection in tuple(self.connections):
            connection.tell(event, encoded)
        return event

    def since(self, seq: int) -> tuple[bool, Iterator[tuple[Event, bytes]]]:
        """Events behind a number, and whether these are all that there were."""
        oldest = self._kept[0][0].seq if self._kept else self.seq + 1
        return self.seq >= seq >= oldest - 1, (pair for pair in self._kept if pair[0].seq > seq)

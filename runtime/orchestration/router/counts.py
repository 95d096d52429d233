"""The desk of metrics: for clients of the protocol, and for Prometheus at ``/metrics``.

Some of them are sampled once a second, so that who begins to look sees what was before.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..metrics import Metrics
from ..resources import ResourceMonitor
from .book import ENDED
from .desk import Desk, Handler
from .history import EVERY, History
from .protocol_tasks import MetricsText, MetricsWanted
from .wire import Connection

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

#: What is sampled, by the names that ``values`` has.
SAMPLED = (
    "swarmc_tasks_completed_total", "swarmc_tasks_failed_total", "swarmc_tasks_queued",
    "swarmc_tasks_running", 'swarmc_router_turns_total{outcome="completed"}',
    'swarmc_router_turns_total{outcome="failed"}', 'swarmc_router_nodes{state="busy"}',
    "swarmc_router_turns_queued", "swarmc_process_busy_processors", "swarmc_process_memory_bytes",
)  # fmt: skip
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RouterStats:
    """Counts of a router.

    Args:
        connections: by role. swarms: those that have not ended. nodes: of these, by state.
        queued: injections that wait. turns: ever since it began, by what became of them.
        events: that were given out.
    """

    connections: Mapping[str, int] = field(default_factory=dict)
    swarms: int = 0
    nodes: Mapping[str, int] = field(default_factory=dict)
    queued: int = 0
    turns: Mapping[str, int] = field(default_factory=dict)
    events: int = 0


class MetricsDesk(Desk):
    """Metrics of a dispatcher's parts, of its router and of the process."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._stats = RouterStats()
        self.metrics = Metrics({
            "router": lambda: self._stats,
            "scheduler": lambda: dispatcher.scheduler.stats(),
            "agents": lambda: dispatcher.registry.stats(),
            "store": lambda: dispatcher.store.stats(),
            "resources": ResourceMonitor().sample,
        })
        self._asking = asyncio.Lock()  # one at a time: they read the whole of it
        monitor = ResourceMonitor()  # of its own: what it tells is a mean since the last sample
        self._sampled = Metrics({
            "router": lambda: self._latest, "scheduler": lambda: dispatcher.scheduler.stats(),
            "resources": monitor.sample,
        })  # fmt: skip
        self._latest = RouterStats()
        self._history = History(SAMPLED)
        self._next = float("-inf")
        self._sampling = False

    def handlers(self) -> Mapping[str, Handler]:
        """That of metrics."""
        return {"metrics": self._metrics}

    def routes(self) -> Sequence[BaseRoute]:
        """The page for Prometheus."""
        return (Route("/metrics", self._page),)

    async def sweep(self) -> None:
        """Take a sample, if it is time; nobody waits for it."""
        now = self.router.clock()
        if now >= self._next and not self._sampling:
            # Steadily, however sweeps fall; what was missed is not made up for.
            self._next = (now if now - self._next > EVERY else self._next) + EVERY
            self._sampling = True
            self.router.spawn(self._sample())

    async def _sample(self) -> None:
        try:
            self._latest = stats_of(self.router)
            self._history.add(time.time(), await self.router.call(self._sampled.values))
        finally:
            self._sampling = False

    async def _metrics(self, connection: Connection, wanted: MetricsWanted) -> MetricsText:
        found = await self._read()
        if wanted.since is None:
            return found
        return msgspec.structs.replace(found, history=self._history.since(wanted.since))

    async def _page(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not self.router.knows(token.strip() if scheme.lower() == "bearer" else None):
            return Response(
                "the token of this router is needed\n", 401,
                headers={"WWW-Authenticate": "Bearer"}, media_type="text/plain",
            )  # fmt: skip
        return Response((await self._read()).text, headers={"Content-Type": _TYPE})

    async def _read(self) -> MetricsText:
        async with self._asking:
            self._stats = stats_of(self.router)
            return await self.router.call(self._collect)

    def _collect(self) -> MetricsText:
        return MetricsText(text=self.metrics.text(), values=self.metrics.values())


def stats_of(router: Router) -> RouterStats:
    """A router's counts, in its event loop."""
    live = [entry for entry in router.swarms.values() if entry.status not in ENDED]
    nodes = [node for entry in live for node in entry.nodes]
    return RouterStats(
        Counter(connection.role or "unknown" for connection in router.events.connections),
        len(live), Counter(node.state for node in nodes), sum(len(n.queue) for n in nodes),
        {"completed": router.turns.completed, "failed": router.turns.failed},
        router.events.seq - router.events.first,
    )  # fmt: skip

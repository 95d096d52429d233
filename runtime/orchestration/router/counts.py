"""The desk of metrics: for clients of the protocol, and for Prometheus at ``/metrics``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..metrics import Metrics
from ..resources import ResourceMonitor
from .book import ENDED
from .desk import Desk, Handler
from .protocol import Nothing
from .protocol_tasks import MetricsText
from .wire import Connection

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

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

    def handlers(self) -> Mapping[str, Handler]:
        """That of metrics."""
        return {"metrics": self._metrics}

    def routes(self) -> Sequence[BaseRoute]:
        """The page for Prometheus."""
        return (Route("/metrics", self._page),)

    async def _metrics(self, connection: Connection, nothing: Nothing) -> MetricsText:
        return await self._read()

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

"""A router inside of a dispatcher's process: what ``enable_websocket`` starts."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..errors import OrchestrationError
from ..providers import ClusterConfig
from ..router_place import RouterPlace, announce, announce_soon, retract
from .core import Router
from .hosting import desks_of
from .server import Listen, RouterServer
from .swarms import RouterConfig

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher

_TIMEOUT = 30.0  # seconds that it may take to listen, or to stop


class AttachedRouter:
    """Serves the dispatcher and swarms over its store, on this machine only, in its own thread.

    Tasks and workflows that an earlier process left go on, as :meth:`Dispatcher.resume` has it.

    Args:
        host: an address of this machine.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: RouterServer | None = None

    @property
    def address(self) -> str:
        """Where clients and workers find it, while it runs."""
        if self._server is None:
            raise OrchestrationError("the dispatcher's server is not running")
        return f"ws://{self._host}:{self._server.port}"

    def start(self, dispatcher: Dispatcher) -> None:
        """Listen at the configured port.

        Raises:
            ServerError: the port is taken.
        """
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(dispatcher, ready), name="swarmc-router", daemon=True
        )
        self._thread.start()
        ready.result(_TIMEOUT)

    def stop(self) -> None:
        """End all connections. Swarms that were launched stay."""
        if self._thread is None:
            return
        if self._loop is not None and self._server is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(_TIMEOUT)
        self._thread = self._server = self._loop = None

    def _run(self, dispatcher: Dispatcher, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(dispatcher, ready))
        except OrchestrationError as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, dispatcher: Dispatcher, ready: Future[None]) -> None:
        coordinator = dispatcher.config.coordinator
        router = Router(dispatcher.store, ClusterConfig(provider="local"), RouterConfig(
            command=(sys.executable, "-m", "swarmc", "start-worker", "--router"),
            heartbeat_interval=coordinator.heartbeat_interval / 1000,
            heartbeat_timeout=coordinator.heartbeat_timeout / 1000,
        ), desks=desks_of(dispatcher))  # fmt: skip
        await asyncio.to_thread(announce_soon, dispatcher.store)
        router.recover()
        self._loop = asyncio.get_running_loop()
        port = dispatcher.config.dispatcher.websocket_port
        self._server = RouterServer(router, Listen(self._host, port))

        def begun() -> None:
            router.address = self.address
            announce(dispatcher.store, RouterPlace(router.address))
            ready.set_result(None)

        try:
            await self._server.run(begun)
        finally:
            await asyncio.to_thread(retract, dispatcher.store)

"""Desks: what does methods of the protocol beside those of swarms.

A router is given desks when it is made: of tasks, of workflows, of workers. Each names its methods,
and may hear of connections, look after things now and then, and add to ``status``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from .protocol import Hello
from .wire import Connection

if TYPE_CHECKING:
    from .core import Router

#: Does what a connection asks, given the parameters; gives the result of the method.
Handler = Callable[[Connection, Any], Coroutine[Any, Any, Any]]


class Desk:
    """Does nothing; desks override what they need. Lives in the router's event loop.

    What may wait for a disk, a lock or a network goes through ``router.call``; what other threads
    tell comes in by ``router.feed``.
    """

    #: The role of ``hello`` that it welcomes; None: it has to do with clients only.
    role: str | None = None

    router: Router  #: known from :meth:`open` on

    def handlers(self) -> Mapping[str, Handler]:
        """By the names of the methods that it does."""
        return {}

    def routes(self) -> Sequence[BaseRoute]:
        """Of the HTTP server, beside those of connections and of the page."""
        return ()

    async def open(self, router: Router) -> None:
        """The router begins: before it takes connections. Desks open in their order."""
        self.router = router

    async def close(self) -> None:
        """The router ends."""

    def welcome(self, connection: Connection, hello: Hello) -> None:
        """Somebody says ``hello`` in this desk's role, with the right token.

        Raises:
            RequestError: he may not come in.
        """

    def beat(self, connection: Connection) -> None:
        """One of this desk's role says that it is there."""

    def lost(self, connection: Connection) -> None:
        """A connection, of any role, is gone."""

    async def sweep(self) -> None:
        """Called some ten times a second."""

    async def status(self) -> Mapping[str, Any]:
        """Fields of ``Status`` that it knows."""
        return {}

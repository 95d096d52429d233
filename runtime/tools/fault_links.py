"""Ways to TCP ports that can be stalled and cut, for tests and chaos."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from .faults import FaultKind

_CHUNK = 65536
_WAIT = 10.0  # seconds for the thread of links to do something


class LinkState(enum.Enum):
    """What a link does with bytes."""

    OPEN = "open"
    STALLED = "stalled"  #: holds them, as a network does that lost its way; they come later
    CUT = "cut"  #: closes connections, those that come too


class Link:
    """A port that leads to another one. Made by :meth:`Links.open`."""

    def __init__(self, links: Links, target: Callable[[], tuple[str, int]]) -> None:
        self._links = links
        self._target = target
        self._state = LinkState.OPEN
        self._open = asyncio.Event()  # of the links' loop, as everything below
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.host, self.port = "127.0.0.1", 0
        self.accepted = 0  #: connections, over all its life

    @property
    def state(self) -> LinkState:
        """What it does."""
        return self._state

    def set(self, state: LinkState) -> None:
        """Have it do something else; it does when this returns."""
        self._links.run(self._set(state))

    def retarget(self, host: str, port: int) -> None:
        """Lead new connections somewhere else."""
        self._target = lambda: (host, port)

    def begin(self, kind: FaultKind) -> None:
        """Stall or cut it."""
        states = {FaultKind.STALL: LinkState.STALLED, FaultKind.CUT: LinkState.CUT}
        if kind not in states:
            raise ValueError(f"a link cannot {kind.value}")
        self.set(states[kind])

    def end(self, kind: FaultKind) -> None:
        """Open it again."""
        self.set(LinkState.OPEN)

    async def listen(self) -> None:
        """Take connections; called by :meth:`Links.open`."""
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no more; called by :meth:`Links.close`."""
        if self._server is not None:
            self._server.close()
        await self._set(LinkState.CUT)

    async def _set(self, state: LinkState) -> None:
        self._state = state
        if state is LinkState.STALLED:
            self._open.clear()
        else:
            self._open.set()
        if state is LinkState.CUT:
            for writer in tuple(self._writers):
                writer.transport.abort()

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            await self._open.wait()
            if self._state is LinkState.CUT:
                return
            there, back = await asyncio.open_connection(*self._target())
            self._writers.add(back)
            try:
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            pass  # one of the two is gone: the other one is told by the end of its connection
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()
        with suppress(OSError, RuntimeError):
            writer.write_eof()


class Links:
    """Links, and the thread in which they work."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="swarmc-links", daemon=True)
        self._thread.start()
        self._links: list[Link] = []

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        waiting = asyncio.all_tasks(self._loop)
        for task in waiting:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the links' thread, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_WAIT)

    def open(self, host: str, port: int) -> Link:
        """A new way to a port, which need not be there yet; its own is ``link.port``."""
        return self.open_to(lambda: (host, port))

    def open_to(self, target: Callable[[], tuple[str, int]]) -> Link:
        """A new way to where each connection is told to go; OSError: it goes nowhere."""
        link = Link(self, target)
        self.run(link.listen())
        self._links.append(link)
        return link

    def close(self) -> None:
        """Cut all; any number of times."""
        if self._thread.is_alive():
            for link in self._links:
                self.run(link.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_WAIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

"""The router on the network: WebSocket and TCP; beyond loopback only with token and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..errors import OrchestrationError
from .core import Router
from .protocol import MAX_MESSAGE, PROTOCOL
from .quiet import quiet
from .wire import MAX_WAITING, Connection

_LOG = logging.getLogger(__name__)
_FLUSH = 0.005  # seconds that messages are collected for, so that many go in one frame
#: Seconds of silence before the system asks whether a peer's machine is there, seconds between such
#: questions, and how many of them without an answer end the connection.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
_SWEEP = 0.1  # seconds between looks at heartbeats
_FRAME = 1 << 20  # bytes up to which messages are joined
#: Seconds for a peer to say hello. Who has not been let in may hold nothing for longer.
HELLO_WITHIN = 10.0
#: Bytes that wait to be sent to a peer that does not read, after which it is cut off.
MAX_WAITING_BYTES = 256 << 20


class ServerError(OrchestrationError):
    """The router cannot listen as it was told to."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a router listens.

    Args:
        port: for WebSocket and pages; 0: any free one.
        tcp_port: for lines over TCP; 0: any free one; None: none.
        certificate, key: files for TLS, in PEM.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tcp_port: int | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def loopback(self) -> bool:
        """Whether nobody outside this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self, token: str | None) -> None:
        """Raise :class:`ServerError` if others could connect unprotected."""
        if not self.loopback and (token is None or self.certificate is None):
            raise ServerError(
                f"{self.host} can be reached from other machines: that needs a token and TLS",
                hint="set token_file, certificate and key, or listen on 127.0.0.1",
            )

    def try_out(self) -> None:
        """Listen for a moment, to see whether that is possible.

        Raises:
            ServerError: a port is taken, or the certificate cannot be read.
        """
        for port in (self.port, self.tcp_port):
            if port is None:
                continue
            try:
                if self.certificate is not None:
                    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    trial.load_cert_chain(self.certificate, self.key)
                _bind(self.host, port).close()
            except OSError as error:  # those of ssl are some, too
                raise ServerError(_cannot_listen(self.host, port, error)) from error


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield


class Outbox:
    """Messages on their way to one peer, joined into few frames.

    Args:
        cut: called when the peer reads too slowly.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._waiting: list[bytes] = []
        self._size = 0  # of those
        self._some = asyncio.Event()
        self._closed = False

    def put(self, message: bytes) -> None:
        """Have a message sent."""
        full = len(self._waiting) >= MAX_WAITING or self._size > MAX_WAITING_BYTES
        if full and not self._closed:
            self._cut()
        if full or self._closed:
            return
        self._waiting.append(message)
        self._size += len(message)
        self._some.set()

    def close(self) -> None:
        """Nothing more is sent."""
        self._closed = True
        self._some.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """What is to be sent, until it is closed."""
        while True:
            if not self._closed:
                await self._some.wait()
            self._some.clear()
            waiting, self._waiting, self._size = self._waiting, [], 0
            for some in _joined(waiting):
                yield some
            if waiting:
                if len(waiting) > 1:
                    await asyncio.sleep(_FLUSH)
            elif self._closed:
                return


def _joined(messages: list[bytes]) -> Iterator[bytes]:
    """Messages as frames, none of which is large because there are many."""
    some: list[bytes] = []
    size = 0
    for message in messages:
        if some and size + len(message) > _FRAME:
            yield _array(some)
            some, size = [], 0
        some.append(message)
        size += len(message)
    if some:
        yield _array(some)


def _array(messages: list[bytes]) -> bytes:
    return messages[0] if len(messages) == 1 else b"[" + b",".join(messages) + b"]"


class RouterServer:
    """Serves a router until it is told to stop. Lives in one event loop.

    Args:
        routes: others of the same HTTP server, such as the page.
    """

    def __init__(self, router: Router, listen: Listen, routes: tuple[BaseRoute, ...] = ()) -> None:
        listen.check(router.config.token)
        self._router = router
        self._listen = listen
        self._app = Starlette(routes=[
            WebSocketRoute("/ws", self._websocket), Route("/health", self._health),
            *(route for desk in router.desks for route in desk.routes()), *routes,
        ])  # fmt: skip
        self.port = listen.port
        self.tcp_port = listen.tcp_port
        self._stopping = asyncio.Event()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen, and serve until :meth:`stop`.

        Raises:
            ServerError: the port is taken, or the certificate cannot be read.
        """
        listen = self._listen
        config = uvicorn.Config(
            self._app, host=listen.host, port=listen.port, log_level="warning", access_log=False,
            lifespan="off", ws_max_size=MAX_MESSAGE, ws_ping_interval=None,
            ssl_certfile=listen.certificate, ssl_keyfile=listen.key,
        )  # fmt: skip
        try:
            config.load()
            socket = await asyncio.to_thread(_bind, listen.host, listen.port)
        except (OSError, ssl.SSLError) as error:
            raise ServerError(_cannot_listen(listen.host, listen.port, error)) from error
        self.port = socket.getsockname()[1]
        try:
            with quiet():
                await self._router.open()
                await self._serve(config, socket, ready)
        finally:
            socket.close()
            await self._router.close()

    async def _serve(
        self, config: uvicorn.Config, socket: Any, ready: Callable[[], None]
    ) -> None:
        server = _Server(config)
        lines = await self._serve_lines(config.ssl)
        serving = asyncio.ensure_future(server.serve([socket]))
        sweeping = asyncio.ensure_future(self._sweep())
        try:
            ready()
            await self._stopping.wait()
        finally:
            sweeping.cancel()
            server.should_exit = server.force_exit = True
            if lines is not None:
                lines.close()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    def stop(self) -> None:
        """Have :meth:`run` return."""
        self._stopping.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                await self._router.sweep()
            except Exception:  # whatever it was: heartbeats must be looked at
                _LOG.exception("looking after the swarms failed; it is tried again")

    async def _health(self, request: object) -> Response:
        return JSONResponse({"protocol": PROTOCOL, "seq": self._router.events.seq})

    def _own_origin(self, websocket: WebSocket) -> bool:
        """Browsers say which page connects: pages of other hosts may not."""
        origin = websocket.headers.get("origin")
        try:
            return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")
        except ValueError:  # it is no address
            return False

    async def _websocket(self, websocket: WebSocket) -> None:
        if not self._own_origin(websocket):
            await websocket.close(1008, "this page may not connect")
            return
        await websocket.accept()
        outbox = Outbox(lambda: cut())
        peer = f"{websocket.client.host}:{websocket.client.port}" if websocket.client else "?"
        reading = asyncio.ensure_future(self._read(websocket, outbox, peer, lambda: cut()))

        def cut() -> None:
            reading.cancel()
            outbox.close()

        try:
            async for frame in outbox.frames():
                await websocket.send_text(frame.decode())
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone; the reader has noticed, or does now
        finally:
            reading.cancel()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close()

    async def _read(
        self, websocket: WebSocket, outbox: Outbox, peer: str, cut: Callable[[], None]
    ) -> None:
        connection = Connection(self._router, outbox.put, cut, peer)
        limit = _expect_hello(connection)
        try:
            while True:
                await connection.room()
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                data = message.get("text")
                connection.receive(data if data is not None else message.get("bytes") or b"")
        finally:
            limit.cancel()
            connection.closed()
            outbox.close()

    async def _serve_lines(self, context: ssl.SSLContext | None) -> asyncio.Server | None:
        if self._listen.tcp_port is None:
            return None
        try:
            server = await asyncio.start_server(
                self._lines, self._listen.host, self._listen.tcp_port, limit=MAX_MESSAGE,
                ssl=context,
            )  # fmt: skip
        except OSError as error:
            why = _cannot_listen(self._listen.host, self._listen.tcp_port, error)
            raise ServerError(why) from error
        for socket in server.sockets:
            _keep_alive(socket)
        self.tcp_port = server.sockets[0].getsockname()[1]
        return server

    async def _lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outbox = Outbox(writer.close)
        peer = ":".join(str(part) for part in (writer.get_extra_info("peername") or "?")[:2])
        connection = Connection(self._router, outbox.put, writer.close, peer)
        writing = asyncio.ensure_future(self._write_lines(writer, outbox))
        limit = _expect_hello(connection)
        try:
            while line := await reader.readline():
                if line.strip():
                    connection.receive(line)
                    await connection.room()
        except ConnectionError as error:
            _LOG.info("%s: %s", peer, error)
        except ValueError:  # a line that is too long
            connection.too_large()
        finally:
            limit.cancel()
            connection.closed()
            outbox.close()
            await writing

    @staticmethod
    async def _write_lines(writer: asyncio.StreamWriter, outbox: Outbox) -> None:
        try:
            async for frame in outbox.frames():
                writer.write(frame + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # it is gone; the reader notices
        finally:
            writer.close()


def _expect_hello(connection: Connection) -> asyncio.TimerHandle:
    """Cut a connection that says no hello; to be cancelled when it ends."""

    def look() -> None:
        if connection.role is None:
            connection.cut()

    return asyncio.get_running_loop().call_later(HELLO_WITHIN, look)


def _bind(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Without it a small answer may wait 40 ms for one before to be read.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _keep_alive(bound)
    try:
        bound.bind((host, port))
        bound.listen(2048)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _keep_alive(listening: Any) -> None:
    """Have connections that it accepts end when the peer's machine answers no more.

    They inherit it. Whoever vanishes without a word, and is told nothing, would stay for ever.
    """
    import socket

    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):  # else as the system has it: after two hours, most often
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    return f"cannot listen on {host}:{port}: {error.strerror or error}"

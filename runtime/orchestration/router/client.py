"""A connection to a router, for programs without an event loop."""

from __future__ import annotations

import contextlib
import itertools
import queue
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from ....errors import ArgumentError
from ..errors import OrchestrationError
from .protocol import (
    MAX_MESSAGE,
    METHODS,
    PROTOCOL,
    WORKER_METHODS,
    Answer,
    Code,
    Event,
    Hello,
    Message,
    Notification,
    Params,
    Request,
    Subscribe,
    Subscribed,
    Welcome,
)

_ENCODER = msgspec.json.Encoder()
_MESSAGES = msgspec.json.Decoder(Message | list[Message])
_EVENTS = msgspec.json.Decoder(Event)
_R = TypeVar("_R")
_TIMEOUT = 30.0
#: Bytes after which a frame of several messages is sent.
_FRAME = 65536

#: Called for what the router asks of a worker: method, parameters, and whom to give the result.
Asked = Callable[[str, Params, Callable[[Any], None]], None]


class RouterUnavailableError(OrchestrationError):
    """No router answers, or the connection was lost."""


class MessageTooLargeError(OrchestrationError):
    """A message that no router would take: nothing was sent."""


class CommandRejectedError(OrchestrationError):
    """The router refused; ``code`` is the protocol's, ``data`` what came with it."""

    def __init__(self, message: str, code: int, data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def _name_the_token(error: CommandRejectedError, hello: Hello) -> None:
    """Say where a token comes from, to those who have a router's or need one."""
    if error.code == Code.NOT_AUTHORISED and hello.role != "worker":
        error.hint = (
            "name the file that the router was given with --token-file or"
            " SWARMC_ROUTER_TOKEN_FILE; in Python, give token="
        )


def _check_url(url: str) -> None:
    """Raises ArgumentError: it is not where a router could be."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        known = False
    if not known:
        raise ArgumentError(
            f"{url!r} is no address of a router", hint="they are like ws://127.0.0.1:8080"
        )


class RouterClient:
    """A client, or a worker, of a router. May be used from several threads.

    Args:
        url: ``ws://HOST:PORT`` or ``wss://HOST:PORT``.
        hello: who it is; None: a client.
        token: what the router asks for.
        certificate: file with the certificate to trust, for a router with its own.
        asked: of a worker.
        ended: called, in a thread of the client's, when the connection has ended.
        instance: the same in all connections of a client; None: each is one of its own.

    Raises:
        RouterUnavailableError: nobody is there.
        CommandRejectedError: the router does not want us.
    """

    def __init__(
        self, url: str, *, hello: Hello | None = None, token: str | None = None,
        certificate: Path | None = None, asked: Asked | None = None, timeout: float = _TIMEOUT,
        ended: Callable[[], object] = lambda: None, instance: str | None = None,
    ) -> None:  # fmt: skip
        _check_url(url)
        self.url = url
        self._timeout = timeout
        self._asked = asked
        self._ended = ended
        self._ids = itertools.count(1)
        self._lock = threading.Lock()  # guards the answers that are waited for
        self._answers: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._gone = False
        self._ending = contextlib.ExitStack()
        context = None
        if url.startswith("wss:"):
            context = ssl.create_default_context(cafile=certificate)
        try:
            self._socket = self._ending.enter_context(connect(
                url.rstrip("/") + "/ws", ssl=context, open_timeout=timeout, max_size=MAX_MESSAGE,
                ping_interval=None, compression=None, proxy=None,
            ))  # fmt: skip
        except (OSError, EOFError, WebSocketException) as error:
            raise RouterUnavailableError(
                f"no router answers at {url}: {getattr(error, 'strerror', None) or error}",
                hint="start one with `swarmc start-dispatcher`",
            ) from error
        self._reader = threading.Thread(target=self._read, name="swarmc-client", daemon=True)
        self._reader.start()
        try:
            known = hello or Hello(protocol=PROTOCOL, token=token, instance=instance)
            self.welcome: Welcome = self.call("hello", known)
        except BaseException as error:
            self.close()
            if isinstance(error, CommandRejectedError):
                _name_the_token(error, known)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def call(self, method: str, params: Params, timeout: float | None = None) -> Any:
        """Ask for something and wait for the answer, of the type that the protocol says.

        Args:
            timeout: seconds; None: as the connection has it.

        Raises:
            CommandRejectedError: the router refused.
            RouterUnavailableError: the connection is lost, or there is no answer in time.
        """
        number = next(self._ids)
        limit = self._timeout if timeout is None else timeout
        answer: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = answer
        try:
            self._send(Request(id=number, method=method, params=params))
            message = answer.get(timeout=limit)
        except queue.Empty:
            raise RouterUnavailableError(
                f"{self.url} does not answer {method} within {limit:g} s"
            ) from None
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if message is None:
            raise RouterUnavailableError(f"the connection to {self.url} was lost")
        if message.error is not None:
            raise CommandRejectedError(
                message.error.message, message.error.code, message.error.data
            )
        result = METHODS[method][2]
        return msgspec.json.decode(message.result, type=result)

    def tell(self, method: str, params: Params) -> None:
        """Send a notification. Raises RouterUnavailableError if the connection is lost."""
        self._send(Notification(method=method, params=params))

    def tell_all(self, method: str, many: Iterable[Params]) -> None:
        """Send notifications, in few frames."""
        frame: list[bytes] = []
        size = 0
        for params in many:
            frame.append(_ENCODER.encode(Notification(method=method, params=params)))
            size += len(frame[-1])
            if size >= _FRAME:
                self._send_frame(frame)
                size = 0
        if frame:
            self._send_frame(frame)

    def _send_frame(self, messages: list[bytes]) -> None:
        self._send_data(messages[0] if len(messages) == 1 else b"[" + b",".join(messages) + b"]")
        messages.clear()

    def subscribe(self, after: int | None = None, swarm_id: str | None = None) -> Subscribed:
        """Have events sent, for :meth:`events`."""
        wanted = Subscribe(after=after, swarm_id=swarm_id)
        result: Subscribed = self.call("subscribe", wanted)
        return result

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Events as they come, until the connection ends, or none came for so many seconds."""
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                return
            if event is None:
                return
            yield event

    @property
    def gone(self) -> bool:
        """Whether the connection has ended."""
        return self._gone

    def close(self) -> None:
        """End the connection; may be called more than once."""
        self._ending.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(5)

    def _send(self, message: Request | Notification | Answer) -> None:
        self._send_data(_ENCODER.encode(message))

    def _send_data(self, data: bytes) -> None:
        if len(data) > MAX_MESSAGE:
            raise MessageTooLargeError(
                f"a message has at most {MAX_MESSAGE:,} bytes, and this one {len(data):,}",
                hint="send less at once",
            )
        try:
            self._socket.send(data, text=True)
        except (ConnectionClosed, OSError) as error:
            raise RouterUnavailableError(f"the connection to {self.url} was lost") from error

    def _read(self) -> None:
        try:
            for frame in self._socket:
                found = _MESSAGES.decode(frame)
                for message in found if isinstance(found, list) else (found,):
                    self._take(message)
        except (ConnectionClosed, OSError, RouterUnavailableError):
            pass  # those who wait are told below
        finally:
            self._gone = True
            with self._lock:
                waiting = list(self._answers.values())
            for answer in waiting:
                answer.put(None)
            self._events.put(None)
            self._ended()

    def _take(self, message: Message) -> None:
        if message.method == "event":
            self._events.put(_EVENTS.decode(message.params))
        elif message.method is not None:
            self._serve(message, message.method)
        elif isinstance(message.id, int):
            with self._lock:
                answer = self._answers.get(message.id)
            if answer is not None:
                answer.put(message)

    def _serve(self, message: Message, method: str) -> None:
        known = WORKER_METHODS.get(method)
        if known is None or self._asked is None:
            return
        params = msgspec.json.decode(message.params, type=known[0])

        def answer(result: Any) -> None:
            if message.id is not None:
                self._send(Answer(id=message.id, result=result))

        self._asked(method, params, answer)

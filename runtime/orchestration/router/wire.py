"""One connection to the router: messages in, messages out, whatever carries them.

Nothing here reads or writes a socket: servers give it bytes and take bytes from it, tests too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from ..errors import OrchestrationError
from ..tasks import new_id
from .decoding import MALFORMED, too_many, understand, understand_tasks
from .protocol import (
    MAX_MESSAGE,
    METHODS,
    PROTOCOL,
    Answer,
    Code,
    Event,
    Failure,
    Hello,
    Message,
    Notification,
    Params,
    Refusal,
    Request,
)

_LOG = logging.getLogger(__name__)
_ENCODER = msgspec.json.Encoder()
_MESSAGES = msgspec.json.Decoder(Message | list[Message])
#: Messages that wait to be sent to a peer that does not read, after which it is cut off: it will
#: connect again, and take the list of swarms.
MAX_WAITING = 200_000
#: Messages of one frame that a peer may send.
MAX_ARRAY = 1_000
#: Requests of one peer that are worked on at a time; those behind them are not read until then.
MAX_WORKING = 2_000
_LONGEST = 1_000  # characters of a refusal: what is refused may be in it, and be large


class RequestError(OrchestrationError):
    """A request that is not done; the peer is told code, message and data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Handler(Protocol):
    """What connections ask of the router."""

    async def request(self, connection: Connection, method: str, params: Params) -> Any:
        """Do what is asked, and give the result. Raises RequestError."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection:
    """One peer. Lives in one event loop.

    Args:
        handler: the router.
        send: takes a message to be sent; must not wait.
        cut: closes what carries the messages.
        peer: where it comes from, for people.
    """

    def __init__(
        self, handler: Handler, send: Callable[[bytes], None], cut: Callable[[], None], peer: str
    ) -> None:
        self._handler = handler
        self._send = send
        self.cut = cut
        self.peer = peer
        self.role: str | None = None
        self.hello: Hello | None = None
        self.client = new_id("client")  #: whose it is: the same in all connections of a client
        self.challenge: str | None = None  #: what the peer has to sign, of a worker of tasks
        self.events = False  #: whether events are sent to it
        self.only: str | None = None  #: of this swarm only
        self.ended = False  #: whether the peer is gone; what it asked before may still be done
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._working: set[asyncio.Task[None]] = set()

    # What comes in

    def receive(self, data: bytes | str) -> None:
        """Take a frame: a message, or an array of them.

        What is asked is done in the background, requests one beside another.
        """
        if len(data) > MAX_MESSAGE:
            self.too_large()
            return
        if too_many(data, MAX_ARRAY):
            self._fail(None, Code.INVALID_REQUEST, f"a frame has at most {MAX_ARRAY} messages")
            return
        try:
            found = _MESSAGES.decode(data)
        except MALFORMED as error:
            invalid = isinstance(error, msgspec.ValidationError)
            code = Code.INVALID_REQUEST if invalid else Code.PARSE
            self._fail(None, code, f"not a message of {PROTOCOL}: {error}")
            return
        messages = found if isinstance(found, list) else (found,)
        if len(messages) > MAX_ARRAY:
            self._fail(None, Code.INVALID_REQUEST, f"a frame has at most {MAX_ARRAY} messages")
            return
        for message in messages:
            self._take(message)

    def too_large(self) -> None:
        """Refuse a frame that nobody need read to its end."""
        self._fail(None, Code.INVALID_REQUEST, f"a frame has at most {MAX_MESSAGE} bytes")

    async def room(self) -> None:
        """Wait until so little is worked on that the next frame may be received."""
        while len(self._working) >= MAX_WORKING:
            await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED)

    def _take(self, message: Message) -> None:
        if message.jsonrpc != "2.0":
            self._fail(message.id, Code.INVALID_REQUEST, "jsonrpc must be \"2.0\"")
        elif message.method is not None:
            self._asked_of_us(message, message.method)
        else:
            self._answered(message)

    def _asked_of_us(self, message: Message, method: str) -> None:
        try:
            params = self._understand(method, message.params) or message.params
        except RequestError as error:
            self._fail(message.id, error.code, error.message, error.data)
            return
        work = asyncio.ensure_future(self._work(message.id, method, params))
        self._working.add(work)
        work.add_done_callback(self._working.discard)

    def _understand(self, method: str, raw: msgspec.Raw) -> Params | None:
        """Parameters; None: of tasks, of which there is so much that it takes a while."""
        known = METHODS.get(method)
        if known is None:
            names = ", ".join(METHODS)
            shown = method if len(method) <= 64 else f"{method[:64]}…"
            raise RequestError(Code.UNKNOWN_METHOD, f"unknown method {shown!r}; there are {names}")
        who = known[0]
        if self.role is None and method != "hello":
            raise RequestError(Code.HELLO_FIRST, "the first request is hello")
        if who != "any" and self.role not in who.split():
            raise RequestError(Code.NOT_AUTHORISED, f"{method} is not for a {self.role}")
        try:
            return understand(method, raw)
        except MALFORMED as error:
            raise RequestError(Code.INVALID_PARAMS, f"{method}: {error}") from error

    @staticmethod
    async def _taken_in_pieces(method: str, raw: msgspec.Raw) -> Params:
        try:
            return await understand_tasks(raw)
        except MALFORMED as error:
            raise RequestError(Code.INVALID_PARAMS, f"{method}: {error}") from error

    async def _work(
        self, message_id: int | str | None, method: str, params: Params | msgspec.Raw
    ) -> None:
        try:
            if isinstance(params, msgspec.Raw):
                params = await self._taken_in_pieces(method, params)
            result = await self._handler.request(self, method, params)
        except RequestError as error:
            self._fail(message_id, error.code, error.message, error.data)
        except OrchestrationError as error:
            self._fail(message_id, Code.INTERNAL, str(error))
        except Exception as error:  # a mistake of ours: whoever asked need not wait for ever
            _LOG.exception("%s of %s", method, self.peer)
            self._fail(message_id, Code.INTERNAL, f"{method}: {type(error).__name__}")
        else:
            if message_id is not None:
                self._put(Answer(id=message_id, result=result))

    def _answered(self, message: Message) -> None:
        future = self._asked.pop(message.id, None) if isinstance(message.id, int) else None
        if future is None or future.done():
            return  # of a request that is not waited for any more
        if message.error is not None:
            future.set_exception(RequestError(message.error.code, message.error.message))
        else:
            future.set_result(message.result)

    # What goes out

    def ask(self, method: str, params: Params) -> Awaitable[msgspec.Raw]:
        """Ask the peer for something; what it answers.

        Raises:
            RequestError: it refused, or is asked more than a frame holds. ConnectionError: it is
                gone.
        """
        number = next(self._ids)
        self._put(Request(id=number, method=method, params=params))
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        return future

    def tell(self, event: Event, encoded: bytes) -> None:
        """Send an event, if the peer wants it."""
        if self.events and (self.only is None or event.swarm_id == self.only):
            self._send(encoded)

    def closed(self) -> None:
        """The peer is gone."""
        self.events, self.ended = False, True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionError(f"{self.peer} is gone"))
        self._asked.clear()
        self._handler.lost(self)

    def _fail(
        self, message_id: int | str | None, code: int, message: str, data: Any = None
    ) -> None:
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]} …"
        self._put(Refusal(id=message_id, error=Failure(code=code, message=message, data=data)))

    def _put(self, message: Answer | Refusal | Request) -> None:
        encoded = _ENCODER.encode(message)
        if len(encoded) <= MAX_MESSAGE:
            self._send(encoded)
        elif isinstance(message, Request):
            raise RequestError(Code.INVALID_REQUEST, f"{message.method} does not fit in a frame")
        else:
            self._fail(message.id, Code.INTERNAL, "the answer does not fit in a frame")


def encode_event(event: Event) -> bytes:
    """An event as the notification that carries it."""
    return _ENCODER.encode(Notification(method="event", params=event))

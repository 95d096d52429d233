"""Dask's servers as they are used here: mutual TLS, no pages, and each peer within its role.

Whoever has a certificate of the authority could ask Dask's servers for anything, to run functions
included. So each certificate's name says who its owner is, and what a worker sends is held to the
few messages of a worker. Of those, none is ever unpickled: not even where Dask's own format of
messages says that a part of one is a pickle.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import dask
import msgpack  # type: ignore[import-untyped]
from distributed import Scheduler, Security, Worker
from distributed.batched import BatchedSend
from distributed.comm import tcp
from distributed.comm.core import CommClosedError
from distributed.protocol.utils import msgpack_opts

from .authority import NAME, Credentials

_LOG = logging.getLogger(__name__)

#: Name in the certificate of the dispatcher itself.
DISPATCHER = "dispatcher"
#: The messages in which a worker is told to run an attempt, and that nobody waits for it.
ORDER, CANCEL = "swarmc-order", "swarmc-cancel"
#: The message in which it says what came of one.
OUTCOME = "swarmc-outcome"

#: What a worker may ask of the scheduler.
_REQUESTS = frozenset({"identity", "register-worker", "close"})
#: What it may tell it: of Dask's own messages nothing that speaks of tasks or of other workers.
_TOLD = frozenset({"keep-alive", "close-stream", OUTCOME})

# Dask logs what it does at level INFO to standard error as soon as it is imported.
logging.getLogger("distributed").setLevel(logging.CRITICAL)
# Dask keeps the last thousand messages of each stream to be looked at, whole outcomes among them.
dask.config.set({"distributed.admin.low-level-log-length": 0})


def security(credentials: Credentials) -> Security:
    """For any of Dask's ends."""
    return Security(
        require_encryption=True, tls_ca_file=credentials.authority,
        **{
            f"tls_{role}_{what}": getattr(credentials, field)
            for role in ("client", "scheduler", "worker")
            for what, field in (("cert", "certificate"), ("key", "key"))
        },
    )  # fmt: skip


def certified_name(comm: Any, whose: str = "subject") -> str | None:
    """The name in the certificate of who is at the other end, or of the ``issuer`` of that."""
    subject = (comm.extra_info.get("peercert") or {}).get(whose, ())
    names = [value for part in subject for kind, value in part if kind == "commonName"]
    return names[0] if len(names) == 1 else None


#: As ``deserializers`` of a comm's ``read``: what would be unpickled is refused.
_PLAIN = ("msgpack",)


class _Comm(tcp.TLS):
    """A connection by which no worker has anything unpickled, from the first message on."""

    async def read(self, deserializers: Any = None) -> Any:
        """A message."""
        if certified_name(self, "issuer") != NAME or certified_name(self) == DISPATCHER:
            return await super().read(deserializers)  # type: ignore[no-untyped-call]
        try:
            return await super().read(_PLAIN)  # type: ignore[no-untyped-call]
        except ValueError as error:
            _LOG.warning("%s: %s", self, error)
            self.abort()
            raise CommClosedError(str(error)) from error


def _only_plain(found: dict[Any, Any]) -> dict[Any, Any]:
    """An object of a message, unless it stands for something else. Raises ValueError.

    It may stand for another part of the message, or for a value of any module that can be imported.
    """
    for name in ("__Pickled__", "__Serialized__", "__Enum__"):
        if name in found:
            raise ValueError(f"a worker may not send {name}")
    return found


async def _from_frames(
    frames: list[Any], deserialize: bool = True, deserializers: Any = None,
    allow_offload: bool = True,
) -> Any:  # fmt: skip
    if deserializers is _PLAIN:
        msgpack.loads(frames[0], object_hook=_only_plain, use_list=False, **msgpack_opts)
        deserializers = None
    return await _dasks_from_frames(frames, deserialize, deserializers, allow_offload)


# Dask has no setting for it. Connections with certificates of others are as they were.
_tcp: Any = tcp
_dasks_from_frames = _tcp.from_frames
_tcp.from_frames = _from_frames
_tcp.TLSConnector.comm_class = _tcp.TLSListener.comm_class = _Comm


class Stream(BatchedSend):
    """A stream of messages that waits for nothing: what comes together is sent together.

    Dask's own waits 2 or 5 ms for more to come. That is most of what a short task takes from here
    to there and back, and its timers are a good part of what a message costs.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(interval=0, loop=loop)  # type: ignore[no-untyped-call]

    async def _background_send(self) -> None:  # type: ignore[override]
        assert self.comm is not None
        try:
            while not self.please_stop:
                await self.waker.wait()
                self.waker.clear()
                if self.buffer:
                    messages, self.buffer = self.buffer, []
                    await self.comm.write(messages, serializers=self.serializers, on_error="raise")
        except CommClosedError:
            self._broken()
        except Exception:
            _LOG.exception("%s: what was to be sent is lost with the connection", self.comm)
            self._broken()
        else:
            self.stopped.set()

    def _broken(self) -> None:
        self.stopped.set()
        self.abort()  # type: ignore[no-untyped-call]


class EngineScheduler(Scheduler):
    """A scheduler that takes only those it is told to take."""

    def __init__(self, **options: Any) -> None:
        self.admitted: set[str] = set()  #: names that workers may come in with
        super().__init__(extensions={}, worker_ttl=None, **options)
        self.periodic_callbacks.clear()  # which look after tasks of Dask's, and its pages

    def start_http_server(self, *args: Any, **options: Any) -> None:
        """No port besides the engine's."""

    def handle_comm(self, comm: Any) -> Any:
        """Take a connection, or cut it."""
        name = certified_name(comm)
        if name != DISPATCHER:
            if name not in self.admitted:
                _LOG.warning("%s came with the certificate of %s: refused", comm, name)
                comm.abort()
                return _Nothing()
            comm.read = _within_role(comm.read, name)
        return super().handle_comm(comm)


def _within_role(
    read: Callable[..., Awaitable[Any]], name: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """``read`` of a worker's connection: only what a worker may say, and outcomes in its name."""

    async def checked(*args: Any, **options: Any) -> Any:
        found = await read(*args, **options)
        if isinstance(found, (list, tuple)):
            return [message for message in found if _may_tell(message, name)]
        if not isinstance(found, dict) or _may_tell(found, name):  # else "OK" and its like
            return found
        op = found.get("op")
        if op not in _REQUESTS or (op == "register-worker" and found.get("name") != name):
            raise ValueError(f"worker {name} may not ask for {op}")
        return found

    return checked


def _may_tell(message: Any, name: str) -> bool:
    if not isinstance(message, dict):
        return True
    if message.get("op") == OUTCOME:
        message["place"] = name
    return message.get("op") in _TOLD


class EngineWorker(Worker):
    """A worker that serves its dispatcher only.

    Args:
        order: called with each message of this name.
        cancel: the same.
    """

    def __init__(
        self, address: str, order: Callable[..., object], cancel: Callable[..., object],
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(address, extensions={}, memory_limit=0, **options)
        self.stream_handlers |= {ORDER: order, CANCEL: cancel}
        self.batched_stream = Stream(self.loop)
        callbacks = self.periodic_callbacks
        for name in callbacks.keys() - {"keep-alive", "heartbeat"}:
            del callbacks[name]

    async def heartbeat(self) -> None:
        """Nothing: beats are the router's."""

    def start_http_server(self, *args: Any, **options: Any) -> None:
        """No port besides the worker's."""

    def handle_comm(self, comm: Any) -> Any:
        """Take a connection of the dispatcher, or cut it."""
        if certified_name(comm) != DISPATCHER:
            comm.abort()
            return _Nothing()
        return super().handle_comm(comm)


class _Nothing:
    """What is awaited of a connection that was cut."""

    def __await__(self) -> Any:
        yield from ()


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def call(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Run it there and give what it gives. Raises TimeoutError."""
        return self.begin(work).result(timeout)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run it there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called there soon."""
        self.loop.call_soon_threadsafe(function, *args)

    def close(self, timeout: float) -> bool:
        """End the loop; whether the thread has ended in time."""
        self.post(self._cancel_all)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        done = asyncio.gather(*tasks, return_exceptions=True)
        done.add_done_callback(lambda _: self.loop.stop())

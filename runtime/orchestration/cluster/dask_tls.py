"""Dask's servers as they are used here: mutual TLS, no pages, and each peer within its role.

Whoever has a certificate of the authority could ask Dask's servers for anything, to run functions
included. So each certificate's name says who its owner is, and what a worker sends is held to the
few messages of a worker. Of those, none is ever unpickled: not even where Dask's own format of
messages says that a part of one is a pickle.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import struct
import time
from collections.abc import Callable, Coroutine
from typing import Any

import dask
import msgpack  # type: ignore[import-untyped]
from distributed import Scheduler, Security, Worker
from distributed.batched import BatchedSend
from distributed.comm import tcp
from distributed.comm.core import CommClosedError
from distributed.protocol.utils import msgpack_opts, unpack_frames
from distributed.versions import get_versions
from tornado.iostream import StreamClosedError

from .authority import NAME, Credentials

_LOG = logging.getLogger(__name__)

#: Name in the certificate of the dispatcher itself.
DISPATCHER = "dispatcher"
#: The messages in which a worker is told to run an attempt, and that nobody waits for it.
ORDER, CANCEL = "swarmc-order", "swarmc-cancel"
#: The message in which it says what came of one.
OUTCOME = "swarmc-outcome"

#: What a worker may ask of the scheduler, besides being registered.
_REQUESTS = frozenset({"identity", "close"})
#: What it may tell it: of Dask's own messages nothing that speaks of tasks or of other workers.
_TOLD = frozenset({"keep-alive", "close-stream", OUTCOME})

#: Bytes of a worker's message, at most.
_MOST_READ = 16 << 20
#: Objects, arrays and what is in them, of a worker's message: each takes much more than its bytes.
_MOST_PARTS = 1 << 17
#: Bytes after which a stream waits until they are sent, and begins another message; and how many
#: messages go in one.
_AT_ONCE, _TOGETHER = 4 << 20, 10_000
#: Connections of one worker, and of those that have not said who they are, at most.
_CONNECTIONS, _MOST_STRANGERS = 4, 256
#: Seconds in which who connects says who it is.
_HANDSHAKE = 10.0

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


class _Plain:
    """Sees to the objects and arrays of one message, as they are read. Raises ValueError."""

    def __init__(self) -> None:
        self._parts = 0

    def object(self, found: dict[Any, Any]) -> dict[Any, Any]:
        """An object, unless it stands for something else.

        It may stand for another part of the message, or for a value of any module that can be
        imported.
        """
        self._count(len(found))
        for name in ("__Pickled__", "__Serialized__", "__Enum__"):
            if name in found:
                raise ValueError(f"a worker may not send {name}")
        return found

    def array(self, found: tuple[Any, ...]) -> tuple[Any, ...]:
        """An array."""
        self._count(len(found))
        return found

    def _count(self, inside: int) -> None:
        self._parts += 1 + inside
        if self._parts > _MOST_PARTS:
            raise ValueError(f"a message of more than {_MOST_PARTS:,} values")


class _Comm(tcp.TLS):
    """A connection by which no worker has anything unpickled, or much kept, from the first on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        ours = certified_name(self, "issuer") == NAME
        self._of_worker = ours and certified_name(self) != DISPATCHER

    async def read(self, deserializers: Any = None) -> Any:
        """A message."""
        if not self._of_worker:
            return await super().read(deserializers)  # type: ignore[no-untyped-call]
        try:
            return await self._read_plain()
        except (StreamClosedError, ssl.SSLError) as error:
            self.abort()
            raise CommClosedError(str(error)) from error
        except (ValueError, struct.error, msgpack.UnpackException, AssertionError) as error:
            _LOG.warning("%s: %s", self, error)
            self.abort()
            raise CommClosedError(str(error)) from error
        except BaseException:
            self.abort()  # who knows what of it has been read
            raise

    async def _read_plain(self) -> Any:
        """As Dask has it in ``TCP.read``, but for what it refuses."""
        stream = self.stream
        if stream is None:
            raise CommClosedError("it is closed")
        (size,) = struct.unpack("Q", await stream.read_bytes(8))
        if size > _MOST_READ:
            raise ValueError(f"a message of {size:,} bytes")
        frames, missing = unpack_frames(await stream.read_bytes(size), partial=True)
        if size + sum(missing) > _MOST_READ:
            raise ValueError(f"a message of {size + sum(missing):,} bytes")
        for length in missing:
            frames.append(memoryview(await stream.read_bytes(length)))
        if len(frames) != 1:
            raise ValueError(f"a message of {len(frames)} parts")
        plain = _Plain()
        return msgpack.loads(
            frames[0], object_hook=plain.object, list_hook=plain.array, use_list=False,
            max_array_len=_MOST_PARTS, max_map_len=_MOST_PARTS, **msgpack_opts,
        )  # fmt: skip


class _Listener(tcp.TLSListener):
    """Where nobody stays who does not say in time who it is."""

    comm_class = _Comm
    _beginning = 0

    async def _prepare_stream(self, stream: Any, address: Any) -> Any:
        if self._beginning >= _MOST_STRANGERS:
            stream.close()
            return None
        self._beginning += 1
        try:
            begin = super()._prepare_stream(stream, address)  # type: ignore[no-untyped-call]
            return await asyncio.wait_for(begin, _HANDSHAKE)
        except TimeoutError:
            stream.close()
            return None
        finally:
            self._beginning -= 1

    async def on_connection(self, comm: Any, handshake_overrides: Any = None) -> None:
        """Dask's own greeting."""
        try:
            await asyncio.wait_for(super().on_connection(comm, handshake_overrides), _HANDSHAKE)
        except TimeoutError as error:
            comm.abort()
            raise CommClosedError(f"{comm} did not say hello in {_HANDSHAKE:g} s") from error


# Dask has no setting for it. Connections with certificates of others are as they were.
tcp.TLSBackend._listener_class = _Listener


class Stream(BatchedSend):
    """A stream of messages that waits for nothing: what comes together is sent together.

    Dask's own waits 2 or 5 ms for more to come. That is most of what a short task takes from here
    to there and back, and its timers are a good part of what a message costs. What is large goes
    in parts of some MiB, each when the one before it is on its way.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(interval=0, loop=loop)  # type: ignore[no-untyped-call]

    async def _background_send(self) -> None:  # type: ignore[override]
        try:
            while not self.please_stop:
                await self.waker.wait()
                self.waker.clear()
                while self.buffer and not self.please_stop:
                    await self._send_some()
        except (OSError, CommClosedError):
            self._broken()
        except Exception:  # nobody awaits this, and whoever waits must hear that it is over
            _LOG.exception("%s: what was to be sent is lost with the connection", self.comm)
            self._broken()
        else:
            self.stopped.set()

    async def _send_some(self) -> None:
        size = number = 0
        while number < min(len(self.buffer), _TOGETHER) and size < _AT_ONCE:
            size += sum(map(_size, self.buffer[number].values()))
            number += 1
        some, self.buffer = self.buffer[:number], self.buffer[number:]
        assert self.comm is not None
        await self.comm.write(some, serializers=self.serializers, on_error="raise")
        if size >= _AT_ONCE and self.comm.stream is not None:
            await self.comm.stream.write(b"")  # ends when all before it is sent

    def _broken(self) -> None:
        self.stopped.set()
        self.abort()  # type: ignore[no-untyped-call]


def _size(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else 0


class EngineScheduler(Scheduler):
    """A scheduler that takes only those it is told to take."""

    def __init__(self, **options: Any) -> None:
        self.admitted: set[str] = set()  #: names that workers may come in with
        self._of: dict[str, list[Any]] = {}  # connections of each
        super().__init__(extensions={}, worker_ttl=None, **options)
        self.periodic_callbacks.clear()  # which look after tasks of Dask's, and its pages

    def start_http_server(self, *args: Any, **options: Any) -> None:
        """No port besides the engine's."""

    def handle_comm(self, comm: Any) -> Any:
        """Take a connection, or cut it."""
        name = certified_name(comm)
        if name != DISPATCHER:
            there = [one for one in self._of.get(name or "", ()) if not one.closed()]
            if name not in self.admitted or len(there) >= _CONNECTIONS:
                _LOG.warning("%s came with the certificate of %s: refused", comm, name)
                comm.abort()
                return _Nothing()
            self._of[name] = [*there, comm]
            comm.read = _within_role(comm, name)
        return super().handle_comm(comm)

    def cut(self, name: str) -> None:
        """End all connections of a worker, which may not come again."""
        self.admitted.discard(name)
        for comm in self._of.pop(name, ()):
            comm.abort()


def _within_role(comm: Any, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    """``read`` of a worker's connection: only what a worker may say, and in its own name."""
    read = comm.read

    async def checked(*args: Any, **options: Any) -> Any:
        found = await read(*args, **options)
        if isinstance(found, (list, tuple)):
            return [message for message in found if _may_tell(message, name)]
        if not isinstance(found, dict) or _may_tell(found, name):  # else "OK" and its like
            return found
        op = found.get("op")
        if op == "register-worker" and found.get("name") == name:
            return _registration(comm, name)
        if op not in _REQUESTS:
            raise ValueError(f"worker {name} may not ask for {op}")
        return found

    return checked


def _may_tell(message: Any, name: str) -> bool:
    if not isinstance(message, dict):
        return True
    if message.get("op") == OUTCOME:
        message["place"] = name
    return message.get("op") in _TOLD


def _registration(comm: Any, name: str) -> dict[str, Any]:
    """What Dask is told of a worker: nothing of its own word.

    Its address is where the connection comes from. Nobody connects to it; Dask would look up any
    name there, while all others wait, and keep books of what is no number.
    """
    bandwidth: dict[str, Any] = {"total": 1e8, "workers": {}, "types": {}}
    metrics = {
        "bandwidth": bandwidth, "digests_total_since_heartbeat": {}, "memory": 0,
        "spilled_bytes": {"memory": 0, "disk": 0},
    }  # fmt: skip
    return {
        "op": "register-worker", "reply": False, "address": comm.peer_address, "name": name,
        "resolve_address": False, "status": "running", "server_id": name, "nthreads": 1,
        "now": time.time(), "resources": {}, "memory_limit": 0, "metrics": metrics,
        "services": {}, "local_directory": "", "versions": _versions(), "nanny": None,
        "extra": {}, "stimulus_id": f"swarmc-{name}",
    }  # fmt: skip


@functools.cache
def _versions() -> dict[str, Any]:
    return get_versions()


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

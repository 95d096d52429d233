"""What carries attempts to workers: the streams of a Dask scheduler, in a thread of its own.

Orders and outcomes are messages on the stream that Dask keeps with each worker. They are no tasks
of Dask's: which worker runs what, when it is tried again and what is kept is decided and stored
before Dask hears of it, and its own records of all that were two thirds of what a task cost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from distributed import SchedulerPlugin
from distributed.comm.core import CommClosedError

from .authority import Credentials
from .dask_tls import CANCEL, ORDER, OUTCOME, EngineScheduler, Stream, security
from .loop_thread import LoopThread
from .parcel import MAX_OUTCOME

_LOG = logging.getLogger(__name__)
_TIMEOUT = 30.0


class Reports(Protocol):
    """Who is told what becomes of orders. Called in the carrier's thread; must be quick."""

    def outcome(self, key: str, data: bytes) -> None:
        """A worker says what came of an order."""

    def broken(self, key: str, why: str) -> None:
        """What the worker says came of an order cannot be taken."""

    def came(self, place: str) -> None:
        """A worker is there."""

    def went(self, place: str) -> None:
        """A worker is gone."""


class Carrier:
    """A Dask scheduler that listens with mutual TLS, and nothing else.

    Args:
        host: where.
        reports: who is told.

    Raises:
        OSError: it cannot listen there.
    """

    def __init__(self, host: str, credentials: Credentials, reports: Reports) -> None:
        self._reports = reports
        self._security = security(credentials)
        self._there: dict[str, _There] = {}  # workers, by their places
        self._orders: dict[str, str] = {}  # places of those that have not ended, by their keys
        self._thread = LoopThread("swarmc-dask")
        try:
            self._thread.call(self._start(host), _TIMEOUT)
        except BaseException:
            self._thread.close(_TIMEOUT)
            raise
        self.address: str = self._scheduler.address

    async def _start(self, host: str) -> None:
        self._scheduler = EngineScheduler(
            protocol="tls://", host=host, port=0, security=self._security, dashboard=False,
            plugins=[_Watch(self)],
        )  # fmt: skip
        self._scheduler.stream_handlers[OUTCOME] = self._heard
        await self._scheduler

    # In any thread

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Have a function called in the carrier's thread; False: it has ended."""
        return self._thread.post(function, *args)

    def admit(self, place: str) -> None:
        """A worker with this name in its certificate may come."""
        self._thread.post(self._scheduler.admitted.add, place)

    def drop(self, place: str) -> None:
        """A worker may be there no more."""
        self._thread.post(self._drop, place)

    def close(self, timeout: float) -> bool:
        """End all connections; whether that was done in time."""
        try:
            self._thread.call(self._close(), timeout + 1)
        except TimeoutError:
            _LOG.warning("the engine of the cluster did not end within %g s", timeout)
        return self._thread.close(timeout)

    # In the carrier's thread

    def submit(self, key: str, place: str, order: bytes) -> bool:
        """Have a worker run an order; whether it is there."""
        if not self._tell(place, {"op": ORDER, "key": key, "order": order}):
            return False
        self._orders[key] = place
        return True

    def cancel(self, key: str) -> None:
        """Nobody waits for it any more; if a worker runs it, it is told to stop."""
        place = self._orders.pop(key, None)
        if place is not None:
            self._there[place].forget(key)
            self._tell(place, {"op": CANCEL, "key": key})

    def came(self, place: str, address: str) -> None:
        """A worker is there."""
        stream = Stream(self._scheduler.loop)
        self._scheduler.stream_comms[address] = stream
        self._there[place] = _There(address, stream)
        self._reports.came(place)

    def went(self, place: str) -> None:
        """A worker is gone, and all that it was given."""
        self._there.pop(place).stream.abort()  # type: ignore[no-untyped-call]
        self._scheduler.cut(place)
        for key in [key for key, where in self._orders.items() if where == place]:
            del self._orders[key]
        self._reports.went(place)

    def _tell(self, place: str, message: dict[str, Any]) -> bool:
        there = self._there.get(place)
        if there is None:
            return False
        try:
            there.stream.send(message)
        except CommClosedError:
            return False  # Dask is about to say that it is gone
        return True

    def _heard(self, place: str, **said: Any) -> None:
        """A message of a worker. The place is that in its certificate, the rest is its word."""
        try:
            self._outcome(place, **said)
        except Exception:  # Dask would first send all that waits for who may not read it
            _LOG.exception("worker %s is cut off: what it says cannot be taken", place)
            self._scheduler.cut(place)

    def _outcome(
        self, place: str, key: str, data: bytes, more: bool = False, worker: str = ""
    ) -> None:
        there = self._there.get(place)
        if there is None:
            return  # it came together with what made it go
        if not isinstance(data, bytes) or (more and not data):
            raise ValueError("a piece of an outcome that is none")
        where = self._orders.get(key)
        if where is None:
            return  # it was cancelled
        if where != place:
            _LOG.warning("worker %s says what came of another one's order: not heard", place)
            return
        whole = there.take(key, data, more)
        if whole is None:
            return
        del self._orders[key]
        if isinstance(whole, bytes):
            self._reports.outcome(key, whole)
        else:
            self._reports.broken(key, str(whole))

    def _drop(self, place: str) -> None:
        there = self._there.get(place)
        self._scheduler.cut(place)
        if there is not None:
            self._scheduler.loop.add_callback(
                self._scheduler.remove_worker, there.address, stimulus_id=f"swarmc-{place}"
            )

    async def _close(self) -> None:
        for key in list(self._orders):
            self.cancel(key)
        await self._scheduler.close()


@dataclass(slots=True)
class _There:
    """A worker that is there. Of one outcome at a time it sends pieces, one after another."""

    address: str
    stream: Stream
    key: str | None = None  #: of the outcome of which some pieces have come
    parts: bytearray = field(default_factory=bytearray)

    def take(self, key: str, data: bytes, more: bool) -> bytes | ValueError | None:
        """The whole outcome, if this is the end of it, or what is wrong with it.

        Raises:
            ValueError: another one has not ended.
        """
        if self.key not in (None, key):
            raise ValueError("a piece of an outcome amid those of another one")
        self.key = key
        if not (more or self.parts) and len(data) <= MAX_OUTCOME:
            whole: bytes | ValueError = data
        else:
            self.parts += data
            if more and len(self.parts) <= MAX_OUTCOME:
                return None
            large = len(self.parts) > MAX_OUTCOME
            why = ValueError("the worker sends more than a result may have")
            whole = why if large else bytes(self.parts)
        self.forget(key)
        return whole

    def forget(self, key: str) -> None:
        """Nobody waits for this outcome."""
        if self.key == key:
            self.key, self.parts = None, bytearray()


class _Watch(SchedulerPlugin):
    """Tells who comes and goes."""

    name = "swarmc"

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._places: dict[str, str] = {}

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Called by Dask, with an address."""
        self._places[worker] = place = str(scheduler.workers[worker].name)
        self._carrier.came(place, worker)

    def remove_worker(self, scheduler: Any, worker: str, **more: Any) -> None:
        """Called by Dask, with an address."""
        place = self._places.pop(worker, None)
        if place is not None:
            self._carrier.went(place)

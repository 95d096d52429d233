"""What carries attempts to workers: a Dask scheduler and its client, in a thread of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from distributed import Client, SchedulerPlugin

from .authority import Credentials
from .dask_tls import OUTCOME, EngineScheduler, LoopThread, security
from .runner import run_order

_LOG = logging.getLogger(__name__)
_TIMEOUT = 30.0
#: Seconds for which the client collects messages. Dask's own 10 ms are most of what a short task
#: takes from here to a worker and back.
_BATCH = 0.001


class Reports(Protocol):
    """Who is told what becomes of orders. Called in the carrier's thread; must be quick."""

    def outcome(self, key: str, place: str, data: bytes) -> None:
        """A worker says what came of an order."""

    def broken(self, key: str, why: str) -> None:
        """Dask could not have it run."""

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
        self._parts: dict[str, list[bytes]] = {}
        self._futures: dict[str, Any] = {}
        self._thread = LoopThread("swarmc-dask")
        try:
            self._thread.call(self._start(host), _TIMEOUT)
        except BaseException:
            self._thread.close(_TIMEOUT)
            raise
        self.address: str = self._scheduler.address

    async def _start(self, host: str) -> None:
        # Workers come by TLS. The client is in this process, and TLS between the two would be half
        # of what a task costs here.
        self._scheduler = EngineScheduler(
            self._erred, protocol=("tls://", "inproc://"), host=(host, None), port=0,
            security=self._security,
            dashboard=False, plugins=[_Watch(self._reports)], allowed_failures=0,
            worker_ttl="1 hour",  # beats are the router's
        )  # fmt: skip
        self._scheduler.stream_handlers[OUTCOME] = self._outcome
        await self._scheduler
        addresses = [listener.contact_address for listener in self._scheduler.listeners]
        (self._inside,) = (one for one in addresses if one.startswith("inproc://"))
        self._client = await Client(
            self._inside, security=self._security, asynchronous=True,
            set_as_default=False, name="dispatcher",
        )  # fmt: skip
        self._client.scheduler_comm.interval = _BATCH

    # In any thread

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called in the carrier's thread."""
        self._thread.post(function, *args)

    def admit(self, place: str) -> None:
        """A worker with this name in its certificate may come."""
        self._thread.post(self._scheduler.admitted.add, place)

    def drop(self, place: str) -> None:
        """A worker may be there no more."""
        self._thread.post(self._drop, place)

    def close(self, timeout: float) -> bool:
        """End all connections; whether that was done in time."""
        try:
            self._thread.call(self._close(timeout), timeout + 1)
        except TimeoutError:
            _LOG.warning("the engine of the cluster did not end within %g s", timeout)
        return self._thread.close(timeout)

    # In the carrier's thread

    def submit(self, key: str, place: str, order: bytes) -> None:
        """Have a worker run an order."""
        self._scheduler.places[key] = place
        future = self._client.submit(
            run_order, place, key, order, key=key, workers=[place], allow_other_workers=False,
            pure=False, retries=0,
        )  # fmt: skip
        self._futures[key] = future

    def cancel(self, key: str) -> None:
        """Nobody waits for it any more; if a worker runs it, it is told to stop."""
        self._parts.pop(key, None)
        self._scheduler.places.pop(key, None)
        future = self._futures.pop(key, None)
        if future is not None:
            future.release()

    def _outcome(self, key: str, worker: str, data: bytes, more: bool = False) -> None:
        if key not in self._futures:
            return  # it was cancelled
        self._parts.setdefault(key, []).append(bytes(data))
        if more:
            return
        whole = b"".join(self._parts.pop(key))
        state = self._scheduler.workers.get(worker)
        place = str(state.name) if state is not None else ""
        self._reports.outcome(key, place, whole)
        self.cancel(key)

    def _erred(self, key: str) -> None:
        if key in self._futures:
            self.cancel(key)
            self._reports.broken(key, "the worker could not begin it")

    def _drop(self, place: str) -> None:
        self._scheduler.admitted.discard(place)
        address = self._scheduler.aliases.get(place)
        if address is not None:
            # It may be frozen: what it is told goes to a buffer, and the connection is cut.
            self._client.loop.add_callback(
                self._scheduler.remove_worker, address, stimulus_id=f"swarmc-{place}"
            )

    async def _close(self, timeout: float) -> None:
        for key in list(self._futures):
            self.cancel(key)
        await self._client.close(timeout)
        await self._scheduler.close()


class _Watch(SchedulerPlugin):
    """Tells who comes and goes."""

    name = "swarmc"

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._places: dict[str, str] = {}

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Called by Dask, with an address."""
        self._places[worker] = place = str(scheduler.workers[worker].name)
        self._reports.came(place)

    def remove_worker(self, scheduler: Any, worker: str, **more: Any) -> None:
        """Called by Dask, with an address."""
        place = self._places.pop(worker, None)
        if place is not None:
            self._reports.went(place)

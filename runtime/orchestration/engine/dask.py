"""Attempts of workers in other processes, carried to them by Dask; all others as before."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..cluster.agent import RemoteAgent
from ..cluster.errors import ClusterError, ClusterMissingError, WorkerLostError
from ..cluster.parcel import pack_order, unpack_outcome
from ..codec import ValueEncodingError
from ..errors import ClosedError, TaskError
from .base import Attempt, Done, Engine, Started

if TYPE_CHECKING:
    from ..cluster.authority import Credentials
    from ..cluster.carrier import Carrier

_LOOK = 0.5  # seconds between looks while closing


class DaskEngine:
    """An ``Engine``. Dask is loaded, and listens, when the first worker is about to join.

    Which worker runs what is the scheduler's decision; Dask's streams carry it there and back.

    Args:
        local: runs the attempts of this process's agents. It is closed with this one.
    """

    def __init__(self, local: Engine) -> None:
        self._local = local
        self._numbers = itertools.count(1)
        self._starting = threading.Lock()  # held by the one thread that starts the carrier
        self._changed = threading.Condition()  # guards what follows
        self._carrier: Carrier | None = None
        self._running: dict[str, Attempt] = {}
        self._keys: dict[Attempt, str] = {}
        self._closed = False
        self._came: Callable[[str], None] = lambda place: None
        self._went: Callable[[str], None] = lambda place: None

    # What the scheduler asks

    def open(self, started: Started, done: Done) -> None:
        """Say where to report."""
        self._started, self._done = started, done
        self._local.open(started, done)

    def launch(self, attempt: Attempt) -> None:
        """Run it soon."""
        if not isinstance(attempt.agent, RemoteAgent):
            self._local.launch(attempt)
            return
        number = next(self._numbers)
        key = f"{attempt.task.id}/{attempt.context.attempt}/{number}"
        with self._changed:
            carrier = self._carrier if not self._closed else None
            if carrier is not None:
                self._running[key] = attempt
                self._keys[attempt] = key
        if carrier is None or not carrier.post(self._begin, carrier, key, attempt):
            self._forget(attempt)
            self._done(attempt, None, ClosedError("the engine of the cluster is closed"))

    def abandon(self, attempt: Attempt) -> None:
        """Have its worker told to stop; nobody waits for it."""
        if not isinstance(attempt.agent, RemoteAgent):
            self._local.abandon(attempt)
            return
        key = self._forget(attempt)
        if key is not None and self._carrier is not None:
            self._carrier.post(self._carrier.cancel, key)

    def close(self, timeout: float) -> bool:
        """Take no more, wait for what runs, end what is left."""
        end = time.monotonic() + timeout
        with self._starting, self._changed:
            self._closed = True
        ended = self._local.close(timeout)
        with self._changed:
            while self._running and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(left, _LOOK))
            ended = ended and not self._running
            carrier = self._carrier
        if carrier is not None:
            ended = carrier.close(max(5.0, end - time.monotonic())) and ended
        return ended

    # What the router asks

    @property
    def address(self) -> str | None:
        """``tls://HOST:PORT``, where workers find it; None: it does not listen."""
        return self._carrier.address if self._carrier is not None else None

    def watch(self, came: Callable[[str], None], went: Callable[[str], None]) -> None:
        """Say who is told of workers that come and go.

        Args:
            came: called with a worker's place; in a thread of the engine's, must be quick.
            went: the same. If it has the registry fail the worker, what that ran runs elsewhere;
                else the attempts fail with :class:`WorkerLostError`.
        """
        self._came, self._went = came, went

    def start(self, host: str, credentials: Credentials) -> str:
        """Listen, if that is not done already, and give the address. May take a second.

        Raises:
            ClusterMissingError: Dask is not installed.
            ClusterError: it cannot listen there. ClosedError: the engine is closed.
        """
        with self._starting:
            if self._closed:
                raise ClosedError("the engine of the cluster is closed")
            if self._carrier is None:
                self._carrier = self._make(host, credentials)
            return self._carrier.address

    def _make(self, host: str, credentials: Credentials) -> Carrier:
        try:
            from ..cluster.carrier import Carrier
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "swarmc":
                raise
            raise ClusterMissingError(error.name) from error
        try:
            return Carrier(host, credentials, self)
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(f"the cluster's engine cannot listen on {host}: {error}") from error

    def admit(self, agent: RemoteAgent) -> None:
        """Its worker may come."""
        if self._carrier is not None:
            self._carrier.admit(agent.place)

    def drop(self, agent: RemoteAgent) -> None:
        """Its worker may be there no more, frozen or not."""
        if self._carrier is not None:
            self._carrier.drop(agent.place)

    # In the carrier's thread

    def _begin(self, carrier: Carrier, key: str, attempt: Attempt) -> None:
        if key not in self._running:
            return  # abandoned before it began
        agent = attempt.agent
        assert isinstance(agent, RemoteAgent)
        try:
            self._started(attempt)
            order = pack_order(attempt.task, attempt.context)
        except ValueEncodingError as error:  # which one that is too large is, too
            problem = TaskError(f"its payload cannot travel: {error}", retry=False)
            self._end(key, None, problem)
        except Exception as error:
            self._end(key, None, error)
        else:
            if not carrier.submit(key, agent.place, order):
                self._lost(key)

    def outcome(self, key: str, data: bytes) -> None:
        """A worker says what came of an attempt."""
        self._end(key, *unpack_outcome(data))

    def broken(self, key: str, why: str) -> None:
        """What the worker says cannot be taken."""
        self._end(key, None, TaskError(why, retry=False))

    def came(self, place: str) -> None:
        """A worker is there."""
        self._came(place)

    def went(self, place: str) -> None:
        """A worker is gone."""
        try:
            self._went(place)
        finally:
            with self._changed:
                left = [
                    key for key, attempt in self._running.items()
                    if getattr(attempt.agent, "place", None) == place
                ]  # fmt: skip
            for key in left:
                self._lost(key)

    def _lost(self, key: str) -> None:
        self._end(key, None, WorkerLostError("the worker that ran it is gone"))

    def _end(self, key: str, result: Any, error: BaseException | None) -> None:
        attempt = self._running.get(key)
        if attempt is not None and self._forget(attempt) is not None:
            self._done(attempt, result, error)

    def _forget(self, attempt: Attempt) -> str | None:
        with self._changed:
            key = self._keys.pop(attempt, None)
            if key is not None:
                del self._running[key]
                if self._closed and not self._running:
                    self._changed.notify_all()
            return key

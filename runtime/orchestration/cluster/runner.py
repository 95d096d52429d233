"""The Dask part of a worker: takes orders, runs them in threads, tells what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Any

from ..engine.base import Attempt
from ..engine.local import LocalEngine
from ..errors import TaskCancelledError, TaskError
from ..interfaces import Agent
from ..tasks import TaskContext
from .authority import Credentials
from .dask_tls import OUTCOME, EngineWorker, security
from .loop_thread import LoopThread
from .parcel import pack_outcome, unpack_order

_TIMEOUT = 30.0
_LOOK = 0.1  # seconds between looks whether it is still wanted, while it joins
_PIECE = 4 << 20  # bytes of an outcome in one message


class Runner:
    """Joins an engine, and runs what comes.

    Args:
        address: of the engine.
        place: under which the engine knows it.
        host: address of this machine by which the dispatcher reaches it.
        agent: what runs tasks.
        gone: called when the engine has cut it off, in the runner's thread.
        wanted: whether it is still expected there; asked while it joins.

    Raises:
        OSError: the engine is not there, or does not take it.
    """

    def __init__(
        self, address: str, place: str, host: str, credentials: Credentials, agent: Agent,
        gone: Callable[[], None] = lambda: None, wanted: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._agent = agent
        self._place = place
        self._gone = gone
        self._lock = threading.Lock()  # guards what follows
        self._running: dict[str, Attempt] = {}
        self._keys: dict[Attempt, str] = {}
        self._closed = False
        self._engine = LocalEngine(agent.capacity)
        self._engine.open(self._started, self._done)
        self._folder = tempfile.mkdtemp(prefix="swarmc-worker-")
        self._thread = LoopThread("swarmc-dask-worker")
        try:
            joining = self._thread.begin(self._start(address, host, credentials))
            self._joined(joining, wanted)
        except BaseException:
            self._end(_TIMEOUT)
            raise

    @staticmethod
    def _joined(joining: Future[None], wanted: Callable[[], bool]) -> None:
        """Wait until it has joined. Raises what went wrong."""
        end = time.monotonic() + _TIMEOUT
        while wanted():
            if time.monotonic() > end:
                raise TimeoutError(f"it did not answer for {_TIMEOUT:g} s")
            done, _ = futures.wait([joining], _LOOK)
            if done:
                return joining.result()
        # The engine refuses whom the router has given up, and Dask would ask it for long.
        raise ConnectionError("the router was lost meanwhile")

    async def _start(self, address: str, host: str, credentials: Credentials) -> None:
        self._worker = EngineWorker(
            address, self._order, self._cancel, name=self._place, nthreads=1, host=host,
            protocol="tls://", security=security(credentials), dashboard=False,
            local_directory=self._folder, death_timeout=_TIMEOUT,
        )  # fmt: skip
        await self._worker
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        await self._worker.finished()  # type: ignore[no-untyped-call]
        self._gone()

    @property
    def running(self) -> int:
        """How many attempts run."""
        with self._lock:
            return len(self._running)

    def close(self, timeout: float = _TIMEOUT) -> None:
        """Leave the engine; what runs is told to stop. May be called more than once."""
        self._gone = lambda: None
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        try:
            self._thread.call(self._worker.close(timeout=timeout, nanny=False), timeout + 1)
        except TimeoutError:
            pass  # its thread ends with the process
        self._end(timeout)

    def _end(self, timeout: float) -> None:
        with self._lock:
            attempts = list(self._running.values())
        for attempt in attempts:
            attempt.context.cancelled.set()
        self._engine.close(min(timeout, 5.0))
        self._thread.close(timeout)
        shutil.rmtree(self._folder, ignore_errors=True)

    # Orders, in the runner's thread where nothing else is said

    def _order(self, key: str, order: bytes) -> None:
        """Begin it soon."""
        try:
            what = unpack_order(order)
        except Exception as error:
            self._tell(key, pack_outcome(None, error))
            return
        context = TaskContext(what.attempt, time.monotonic() + what.timeout, what.inputs)
        attempt = Attempt(what.task, self._agent, context)
        with self._lock:
            self._running[key] = attempt
            self._keys[attempt] = key
        self._engine.launch(attempt)

    def _cancel(self, key: str) -> None:
        """Nobody wants it any more."""
        with self._lock:
            attempt = self._running.pop(key, None)
            if attempt is not None:
                attempt.context.cancelled.set()
                if attempt in self._keys:  # else its thread is through with it
                    self._engine.abandon(attempt)

    def _started(self, attempt: Attempt) -> None:
        if attempt.context.cancelled.is_set():
            raise TaskCancelledError

    def _done(self, attempt: Attempt, result: Any, error: BaseException | None) -> None:
        """In the thread that ran it."""
        with self._lock:
            key = self._keys.pop(attempt)
            wanted = key in self._running
        if not wanted:
            return
        try:
            outcome = pack_outcome(result, error)
        except Exception as problem:  # of values that somebody else's code made
            name = type(problem).__name__
            outcome = pack_outcome(None, TaskError(f"its result cannot travel: {name}: {problem}"))
        self._thread.post(self._finish, key, outcome)

    def _finish(self, key: str, outcome: bytes) -> None:
        with self._lock:
            wanted = self._running.pop(key, None) is not None
        if wanted:
            self._tell(key, outcome)

    def _tell(self, key: str, outcome: bytes) -> None:
        for start in range(0, max(1, len(outcome)), _PIECE):
            piece = outcome[start : start + _PIECE]
            more = start + _PIECE < len(outcome)
            # Without a connection the engine has given the task to another worker already.
            with contextlib.suppress(OSError):
                self._worker.batched_stream.send(
                    {"op": OUTCOME, "key": key, "data": piece, "more": more}
                )

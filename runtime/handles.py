"""A dispatch that goes on while its caller does something else."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ..targets.base import Int64s
from .results import SwarmResult


class DispatchHandle:
    """What ``dispatch_async`` gives. May be used from several threads.

    As a context manager it waits for the end when the block does; if the block raises, the agents
    are stopped first. In a coroutine, ``await handle`` is its result.
    """

    def __init__(self, future: Future[SwarmResult], stop: Int64s) -> None:
        self._future = future
        self._stop = stop

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> SwarmResult:
        """Wait for the end and give the result.

        Args:
            timeout: seconds to wait at most; None: as long as it takes.

        Raises:
            TimeoutError: it goes on; ask again.
            KeyboardInterrupt: of Ctrl-C, which stops the agents; the swarm's ``last_result`` has
                what there is.
        """
        try:
            return self._future.result(timeout)
        except KeyboardInterrupt:
            self.interrupt()
            self.wait()
            raise

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, so many seconds at most; whether it has come."""
        try:
            self._future.exception(timeout)
        except TimeoutError:
            return self._future.done()
        return True

    def interrupt(self) -> bool:
        """Stop the agents, which trap as interrupted; whether some were still running.

        The result comes all the same, soon.
        """
        running = not self._future.done()
        self._stop[0] = 1
        return running

    def cancel(self) -> bool:
        """Stop the agents and wait until they have; whether some were still running."""
        running = self.interrupt()
        self.wait()
        return running

    def add_done_callback(self, call: Callable[[DispatchHandle], object]) -> None:
        """Have a function called with the handle at the end, in some thread."""
        self._future.add_done_callback(lambda _: call(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if error is not None:
            self.interrupt()
        self.wait()

    def __await__(self) -> Generator[Any, None, SwarmResult]:
        import asyncio  # takes as long as a small dispatch; most programs have no coroutines

        return asyncio.wrap_future(self._future).__await__()

    def __repr__(self) -> str:
        return f"<DispatchHandle: {'done' if self.done() else 'running'}>"


class Started:
    """A thread's word to the one that started it: the cell that stops its dispatch, or an error."""

    def __init__(self) -> None:
        self._future: Future[Int64s] = Future()
        self._abandoned = threading.Event()

    def running(self, stop: Int64s) -> None:
        self._future.set_result(stop)
        if self._abandoned.is_set():
            stop[0] = 1

    def abandon(self) -> None:
        """Stop the dispatch, or as soon as it begins: nobody will ask for it."""
        self._abandoned.set()
        if self._future.done() and self._future.exception() is None:
            self._future.result()[0] = 1

    def wait(self) -> Int64s:
        return self._future.result()

    def failed(self, error: BaseException) -> bool:
        """Whether nothing had been said before, so that the starter learns of the error."""
        if self._future.done():
            return False
        self._future.set_exception(error)
        return True


_handles: weakref.WeakSet[DispatchHandle] = weakref.WeakSet()


def start(run: Callable[[Callable[[Int64s], None]], SwarmResult]) -> DispatchHandle:
    """Run a dispatch in a thread of its own; returns when it has begun.

    Args:
        run: told what to call with the cell that stops it, once it has begun.

    Raises:
        BaseException: what kept it from beginning.
    """
    future: Future[SwarmResult] = Future()
    future.set_running_or_notify_cancel()  # a coroutine's cancellation must not end it
    started = Started()

    def work() -> None:
        try:
            result = run(started.running)
        except BaseException as error:
            if not started.failed(error):
                future.set_exception(error)
        else:
            future.set_result(result)

    # What is registered last is called first, before the memory of agents is given back.
    atexit.unregister(_stop_all)
    atexit.register(_stop_all)
    threading.Thread(target=work, name="swarmc-async", daemon=True).start()
    try:
        stop = started.wait()
    except BaseException:
        started.abandon()
        raise
    handle = DispatchHandle(future, stop)
    _handles.add(handle)
    return handle


def _stop_all() -> None:
    """Let no agents run while the interpreter goes away."""
    running = [handle for handle in _handles if not handle.done()]
    for handle in running:
        handle.interrupt()
    for handle in running:
        handle.wait()

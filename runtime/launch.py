"""Run device calls on one worker thread, so that they are serialised and Ctrl-C stops them.

A kernel cannot be interrupted from the thread that runs it, and Numba's parallel regions must not
be entered from two threads at once: so one thread of the process runs all of them, in the order
of the calls, and whoever called waits in short steps, in which Python handles signals.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ..errors import TargetError
from ..targets.base import Int64s

T = TypeVar("T")

_STEP_SECONDS = 0.1

_Job = tuple["Future[Any]", Callable[[], Any]]


class _Worker:
    """The thread and its queue of jobs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="swarmc-dispatch", daemon=True).start()

    def _work(self) -> None:
        while True:
            future, call = self.jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del future, call  # keep nothing alive while waiting


_starting = threading.Lock()
_worker: _Worker | None = None


def _the_worker() -> _Worker:
    global _worker
    with _starting:
        if _worker is None:
            _worker = _Worker()
        if _worker.pid != os.getpid():
            raise TargetError(
                "swarmc cannot run agents in a forked child of a process that ran some",
                hint="start processes with multiprocessing's 'spawn' method",
            )
        return _worker


def run_serialised(call: Callable[[], T], stop: Int64s) -> tuple[T, BaseException | None]:
    """Run a device call on the worker thread and wait for it.

    Args:
        stop: the cell that tells the call to end early.

    Returns:
        The result, and the exception (KeyboardInterrupt) that interrupted the wait: the call was
        then told to stop, and did. The caller raises it when its books are in order.
    """
    future: Future[T] = Future()
    interruption: BaseException | None = None
    worker = _the_worker()
    try:
        worker.jobs.put((future, call))
        return _wait(future), None
    except BaseException as error:
        if future.done() and not future.cancelled() and future.exception() is error:
            raise
        # an interrupt may come at any point above: a job that did not begin never will
        if future.cancel():
            raise
        interruption = error
    stop[0] = 1
    while True:
        try:
            return _wait(future), interruption
        except KeyboardInterrupt as error:
            interruption = error  # impatience does not end the call any sooner


def _wait(future: Future[T]) -> T:
    while True:
        try:
            return future.result(_STEP_SECONDS)
        except TimeoutError:
            if future.done():
                return future.result()

"""Attempts in threads of this process."""

from __future__ import annotations

import os
import queue
import threading
import time

from .base import Attempt, Done, Started

_PATIENCE = 0.001  # seconds that attempts wait, after which more threads may help
_NONE = float("inf")
_SHORT = 0.0003  # seconds: of shorter attempts, threads run no more by being several


class LocalEngine:
    """Threads that take attempts from a queue.

    There is one to begin with. When attempts have waited for a millisecond, and each takes longer
    than a few hundred microseconds, one more is started, up to one a core. While no thread takes
    any, because all are busy with something long, one more is started, then two, four, and so on.
    Short tasks are so run by one thread; several would contend for the interpreter and for the
    scheduler's lock. A thread whose ``done`` launches an attempt takes that one itself, without
    waking another, unless others have waited longer.

    Threads are daemons: an executor that neither ends nor looks at ``cancelled`` does not keep the
    process from ending.

    Args:
        threads: how many run at most, those in abandoned attempts not counted.
    """

    def __init__(self, threads: int = 512) -> None:
        self._limit = threads
        self._cores = os.cpu_count() or 1
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards what follows
        self._short = threading.Condition(self._lock)  # more attempts than threads: wakes _watch
        self._threads: set[threading.Thread] = set()
        self._watcher: threading.Thread | None = None
        self._idle = 0
        self._queued = 0
        self._taken = 0
        self._shortest = _NONE  # seconds of the shortest attempt since the watcher looked
        self._abandoned: set[Attempt] = set()
        self._inside: set[int] = set()  # threads in executors; changed without the lock
        self._closed = False
        self._watching = False  # whether the watcher does not wait to be told
        self._own = threading.local()  # .next: the attempt that this thread runs next

    def open(self, started: Started, done: Done) -> None:
        """Say where to report."""
        self._started, self._done = started, done

    def launch(self, attempt: Attempt) -> None:
        """Run it soon."""
        if not self._queued and getattr(self._own, "next", attempt) is None:
            self._own.next = attempt  # this is a thread of ours, in ``done``
            return
        with self._lock:
            self._queued += 1
            self._waiting.put(attempt)
            if self._queued > self._idle:
                self._want_thread()

    def abandon(self, attempt: Attempt) -> None:
        """Let another thread take the place of the one that may hang in it."""
        with self._lock:
            self._abandoned.add(attempt)
            if self._queued > self._idle:
                self._want_thread()

    def close(self, timeout: float) -> bool:
        """End threads that have nothing to do, wait for the others."""
        with self._lock:
            self._closed = True
            self._short.notify()
            threads = list(self._threads)
        for _ in threads:
            self._waiting.put(None)
        end = time.monotonic() + timeout
        if self._watcher is not None:
            self._watcher.join()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _room(self) -> int:
        return 0 if self._closed else self._limit - (len(self._threads) - len(self._abandoned))

    def _want_thread(self) -> None:
        if len(self._threads) == len(self._abandoned):
            self._start_threads(1)
        elif self._watcher is None and not self._closed:
            self._watcher = threading.Thread(
                target=self._watch, name="swarmc-engine", daemon=True
            )  # fmt: skip
            self._watcher.start()
        elif not self._watching:
            self._short.notify()

    def _start_threads(self, count: int) -> None:
        for _ in range(min(count, self._room())):
            name = f"swarmc-task-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()  # it waits for the lock before it changes anything
            except RuntimeError:
                if not self._threads:
                    raise
                return  # the system gives no more: those that there are do the work
            self._threads.add(thread)
            self._idle += 1

    def _watch(self) -> None:
        """Start threads where attempts wait for long."""
        stalled = 0  # looks in a row at which nothing had moved
        while True:
            with self._lock:
                while not self._closed and (self._queued <= self._idle or not self._room()):
                    self._watching = False
                    self._short.wait()
                    stalled = 0
                if self._closed:
                    return
                self._watching = True
                taken, self._shortest = self._taken, _NONE
            time.sleep(_PATIENCE)
            with self._lock:
                missing = self._queued - self._idle
                # A thread that is not inside of an executor waits for the scheduler's lock; one
                # that is may have lost the interpreter for a moment: so not at the first look.
                all_inside = len(self._inside) >= len(self._threads)
                stalled = stalled + 1 if self._taken == taken and all_inside else 0
                few = len(self._threads) < self._cores
                if missing > 0 and stalled > 1:
                    self._start_threads(min(1 << (stalled - 2), missing))
                elif missing > 0 and few and _SHORT < self._shortest < _NONE:
                    self._start_threads(1)

    def _work(self) -> None:
        self._own.next = None
        while (attempt := self._waiting.get()) is not None:
            with self._lock:
                self._queued -= 1
                self._idle -= 1
            self._run(attempt)
            with self._lock:
                self._idle += 1
                if len(self._threads) - len(self._abandoned) > self._limit:
                    break  # the attempt had been abandoned, and another thread does its work
        with self._lock:
            self._idle -= 1
            self._threads.discard(threading.current_thread())

    def _run(self, attempt: Attempt | None) -> None:
        own, inside, me = self._own, self._inside, threading.get_ident()
        while attempt is not None:
            self._taken += 1  # not exact without the lock, and need not be
            own.next = attempt  # what ``started`` and the executor launch goes to the queue
            result, failure, begun = None, None, time.perf_counter()
            try:
                self._started(attempt)
                inside.add(me)
                result = attempt.agent.execute(attempt.task, attempt.context)
            except BaseException as error:  # whatever it is, it is what became of the attempt
                failure = error
            inside.discard(me)
            self._shortest = min(self._shortest, time.perf_counter() - begun)
            own.next = None
            self._done(attempt, result, failure)
            if self._abandoned:  # once it is done, nobody abandons it any more
                with self._lock:
                    self._abandoned.discard(attempt)
            attempt = own.next

"""Attempts in threads of this process."""

from __future__ import annotations

import os
import queue
import threading
import time

from .base import Attempt, Done, Started

_PATIENCE = 0.001  # seconds without a thread taking an attempt, after which more threads help


class LocalEngine:
    """Threads that take attempts from a queue.

    There is one a core to begin with. When attempts wait and for a millisecond no thread has taken
    any, all are busy with something long, and one more is started; then two, four, and so on,
    until one is taken or none waits. Short tasks are so run by few threads, which contend less for
    the interpreter. A thread whose ``done`` launches an attempt takes that one itself, without
    waking another.

    Threads are daemons: an executor that neither ends nor looks at ``cancelled`` does not keep the
    process from ending.

    Args:
        threads: how many run at most, those in abandoned attempts not counted.
    """

    def __init__(self, threads: int = 512) -> None:
        self._limit = threads
        self._first = min(threads, os.cpu_count() or 1)
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards what follows
        self._short = threading.Condition(self._lock)  # more attempts than threads: wakes _watch
        self._threads: set[threading.Thread] = set()
        self._watcher: threading.Thread | None = None
        self._idle = 0
        self._queued = 0
        self._taken = 0
        self._abandoned: set[Attempt] = set()
        self._closed = False
        self._own = threading.local()  # .next: the attempt that this thread runs next

    def open(self, started: Started, done: Done) -> None:
        """Say where to report."""
        self._started, self._done = started, done

    def launch(self, attempt: Attempt) -> None:
        """Run it soon."""
        if getattr(self._own, "next", attempt) is None:  # a thread of ours, in ``done``
            self._own.next = attempt
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
        if len(self._threads) - len(self._abandoned) < self._first:
            self._start_threads(1)
        elif self._watcher is None and not self._closed:
            self._watcher = threading.Thread(
                target=self._watch, name="swarmc-engine", daemon=True
            )  # fmt: skip
            self._watcher.start()
        else:
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
        """Start threads where nothing goes on although attempts wait."""
        more = 1
        while True:
            with self._lock:
                while not self._closed and (self._queued <= self._idle or not self._room()):
                    self._short.wait()
                    more = 1
                if self._closed:
                    return
                taken = self._taken
            time.sleep(_PATIENCE)
            with self._lock:
                if self._taken != taken:
                    more = 1
                elif self._queued > self._idle:
                    self._start_threads(min(more, self._queued - self._idle))
                    more *= 2

    def _work(self) -> None:
        self._own.next = None
        while (attempt := self._waiting.get()) is not None:
            with self._lock:
                self._queued -= 1
                self._idle -= 1
                self._taken += 1
            self._run(attempt)
            with self._lock:
                self._idle += 1
                if len(self._threads) - len(self._abandoned) > self._limit:
                    break  # the attempt had been abandoned, and another thread does its work
        with self._lock:
            self._idle -= 1
            self._threads.discard(threading.current_thread())

    def _run(self, attempt: Attempt | None) -> None:
        own = self._own
        while attempt is not None:
            own.next = attempt  # what ``started`` and the executor launch goes to the queue
            result, failure = None, None
            try:
                self._started(attempt)
                result = attempt.agent.execute(attempt.task, attempt.context)
            except BaseException as error:  # whatever it is, it is what became of the attempt
                failure = error
            own.next = None
            self._taken += 1  # not exact: it only has to change
            self._done(attempt, result, failure)
            if self._abandoned:  # once it is done, nobody abandons it any more
                with self._lock:
                    self._abandoned.discard(attempt)
            attempt = own.next

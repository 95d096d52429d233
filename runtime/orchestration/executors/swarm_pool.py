"""Swarms that executors keep for the next task of the same program, and how attempts end them."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ClosedError
from ..tasks import TaskContext

if TYPE_CHECKING:
    from ...manager import SwarmManager
    from ...results import SwarmResult

_STRIPES = 16
_STEP = 0.01  # seconds between looks whether attempts should stop
_IDLE = 1.0  # seconds without attempts, after which nobody looks


class SwarmPool:
    """Swarms by what they can run. May be used from several threads.

    Args:
        kept: most swarms that are kept while nobody uses them.
    """

    def __init__(self, kept: int = 8) -> None:
        self._kept = kept
        self._idle: OrderedDict[Hashable, list[SwarmManager]] = OrderedDict()
        self._closed = False
        self._lock = threading.Lock()  # guards _idle and _closed
        # Held while a swarm is made, by key: who comes second finds the program compiled.
        self._making = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def swarm(self, key: Hashable, make: Callable[[], SwarmManager]) -> Iterator[SwarmManager]:
        """A swarm for this caller alone: one that was used with this key, else a new one.

        Raises:
            ClosedError: the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the executor is closed")
            idle = self._idle.get(key)
            swarm = idle.pop() if idle else None
            if idle is not None and not idle:
                del self._idle[key]
        if swarm is None:
            with self._making[hash(key) % _STRIPES]:
                swarm = make()
        try:
            yield swarm
        except BaseException:
            swarm.close()  # who knows what is left in it
            raise
        self._put_back(key, swarm)

    def close(self) -> None:
        """Free the swarms that nobody uses; the others when they are done."""
        with self._lock:
            self._closed = True
            swarms = [swarm for idle in self._idle.values() for swarm in idle]
            self._idle.clear()
        for swarm in swarms:
            swarm.close()

    def _put_back(self, key: Hashable, swarm: SwarmManager) -> None:
        surplus = []
        with self._lock:
            if self._closed:
                surplus.append(swarm)
            else:
                self._idle.setdefault(key, []).append(swarm)
                self._idle.move_to_end(key)
                while sum(map(len, self._idle.values())) > self._kept:
                    oldest = next(iter(self._idle))
                    surplus.append(self._idle[oldest].pop(0))
                    if not self._idle[oldest]:
                        del self._idle[oldest]
        for unused in surplus:
            unused.close()


class _Watch:
    """A thread that looks whether attempts should stop, while there are any, and interrupts them.

    One for all: starting one for each attempt was a good part of what a short one takes.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows; held while it interrupts
        self._running: dict[int, tuple[SwarmManager, TaskContext]] = {}
        self._numbers = itertools.count()
        self._there = False  # whether the thread is

    @contextmanager
    def over(self, swarm: SwarmManager, context: TaskContext) -> Iterator[None]:
        """Watch an attempt; once it has ended, its swarm is not interrupted any more."""
        number = next(self._numbers)
        try:
            with self._changed:
                self._running[number] = swarm, context
                if not self._there:
                    thread = threading.Thread(
                        target=self._work, name="swarmc-wasm-watch", daemon=True
                    )
                    thread.start()
                    self._there = True
                elif len(self._running) == 1:
                    self._changed.notify()
            yield
        finally:
            with self._changed:
                self._running.pop(number, None)

    def _work(self) -> None:
        with self._changed:
            while self._running or self._changed.wait_for(lambda: self._running, _IDLE):
                for swarm, context in self._running.values():
                    if context.cancelled.is_set() or not context.remaining():
                        swarm.interrupt()  # once more each time: it may not have begun
                self._changed.wait(_STEP)
            self._there = False


_watch = _Watch()


def interruptible(
    swarm: SwarmManager, context: TaskContext, run: Callable[[], SwarmResult]
) -> SwarmResult:
    """Run agents; they are interrupted when the attempt should stop."""
    with _watch.over(swarm, context):
        return run()

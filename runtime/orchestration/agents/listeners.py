"""Who is told of changes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVarTuple

_What = TypeVarTuple("_What")

log = logging.getLogger(__name__)


class Listeners(Generic[*_What]):
    """Functions that are called in the order in which they came. Whoever has them guards them.

    One that raises is written to the log, and the others hear of it all the same.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[*_What], object], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Callable[[*_What], object]) -> None:
        """Call it from now on."""
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: Callable[[*_What], object]) -> None:
        """Call it no more; nothing happens if it is not called anyhow."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def tell(self, *what: *_What) -> None:
        """Call them all."""
        for listener in self._listeners:
            try:
                listener(*what)
            except Exception:
                log.exception("%r, which hears of changes, failed", listener)


class TellingLock(Generic[*_What]):
    """A lock under which changes are noted, which the listener hears of when it is free again.

    In the order in which they were noted, one after the other, from the threads that noted them.

    Args:
        tell: what is called; None: nothing is noted.
    """

    def __init__(self, tell: Callable[[*_What], object] | None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # held by the thread that calls the listener
        self._noted: deque[tuple[*_What]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        if self._noted:
            self._tell_all()

    def note(self, *what: *_What) -> None:
        """Something has changed. The caller has the lock."""
        if self._tell is not None:
            self._noted.append(what)

    def _tell_all(self) -> None:
        tell = self._tell
        assert tell is not None
        # Who finds another thread telling leaves it to that one, which looks again when it is done.
        while self._noted and self._telling.acquire(blocking=False):
            try:
                while self._noted:
                    what = self._noted.popleft()
                    try:
                        tell(*what)
                    except Exception:
                        log.exception("%r, which hears of changes, failed", tell)
            finally:
                self._telling.release()

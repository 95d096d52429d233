"""What threads tell the router's event loop: in order, and never more at once than it can take."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

_LOG = logging.getLogger(__name__)
#: Taken in one go; then whoever else waits for the loop has a turn.
_AT_ONCE = 256


class Feed:
    """Runs in the event loop what other threads give it, in the order in which they gave it.

    ``put`` neither waits nor takes a lock, so that it may be called with any lock held.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False

    def open(self) -> None:
        """Begin, in the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._wake()

    def put(self, act: Callable[[Any], None], item: Any) -> None:
        """Have ``act(item)`` called in the event loop. From any thread."""
        self._waiting.append((act, item))
        if not self._woken:
            self._wake()

    def close(self) -> None:
        """Call nothing more."""
        self._loop = None
        self._waiting.clear()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._woken = False  # first: what comes from now on wakes the loop again
        for _ in range(_AT_ONCE):
            try:
                act, item = self._waiting.popleft()
            except IndexError:
                return
            try:
                act(item)
            except Exception:  # the others are told all the same
                _LOG.exception("%r could not take what it was told", act)
        self._wake()

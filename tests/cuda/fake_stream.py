"""Streams of the driver that is made for tests, and how its functions fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Failure(Exception):
    """A function of the driver, or a launch, ends with an error."""

    def __init__(self, code: Any) -> None:
        super().__init__(code)
        self.code = code


class Queue:
    """A stream: what is to be done, and the thread that does it once somebody asks."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._error: Failure | None = None

    def add(self, what: Callable[[], None]) -> None:
        self._waiting.append(what)

    def begin(self) -> None:
        if self._thread is None and self._waiting:
            work, self._waiting = self._waiting, []
            self._thread = threading.Thread(target=self._work, args=(work,))
            self._thread.start()

    def _work(self, work: list[Callable[[], None]]) -> None:
        try:
            for what in work:
                what()
        except Failure as failure:
            self._error = failure

    def idle(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def finish(self) -> Failure | None:
        while self._thread is not None or self._waiting:
            self.begin()
            assert self._thread is not None
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        return error

    def drop(self) -> None:
        self._waiting.clear()

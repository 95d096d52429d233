"""Keeps peers from filling the log: what they can cause again and again is told now and then."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

#: Lines of one place in a program, in so many seconds.
LINES, SECONDS = 10, 60.0
_ORCHESTRATION = __package__.rpartition(".")[0]
#: Loggers of what peers make us say: ours, and those of the libraries that serve them.
LOGGERS = (
    f"{_ORCHESTRATION}.router.wire", f"{_ORCHESTRATION}.router.server",
    f"{_ORCHESTRATION}.cluster.dask_tls", f"{_ORCHESTRATION}.cluster.carrier", "uvicorn.error",
    "asyncio", "tornado.general", "tornado.application",
)  # fmt: skip


class RateLimit(logging.Filter):
    """Lets so many records of one line of code through in a while, and says how many it did not.

    Args:
        lines: how many, in ``seconds``.
        clock: seconds.
    """

    def __init__(
        self, lines: int = LINES, seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        super().__init__()
        self._lines, self._seconds, self._clock = lines, seconds, clock
        self._lock = threading.Lock()  # guards what follows
        #: By place in the code, of which there are not many: when it began to count, and to what.
        self._counts: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is told."""
        place, now = (record.pathname, record.lineno), self._clock()
        with self._lock:
            began, count = self._counts.get(place, (now, 0))
            left_out = 0
            if now - began >= self._seconds:
                left_out, began, count = max(0, count - self._lines), now, 0
            self._counts[place] = began, count + 1
        if left_out:
            _add(record, f"{left_out:,} others like this were left out")
        if count == self._lines - 1:
            _add(record, f"others like this are left out for {self._seconds:g} s")
        return count < self._lines


def _add(record: logging.LogRecord, what: str) -> None:
    record.msg, record.args = f"{record.getMessage()} ({what})", ()


def _told(record: logging.LogRecord) -> bool:
    """Not what peers do wrong, and uvicorn tells with a traceback each."""
    return not record.getMessage().startswith("Invalid UTF-8 sequence received")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Bound what peers have logged, until the block ends."""
    limit = RateLimit()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(_told)  # before the other one: what is not told is not counted
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
            logger.removeFilter(_told)

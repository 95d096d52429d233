"""How suspicious silence is: the phi accrual failure detector.

After Hayashibara, Défago, Yared, Katayama: *The phi accrual failure detector* (SRDS 2004). The
times between heartbeats are taken for normally distributed; phi is how unlikely it is that the next
one comes later than now: 1 means one in ten, 8 one in a hundred million. Who beats irregularly is
therefore given more time than who is punctual.
"""

from __future__ import annotations

import math
from collections import deque

_SQRT2 = math.sqrt(2.0)
_TICKS = 1_000_000  # a second: whole numbers add up exactly, however long the window slides


class PhiDetector:
    """The heartbeats of one agent, and what its silence means. Not thread-safe.

    Args:
        now: when it begins, as if the agent had just beaten.
        interval: seconds between heartbeats that are expected before there is experience.
        deviation: standard deviation that is assumed at least; nobody is perfectly punctual.
        pause: seconds that a heartbeat may be late besides, without suspicion.
        longest: seconds that count of a time between heartbeats, so that one long silence does
            not make the next one unsuspicious.
        window: how many of the last times between heartbeats count.
    """

    __slots__ = (
        "_deviation", "_last", "_longest", "_pause", "_samples", "_squares", "_sum", "_window",
    )  # fmt: skip

    def __init__(
        self, now: float, interval: float, deviation: float, pause: float, longest: float,
        window: int = 200,
    ) -> None:  # fmt: skip
        self._last = now
        self._deviation, self._pause, self._longest = deviation, pause, longest
        self._window = window
        self._samples: deque[int] = deque()
        self._sum = self._squares = 0
        # Two intervals with the mean and the deviation that are expected, as in Akka.
        self._add(interval - interval / 4)
        self._add(interval + interval / 4)

    def beat(self, now: float) -> None:
        """A heartbeat has come."""
        self._add(min(max(now - self._last, 0.0), self._longest))
        self._last = now

    def excuse(self, seconds: float) -> None:
        """So much of the silence is not the agent's."""
        self._last += seconds

    def silence(self, now: float) -> float:
        """Seconds since the last heartbeat."""
        return now - self._last

    def calm(self, now: float) -> bool:
        """Whether nobody could be suspicious yet: phi is below 0.31, without computing it."""
        return now - self._last <= self._pause

    def phi(self, now: float) -> float:
        """How suspicious the silence is, from 0; infinite beyond 38 deviations or so."""
        count = len(self._samples)
        mean = self._sum / count
        variance = self._squares / count - mean * mean
        deviation = max(math.sqrt(max(variance, 0.0)) / _TICKS, self._deviation)
        late = now - self._last - self._pause - mean / _TICKS
        probability = 0.5 * math.erfc(late / deviation / _SQRT2)  # that it comes later still
        return -math.log10(probability) if probability > 0 else math.inf

    def _add(self, interval: float) -> None:
        ticks = round(interval * _TICKS)
        if len(self._samples) >= self._window:
            oldest = self._samples.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest
        self._samples.append(ticks)
        self._sum += ticks
        self._squares += ticks * ticks

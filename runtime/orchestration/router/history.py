"""Figures of the latest quarter of an hour, for charts that begin before anybody looked."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from itertools import islice

from .protocol_tasks import MetricsHistory

#: Seconds between two samples, and how many are kept: 15 minutes of them.
EVERY, KEPT = 1.0, 900
_DIGITS = 6


class History:
    """The latest samples of some figures. Lives in one event loop.

    Args:
        names: of the figures; one that a sample does not have was 0.
        kept: samples.
    """

    def __init__(self, names: tuple[str, ...], kept: int = KEPT) -> None:
        self._names = names
        self._samples: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=kept)

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """A sample of a time, in seconds since 1970.

        Of one that is not behind the latest nothing is kept: somebody set the clock back. When it
        has caught up, it goes on.
        """
        if not self._samples or at > self._samples[-1][0]:
            sample = tuple(round(float(values.get(name, 0.0)), _DIGITS) for name in self._names)
            self._samples.append((at, sample))

    def since(self, at: float) -> MetricsHistory:
        """Samples behind a time."""
        first = bisect_right(self._samples, at, key=lambda sample: sample[0])
        found = list(islice(self._samples, first, None))
        return MetricsHistory(
            times=[time for time, _ in found],
            values={name: [v[i] for _, v in found] for i, name in enumerate(self._names)},
        )

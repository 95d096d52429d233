"""What agents wrote, of many agents at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..targets.base import Bytes, Int64s


@dataclass(frozen=True, slots=True)
class Stream:
    """What agents wrote to one stream: bytes joined, and the length of each agent's part."""

    data: Bytes
    lengths: Int64s

    def split(self) -> list[bytes]:
        """Each agent's bytes."""
        if not self.lengths.any():
            return [b""] * len(self.lengths)
        data = self.data.tobytes()
        ends = np.cumsum(self.lengths)
        starts = (ends - self.lengths).tolist()
        return [data[start:end] for start, end in zip(starts, ends.tolist(), strict=True)]


def empty_stream(count: int) -> Stream:
    """A stream that no agent wrote to."""
    return Stream(np.zeros(0, np.uint8), np.zeros(count, np.int64))


def joined_stream(streams: Sequence[Stream]) -> Stream:
    """What the agents of several dispatches wrote."""
    return Stream(
        np.concatenate([one.data for one in streams]),
        np.concatenate([one.lengths for one in streams]),
    )

"""Bytes between regions and the linear memories of a swarm's agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....errors import ArgumentError

if TYPE_CHECKING:
    from ...manager import SwarmManager

Bytes = NDArray[np.uint8]


def load(swarm: SwarmManager, agent: int, part: Bytes, address: int, memory: int | str) -> None:
    """Write bytes to an agent's memory: one copy, where it lies in this process as one piece."""
    window = _window(swarm, agent, address, len(part), memory)
    if window is None:
        swarm.set_agent_memories(part.reshape(1, -1), [agent], address, memory=memory)
    else:
        window[:] = part


def save(swarm: SwarmManager, agent: int, part: Bytes, address: int, memory: int | str) -> None:
    """Read bytes from an agent's memory: one copy, where it lies in this process as one piece."""
    window = _window(swarm, agent, address, len(part), memory)
    if window is None:
        found = swarm.get_agent_memories([agent], address, len(part), memory=memory)
        part[:] = found[0]
    else:
        part[:] = window


def _window(
    swarm: SwarmManager, agent: int, address: int, length: int, memory: int | str
) -> NDArray[Any] | None:
    """The agent's bytes themselves; None: they lie on a GPU, or interleaved with other agents'."""
    try:
        found = swarm.view_agent_memories([agent], address, length, memory=memory)
    except ArgumentError:
        return None  # a wrong range is refused again, when they are copied
    return found[0] if isinstance(found, np.ndarray) else None

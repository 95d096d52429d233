"""Which of several agents that could run a task gets it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from ..agents.entries import AgentEntry


class AgentSelectionStrategy(enum.Enum):
    """How an agent is chosen among those that can run a task and have room for it."""

    ROUND_ROBIN = "round_robin"  #: each in its turn
    LEAST_LOADED = "least_loaded"  #: the one with the smallest part of its capacity taken
    #: the one that should be done first: its load times how long tasks have taken there lately
    LOAD_BALANCED = "load_balanced"
    #: the one with the fewest capabilities besides those needed, so that versatile agents stay
    #: free for tasks that only they can run; of equal ones the least loaded
    CAPABILITY_BASED = "capability_based"


class Chooser:
    """Chooses agents, and remembers what its strategy needs. The scheduler's lock guards it.

    Args:
        strategy: None: the agent that was registered first.
    """

    def __init__(self, strategy: AgentSelectionStrategy | None) -> None:
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._means: dict[str, float] = {}
        self._key = _KEYS[strategy](self) if strategy is not None else _number

    def choose(self, entries: Sequence[AgentEntry]) -> AgentEntry:
        """The one that gets a task; there must be one."""
        entry = entries[0] if len(entries) == 1 else min(entries, key=self._key)
        self._turn += 1
        self._turns[entry.id] = self._turn
        return entry

    def took(self, agent_id: str, seconds: float) -> None:
        """Count how long a task took, for a moving average."""
        mean = self._means.get(agent_id, seconds)
        self._means[agent_id] = 0.8 * mean + 0.2 * seconds

    def forget(self, agent_id: str) -> None:
        """The agent is gone."""
        self._turns.pop(agent_id, None)
        self._means.pop(agent_id, None)

    def turn(self, entry: AgentEntry) -> int:
        """When it was last chosen, as a count of choices."""
        return self._turns.get(entry.id, 0)

    def expected(self, entry: AgentEntry) -> float:
        """Seconds until it should be done with one more task; 0 if nothing is known."""
        return self._means.get(entry.id, 0.0) * (entry.running + 1) / entry.capacity


_Key = Callable[[AgentEntry], tuple[float, ...]]


def _number(entry: AgentEntry) -> tuple[float, ...]:
    return (entry.number,)


_KEYS: dict[AgentSelectionStrategy, Callable[[Chooser], _Key]] = {
    AgentSelectionStrategy.ROUND_ROBIN: lambda c: lambda e: (c.turn(e), e.number),
    AgentSelectionStrategy.LEAST_LOADED: lambda c: lambda e: (e.load, c.turn(e), e.number),
    AgentSelectionStrategy.LOAD_BALANCED: lambda c: lambda e: (
        c.expected(e), e.load, c.turn(e), e.number
    ),
    AgentSelectionStrategy.CAPABILITY_BASED: lambda c: lambda e: (
        len(e.capabilities), e.load, c.turn(e), e.number
    ),
}  # fmt: skip

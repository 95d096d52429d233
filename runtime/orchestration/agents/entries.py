"""What the registry notes of each agent, and which agents have certain capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..interfaces import Agent, AgentState

#: Amounts that differ by less are equal: 0.1 is taken and given back ten times, and 1 fits again.
_EPSILON = 1e-9
_MAX_GROUPS = 256
_READY = AgentState.READY


@dataclass(eq=False, slots=True)
class AgentEntry:
    """What the registry knows of an agent. Read it under the registry's lock; never write to it.

    Args:
        number: place in the order of registration.
        running: tasks that it runs.
        occupied: what these occupy of its resources.
        incarnation: 1, and one more with each restart: what was acquired of an earlier one need
            not be released any more.
        served: tasks that it has been given, ever.
        since: when it came into its state (READY and BUSY count as one), on the registry's clock.
        reason: why it is in that state.
    """

    id: str
    agent: Agent
    number: int
    capabilities: frozenset[str]
    resources: Mapping[str, float]
    capacity: int
    state: AgentState = AgentState.CREATED
    running: int = 0
    occupied: dict[str, float] = field(default_factory=dict)
    incarnation: int = 1
    served: int = 0
    since: float = 0.0
    reason: str = ""
    groups: list[Group] = field(default_factory=list, repr=False)

    def occupy(self, resources: Mapping[str, float]) -> None:
        """Note that this much more is taken."""
        for name, amount in resources.items():
            self.occupied[name] = self.occupied.get(name, 0.0) + amount

    def vacate(self, resources: Mapping[str, float]) -> None:
        """Note that this much is free again."""
        for name, amount in resources.items():
            left = self.occupied.get(name, 0.0) - amount
            if left > _EPSILON:
                self.occupied[name] = left
            else:
                self.occupied.pop(name, None)
        if not self.running:  # of huge amounts, more than an epsilon may be left over
            self.occupied.clear()

    @property
    def load(self) -> float:
        """How much of its capacity is taken, 0 to 1."""
        return self.running / self.capacity

    def has_room_for(self, resources: Mapping[str, float]) -> bool:
        """Whether this much of its resources is free."""
        for name, amount in resources.items():
            free = self.resources.get(name, 0.0) - self.occupied.get(name, 0.0)
            if amount > free + _EPSILON:
                return False
        return True

    def could_have_room_for(self, resources: Mapping[str, float]) -> bool:
        """Whether it has this much, free or not."""
        return all(
            amount <= self.resources.get(name, 0.0) + _EPSILON for name, amount in resources.items()
        )


@dataclass(eq=False, slots=True)
class Group:
    """Agents that have certain capabilities, and those of them that are READY; by id."""

    members: dict[str, AgentEntry] = field(default_factory=dict)
    ready: dict[str, AgentEntry] = field(default_factory=dict)


class GroupIndex:
    """Groups by the capabilities that their agents have; made when they are first asked for.

    Whoever has the registry's lock may use it.
    """

    def __init__(self) -> None:
        self._groups: dict[frozenset[str], Group] = {}

    def find(self, wanted: frozenset[str], entries: Iterable[AgentEntry]) -> Group:
        """The agents among ``entries``, which are all that there are, with these capabilities."""
        group = self._groups.get(wanted)
        if group is None:
            if len(self._groups) >= _MAX_GROUPS:  # of tasks that each require something else
                self._groups.clear()
                for entry in entries:
                    entry.groups.clear()
            group = self._groups[wanted] = Group()
            for entry in entries:
                if wanted <= entry.capabilities:
                    _join(group, entry)
        return group

    def add(self, entry: AgentEntry) -> None:
        """Put a new agent into the groups that there are."""
        for wanted, group in self._groups.items():
            if wanted <= entry.capabilities:
                _join(group, entry)

    @staticmethod
    def remove(entry: AgentEntry) -> None:
        """Take an agent out of its groups."""
        for group in entry.groups:
            del group.members[entry.id]
            group.ready.pop(entry.id, None)
        entry.groups.clear()

    @staticmethod
    def update(entry: AgentEntry) -> None:
        """Note that an agent has become READY, or is so no more."""
        if entry.state is _READY:
            for group in entry.groups:
                group.ready[entry.id] = entry
        else:
            for group in entry.groups:
                group.ready.pop(entry.id, None)


def _join(group: Group, entry: AgentEntry) -> None:
    group.members[entry.id] = entry
    entry.groups.append(group)
    if entry.state is _READY:
        group.ready[entry.id] = entry

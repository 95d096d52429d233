"""Which ready task an agent gets next, and what is kept free for tasks that need much.

A task that needs more of a resource than is free anywhere would wait for as long as others come
that need little of it. So once it has been ready for ``reserve_after`` seconds, an agent is *kept*
for it: until it starts, no task whose turn is after its own gets any of this agent's resources that
it would then miss. What runs there ends, or times out, and then it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..agents.breaker import Breakers
from ..agents.entries import AgentEntry
from ..agents.registry import AgentRegistry
from ..agents.shedding import LoadLevel, LoadShedder
from ..interfaces import AgentState
from .config import SchedulerConfig
from .entries import Entry
from .guards import Guards
from .queue import ReadyQueue, TaskClass
from .strategies import Chooser

_NOTHING: frozenset[str] = frozenset()
_WORKING = (AgentState.READY, AgentState.BUSY)
_MOST = 8  # agents that are kept at a time; the others' turn comes, too

#: Agents that are kept, and what for.
_Kept = dict[str, Mapping[str, float]]


class Placing:
    """Pairs tasks with agents. The scheduler's lock guards it."""

    def __init__(
        self, registry: AgentRegistry, config: SchedulerConfig, breakers: Breakers | None,
        shedder: LoadShedder | None, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.queue: ReadyQueue[Entry] = ReadyQueue(config.aging)
        self.chooser = Chooser(config.selection_strategy if config.load_balancing else None)
        self.guards = Guards(breakers)
        self.shedder = shedder
        self._registry, self._config, self._clock = registry, config, clock

    def pairs(self, running: int, waiting: int) -> Iterator[tuple[Entry, AgentEntry]]:
        """Tasks that begin now, taken from the queue, and the agents that must be acquired."""
        may_start = self._shedding(waiting)
        if not len(self.queue):
            return
        kept: _Kept = {}
        for group in self.queue.in_order():  # agents are only taken here: once is enough
            full = running >= self._config.max_concurrent_tasks
            if full or not self._registry.group(_NOTHING).ready:
                return
            candidates = self._candidates(group)
            if not may_start(group, running):
                continue
            if kept and candidates:
                candidates = [entry for entry in candidates if _leaves(entry, group, kept)]
            elif group.resources and not candidates:
                self._keep(group, kept)
            if candidates:
                running += 1
                agent = self.chooser.choose(candidates)
                yield self.queue.pop(group), agent

    def possible(self, running: int, waiting: int) -> bool:
        """Whether a task could begin now.

        Where an agent is kept, something runs there: then it does not matter for whom it is kept.
        """
        if running >= self._config.max_concurrent_tasks:
            return False
        may_start = self._shedding(waiting)
        classes = self.queue.classes.values()
        return any(self._candidates(group) and may_start(group, running) for group in classes)

    def _candidates(self, group: TaskClass[Entry]) -> Sequence[AgentEntry]:
        ready = self._registry.eligible(group.needs.capabilities, None, group.resources)
        return self.guards.let_pass(group.needs, ready) if ready else ready

    def _keep(self, group: TaskClass[Entry], kept: _Kept) -> None:
        """Keep an agent for the first task of a class, if it has waited for long."""
        task = group.peek()
        late = self._clock() - task.ready >= self._config.reserve_after
        if not late or len(kept) >= _MOST:
            return
        able = self._registry.capable(group.needs.capabilities, None, group.resources)
        free = [entry for entry in able if entry.state in _WORKING and entry.id not in kept]
        agents = {entry.id: entry for entry in self.guards.let_pass(group.needs, free)}
        if not agents:
            return
        if task.kept not in agents:  # else what has become free there would be lost
            task.kept = min(agents.values(), key=lambda entry: _missing(entry, group)).id
        kept[task.kept] = group.resources

    def _shedding(self, waiting: int) -> Callable[[TaskClass[Entry], int], bool]:
        """Whether the first task of a class may begin, beside so many, at the load there is."""
        shedder = self.shedder
        if shedder is None:
            return _always
        if shedder.update(waiting, self._config.task_queue_size) is LoadLevel.NORMAL:
            return _always
        capacity = min(
            sum(entry.capacity for entry in self._registry), self._config.max_concurrent_tasks
        )
        return lambda group, running: shedder.may_start(
            group.peek().task.priority, running, capacity
        )


def _always(group: TaskClass[Entry], running: int) -> bool:
    return True


def _leaves(entry: AgentEntry, group: TaskClass[Entry], kept: _Kept) -> bool:
    """Whether an agent with one more such task still has what it is kept for."""
    needed = kept.get(entry.id)
    if not needed:
        return True
    taken = {name: amount for name, amount in group.resources.items() if name in needed}
    return entry.has_room_for({name: needed[name] + amount for name, amount in taken.items()})


def _missing(entry: AgentEntry, group: TaskClass[Entry]) -> tuple[float, int]:
    """How far an agent is from having what such a task needs; of equal ones, the first."""
    occupied, there = entry.occupied, entry.resources
    short = (
        1 - (there.get(name, 0.0) - occupied.get(name, 0.0)) / amount
        for name, amount in group.resources.items()
        if amount
    )
    return max(short, default=0.0), entry.number

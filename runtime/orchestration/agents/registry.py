"""Who there is: agents, their states, what they can do and how much of it they are doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from ..errors import UnknownAgentError
from ..events import Event, EventKind
from ..interfaces import Agent, AgentState, EventLog
from .check import check_agent
from .entries import AgentEntry, Group, GroupIndex
from .listeners import Listeners
from .states import LIVING, TRANSITIONS, AgentLimitError, AgentStateError, DuplicateAgentError

DEFAULT_MAX_AGENTS = 256

NOTHING: Mapping[str, float] = MappingProxyType({})

_CREATED, _READY, _BUSY = AgentState.CREATED, AgentState.READY, AgentState.BUSY
_SUSPECT, _FAILED, _RETIRED = AgentState.SUSPECT, AgentState.FAILED, AgentState.RETIRED

#: Called with the agent's id, its state before, and its state now.
Listener = Callable[[str, AgentState, AgentState], object]


@runtime_checkable
class Restartable(Protocol):
    """An agent that can begin again after it failed."""

    def restart(self) -> None:
        """Drop what it held and get ready for tasks. Raises if it cannot."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """Counts of a registry.

    Args:
        states: how many agents are in each state; retired ones are gone and not counted.
        running: tasks that run. capacity: tasks that can run on agents that are alive.
        registered, restarts, failures, suspicions: ever.
    """

    states: Mapping[AgentState, int]
    running: int
    capacity: int
    registered: int
    restarts: int
    failures: int
    suspicions: int

    @property
    def active(self) -> int:
        """Agents that are alive: ready, busy or suspect."""
        return sum(self.states[state] for state in LIVING)


class AgentRegistry:
    """Agents by id and by capability.

    ``lock`` guards everything. It is reentrant and may be shared: a scheduler that gives its own
    can do what it does to its queue and to agents in one step. Methods take it by themselves,
    except those that say *the caller holds the lock*: these are called for each task, and cost
    less than a microsecond.

    Args:
        log: where registrations and changes of state are written, without waiting for it.
        clock: what :attr:`AgentEntry.since` is read from.
        max_agents: most agents at a time; a default, not a limit.
        lock: the lock to use; None: one of its own.
    """

    def __init__(
        self,
        log: EventLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_agents: int = DEFAULT_MAX_AGENTS,
        *,
        lock: threading.RLock | None = None,
    ) -> None:
        if max_agents < 1:
            raise AgentLimitError(f"max_agents must be at least 1, not {max_agents}")
        self.lock = threading.RLock() if lock is None else lock
        self.max_agents = max_agents
        self._log, self._clock = log, clock
        self._entries: dict[str, AgentEntry] = {}
        self._groups = GroupIndex()
        self._listeners = Listeners[str, AgentState, AgentState]()
        self._flip_listeners = Listeners[str, AgentState, AgentState]()
        self._registered = self._restarts = self._failures = self._suspicions = 0

    # Who there is

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._entries

    def __iter__(self) -> Iterator[AgentEntry]:
        """Entries in the order of registration, as they were when this was called."""
        with self.lock:
            return iter(list(self._entries.values()))

    def entry(self, agent_id: str) -> AgentEntry:
        """What is known of an agent.

        Raises:
            UnknownAgentError: there is none with this id, or it is retired.
        """
        entry = self._entries.get(agent_id)
        if entry is None:
            raise UnknownAgentError(f"no agent {agent_id!r}")
        return entry

    def get(self, agent_id: str) -> Agent:
        """An agent. Raises :class:`UnknownAgentError`."""
        return self.entry(agent_id).agent

    def state(self, agent_id: str) -> AgentState:
        """An agent's state. Raises :class:`UnknownAgentError`."""
        return self.entry(agent_id).state

    def by_capability(self, *capabilities: str) -> list[Agent]:
        """Agents that have all of these, whatever their state, in the order of registration."""
        with self.lock:
            return [entry.agent for entry in self.capable(frozenset(capabilities))]

    def stats(self) -> RegistryStatistics:
        """Counts as they are now."""
        with self.lock:
            states = dict.fromkeys(AgentState, 0)
            for entry in self._entries.values():
                states[entry.state] += 1
            living = [e for e in self._entries.values() if e.state in LIVING]
            return RegistryStatistics(
                states, sum(e.running for e in living), sum(e.capacity for e in living),
                self._registered, self._restarts, self._failures, self._suspicions)  # fmt: skip

    def on_change(self, listener: Listener, *, flips: bool = False) -> Callable[[], None]:
        """Have a function called, with the lock held, whenever an agent changes its state.

        It must be quick, and take no lock that others hold when they ask the registry: leave that
        to a thread of your own. What it raises is written to the log.

        Args:
            flips: whether also between READY and BUSY, which happens with nearly every task.

        Returns:
            What to call so that it is called no more.
        """
        with self.lock:
            self._listeners.add(listener)
            if flips:
                self._flip_listeners.add(listener)

        def remove() -> None:
            with self.lock:
                self._listeners.remove(listener)
                self._flip_listeners.remove(listener)

        return remove

    # Lifecycle

    def register(self, agent: Agent, *, ready: bool = True) -> str:
        """Take an agent in and give its id. What it can do is asked once, here.

        Args:
            ready: whether it may be given tasks at once; else it is CREATED until :meth:`ready`.

        Raises:
            AgentLimitError: there are ``max_agents``.
            DuplicateAgentError: another agent has its id.
            InvalidAgentError: it is no agent.
        """
        check_agent(agent)
        with self.lock:
            if agent.id in self._entries:
                raise DuplicateAgentError(f"there is an agent {agent.id!r} already")
            if len(self._entries) >= self.max_agents:
                raise AgentLimitError(
                    f"there are {len(self._entries)} agents (max_agents={self.max_agents})",
                    hint="retire some, or allow more")  # fmt: skip
            self._registered += 1
            entry = AgentEntry(
                agent.id, agent, self._registered, frozenset(agent.capabilities),
                dict(agent.resources), agent.capacity, since=self._clock(),
            )  # fmt: skip
            self._entries[agent.id] = entry
            self._groups.add(entry)
            self._write(EventKind.AGENT_REGISTERED, agent.id, {
                "name": agent.name, "kind": agent.kind,
                "capabilities": sorted(agent.capabilities),
            })  # fmt: skip
            if ready:
                self._change(entry, _READY, "registered")
        return agent.id

    def ready(self, agent_id: str, reason: str = "started") -> None:
        """A CREATED agent may be given tasks from now on."""
        with self.lock:
            entry = self.entry(agent_id)
            if entry.state is not _CREATED:
                raise AgentStateError(f"agent {agent_id} is {entry.state.value}, not created")
            self._change(entry, _READY, reason)

    def suspect(self, agent_id: str, reason: str) -> None:
        """An agent that is READY or BUSY gets no more tasks until it has recovered."""
        with self.lock:
            self._change(self.entry(agent_id), _SUSPECT, reason)
            self._suspicions += 1

    def recover(self, agent_id: str, reason: str = "beats again") -> None:
        """A SUSPECT agent is READY again, or BUSY if it has as many tasks as it takes."""
        with self.lock:
            entry = self.entry(agent_id)
            if entry.state is not _SUSPECT:
                raise AgentStateError(f"agent {agent_id} is {entry.state.value}, not suspect")
            self._change(entry, _BUSY if entry.running >= entry.capacity else _READY, reason)

    def fail(self, agent_id: str, reason: str) -> None:
        """Give an agent up. Whoever gave it tasks hears of it by :meth:`on_change`."""
        with self.lock:
            self._change(self.entry(agent_id), _FAILED, reason)
            self._failures += 1

    def restart(self, agent_id: str, reason: str = "restarted") -> bool:
        """Make a FAILED agent begin again, with nothing running, as its next incarnation.

        An agent with a method ``restart`` has it called, without the lock; if it raises, the
        agent is FAILED as before.

        Returns:
            Whether it is READY: not if it was given up or retired while it restarted.

        Raises:
            AgentStateError: the agent has not failed.
        """
        with self.lock:
            entry = self.entry(agent_id)
            self._change(entry, _CREATED, reason)
            entry.incarnation = incarnation = entry.incarnation + 1
            entry.running = 0
            entry.occupied.clear()
        error: Exception | None = None
        try:
            if isinstance(entry.agent, Restartable):
                entry.agent.restart()
        except Exception as caught:
            error = caught
        with self.lock:
            if entry.state is _CREATED and entry.incarnation == incarnation:
                if error is None:
                    self._change(entry, _READY, reason)
                    self._restarts += 1
                    return True
                self._change(entry, _FAILED, f"did not restart: {error}")
        if error is not None:
            raise error
        return False

    def retire(self, agent_id: str, reason: str = "retired", *, close: bool = True) -> None:
        """Let an agent go, for good; its id may be used again.

        Args:
            close: whether the agent is closed, too, which may wait for what it runs.
        """
        with self.lock:
            entry = self.entry(agent_id)
            self._change(entry, _RETIRED, reason)
            del self._entries[agent_id]
            self._groups.remove(entry)
        if close:
            entry.agent.close()

    def close(self) -> None:
        """Retire all agents."""
        with self.lock:
            agents = [entry.agent for entry in self._entries.values()]
            for agent in agents:
                self.retire(agent.id, "closed", close=False)
        for agent in agents:
            agent.close()

    # For each task

    def eligible(
        self,
        requires: frozenset[str] = frozenset(),
        executor: str | None = None,
        resources: Mapping[str, float] = NOTHING,
    ) -> list[AgentEntry]:
        """Agents that can be given such a task now. The caller holds the lock.

        They are READY, have the capabilities, that of the executor's name included, and have the
        resources free. Those that have been READY longest come first.
        """
        ready = self.group(requires, executor).ready
        if not resources:
            return list(ready.values())
        return [entry for entry in ready.values() if entry.has_room_for(resources)]

    def capable(
        self,
        requires: frozenset[str] = frozenset(),
        executor: str | None = None,
        resources: Mapping[str, float] = NOTHING,
    ) -> list[AgentEntry]:
        """Agents that could be given such a task if they had nothing else to do and were well.

        The caller holds the lock.
        """
        members = self.group(requires, executor).members
        return [entry for entry in members.values() if entry.could_have_room_for(resources)]

    def group(self, requires: frozenset[str], executor: str | None = None) -> Group:
        """Agents with certain capabilities. The caller holds the lock.

        It is what the registry itself looks at: not to be changed, nor kept without the lock.
        """
        wanted = requires if executor is None else requires | {executor}
        return self._groups.find(wanted, self._entries.values())

    def acquire(self, agent_id: str, resources: Mapping[str, float] = NOTHING) -> int:
        """Occupy an agent with one more task. The caller holds the lock.

        Returns:
            The agent's incarnation, for :meth:`release`.

        Raises:
            AgentStateError: it is not READY, or has not as much of a resource free.
        """
        entry = self._entries.get(agent_id) or self.entry(agent_id)
        if entry.state is not _READY:
            raise AgentStateError(f"agent {agent_id} is {entry.state.value}, not ready")
        if resources:
            if not entry.has_room_for(resources):
                raise AgentStateError(
                    f"agent {agent_id} has not enough free: it has {dict(entry.resources)},"
                    f" {entry.occupied} are occupied, {dict(resources)} are needed"
                )
            entry.occupy(resources)
        entry.running += 1
        entry.served += 1
        if entry.running >= entry.capacity:
            self._flip(entry, _BUSY)
        return entry.incarnation

    def release(
        self,
        agent_id: str,
        resources: Mapping[str, float] = NOTHING,
        incarnation: int | None = None,
    ) -> bool:
        """Give back what :meth:`acquire` took. The caller holds the lock.

        Returns:
            Whether it made a difference: not if the agent was restarted or retired meanwhile.
        """
        entry = self._entries.get(agent_id)
        if entry is None or (incarnation is not None and incarnation != entry.incarnation):
            return False
        if entry.running <= 0:
            raise AgentStateError(f"agent {agent_id} runs nothing that could be released")
        entry.running -= 1
        if resources:
            entry.vacate(resources)
        if entry.state is _BUSY:
            self._flip(entry, _READY)
        return True

    # Inside; the lock is held

    def _flip(self, entry: AgentEntry, new: AgentState) -> None:
        """From READY to BUSY or back: no event."""
        old, entry.state = entry.state, new
        self._groups.update(entry)
        if self._flip_listeners:
            self._flip_listeners.tell(entry.id, old, new)

    def _change(self, entry: AgentEntry, new: AgentState, reason: str) -> None:
        old = entry.state
        if new not in TRANSITIONS[old]:
            raise AgentStateError(f"agent {entry.id} is {old.value} and cannot become {new.value}")
        entry.state, entry.reason, entry.since = new, reason, self._clock()
        self._groups.update(entry)
        try:
            self._write(EventKind.AGENT_STATE, entry.id, {"state": new.value, "reason": reason})
        finally:  # a log that takes no more does not keep tasks on an agent that has failed
            self._listeners.tell(entry.id, old, new)

    def _write(self, kind: EventKind, agent_id: str, data: Mapping[str, object]) -> None:
        if self._log is not None:
            self._log.append_soon([Event(kind, agent_id, data)])

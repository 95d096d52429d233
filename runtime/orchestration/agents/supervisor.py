"""Restarting agents that failed, after a while, and not for ever."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..errors import OrchestrationError, UnknownAgentError
from ..interfaces import AgentState
from .health import HealthMonitor, HealthPolicy, HealthReport, Heart, Ticker
from .registry import AgentRegistry
from .states import AgentStateError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When agents that failed are restarted. Seconds.

    Args:
        delay: before the first restart; doubled for each that there was within ``window``.
        longest: delay at most.
        restarts: how many there may be within ``window``; an agent that fails once more stays
            FAILED, until somebody restarts it by hand. 0: none is ever restarted.
    """

    delay: float = 0.1
    longest: float = 10.0
    restarts: int = 5
    window: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= self.longest or self.restarts < 0 or self.window <= 0:
            raise OrchestrationError(f"nothing can be restarted by {self}")


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """Counts: restarts that worked and that did not, agents given up, restarts that are due."""

    restarted: int
    failed: int
    given_up: int
    waiting: int


class Supervisor:
    """Restarts agents of a registry when they have failed. The registry's lock guards it."""

    def __init__(
        self,
        registry: AgentRegistry,
        clock: Callable[[], float] = time.monotonic,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.policy = policy or RestartPolicy()
        self._registry = registry
        self._clock = clock
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, str, int]] = []  # a heap: when, order, id, incarnation
        self._history: dict[str, deque[float]] = {}  # when each was to be restarted
        self._restarted = self._failed = self._given_up = 0
        self._forget = registry.on_change(self._changed)

    def check(self) -> tuple[str, ...]:
        """Restart those whose time has come; the ids of those that are ready again."""
        restarted: list[str] = []
        while True:
            with self._registry.lock:
                if not self._due or self._due[0][0] > self._clock():
                    return tuple(restarted)
                _, _, agent_id, incarnation = heapq.heappop(self._due)
            if self._restart(agent_id, incarnation):
                restarted.append(agent_id)

    def stats(self) -> SupervisorStatistics:
        """Counts as they are now."""
        with self._registry.lock:
            return SupervisorStatistics(
                self._restarted, self._failed, self._given_up, len(self._due)
            )

    def close(self) -> None:
        """Restart nobody any more."""
        self._forget()
        with self._registry.lock:
            self._due.clear()

    def _restart(self, agent_id: str, incarnation: int) -> bool:
        try:
            if self._registry.entry(agent_id).incarnation != incarnation:
                return False  # somebody else did
            ready = self._registry.restart(agent_id)
        except (UnknownAgentError, AgentStateError):
            return False  # it was retired, or restarted by somebody else
        except Exception:
            _log.warning("agent %s did not restart", agent_id, exc_info=True)
            with self._registry.lock:
                self._failed += 1
            return False  # it is FAILED again, and so in the heap again
        with self._registry.lock:
            self._restarted += ready
        return ready

    def _changed(self, agent_id: str, old: AgentState, new: AgentState) -> None:
        if new is AgentState.RETIRED:
            self._history.pop(agent_id, None)
        elif new is AgentState.FAILED:
            self._plan(agent_id)

    def _plan(self, agent_id: str) -> None:
        now = self._clock()
        history = self._history.setdefault(agent_id, deque())
        while history and history[0] <= now - self.policy.window:
            history.popleft()
        if len(history) >= self.policy.restarts:
            self._given_up += 1
            return
        delay = min(self.policy.delay * 2 ** len(history), self.policy.longest)
        history.append(now)
        incarnation = self._registry.entry(agent_id).incarnation
        heapq.heappush(self._due, (now + delay, next(self._numbers), agent_id, incarnation))


class Vitals:
    """Heart, monitor and supervisor of a registry, each in a thread of its own.

    A context manager; ``close`` stops the threads.

    Args:
        restart: ``RestartPolicy(restarts=0)`` leaves agents that failed as they are.
    """

    def __init__(
        self,
        registry: AgentRegistry,
        policy: HealthPolicy | None = None,
        restart: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.monitor = HealthMonitor(registry, clock, policy)
        self.supervisor = Supervisor(registry, clock, restart)
        self.heart = Heart(registry, self.monitor, clock)
        interval = self.monitor.policy.interval
        self._tickers = [
            Ticker(interval, self.heart.beat, "swarmc-heart"),
            Ticker(interval / 2, self.look, "swarmc-health"),
            Ticker(interval / 2, self.supervisor.check, "swarmc-restart"),
        ]

    def look(self) -> HealthReport:
        """Judge everybody now; a thread does so twice in an interval."""
        self.heart.excuse()
        return self.monitor.check()

    def start(self) -> Self:
        """Begin; may be called once."""
        for ticker in self._tickers:
            ticker.start()
        return self

    def close(self) -> None:
        """Stop; nobody is judged or restarted any more."""
        for ticker in self._tickers:
            ticker.close()
        self.monitor.close()
        self.supervisor.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

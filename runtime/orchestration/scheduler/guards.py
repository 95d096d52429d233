"""Circuit breakers before agents and executors: what keeps failing is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..agents.breaker import Breakers, BreakerState, CircuitBreaker, blames_agent, call_now
from ..agents.entries import AgentEntry
from .queue import Needs

#: Breakers that were asked before an attempt, and what they gave.
Permits = tuple[tuple[CircuitBreaker, int], ...]


class Guards:
    """Asks breakers before attempts, and tells them how these went. The scheduler's lock guards it.

    Args:
        breakers: None: everything may pass.
    """

    def __init__(self, breakers: Breakers | None) -> None:
        self._breakers = breakers
        self._tripped: dict[tuple[str, str], CircuitBreaker] = {}  # those that are not closed

    def deliver_by(self, put: Callable[[Callable[[], object]], None] | None) -> None:
        """Have listeners of breakers called by who gets this; None: at once, as before."""
        if self._breakers is not None:
            self._breakers.deliver = put or call_now

    def let_pass(self, needs: Needs, entries: Sequence[AgentEntry]) -> Sequence[AgentEntry]:
        """Those of the agents that may be given such a task."""
        tripped = self._tripped
        if not tripped:
            return entries
        if needs.executor is not None and not self._passes(("executor", needs.executor)):
            return ()
        return [entry for entry in entries if self._passes(("agent", entry.id))]

    def _passes(self, key: tuple[str, str]) -> bool:
        breaker = self._tripped.get(key)
        return breaker is None or breaker.retry_after() <= 0

    def take(self, agent_id: str, executor: str | None) -> Permits:
        """An attempt begins, of what :meth:`let_pass` let pass."""
        if self._breakers is None:
            return ()
        breaker = self._breakers.of(("agent", agent_id))
        permits = ((breaker, breaker.allow()),)
        if executor is None:
            return permits
        breaker = self._breakers.of(("executor", executor))
        return (*permits, (breaker, breaker.allow()))

    def settle(self, permits: Permits, agent_id: str, executor: str | None,
               error: BaseException | None) -> None:  # fmt: skip
        """The attempt has ended, well if there is no error."""
        if not permits:
            return
        blamed = error is not None and blames_agent(error)
        for breaker, permit in permits:
            if error is None:
                breaker.success(permit)
            elif blamed:
                breaker.failure(permit)
            else:
                breaker.forget(permit)
        if blamed or self._tripped:
            keys = (("agent", agent_id), ("executor", executor or ""))
            for key, (breaker, _) in zip(keys, permits, strict=False):
                if breaker.state is BreakerState.CLOSED:
                    self._tripped.pop(key, None)
                else:
                    self._tripped[key] = breaker

    def wait(self) -> float:
        """Seconds until something may pass that may not now; infinite if there is nothing."""
        waits = (breaker.retry_after() for breaker in self._tripped.values())
        return min((seconds for seconds in waits if seconds > 0), default=float("inf"))

    def forget(self, agent_id: str) -> None:
        """The agent is gone, or begins again."""
        if self._breakers is not None:
            self._breakers.remove(("agent", agent_id))
            self._tripped.pop(("agent", agent_id), None)

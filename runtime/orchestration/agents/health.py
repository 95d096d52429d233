"""Who is alive: heartbeats, suspicion, and giving up on those that are silent for too long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from ..errors import OrchestrationError
from ..interfaces import Agent, AgentState
from .phi import PhiDetector
from .registry import AgentRegistry

DEFAULT_INTERVAL = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How often agents beat, and when silence is held against them. Seconds.

    With the defaults an agent that beat punctually is suspect after half a second of silence, and
    given up after 0.65. Of one that beat irregularly it takes longer, up to ``timeout``.

    Args:
        interval: between heartbeats.
        timeout: silence after which an agent is given up in any case; None: 9 intervals.
        suspect_phi: suspicion from which it gets no new tasks, at least 1.
        failed_phi: suspicion from which it is given up.
        pause: how late a heartbeat may be without any suspicion; None: a quarter of what lies
            between interval and timeout.
        deviation: least standard deviation of the time between heartbeats; None: half an interval,
            or a sixteenth of what lies between interval and timeout.
        window: how many heartbeats the suspicion is learned from.
    """

    interval: float = DEFAULT_INTERVAL
    timeout: float | None = None
    suspect_phi: float = 5.0
    failed_phi: float = 12.0
    pause: float | None = None
    deviation: float | None = None
    window: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.interval < self.longest < float("inf"):
            raise OrchestrationError(
                f"a heartbeat every {self.interval} s cannot be missed after {self.longest} s:"
                " the timeout must be longer than the interval, and both positive"
            )
        if not 1 <= self.suspect_phi <= self.failed_phi or self.window < 2:
            raise OrchestrationError(f"nobody can be judged by {self}")

    @property
    def longest(self) -> float:
        """Silence after which an agent is given up."""
        return 9 * self.interval if self.timeout is None else self.timeout

    def detector(self, now: float) -> PhiDetector:
        """A detector for an agent that begins now."""
        spare = self.longest - self.interval
        pause = spare / 4 if self.pause is None else self.pause
        deviation = self.deviation
        if deviation is None:
            deviation = min(self.interval / 2, spare / 16)
        return PhiDetector(now, self.interval, deviation, pause, self.longest, self.window)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What a check found new: ids of agents."""

    suspected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthStatistics:
    """Counts of a monitor: agents watched, heartbeats and checks ever, agents that recovered."""

    watched: int
    beats: int
    checks: int
    recoveries: int


class HealthMonitor:
    """Hears heartbeats and judges silence; the registry's states are its verdicts.

    Only agents that are watched are judged: from :meth:`watch`, or from their first heartbeat,
    until they are retired. :meth:`check` is to be called about twice in an interval;
    :class:`Ticker` does so. All of it happens under the registry's lock.

    While the monitor itself did not run (the process was stopped, the machine asleep), nobody's
    silence counts: of the time between two checks, at most half a timeout does.
    """

    def __init__(
        self,
        registry: AgentRegistry,
        clock: Callable[[], float] = time.monotonic,
        policy: HealthPolicy | None = None,
    ) -> None:
        self.policy = policy or HealthPolicy()
        self._registry = registry
        self._clock = clock
        self._lock = registry.lock  # guards what follows, too
        self._detectors: dict[str, PhiDetector] = {}
        self._checked = clock()
        self._beats = self._checks = self._recoveries = 0
        self._forget = registry.on_change(self._changed)

    def watch(self, agent_id: str) -> None:
        """Judge this agent from now on. Raises :class:`UnknownAgentError`."""
        with self._lock:
            self._registry.entry(agent_id)
            self._detectors.setdefault(agent_id, self.policy.detector(self._clock()))

    def beat(self, agent_id: str, incarnation: int | None = None) -> bool:
        """An agent has given a sign of life; if it was suspect, it is no more.

        Args:
            incarnation: of the registry's, of which the sign is; None: the present one.

        Returns:
            Whether it counts: not that of an agent that is gone or given up.
        """
        with self._lock:
            if agent_id not in self._registry:
                return False
            entry = self._registry.entry(agent_id)
            if entry.state is AgentState.FAILED or incarnation not in (None, entry.incarnation):
                return False
            now = self._clock()
            detector = self._detectors.get(agent_id)
            if detector is None:
                self._detectors[agent_id] = self.policy.detector(now)
            else:
                detector.beat(now)
            self._beats += 1
            if entry.state is AgentState.SUSPECT:
                self._registry.recover(agent_id)
                self._recoveries += 1
            return True

    def phi(self, agent_id: str) -> float:
        """How suspicious an agent's silence is; 0 if it is not watched."""
        with self._lock:
            detector = self._detectors.get(agent_id)
            return 0.0 if detector is None else detector.phi(self._clock())

    def check(self) -> HealthReport:
        """Judge everybody now."""
        suspected, failed = [], []
        with self._lock:
            now = self._clock()
            self._excuse(now)
            self._checks += 1
            for agent_id, detector in list(self._detectors.items()):
                if detector.calm(now) or agent_id not in self._detectors:
                    continue  # or retired by a listener
                state = self._registry.state(agent_id)
                if state in (AgentState.FAILED, AgentState.CREATED):
                    continue
                phi, silence = detector.phi(now), detector.silence(now)
                if phi >= self.policy.failed_phi or silence >= self.policy.longest:
                    self._registry.fail(agent_id, f"no heartbeat for {silence:.3f} s")
                    failed.append(agent_id)
                elif phi >= self.policy.suspect_phi and state is not AgentState.SUSPECT:
                    reason = f"no heartbeat for {silence:.3f} s (phi {phi:.1f})"
                    self._registry.suspect(agent_id, reason)
                    suspected.append(agent_id)
        return HealthReport(tuple(suspected), tuple(failed))

    def excuse(self, agent_ids: Iterable[str], seconds: float) -> None:
        """So much of the silence of these agents is not theirs."""
        with self._lock:
            now = self._clock()
            for agent_id in agent_ids:
                detector = self._detectors.get(agent_id)
                if detector is not None:
                    detector.excuse(min(seconds, max(0.0, detector.silence(now))))

    def stats(self) -> HealthStatistics:
        """Counts as they are now."""
        with self._lock:
            return HealthStatistics(
                len(self._detectors), self._beats, self._checks, self._recoveries
            )

    def close(self) -> None:
        """Judge nobody any more."""
        self._forget()
        with self._lock:
            self._detectors.clear()

    def _excuse(self, now: float) -> None:
        blind = now - self._checked - self.policy.longest / 2
        self._checked = now
        if blind > 0:
            for detector in self._detectors.values():
                detector.excuse(min(blind, max(0.0, detector.silence(now))))

    def _changed(self, agent_id: str, old: AgentState, new: AgentState) -> None:
        if agent_id not in self._detectors:
            return
        if new is AgentState.RETIRED:
            del self._detectors[agent_id]
        elif old is AgentState.CREATED:  # a new incarnation: what was before says nothing
            self._detectors[agent_id] = self.policy.detector(self._clock())


@runtime_checkable
class Pingable(Protocol):
    """An agent of this process that can say whether it is well."""

    def ping(self) -> bool:
        """Whether it can run tasks. Answers at once, without waiting for anything."""


class Heart:
    """Beats for agents of this process, as long as they answer that they are well.

    What such a heartbeat proves: this process runs its threads; the agent is not closed; and none
    of the attempts that it runs goes on long after it should have ended
    (:meth:`~.local.LocalAgent.ping`), which is how an agent whose handler hangs is found. It does
    not prove that the next task will succeed (the circuit breaker knows more of that), nor that
    what runs makes progress before its deadline.

    Agents without a ``ping`` are passed over: whoever drives them beats for them, or they are not
    watched.
    """

    def __init__(
        self, registry: AgentRegistry, monitor: HealthMonitor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._monitor = monitor
        self._clock = clock
        self._rested = clock()  # when it had asked everybody; later, if it was excused since
        self._asking = False

    def beat(self) -> int:
        """Ask everybody once; how many answered that they are well."""
        well = 0
        for entry in self._registry:
            agent: Agent = entry.agent
            if not isinstance(agent, Pingable):
                continue
            if self._answers(agent):
                well += self._monitor.beat(entry.id, entry.incarnation)
        self._rested = self._clock()
        return well

    def excuse(self) -> float:
        """Hold it against none of its agents that its own thread had to wait; how long it had.

        On a busy machine that may be longer than an agent may be silent. While it waits for the
        answer of an agent, it is the agent that is late.
        """
        late = self._clock() - self._rested - 2 * self._monitor.policy.interval
        if late <= 0 or self._asking:
            return 0.0
        self._rested += late
        agents = [entry.id for entry in self._registry if isinstance(entry.agent, Pingable)]
        self._monitor.excuse(agents, late)
        return late

    def _answers(self, agent: Pingable) -> bool:
        self._asking = True
        try:
            return agent.ping()
        except Exception:
            _log.warning("an agent's ping failed", exc_info=True)
            return False
        finally:
            self._asking = False


class Ticker:
    """A thread that calls a function again and again, until it is closed.

    What the function raises is logged, and it is called again.

    Args:
        interval: seconds between the beginnings of two calls.
    """

    def __init__(self, interval: float, function: Callable[[], object], name: str) -> None:
        self._interval = interval
        self._function = function
        self._name = name
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.errors = 0  #: calls that raised

    def start(self) -> Self:
        """Begin; may be called once."""
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()
        return self

    def close(self, timeout: float = 5.0) -> None:
        """Call no more, and wait for the call that is under way, so many seconds at most."""
        self._closing.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                _log.warning("%s: a call goes on after %s s", self._name, timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _work(self) -> None:
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            try:
                self._function()
            except Exception:
                self.errors += 1
                _log.exception("%s: a call failed", self._name)
            due = max(due + self._interval, time.monotonic())

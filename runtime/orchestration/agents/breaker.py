"""Circuit breakers: what keeps failing is left alone for a while, then tried with care."""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import OrchestrationError, TaskCancelledError, TaskError
from .listeners import TellingLock

_Result = TypeVar("_Result")


class BreakerOpenError(OrchestrationError):
    """Not tried, because it has kept failing.

    Args:
        retry_after: seconds until it is tried again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, hint=f"it is tried again in {retry_after:.3g} s")
        self.retry_after = retry_after


class BreakerState(enum.Enum):
    """Whether calls pass."""

    CLOSED = "closed"  #: all do
    OPEN = "open"  #: none does
    HALF_OPEN = "half-open"  #: a few do, as probes


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and closes.

    Args:
        consecutive: failures in a row that open it.
        rate: share of failures among the last ``window`` calls that opens it.
        window: calls that the rate is of.
        minimum: with fewer calls than these since it closed, the rate says nothing.
        open_for: seconds until probes pass; and until probes that nobody hears of are given up.
        probes: calls that pass at a time while it is half-open. When so many have succeeded it
            closes; when one fails it opens again.
    """

    consecutive: int = 5
    rate: float = 0.5
    window: int = 20
    minimum: int = 10
    open_for: float = 5.0
    probes: int = 1

    def __post_init__(self) -> None:
        counts = (self.consecutive, self.window, self.minimum, self.probes)
        if min(counts) < 1 or self.minimum > self.window:
            raise OrchestrationError(f"no breaker works by {self}: counts start at 1, and minimum"
                                     " is within the window")  # fmt: skip
        if not 0 < self.rate <= 1 or not 0 < self.open_for < float("inf"):
            raise OrchestrationError(f"no breaker works by {self}: rate is in (0, 1], and open_for"
                                     " positive")  # fmt: skip


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """Counts of a breaker.

    Args:
        failures_in_row: at the moment. failure_rate: among the last calls.
        passed, refused, succeeded, failed: calls, ever. opened: how often it opened.
    """

    state: BreakerState
    failures_in_row: int
    failure_rate: float
    passed: int
    refused: int
    succeeded: int
    failed: int
    opened: int


def blames_agent(error: BaseException) -> bool:
    """Whether an error says anything against who ran a task.

    Not that the task was cancelled, nor that it would have failed everywhere.
    """
    if isinstance(error, TaskCancelledError):
        return False
    return not isinstance(error, TaskError) or error.retry


class CircuitBreaker:
    """Ask :meth:`allow` before each call, and say afterwards how it went. Thread-safe.

    Args:
        on_change: called with the old and the new state, of each change in turn, without the
            breaker's lock. What it raises is written to the log.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState, BreakerState], None] | None = None,
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self._clock = clock
        self._lock = TellingLock[BreakerState, BreakerState](on_change)  # guards what follows
        self._state = BreakerState.CLOSED
        self._permit = 1  # changes with the state: what was allowed before counts no more
        self._since = clock()
        self._window: deque[bool] = deque(maxlen=self.policy.window)  # True: failed
        self._failures_in_window = self._in_row = 0
        self._probing = self._probed = 0
        self._passed = self._refused = self._succeeded = self._failed = self._opened = 0

    @property
    def state(self) -> BreakerState:
        """Whether calls pass now."""
        with self._lock:
            self._age()
            return self._state

    def retry_after(self) -> float:
        """Seconds until calls pass again; 0: one would pass now."""
        with self._lock:
            self._age()
            if self._state is BreakerState.CLOSED or self._has_probe():
                return 0.0
            return max(0.0, self._since + self.policy.open_for - self._clock())

    def allow(self) -> int:
        """Whether a call may be made: 0 if not, else a permit for one of the next three."""
        with self._lock:
            if self._state is not BreakerState.CLOSED and not self._take_probe():
                self._refused += 1
                return 0
            self._passed += 1
            return self._permit

    def success(self, permit: int) -> None:
        """The call went well."""
        with self._lock:
            self._succeeded += 1
            if permit != self._permit:
                return
            if self._state is BreakerState.CLOSED:
                self._note(failed=False)
                return
            self._probing -= 1
            self._probed += 1
            if self._probed >= self.policy.probes:
                self._become(BreakerState.CLOSED)

    def failure(self, permit: int) -> None:
        """The call failed."""
        with self._lock:
            self._failed += 1
            if permit != self._permit:
                return
            if self._state is BreakerState.CLOSED:
                self._note(failed=True)
                if not self._has_failed_enough():
                    return
            self._opened += 1
            self._become(BreakerState.OPEN)

    def forget(self, permit: int) -> None:
        """The call ended and says nothing: it was cancelled, or what was asked was wrong."""
        with self._lock:
            if permit == self._permit and self._state is BreakerState.HALF_OPEN:
                self._probing -= 1

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Call a function, if it may be, and note how it goes.

        Raises:
            BreakerOpenError: it may not.
        """
        permit = self.allow()
        if not permit:
            raise BreakerOpenError("the circuit breaker is open", self.retry_after())
        try:
            result = function()
        except BaseException as error:
            (self.failure if blames_agent(error) else self.forget)(permit)
            raise
        self.success(permit)
        return result

    def stats(self) -> BreakerStatistics:
        """Counts as they are now."""
        with self._lock:
            self._age()
            rate = self._failures_in_window / len(self._window) if self._window else 0.0
            return BreakerStatistics(
                self._state, self._in_row, rate, self._passed, self._refused, self._succeeded,
                self._failed, self._opened,
            )  # fmt: skip

    # Inside; the lock is held

    def _take_probe(self) -> bool:
        self._age()
        if not self._has_probe():
            return False
        self._probing += 1
        self._since = self._clock()
        return True

    def _has_probe(self) -> bool:
        half_open = self._state is BreakerState.HALF_OPEN
        return half_open and self._probing + self._probed < self.policy.probes

    def _has_failed_enough(self) -> bool:
        if self._in_row >= self.policy.consecutive:
            return True
        count = len(self._window)
        enough = count >= self.policy.minimum
        return enough and self._failures_in_window >= self.policy.rate * count

    def _note(self, *, failed: bool) -> None:
        window = self._window
        if len(window) == self.policy.window:
            self._failures_in_window -= window[0]
        window.append(failed)
        self._failures_in_window += failed
        self._in_row = self._in_row + 1 if failed else 0

    def _age(self) -> None:
        """Let probes pass after a while; new ones, if nothing is heard of those that did."""
        lost = self._state is BreakerState.HALF_OPEN and not self._has_probe()
        if self._state is BreakerState.OPEN or lost:
            if self._clock() - self._since >= self.policy.open_for:
                self._become(BreakerState.HALF_OPEN)

    def _become(self, new: BreakerState) -> None:
        old, self._state = self._state, new
        self._permit += 1
        self._since = self._clock()
        self._probing = self._probed = 0
        if new is BreakerState.CLOSED:
            self._window.clear()
            self._failures_in_window = self._in_row = 0
        if new is not old:
            self._lock.note(old, new)


def call_now(function: Callable[[], object]) -> None:
    """Call a function."""
    function()


class Breakers:
    """A breaker for each key, such as ``("agent", id)`` or ``("executor", name)``.

    Made when first asked for, all by one policy. Thread-safe.

    Args:
        on_change: called with key, old and new state, without a lock of theirs.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[Hashable, BreakerState, BreakerState], None] | None = None,
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self._clock = clock
        self._on_change = on_change
        #: Calls the listener. A scheduler, which asks with its own lock held, has a thread do it.
        self.deliver: Callable[[Callable[[], object]], None] = call_now
        self._lock = threading.Lock()  # guards the dictionary
        self._breakers: dict[Hashable, CircuitBreaker] = {}

    def of(self, key: Hashable) -> CircuitBreaker:
        """The breaker of a key."""
        breaker = self._breakers.get(key)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.get(key)
                if breaker is None:
                    breaker = self._breakers[key] = self._make(key)
        return breaker

    def _make(self, key: Hashable) -> CircuitBreaker:
        tell = self._on_change
        if tell is None:
            return CircuitBreaker(self.policy, self._clock)
        return CircuitBreaker(
            self.policy, self._clock,
            lambda old, new: self.deliver(lambda: tell(key, old, new)),
        )  # fmt: skip

    def remove(self, key: Hashable) -> None:
        """Drop the breaker of what is gone, or begins again."""
        with self._lock:
            self._breakers.pop(key, None)

    def stats(self) -> dict[Hashable, BreakerStatistics]:
        """Counts of each."""
        with self._lock:
            breakers = dict(self._breakers)
        return {key: breaker.stats() for key, breaker in breakers.items()}


"""A breaker opens when calls keep failing, tries again with care, and closes when they go well."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from swarmc.runtime.orchestration.agents import (
    BreakerOpenError,
    BreakerPolicy,
    Breakers,
    BreakerState,
    CircuitBreaker,
)
from swarmc.runtime.orchestration.agents.breaker import blames_agent
from swarmc.runtime.orchestration.agents.registry import AgentRegistry
from swarmc.runtime.orchestration.errors import (
    OrchestrationError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.scheduler import Scheduler
from swarmc.runtime.orchestration.tasks import Task

from .fakes import FakeAgent, FakeClock

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def fail() -> None:
    raise TaskError("no")


def fail_times(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failure(breaker.allow())


def test_failures_in_a_row_open_it_and_a_probe_closes_it() -> None:
    clock = FakeClock()
    changes: list[tuple[BreakerState, BreakerState]] = []
    breaker = CircuitBreaker(
        BreakerPolicy(consecutive=3, open_for=5.0), clock, lambda *change: changes.append(change)
    )
    fail_times(breaker, 2)
    breaker.success(breaker.allow())
    fail_times(breaker, 2)
    assert breaker.state is CLOSED and breaker.retry_after() == 0
    fail_times(breaker, 1)
    assert breaker.state is OPEN and not breaker.allow()
    clock.advance(4)
    assert breaker.retry_after() == 1 and not breaker.allow()
    clock.advance(1)
    probe = breaker.allow()
    assert probe and not breaker.allow()
    breaker.failure(probe)
    assert breaker.state is OPEN and breaker.retry_after() == 5
    clock.advance(5)
    breaker.success(breaker.allow())
    assert breaker.state is CLOSED
    assert changes == [
        (CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]  # fmt: skip
    stats = breaker.stats()
    assert (stats.passed, stats.refused, stats.succeeded, stats.failed) == (8, 3, 2, 6)
    assert (stats.opened, stats.failures_in_row, stats.failure_rate) == (2, 0, 0.0)


def test_a_rate_of_failures_opens_it() -> None:
    breaker = CircuitBreaker(
        BreakerPolicy(consecutive=100, rate=0.5, window=8, minimum=4), FakeClock()
    )
    fail_times(breaker, 1)
    breaker.success(breaker.allow())
    fail_times(breaker, 1)
    assert breaker.state is CLOSED  # two of three, which are too few to say anything
    for _ in range(6):
        breaker.success(breaker.allow())
    assert breaker.stats().failure_rate == 1 / 8  # the first has left the window
    fail_times(breaker, 2)
    assert breaker.state is CLOSED
    fail_times(breaker, 2)
    assert breaker.state is OPEN


def test_what_began_before_it_opened_says_nothing_of_now() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(BreakerPolicy(consecutive=1, open_for=1.0), clock)
    late, other = breaker.allow(), breaker.allow()
    fail_times(breaker, 1)
    clock.advance(1)
    assert breaker.state is HALF_OPEN
    breaker.success(late)
    breaker.failure(other)
    assert breaker.state is HALF_OPEN
    breaker.success(breaker.allow())
    assert breaker.state is CLOSED


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(BreakerPolicy(consecutive=1, open_for=1.0), clock)
    fail_times(breaker, 1)
    clock.advance(1)
    breaker.forget(breaker.allow())
    lost = breaker.allow()
    assert lost and not breaker.allow()
    clock.advance(0.5)
    assert breaker.retry_after() == 0.5
    clock.advance(0.5)
    again = breaker.allow()
    assert again
    breaker.failure(lost)  # heard of after all, and too late
    breaker.success(again)
    assert breaker.state is CLOSED


def test_it_closes_when_as_many_probes_as_it_wants_went_well() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(BreakerPolicy(consecutive=1, open_for=1.0, probes=2), clock)
    fail_times(breaker, 1)
    clock.advance(1)
    first, second = breaker.allow(), breaker.allow()
    assert first and second and not breaker.allow()
    breaker.success(first)
    assert breaker.state is HALF_OPEN and not breaker.allow()
    breaker.success(second)
    assert breaker.state is CLOSED


def test_a_function_is_called_or_not() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(BreakerPolicy(consecutive=1, open_for=2.0), clock)
    assert breaker.call(lambda: 7) == 7

    def mistaken() -> None:
        raise TaskError("bad payload", retry=False)

    with pytest.raises(TaskError, match="bad payload"):
        breaker.call(mistaken)
    assert breaker.state is CLOSED
    with pytest.raises(TaskError, match="no"):
        breaker.call(fail)
    with pytest.raises(BreakerOpenError, match="it is tried again in 2 s") as caught:
        breaker.call(fail)
    assert caught.value.retry_after == 2


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (TaskError("x"), True),
        (TaskTimeoutError("x"), True),
        (OSError("x"), True),
        (TaskError("x", retry=False), False),
        (TaskCancelledError(), False),
    ],
)
def test_whose_fault_it_is(error: Exception, blamed: bool) -> None:
    assert blames_agent(error) is blamed


@pytest.mark.parametrize(
    "make",
    [
        lambda: BreakerPolicy(consecutive=0), lambda: BreakerPolicy(minimum=21),
        lambda: BreakerPolicy(rate=0.0), lambda: BreakerPolicy(open_for=float("inf")),
    ],
)  # fmt: skip
def test_policies_that_no_breaker_can_have(make: Callable[[], BreakerPolicy]) -> None:
    with pytest.raises(OrchestrationError, match="no breaker works by"):
        make()


def test_each_key_has_a_breaker() -> None:
    heard: list[object] = []
    breakers = Breakers(
        BreakerPolicy(consecutive=1), FakeClock(), lambda key, old, new: heard.append((key, new))
    )
    one = breakers.of(("agent", "a"))
    fail_times(one, 1)
    assert breakers.of(("agent", "a")) is one
    assert breakers.of(("executor", "a")).allow()
    assert heard == [(("agent", "a"), OPEN)]
    states = {key: stats.state for key, stats in breakers.stats().items()}
    assert states == {("agent", "a"): OPEN, ("executor", "a"): CLOSED}
    breakers.remove(("agent", "a"))
    assert breakers.of(("agent", "a")).state is CLOSED


def test_threads_count_together() -> None:
    breaker = CircuitBreaker(BreakerPolicy(consecutive=10**6, rate=1.0, window=50, minimum=50))

    def work(number: int) -> None:
        for turn in range(500):
            permit = breaker.allow()
            (breaker.failure if turn % 2 else breaker.success)(permit)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = breaker.stats()
    assert (stats.passed, stats.succeeded, stats.failed) == (2000, 1000, 1000)


def test_listeners_may_ask_the_breaker_and_hear_of_changes_in_turn() -> None:
    clock, heard = FakeClock(), list[tuple[BreakerState, BreakerState]]()
    policy = BreakerPolicy(consecutive=1, open_for=5.0)

    def listen(key: object, old: BreakerState, new: BreakerState) -> None:
        heard.append((old, new))
        assert key == "a" and breakers.stats()["a"].opened == 1  # nobody holds a lock
        if new is OPEN:
            clock.advance(5.0)
            assert breaker.state is HALF_OPEN
            breaker.success(breaker.allow())
            assert heard == [(CLOSED, OPEN)]  # the next one's turn comes when this is over
            raise ValueError("which is written to the log")

    breakers = Breakers(policy, clock, listen)
    breaker = breakers.of("a")
    fail_times(breaker, 1)
    assert heard == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]


def test_a_scheduler_has_listeners_called_without_its_lock() -> None:
    heard: queue.SimpleQueue[tuple[BreakerState, bool]] = queue.SimpleQueue()
    registry = AgentRegistry()

    def listen(key: object, old: BreakerState, new: BreakerState) -> None:
        if key == ("agent", "a"):
            heard.put((new, registry.lock._is_owned()))  # type: ignore[attr-defined]

    breakers = Breakers(BreakerPolicy(consecutive=1, open_for=0.01), on_change=listen)
    registry.register(FakeAgent("a", run=lambda task, context: 1 // (context.attempt - 1)))
    with Scheduler(registry, breakers=breakers) as scheduler:
        scheduler.wait([scheduler.submit(Task("t", retries=1))], 60)
        changes = [heard.get(timeout=60) for _ in range(3)]
    assert changes == [(OPEN, False), (HALF_OPEN, False), (CLOSED, False)]
    fail_times(breakers.of(("agent", "a")), 1)  # after it is closed, who asks is who tells
    assert heard.get(timeout=60) == (OPEN, False)


class Model(RuleBasedStateMachine):
    """Against the rules written down anew over the whole history, without counters."""

    POLICY = BreakerPolicy(consecutive=3, rate=0.8, window=5, minimum=4, open_for=2.0, probes=2)

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.breaker = CircuitBreaker(self.POLICY, self.clock)
        self.state, self.since, self.era = CLOSED, 0.0, 0
        self.history: list[bool] = []  # since it closed: whether each failed
        self.probes: dict[int, str] = {}  # number of call -> "out", "good"; of this era
        self.calls: dict[int, tuple[int, int]] = {}  # number -> permit, era
        self.number = 0

    def become(self, state: BreakerState) -> None:
        self.state, self.since = state, self.clock()
        self.era += 1
        self.history, self.probes = [], {}

    def age(self) -> None:
        waiting = self.state is OPEN or (self.state is HALF_OPEN and len(self.probes) == 2)
        if waiting and self.clock() - self.since >= 2.0:
            self.become(HALF_OPEN)

    @rule()
    def ask(self) -> None:
        permit = self.breaker.allow()
        self.age()
        expected = self.state is CLOSED or (self.state is HALF_OPEN and len(self.probes) < 2)
        assert bool(permit) == expected
        if permit:
            self.number += 1
            self.calls[self.number] = (permit, self.era)
            if self.state is HALF_OPEN:
                self.probes[self.number] = "out"
                self.since = self.clock()

    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "forget"]))
    def tell(self, data: st.DataObject, outcome: str) -> None:
        if not self.calls:
            return
        self.end(data.draw(st.sampled_from(sorted(self.calls))), outcome)

    @rule(outcomes=st.lists(st.sampled_from(["success", "failure", "failure"]), max_size=10))
    def burst(self, outcomes: list[str]) -> None:
        for outcome in outcomes:
            before = self.number
            self.ask()
            if self.number != before:
                self.end(self.number, outcome)
            self.agrees()

    def end(self, number: int, outcome: str) -> None:
        permit, era = self.calls.pop(number)
        getattr(self.breaker, outcome)(permit)
        if era != self.era:
            return
        if self.state is HALF_OPEN:
            self.tell_probe(number, outcome)
        elif outcome != "forget":
            self.history.append(outcome == "failure")
            recent = self.history[-5:]
            too_many = len(recent) >= 4 and sum(recent) >= 0.8 * len(recent)
            if outcome == "failure" and (self.history[-3:] == [True] * 3 or too_many):
                self.become(OPEN)

    def tell_probe(self, number: int, outcome: str) -> None:
        if outcome == "failure":
            self.become(OPEN)
        elif outcome == "forget":
            del self.probes[number]
        else:
            self.probes[number] = "good"
            if list(self.probes.values()) == ["good"] * 2:
                self.become(CLOSED)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agrees(self) -> None:
        self.age()
        assert self.breaker.state is self.state
        passes = self.state is CLOSED or (self.state is HALF_OPEN and len(self.probes) < 2)
        assert (self.breaker.retry_after() == 0) == passes


Model.TestCase.settings = settings(
    derandomize=True, database=None, deadline=None, max_examples=100, stateful_step_count=40
)
test_breaker_against_a_model = Model.TestCase

"""Silence is noticed soon, jitter is not held against anybody, and those who failed come back."""

from __future__ import annotations

import heapq
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from swarmc.runtime.orchestration.agents import (
    AgentRegistry,
    HealthMonitor,
    HealthPolicy,
    Heart,
    PhiDetector,
    RestartPolicy,
    Supervisor,
    Ticker,
    Vitals,
)
from swarmc.runtime.orchestration.errors import OrchestrationError, UnknownAgentError
from swarmc.runtime.orchestration.interfaces import AgentState

from .fakes import FakeAgent, FakeClock

READY, SUSPECT, FAILED = AgentState.READY, AgentState.SUSPECT, AgentState.FAILED


class Watched:
    """A registry with agents, and a monitor, on one clock."""

    def __init__(self, *agents: str, policy: HealthPolicy | None = None) -> None:
        self.clock = FakeClock(1000.0)
        self.registry = AgentRegistry(clock=self.clock)
        for agent in agents:
            self.registry.register(FakeAgent(agent))
        self.monitor = HealthMonitor(self.registry, self.clock, policy)
        self.history: list[tuple[float, AgentState]] = []
        self.registry.on_change(lambda _, old, new: self.history.append((self.clock(), new)))

    def simulate(self, arrivals: Iterable[float], until: float) -> None:
        """Beat at these times, check twice in an interval, and end at the end."""
        step = self.monitor.policy.interval / 2
        beats = [(1000.0 + at, True) for at in arrivals if at <= until]
        checks = [(1000.0 + step * n, False) for n in range(1, round(until / step) + 1)]
        for at, beats_now in heapq.merge(beats, checks):
            self.clock.now = at
            if beats_now:
                self.monitor.beat("a")
            else:
                self.monitor.check()


def punctual(count: int, interval: float = 0.1) -> list[float]:
    return [interval * n for n in range(count)]


def jittery(count: int, seed: int, delay: Callable[[random.Random], float]) -> list[float]:
    """Sent every 100 ms, each delayed by the network on its own."""
    dice = random.Random(seed)
    return sorted(0.1 * n + delay(dice) for n in range(count))


def test_phi_says_how_unlikely_it_is_that_a_heartbeat_still_comes() -> None:
    detector = PhiDetector(0.0, interval=1.0, deviation=0.1, pause=0.0, longest=10.0)
    for beat in range(1, 301):
        detector.beat(float(beat))
    # All intervals are 1 s: the least deviation, 0.1 s, counts. One in 2 is later than the mean,
    # one in 6.3 later than a deviation more, one in 1.07e9 later than six.
    assert detector.phi(301.0) == pytest.approx(math.log10(2))
    assert detector.phi(301.1) == pytest.approx(-math.log10(0.158655), abs=1e-5)
    assert detector.phi(301.6) == pytest.approx(-math.log10(9.8659e-10), abs=1e-4)
    assert detector.phi(310.0) == math.inf
    assert detector.phi(300.1) == pytest.approx(0.0, abs=1e-9)


def test_phi_learns_from_the_last_intervals_only() -> None:
    detector = PhiDetector(0.0, interval=1.0, deviation=0.01, pause=0.0, longest=10.0, window=50)
    now, dice = 0.0, random.Random(1)
    for _ in range(50):
        now += dice.gauss(1.0, 0.3)
        detector.beat(now)
    assert detector.phi(now + 2.0) < 5
    for _ in range(50):
        now += 1.0
        detector.beat(now)
    assert detector.phi(now + 1.1) > 20


def test_within_the_pause_nobody_is_suspicious() -> None:
    dice = random.Random(9)
    for pause in (0.0, 0.2):
        detector = PhiDetector(0.0, interval=0.1, deviation=0.01, pause=pause, longest=0.9)
        now = 0.0
        for _ in range(100):
            for step in range(40):
                at = now + step / 50
                assert not detector.calm(at) or detector.phi(at) < 0.31
            now += dice.uniform(0.0, 0.5)
            detector.beat(now)
        assert detector.calm(now + pause - 1e-6) or pause == 0


def test_one_long_silence_does_not_excuse_the_next() -> None:
    detector = PhiDetector(0.0, interval=0.1, deviation=0.05, pause=0.2, longest=0.9)
    now = 0.0
    for _ in range(200):
        now += 0.1
        detector.beat(now)
    before = detector.phi(now + 0.5)
    now += 3600.0
    detector.beat(now)
    assert detector.phi(now + 0.5) > before / 2


def test_jitter_is_not_held_against_anybody() -> None:
    for number, delay in enumerate([
        lambda dice: dice.gauss(0.05, 0.02),
        lambda dice: dice.uniform(0.0, 0.1),
        lambda dice: dice.expovariate(1 / 0.02),
        lambda dice: 0.25 if dice.random() < 0.01 else 0.0,  # a pause now and then
    ]):  # fmt: skip
        watched = Watched("a")
        watched.simulate(jittery(20_000, number, delay), until=1999.0)
        assert watched.history == [], number
        assert watched.monitor.stats().beats > 19_900


def test_heavy_delays_make_suspect_now_and_then_but_nobody_is_given_up() -> None:
    watched = Watched("a")
    delays = jittery(20_000, 7, lambda dice: dice.expovariate(1 / 0.1))
    watched.simulate(delays, until=1999.0)
    states = [state for _, state in watched.history]
    assert FAILED not in states
    assert states.count(SUSPECT) <= 4  # of 20,000 heartbeats
    assert watched.registry.state("a") is READY


@pytest.mark.parametrize("seed", range(20))
def test_silence_is_noticed_within_a_second(seed: int) -> None:
    dice = random.Random(seed)
    watched = Watched("a")
    died = dice.uniform(1.0, 60.0)
    beats = jittery(600, seed, lambda dice: abs(dice.gauss(0.0, 0.01)))
    watched.simulate([at for at in beats if at < died], until=died + 1.0)
    (suspected, first), (failed, second) = watched.history
    assert (first, second) == (SUSPECT, FAILED)
    assert suspected - 1000.0 - died <= 0.6
    assert failed - 1000.0 - died <= 0.75


def test_however_irregular_it_was_nobody_is_silent_for_longer_than_the_timeout() -> None:
    watched = Watched("a")
    dice, at = random.Random(3), 0.0
    beats = []
    while at < 60:
        beats.append(at)
        at += dice.choice([0.01, 0.45])
    watched.simulate(beats, until=beats[-1] + 1.0)
    assert watched.history[-1][1] is FAILED
    assert watched.history[-1][0] - 1000.0 - beats[-1] == pytest.approx(0.9, abs=0.051)


def test_a_suspect_that_beats_again_is_ready() -> None:
    watched = Watched("a")
    watched.simulate([*punctual(50), 5.5, 5.6], until=5.65)
    assert [state for _, state in watched.history] == [SUSPECT, READY]
    assert watched.monitor.stats().recoveries == 1
    assert watched.registry.stats().suspicions == 1


def test_the_long_intervals_of_configuration_files() -> None:
    watched = Watched("a", policy=HealthPolicy(interval=5.0, timeout=15.0))
    watched.simulate(punctual(11, 5.0), until=70.0)
    ((failed, state),) = watched.history  # between two checks it became suspect, and more than that
    assert state is FAILED and 1060 < failed <= 1065


def test_a_monitor_that_slept_blames_nobody() -> None:
    watched = Watched("a", "b")
    watched.monitor.watch("b")
    for _ in range(20):
        watched.clock.advance(0.1)
        for agent in "ab":
            watched.monitor.beat(agent)
        watched.monitor.check()
    watched.clock.advance(3600)  # the machine was asleep
    watched.monitor.check()
    assert FAILED not in [state for _, state in watched.history]
    for _ in range(9):
        watched.clock.advance(0.1)
        watched.monitor.beat("a")
        watched.monitor.check()
    assert watched.registry.state("a") is READY
    assert watched.registry.state("b") is FAILED  # it did not wake up


def test_only_those_who_are_watched_are_judged() -> None:
    watched = Watched("a", "b")
    watched.monitor.watch("a")
    assert watched.monitor.phi("b") == 0
    for _ in range(20):
        watched.clock.advance(0.1)
        watched.monitor.check()
    assert [watched.registry.state(agent) for agent in "ab"] == [FAILED, READY]
    assert watched.monitor.beat("a") is False  # too late
    assert watched.monitor.beat("x") is False
    with pytest.raises(UnknownAgentError):
        watched.monitor.watch("x")
    watched.registry.restart("a")
    assert watched.monitor.beat("a", incarnation=1) is False
    assert watched.monitor.beat("a", incarnation=2) is True
    assert watched.monitor.check().failed == ()
    watched.registry.retire("a")
    assert watched.monitor.stats().watched == 0
    watched.monitor.watch("b")
    watched.monitor.close()
    watched.registry.register(FakeAgent("a"))
    assert watched.monitor.stats().watched == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: HealthPolicy(interval=0.0), lambda: HealthPolicy(interval=5.0, timeout=5.0),
        lambda: HealthPolicy(suspect_phi=9, failed_phi=8), lambda: HealthPolicy(window=1),
        lambda: HealthPolicy(suspect_phi=0.5),
        lambda: RestartPolicy(delay=-1.0), lambda: RestartPolicy(restarts=-1),
    ],
)  # fmt: skip
def test_policies_that_make_no_sense(make: Callable[[], object]) -> None:
    with pytest.raises(OrchestrationError):
        make()


def test_the_heart_beats_for_those_who_answer() -> None:
    class Talking(FakeAgent):
        answer: bool | Exception = True

        def ping(self) -> bool:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    watched = Watched("silent")
    agents = [Talking("a"), Talking("b"), Talking("c")]
    for agent in agents:
        watched.registry.register(agent)
    heart = Heart(watched.registry, watched.monitor)
    assert heart.beat() == 3
    agents[1].answer, agents[2].answer = False, OSError("broken")
    for _ in range(20):
        watched.clock.advance(0.1)
        heart.beat()
        watched.monitor.check()
    states = {entry.id: entry.state for entry in watched.registry}
    assert states == {"silent": READY, "a": READY, "b": FAILED, "c": FAILED}


def test_agents_here_are_not_silent_while_the_heart_waits_for_its_turn() -> None:
    class Talking(FakeAgent):
        well = True

        def ping(self) -> bool:
            return self.well

    watched = Watched("elsewhere")
    here, ill = Talking("here"), Talking("ill")
    watched.registry.register(here)
    watched.registry.register(ill)
    vitals = Vitals(watched.registry, clock=watched.clock)
    vitals.monitor.beat("elsewhere")
    vitals.heart.beat()
    ill.well = False
    for number in range(40):  # only the thread that judges runs
        watched.clock.advance(0.05)
        vitals.look()
        assert watched.registry.state("here") is READY, number
    assert watched.registry.state("elsewhere") is FAILED  # its silence is its own
    assert watched.registry.state("ill") is READY  # nobody knows yet
    for _ in range(20):  # and now both
        vitals.heart.beat()
        watched.clock.advance(0.05)
        vitals.look()
    states = {entry.id: entry.state for entry in watched.registry}
    assert states == {"elsewhere": FAILED, "here": READY, "ill": FAILED}


def test_a_ping_that_hangs_is_noticed() -> None:
    class Hanging(FakeAgent):
        def ping(self) -> bool:
            for _ in range(40):  # the thread that judges runs on
                watched.clock.advance(0.05)
                vitals.look()
            return True

    watched = Watched()
    watched.registry.register(Hanging("a"))
    vitals = Vitals(watched.registry, clock=watched.clock)
    vitals.monitor.watch("a")
    vitals.heart.beat()
    assert watched.registry.state("a") is FAILED


def test_who_failed_is_restarted_later_each_time_and_not_for_ever() -> None:
    watched = Watched("a")
    policy = RestartPolicy(delay=1.0, longest=3.0, restarts=3, window=60.0)
    supervisor = Supervisor(watched.registry, watched.clock, policy)
    waited = []
    for _ in range(3):
        watched.registry.fail("a", "gone")
        assert supervisor.check() == ()
        began = watched.clock()
        while watched.registry.state("a") is FAILED:
            watched.clock.advance(0.25)
            supervisor.check()
        waited.append(watched.clock() - began)
    assert waited == [1.0, 2.0, 3.0]
    watched.registry.fail("a", "gone")
    watched.clock.advance(1000)
    assert supervisor.check() == ()
    stats = supervisor.stats()
    assert (stats.restarted, stats.failed, stats.given_up, stats.waiting) == (3, 0, 1, 0)
    watched.registry.restart("a")  # by hand; what was is long ago
    watched.registry.fail("a", "gone")
    watched.clock.advance(1)
    assert supervisor.check() == ("a",)


def test_a_restart_that_fails_is_tried_again() -> None:
    class Stubborn(FakeAgent):
        refusals = 2

        def restart(self) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError("not yet")

    watched = Watched()
    supervisor = Supervisor(watched.registry, watched.clock, RestartPolicy(delay=1.0))
    watched.registry.register(Stubborn("a"))
    watched.registry.fail("a", "gone")
    for _ in range(10):
        watched.clock.advance(1)
        supervisor.check()
    assert watched.registry.state("a") is READY
    assert (supervisor.stats().restarted, supervisor.stats().failed) == (1, 2)


def test_nobody_is_restarted_twice_or_when_gone() -> None:
    watched = Watched("a", "b")
    supervisor = Supervisor(watched.registry, watched.clock, RestartPolicy(delay=1.0))
    watched.registry.fail("a", "gone")
    watched.registry.fail("b", "gone")
    watched.registry.restart("a")
    watched.registry.retire("b")
    watched.clock.advance(10)
    assert supervisor.check() == ()
    assert watched.registry.entry("a").incarnation == 2
    watched.registry.fail("a", "gone")
    supervisor.close()
    watched.clock.advance(100)
    assert supervisor.check() == ()


def test_vitals_find_a_hanging_agent_and_bring_it_back() -> None:
    class Hanging(FakeAgent):
        well = True

        def ping(self) -> bool:
            return self.well

        def restart(self) -> None:
            self.well = True

    registry = AgentRegistry()
    sick, healthy = Hanging("sick"), Hanging("healthy")
    registry.register(sick)
    registry.register(healthy)
    changes: list[AgentState] = []
    back = threading.Event()

    def listen(agent_id: str, old: AgentState, new: AgentState) -> None:
        if agent_id == "sick" and not back.is_set():
            changes.append(new)
            if new is READY and old is AgentState.CREATED:
                back.set()

    registry.on_change(listen)
    # Threads of a busy machine that wait for half a second are not held against anybody.
    policy = HealthPolicy(interval=0.02, timeout=3.0, pause=0.5, deviation=0.02)
    with Vitals(registry, policy, RestartPolicy(delay=0.01)) as vitals:
        while vitals.monitor.stats().beats < 6:
            time.sleep(0.01)
        sick.well = False
        assert back.wait(60)
    assert changes[-3:] == [FAILED, AgentState.CREATED, READY]
    assert registry.stats().restarts >= 1
    assert not [t for t in threading.enumerate() if t.name.startswith("swarmc-hea")]


def test_a_ticker_survives_what_it_calls(caplog: pytest.LogCaptureFixture) -> None:
    calls = threading.Semaphore(0)

    def broken() -> None:
        calls.release()
        raise OSError("broken")

    with caplog.at_level(logging.ERROR), Ticker(0.001, broken, "test-ticker") as ticker:
        for _ in range(3):
            assert calls.acquire(timeout=60)
    assert ticker.errors >= 3
    assert "test-ticker: a call failed" in caplog.text


def test_hearing_heartbeats_costs_little() -> None:
    registry = AgentRegistry()
    for number in range(256):
        registry.register(FakeAgent(f"a{number}"))
    monitor = HealthMonitor(registry)
    started = time.thread_time()
    for _ in range(10):
        for number in range(256):
            monitor.beat(f"a{number}")
        monitor.check()
    took = time.thread_time() - started
    assert took < 1.0  # for one second of 256 agents; 10 ms on an idle machine

"""The registry knows who there is, in what state, and who has room for a task."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swarmc.runtime.orchestration.agents import (
    AgentLimitError,
    AgentRegistry,
    AgentStateError,
    DuplicateAgentError,
)
from swarmc.runtime.orchestration.agents.states import LIVING, TRANSITIONS
from swarmc.runtime.orchestration.errors import UnknownAgentError
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.interfaces import AgentState

from .fakes import FakeAgent, FakeClock, ListLog

CREATED, READY, BUSY = AgentState.CREATED, AgentState.READY, AgentState.BUSY
SUSPECT, FAILED, RETIRED = AgentState.SUSPECT, AgentState.FAILED, AgentState.RETIRED


def ids(registry: AgentRegistry, *requires: str, executor: str | None = None) -> list[str]:
    return [entry.id for entry in registry.eligible(frozenset(requires), executor)]


def test_every_state_says_where_it_leads() -> None:
    assert set(TRANSITIONS) == set(AgentState)
    assert all(RETIRED in TRANSITIONS[state] for state in set(AgentState) - {RETIRED})


def test_life_of_an_agent() -> None:
    clock, log = FakeClock(5.0), ListLog()
    registry = AgentRegistry(log, clock)
    agent = FakeAgent("a", "vision", capacity=2)
    seen: list[tuple[AgentState, AgentState]] = []
    forget = registry.on_change(lambda _, old, new: seen.append((old, new)))

    assert registry.register(agent) == "a"
    assert registry.get("a") is agent and registry.state("a") is READY
    registry.acquire("a")
    registry.suspect("a", "late")
    clock.advance(1)
    registry.recover("a")
    registry.acquire("a")
    assert registry.state("a") is BUSY
    registry.suspect("a", "late")
    registry.recover("a")
    assert registry.state("a") is BUSY  # it still runs as much as it can
    registry.fail("a", "gone")
    assert registry.entry("a").running == 2
    assert registry.restart("a")
    assert (registry.entry("a").running, registry.entry("a").incarnation) == (0, 2)
    forget()
    registry.retire("a")
    assert "a" not in registry and agent.closed == 1

    assert seen == [
        (CREATED, READY), (READY, SUSPECT), (SUSPECT, READY), (BUSY, SUSPECT), (SUSPECT, BUSY),
        (BUSY, FAILED), (FAILED, CREATED), (CREATED, READY),
    ]  # fmt: skip
    first, *changes = log.written
    assert (first.kind, first.subject) == (EventKind.AGENT_REGISTERED, "a")
    assert first.data == {"name": "a", "kind": "fake", "capabilities": ["vision"]}
    assert [event.data["state"] for event in changes] == [
        "ready", "suspect", "ready", "suspect", "busy", "failed", "created", "ready", "retired",
    ]  # fmt: skip
    assert changes[1].data["reason"] == "late"
    stats = registry.stats()
    assert (stats.registered, stats.restarts, stats.failures, stats.suspicions) == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("reach", "ask", "message"),
    [
        (lambda r: None, lambda r: r.ready("a"), "agent a is ready, not created"),
        (lambda r: None, lambda r: r.recover("a"), "agent a is ready, not suspect"),
        (lambda r: None, lambda r: r.restart("a"), "agent a is ready and cannot become created"),
        (lambda r: r.fail("a", ""), lambda r: r.suspect("a", ""), "cannot become suspect"),
        (lambda r: r.fail("a", ""), lambda r: r.fail("a", ""), "cannot become failed"),
        (lambda r: r.fail("a", ""), lambda r: r.acquire("a"), "agent a is failed, not ready"),
        (lambda r: r.suspect("a", ""), lambda r: r.acquire("a"), "agent a is suspect, not ready"),
        (lambda r: None, lambda r: r.release("a"), "agent a runs nothing"),
        (lambda r: r.acquire("a"), lambda r: r.acquire("a"), "agent a is busy, not ready"),
        (lambda r: None, lambda r: r.acquire("a", {"gpu": 2}), "{'gpu': 1}.*are occupied"),
        (lambda r: None, lambda r: r.acquire("a", {"tpu": 1}), "not enough free"),
    ],
)
def test_what_an_agent_cannot_do_now(
    reach: Callable[[AgentRegistry], object], ask: Callable[[AgentRegistry], object], message: str
) -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a", resources={"gpu": 1}))
    reach(registry)
    state = registry.state("a")
    with pytest.raises(AgentStateError, match=message):
        ask(registry)
    assert registry.state("a") is state


def test_who_is_not_there() -> None:
    registry = AgentRegistry(max_agents=2)
    registry.register(FakeAgent("a"))
    with pytest.raises(DuplicateAgentError, match="there is an agent 'a' already"):
        registry.register(FakeAgent("a"))
    registry.register(FakeAgent("b"))
    with pytest.raises(AgentLimitError, match=r"there are 2 agents \(max_agents=2\)"):
        registry.register(FakeAgent("c"))
    registry.retire("a")
    registry.register(FakeAgent("a"))
    for ask in (registry.get, registry.state, registry.retire, registry.acquire):
        with pytest.raises(UnknownAgentError, match="no agent 'x'"):
            ask("x")
    assert registry.release("x") is False  # it was retired while the task ran


def test_those_who_can_come_in_the_order_in_which_they_became_ready() -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a", "vision", "wasm"))
    registry.register(FakeAgent("b", "vision", "text"))
    assert ids(registry, "vision") == ["a", "b"]
    registry.register(FakeAgent("c", "vision", "wasm"))  # joins groups that are known already
    registry.register(FakeAgent("d"), ready=False)
    assert ids(registry) == ["a", "b", "c"]
    assert ids(registry, "vision", executor="wasm") == ["a", "c"]
    assert ids(registry, "vision", "sound") == []
    registry.ready("d")
    registry.acquire("a")
    assert ids(registry, "vision") == ["b", "c"]
    registry.release("a")
    assert ids(registry, "vision") == ["b", "c", "a"]
    registry.suspect("b", "late")
    registry.retire("c")
    assert ids(registry, "vision") == ["a"]
    assert [agent.id for agent in registry.by_capability("vision")] == ["a", "b"]
    assert [entry.id for entry in registry] == ["a", "b", "d"]


def test_resources_are_occupied_and_given_back() -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a", capacity=20, resources={"gpu": 1}))
    registry.register(FakeAgent("b", capacity=20))
    tenth = {"gpu": 0.1}
    for _ in range(10):
        registry.acquire("a", tenth)
    assert registry.eligible(resources=tenth) == []
    assert [entry.id for entry in registry.capable(resources={"gpu": 1})] == ["a"]
    assert registry.capable(resources={"gpu": 1.5}) == []
    for _ in range(10):
        registry.release("a", tenth)
    assert registry.entry("a").occupied == {}
    assert [entry.id for entry in registry.eligible(resources={"gpu": 1})] == ["a"]


def test_what_an_earlier_incarnation_ran_is_not_released() -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a", resources={"gpu": 1}))
    before = registry.acquire("a", {"gpu": 1})
    registry.fail("a", "gone")
    registry.restart("a")
    after = registry.acquire("a", {"gpu": 1})
    assert registry.release("a", {"gpu": 1}, before) is False
    assert registry.entry("a").occupied == {"gpu": 1}
    assert registry.release("a", {"gpu": 1}, after) is True
    assert registry.state("a") is READY


def test_a_restart_asks_the_agent() -> None:
    class Phoenix(FakeAgent):
        trouble: Exception | None = None
        meanwhile: Callable[[], None] | None = None
        restarts = 0

        def restart(self) -> None:
            self.restarts += 1
            if self.meanwhile is not None:
                self.meanwhile()
            if self.trouble is not None:
                raise self.trouble

    registry, agent = AgentRegistry(), Phoenix("a")
    registry.register(agent)
    registry.fail("a", "gone")
    agent.trouble = OSError("no file")
    with pytest.raises(OSError, match="no file"):
        registry.restart("a")
    entry = registry.entry("a")
    assert (entry.state, entry.reason) == (FAILED, "did not restart: no file")
    agent.trouble, agent.meanwhile = None, lambda: registry.fail("a", "gone again")
    assert registry.restart("a") is False
    assert (entry.state, entry.reason) == (FAILED, "gone again")
    agent.meanwhile = None
    assert registry.restart("a") is True
    assert (entry.state, agent.restarts, registry.stats().restarts) == (READY, 3, 1)


def test_listeners_choose_whether_they_hear_of_each_task() -> None:
    registry = AgentRegistry()
    few: list[str] = []
    many: list[str] = []
    registry.on_change(lambda _, old, new: few.append(new.value))
    registry.on_change(lambda _, old, new: many.append(new.value), flips=True)
    registry.register(FakeAgent("a"))
    registry.acquire("a")
    registry.release("a")
    registry.retire("a")
    assert few == ["ready", "retired"]
    assert many == ["ready", "busy", "ready", "retired"]


def test_a_listener_that_fails_does_not_keep_others_from_hearing() -> None:
    registry = AgentRegistry()
    heard: list[AgentState] = []
    registry.on_change(lambda *_: [][0])
    registry.on_change(lambda _, old, new: heard.append(new), flips=True)
    registry.register(FakeAgent("a"))
    registry.fail("a", "gone")
    assert heard == [READY, FAILED]


def test_a_log_that_fails_does_not_keep_listeners_from_hearing() -> None:
    class BrokenLog(ListLog):
        def append_soon(self, events: object, stored: object = None) -> None:
            raise OSError("disk full")

    registry = AgentRegistry()
    registry.register(FakeAgent("a"))
    registry._log = BrokenLog()
    heard: list[AgentState] = []
    registry.on_change(lambda _, old, new: heard.append(new))
    with pytest.raises(OSError, match="disk full"):
        registry.fail("a", "gone")
    assert heard == [FAILED] and registry.state("a") is FAILED


def test_requirements_that_never_come_again_are_forgotten() -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a", "x"))
    for number in range(1000):
        assert ids(registry, f"n{number}") == []
    assert ids(registry, "x") == ["a"]
    assert len(registry.entry("a").groups) <= 2
    registry.acquire("a")
    assert ids(registry, "x") == []


def test_a_shared_lock_is_held_while_listeners_are_called() -> None:
    lock = threading.RLock()
    registry = AgentRegistry(lock=lock)
    free: list[bool] = []

    def other() -> None:
        free.append(lock.acquire(blocking=False))

    def listen(*_: object) -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    registry.on_change(listen)
    registry.register(FakeAgent("a"))
    assert free == [False]


def test_close_retires_all() -> None:
    agents = [FakeAgent("a"), FakeAgent("b")]
    registry = AgentRegistry()
    for agent in agents:
        registry.register(agent)
    registry.close()
    assert len(registry) == 0 and [agent.closed for agent in agents] == [1, 1]


def test_a_task_costs_the_registry_little() -> None:
    registry = AgentRegistry()
    for number in range(256):
        registry.register(FakeAgent(f"a{number}", "x"))
    wanted = frozenset({"x"})
    registry.eligible(wanted)
    best = float("inf")
    for _ in range(5):
        started = time.thread_time()
        for _ in range(2000):
            registry.release("a7", incarnation=registry.acquire("a7"))
        best = min(best, (time.thread_time() - started) / 2000)
    assert best < 10e-6  # 1 µs on an idle machine


class Registry(RuleBasedStateMachine):
    """Against a model: a state and a number of tasks for each agent."""

    AGENTS: tuple[tuple[str, int], ...] = (("one", 1), ("two", 2), ("three", 3))
    agents = st.sampled_from([name for name, _ in AGENTS])

    def __init__(self) -> None:
        super().__init__()
        self.registry = AgentRegistry()
        self.state: dict[str, AgentState] = {}
        self.running: dict[str, int] = {}
        for name, capacity in self.AGENTS:
            self.registry.register(FakeAgent(name, name, "all", capacity=capacity))
            self.state[name], self.running[name] = READY, 0

    @rule(agent=agents)
    def acquire(self, agent: str) -> None:
        room = self.state[agent] is READY and self.running[agent] < dict(self.AGENTS)[agent]
        if room:
            self.registry.acquire(agent)
            self.running[agent] += 1
        else:
            with pytest.raises(AgentStateError):
                self.registry.acquire(agent)

    @rule(agent=agents)
    def release(self, agent: str) -> None:
        if self.running[agent]:
            self.registry.release(agent)
            self.running[agent] -= 1

    @rule(agent=agents)
    def suspect(self, agent: str) -> None:
        if self.state[agent] is READY:
            self.registry.suspect(agent, "late")
            self.state[agent] = SUSPECT

    @precondition(lambda self: SUSPECT in self.state.values())
    @rule(agent=agents)
    def recover(self, agent: str) -> None:
        if self.state[agent] is SUSPECT:
            self.registry.recover(agent)
            self.state[agent] = READY

    @rule(agent=agents)
    def fail(self, agent: str) -> None:
        if self.state[agent] is not FAILED:
            self.registry.fail(agent, "gone")
            self.state[agent] = FAILED

    @precondition(lambda self: FAILED in self.state.values())
    @rule(agent=agents)
    def restart(self, agent: str) -> None:
        if self.state[agent] is FAILED:
            self.registry.restart(agent)
            self.state[agent], self.running[agent] = READY, 0

    @invariant()
    def agrees(self) -> None:
        free = set()
        for name, capacity in self.AGENTS:
            full = self.state[name] is READY and self.running[name] == capacity
            assert self.registry.state(name) is (BUSY if full else self.state[name])
            assert self.registry.entry(name).running == self.running[name]
            if self.state[name] is READY and not full:
                free.add(name)
            assert ids(self.registry, name) == [name] * (name in free)
        assert set(ids(self.registry, "all")) == free
        stats = self.registry.stats()
        alive = [name for name, _ in self.AGENTS if self.registry.state(name) in LIVING]
        assert stats.active == len(alive)
        assert stats.running == sum(self.running[name] for name in alive)


Registry.TestCase.settings = settings(
    derandomize=True, database=None, deadline=None, max_examples=60, stateful_step_count=30
)
test_registry_against_a_model = Registry.TestCase

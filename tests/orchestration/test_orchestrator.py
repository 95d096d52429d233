"""The orchestrator: its parts together, its life, and what it tells."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration import (
    AgentFactory,
    SchedulerConfig,
    SwarmBuilder,
    SwarmOrchestrator,
    SwarmTopology,
    Task,
    TaskState,
)
from swarmc.runtime.orchestration.agents import InvalidAgentError
from swarmc.runtime.orchestration.errors import ClosedError, OrchestrationError

from .scheduling import Worker

LONG = 60.0


@pytest.fixture
def orchestrator() -> Iterator[SwarmOrchestrator]:
    with SwarmBuilder().name("test").topology(SwarmTopology.RING).monitoring().build() as built:
        yield built


def test_nothing_works_before_initialize_or_after_close() -> None:
    built = SwarmBuilder().name("s").build()
    with pytest.raises(OrchestrationError, match=r"s is not initialized; call initialize\(\)"):
        built.submit_task(Task("t"))
    built.initialize()
    with pytest.raises(OrchestrationError, match="s is initialized already"):
        built.initialize()
    assert built.close()
    assert built.close()
    with pytest.raises(ClosedError, match="s is closed"):
        built.register_agent(AgentFactory.create_generic("late"))


def test_builders_refuse_settings_of_another_kind() -> None:
    builder: Any = SwarmBuilder()
    for name, value, wanted in (
        ("name", 3, "str"),
        ("max_agents", "64", "int"),
        ("scheduler_config", {}, "SchedulerConfig"),
        ("memory_config", {}, "MemoryConfig"),
    ):
        with pytest.raises(OrchestrationError, match=f"{name} takes {wanted}, not {value!r}"):
            getattr(builder, name)(value)
    with pytest.raises(OrchestrationError, match="topology must be one of centralized, mesh"):
        builder.topology("net")
    changes: dict[str, Any]
    for changes, message in (
        ({"selection_strategy": "fast"}, "must be an AgentSelectionStrategy, not 'fast'"),
        ({"max_concurrent_tasks": "3"}, "max_concurrent_tasks must be an int, not '3'"),
        ({"aging": None}, "aging must be a number of seconds, positive and finite, not None"),
    ):
        with pytest.raises(OrchestrationError, match=message):
            SchedulerConfig(**changes)


def test_tasks_run_in_cycles_and_not_in_between(orchestrator: SwarmOrchestrator) -> None:
    orchestrator.register_agent(AgentFactory.create_generic("g", handler=lambda value: value + 1))
    first = orchestrator.submit_task(Task("first", 1))
    assert orchestrator.task_state(first) is TaskState.QUEUED
    assert orchestrator.process_cycle().completed == 1
    second = orchestrator.submit_task(Task("second", 2))
    assert orchestrator.get_task_result(second) is None
    nobody = orchestrator.submit_task(Task("nobody's", 3, requires=frozenset({"levitation"})))
    cycle = orchestrator.process_cycle()
    assert (cycle.completed, cycle.waiting, cycle.idle) == (1, 1, True)
    result = orchestrator.get_task_result(second)
    assert result is not None
    assert result.result == 3
    assert orchestrator.cancel_task(nobody)


def test_a_cycle_ends_when_its_time_is_over(orchestrator: SwarmOrchestrator) -> None:
    release = threading.Event()
    orchestrator.register_agent(
        AgentFactory.create_generic("g", handler=lambda payload: release.wait(LONG))
    )
    task = orchestrator.submit_task(Task("slow"))
    cycle = orchestrator.process_cycle(timeout=0.05)
    assert (cycle.idle, cycle.running, cycle.completed) == (False, 1, 0)
    release.set()
    assert orchestrator.wait([task], LONG)[0].result is True


def test_in_the_background(orchestrator: SwarmOrchestrator) -> None:
    orchestrator.register_agent(AgentFactory.create_generic("g", handler=lambda payload: payload))
    orchestrator.start()
    a = Task("a", 1)
    ids = orchestrator.submit_tasks([Task("b", 2, dependencies=(a.id,)), a])
    assert [record.result for record in orchestrator.wait(ids, LONG)] == [2, 1]
    orchestrator.stop()
    waiting = orchestrator.submit_task(Task("c", 3))
    assert orchestrator.task_state(waiting) is TaskState.QUEUED


def test_agents_that_come_and_go_are_members_of_the_hub(orchestrator: SwarmOrchestrator) -> None:
    ids = [
        orchestrator.register_agent(AgentFactory.create_generic(name, handler=lambda payload: None))
        for name in "abcd"
    ]
    assert orchestrator.hub.members == tuple(ids)
    assert set(orchestrator.hub.neighbours(ids[0])) == {ids[1], ids[3]}
    region = orchestrator.memory_manager.allocate(ids[1], 100)
    orchestrator.retire_agent(ids[1])
    assert set(orchestrator.hub.neighbours(ids[0])) == {ids[2], ids[3]}
    assert region not in orchestrator.memory_manager.regions(ids[1])
    orchestrator.registry.fail(ids[2], "for the test")
    end = time.monotonic() + LONG  # it is restarted, and joins again
    while ids[2] not in orchestrator.hub.members and time.monotonic() < end:
        time.sleep(0.01)
    assert set(orchestrator.hub.neighbours(ids[2])) == {ids[0], ids[3]}


def test_another_process_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "swarm.db"
    with SwarmBuilder().store(path).build() as first:
        agent = first.register_agent(
            AgentFactory.create_generic("g", handler=lambda payload: payload)
        )
        done = first.submit_task(Task("done", {"x": 1}))
        first.process_cycle()
        left = first.submit_task(Task("left", {"y": 2}))
    second = SwarmBuilder().store(path).build()
    assert second.initialize() == 1
    second.register_agent(AgentFactory.create_generic("h", handler=lambda payload: payload))
    second.process_cycle()
    results = [second.get_task_result(task_id) for task_id in (done, left)]
    assert [r.result for r in results if r is not None] == [{"x": 1}, {"y": 2}]
    assert results[0] is not None
    assert results[0].agent == agent
    second.close()


def test_reports(orchestrator: SwarmOrchestrator) -> None:
    orchestrator.register_agent(AgentFactory.create_generic("worker-7", handler=lambda p: p))
    orchestrator.submit_task(Task("t"))
    orchestrator.process_cycle()
    text = orchestrator.export_status()
    for part in ("test", "ring", "worker-7", "general_processing", "queue time", "cores"):
        assert part in text
    data = json.loads(orchestrator.export_status("json"))
    assert data["scheduler"]["completed"] == 1
    assert data["agents"][0]["served"] == 1
    assert data["resources"]["cores"] >= 1
    with pytest.raises(OrchestrationError, match="a status is text or json, not 'xml'"):
        orchestrator.export_status("xml")
    metrics = orchestrator.prometheus().text()
    for line in (
        'swarmc_tasks_completed_total{swarm="test"} 1.0',
        'swarmc_agents{state="ready",swarm="test"} 1.0',
        'swarmc_hub_members{swarm="test"} 1.0',
        'swarmc_part_up{part="coordinator",swarm="test"} 0.0',
    ):
        assert line in metrics
    exported = orchestrator.prometheus()
    assert orchestrator.coordination_stats().members == 1
    assert 'swarmc_coordination_members{swarm="test"} 1.0' in exported.text()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("x", "'x' is no agent: it has no id, no name, no kind"), (None, "None is no agent"),
     (Worker, "it has no id"), (Worker("w", capacity=2.5), "capacity of agent .* must be an int"),
     (Worker("w", "wasm"), "capabilities of agent .* must be a set of text, not 'wasm'")],
)  # fmt: skip
def test_what_is_no_agent_is_refused_by_name(
    orchestrator: SwarmOrchestrator, wrong: Any, message: str
) -> None:
    with pytest.raises(InvalidAgentError, match=message):
        orchestrator.register_agent(wrong)
    assert len(orchestrator.registry) == 0


def test_a_cycle_goes_on_when_that_of_another_thread_ends(orchestrator: SwarmOrchestrator) -> None:
    release = threading.Event()

    def run(payload: object, context: object) -> object:
        assert payload != "slow" or release.wait(LONG)
        return payload

    orchestrator.register_agent(AgentFactory.create_generic("g", handler=run))
    first = orchestrator.submit_task(Task("slow", payload="slow"))
    second = orchestrator.submit_task(Task("after", payload=1, dependencies=(first,)))
    idle: list[bool] = []
    other = threading.Thread(target=lambda: idle.append(orchestrator.process_cycle(LONG).idle))
    other.start()
    while orchestrator.task_state(first) is not TaskState.RUNNING:
        time.sleep(0.001)
    assert not orchestrator.process_cycle(0.0).idle  # ends at once; the other one has not
    release.set()
    other.join(LONG)
    assert idle == [True]
    assert orchestrator.task_state(second) is TaskState.COMPLETED


def test_closing_again_tells_the_same_and_waits_for_the_first_to_close() -> None:
    release, begun = threading.Event(), threading.Event()

    def run(payload: object, context: object) -> None:
        begun.set()
        release.wait(LONG)  # looks at nothing

    built = SwarmBuilder().build()
    built.initialize()
    built.register_agent(AgentFactory.create_generic("g", handler=run))
    built.start()
    built.submit_task(Task("t"))
    assert begun.wait(LONG)
    ended: list[bool] = []
    closing = [threading.Thread(target=lambda: ended.append(built.close(0.0))) for _ in range(2)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(LONG)
    release.set()
    assert ended == [False, False]


def test_an_agent_that_goes_while_it_is_let_in_is_let_go(
    orchestrator: SwarmOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = orchestrator.hub.join

    def join_late(member: str) -> None:
        orchestrator.registry.retire(member)
        join(member)

    monkeypatch.setattr(orchestrator.hub, "join", join_late)
    gone = orchestrator.register_agent(AgentFactory.create_generic("gone"))
    monkeypatch.undo()
    end = time.monotonic() + LONG
    while gone in orchestrator.hub.members:
        assert time.monotonic() < end
        time.sleep(0.001)
    there = orchestrator.registry.register(AgentFactory.create_generic("there"))
    while there not in orchestrator.hub.members:
        assert time.monotonic() < end
        time.sleep(0.001)

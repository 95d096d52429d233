"""Scheduler, registry, heart and breakers: an agent that hangs loses its task to another."""

from __future__ import annotations

import threading

from swarmc.runtime.orchestration.agents import (
    AgentFactory,
    AgentRegistry,
    HealthPolicy,
    RestartPolicy,
    Vitals,
)
from swarmc.runtime.orchestration.interfaces import AgentState
from swarmc.runtime.orchestration.scheduler import Scheduler
from swarmc.runtime.orchestration.tasks import Task, TaskState


def test_the_task_of_an_agent_that_hangs_runs_on_another() -> None:
    leave, hung = threading.Event(), threading.Event()
    well = True

    def hanging(payload: object) -> str:
        hung.set()
        leave.wait(120)
        return "late"

    registry = AgentRegistry()
    sick = AgentFactory.create_generic("sick", handler=hanging)
    sick.ping = lambda: well  # type: ignore[method-assign]
    registry.register(sick)
    failed = threading.Event()
    registry.on_change(lambda _, old, new: failed.set() if new is AgentState.FAILED else None)
    # A process whose threads have to wait for a second or two is not ill.
    policy = HealthPolicy(interval=0.05, timeout=3.0, pause=0.1, deviation=0.05)
    with Scheduler(registry) as scheduler, Vitals(registry, policy, RestartPolicy(restarts=0)):
        task = scheduler.submit(Task("t", "payload", timeout=100, retries=0))
        assert hung.wait(60)
        healthy = AgentFactory.create_generic("healthy", handler=lambda payload: [payload])
        registry.register(healthy)
        well = False
        record, = scheduler.wait([task], 60)
        assert failed.is_set()
        assert (record.state, record.result) == (TaskState.COMPLETED, ["payload"])
        assert (record.agent, record.attempts) == (healthy.id, 2)
        assert scheduler.stats().failovers == 1
        assert registry.state(sick.id) is AgentState.FAILED
        leave.set()
    registry.close()


def test_neural_and_quantum_agents_take_tasks_by_capability() -> None:
    registry = AgentRegistry()
    registry.register(AgentFactory.create_neural("vision_net", 2048))
    registry.register(AgentFactory.create_quantum("optimizer", 16))
    with Scheduler(registry) as scheduler:
        seen = scheduler.submit(
            Task("look", [[0.5] * 16] * 3, requires=frozenset({"neural_inference"}), timeout=120)
        )
        cut = scheduler.submit(
            Task("cut", {"edges": [[0, 1], [1, 2], [2, 3], [3, 0]]}, timeout=120,
                 requires=frozenset({"quantum_optimization"}))
        )  # fmt: skip
        wrong = scheduler.submit(Task("wrong", {}, requires=frozenset({"neural_inference"})))
        outputs, found, failed = scheduler.wait([seen, cut, wrong], 120)
        assert outputs.result["outputs"].shape == (3, 8)
        assert found.result["cut"] == 4
        assert (failed.state, failed.attempts) == (TaskState.FAILED, 1)  # no retry would help
        assert failed.error is not None and "must have 'inputs'" in failed.error
    registry.close()

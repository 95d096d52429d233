"""Tasks that need much of a resource, beside others that keep taking little of it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from swarmc.runtime.orchestration.agents.breaker import BreakerPolicy
from swarmc.runtime.orchestration.interfaces import AgentState
from swarmc.runtime.orchestration.tasks import Task

from .scheduling import Bench, Worker

AFTER = 1.0  # seconds, as SchedulerConfig has them


def gpu(name: str, amount: float = 4, **more: float) -> Worker:
    return Worker(name, capacity=8, resources={"gpu": amount, **more})


class Stream:
    """Small tasks that keep an agent taken: when one ends, the next one waits already."""

    def __init__(self, bench: Bench, resources: Mapping[str, float], count: int = 4) -> None:
        self.bench, self.resources = bench, resources
        self.number = 0
        for _ in range(count):
            self.submit()

    def submit(self) -> None:
        self.bench.scheduler.submit(Task(f"small{self.number}", resources=self.resources))
        self.number += 1

    def go_on(self, seconds: float, steps: int = 1) -> None:
        """Let the oldest that runs end, after some time."""
        for _ in range(steps):
            self.bench.pass_time(seconds)
            self.submit()
            self.bench.engine.end(next(iter(self.bench.engine.running)))


def test_much_is_kept_free_for_a_task_that_has_waited() -> None:
    bench = Bench(gpu("w"))
    stream = Stream(bench, {"gpu": 1})
    bench.scheduler.submit(Task("large", resources={"gpu": 4}))
    stream.go_on(0.1, 9)
    assert len(bench.engine.running) == 4  # nothing is kept free before it is time
    stream.go_on(0.2)
    assert len(bench.engine.running) == 3
    stream.go_on(0.1, 3)
    assert list(bench.engine.running) == ["large"]
    bench.engine.end("large")
    assert len(bench.engine.running) == 4


def test_others_take_what_is_not_missed() -> None:
    bench = Bench(gpu("w", 6, memory=10.0))
    for number in range(2):
        bench.scheduler.submit(Task(f"old{number}", resources={"gpu": 2}))
    bench.scheduler.submit(Task("large", resources={"gpu": 3, "memory": 4}))
    bench.pass_time(AFTER)
    bench.scheduler.submit(Task("of another kind", resources={"memory": 6}))
    bench.scheduler.submit(Task("of no kind"))
    assert bench.engine.order()[2:] == ["of another kind", "of no kind"]
    bench.scheduler.submit(Task("of what it needs", resources={"memory": 1}))
    bench.scheduler.submit(Task("small", resources={"gpu": 1}))
    assert len(bench.engine.order()) == 4
    bench.engine.end("old0")
    assert bench.engine.order()[4:] == ["large", "small"]


def test_what_comes_before_it_is_not_held_up() -> None:
    bench = Bench(gpu("w"))
    stream = Stream(bench, {"gpu": 1})
    bench.scheduler.submit(Task("large", resources={"gpu": 4}, priority=-5))
    bench.pass_time(AFTER)
    stream.go_on(0.1, 10)  # tasks of a higher priority that came soon after it
    assert len(bench.engine.running) == 4 and "large" not in bench.engine.order()
    stream.go_on(1.0, 20)  # waiting makes up for its priority
    assert "large" in bench.engine.order()


def test_another_agent_is_kept_when_one_is_gone() -> None:
    bench = Bench(gpu("a"), gpu("b"))
    stream = Stream(bench, {"gpu": 2})
    bench.scheduler.submit(Task("large", resources={"gpu": 4}))
    bench.pass_time(AFTER)
    stream.go_on(0.0)
    (entry,) = [e for e in bench.registry if e.occupied["gpu"] == 2]
    bench.registry.suspect(entry.id, "is silent")
    bench.scheduler.tick()
    kept = next(e for e in bench.registry if e.id != entry.id)
    for name in [n for n, a in bench.engine.running.items() if a.agent.id == kept.id]:
        stream.submit()
        bench.engine.end(name)
    assert ("large", kept.id) in bench.engine.begun
    assert bench.registry.state(kept.id) is AgentState.READY


def test_nothing_is_kept_for_what_is_not_wanted_any_more() -> None:
    bench = Bench(gpu("w"))
    stream = Stream(bench, {"gpu": 1})
    large = bench.scheduler.submit(Task("large", resources={"gpu": 4}))
    bench.pass_time(AFTER)
    stream.go_on(0.0, 2)
    assert len(bench.engine.running) == 2
    bench.scheduler.cancel(large)
    assert len(bench.engine.running) == 4


def test_nothing_is_kept_for_what_cannot_run() -> None:
    policy = BreakerPolicy(consecutive=1, open_for=100.0)
    bench = Bench(Worker("w", frozenset({"bad"}), 8, {"gpu": 4}), breakers=policy, retry_delay=1e9,
                  max_retry_delay=1e9)  # fmt: skip
    bench.scheduler.submit(Task("more than there is", resources={"gpu": 5}))
    bench.scheduler.submit(Task("breaks", executor="bad"))
    bench.engine.end("breaks", ValueError("broken"))
    bench.pass_time(100.0)  # the agent may be tried again, and the executor too
    bench.scheduler.submit(Task("tries", executor="bad"))
    bench.scheduler.submit(Task("large", executor="bad", resources={"gpu": 4}))
    bench.pass_time(AFTER)
    bench.engine.end("tries", 1)
    assert "large" in bench.engine.order()
    bench.engine.end("large", 1)
    bench.scheduler.submit(Task("small", resources={"gpu": 1}))
    assert "small" in bench.engine.order()


def test_nothing_that_could_begin_is_told_while_an_agent_is_kept() -> None:
    bench = Bench(gpu("w"))
    Stream(bench, {"gpu": 1})
    bench.scheduler.submit(Task("large", resources={"gpu": 4}))
    bench.pass_time(AFTER)
    bench.run_all()
    assert bench.scheduler.wait_idle(0) and bench.engine.order()[-1] == "large"


@pytest.mark.parametrize("seed", range(6))
def test_every_task_begins_in_time(seed: int) -> None:
    """No longer than it takes until it is late, and all that came before it has run."""
    chance = random.Random(seed)
    bench = Bench(gpu("a"), gpu("b", 8, memory=4.0), gpu("c", 2))
    longest, waits, submitted = 0.5, dict[str, float](), dict[str, float]()
    ends: dict[str, float] = {}
    for step in range(600):
        name = f"t{step}"
        large = step % 40 == 7
        needed = {"gpu": chance.choice((4, 7, 8)) if large else chance.choice((0.5, 1, 2))}
        if not large and chance.random() < 0.3:
            needed = {"memory": 1.0, "gpu": 1.0}
        submitted[name] = bench.now
        bench.scheduler.submit(Task(name, resources=needed))
        for running in bench.engine.running.keys() - ends.keys():
            ends[running] = bench.now + chance.uniform(0.1, longest)
            waits[running] = bench.now - submitted[running]
        bench.pass_time(0.04)
        for running in [n for n in bench.engine.running if ends.get(n, bench.now) <= bench.now]:
            ends.setdefault(running, 0.0)
            bench.engine.end(running)
    large_ones = [f"t{step}" for step in range(7, 560, 40)]
    assert all(name in waits for name in large_ones)
    assert max(waits[name] for name in large_ones) < AFTER + 6 * longest

"""Many tasks with different needs: in order of age, without looking at all of them again and again.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from swarmc.runtime.orchestration.scheduler.queue import Needs, ReadyQueue
from swarmc.runtime.orchestration.tasks import Task

from .scheduling import Bench, Worker


def test_classes_come_by_age_whatever_is_taken_and_removed() -> None:
    draw = random.Random(7)
    queue: ReadyQueue[str] = ReadyQueue(1.0)
    model: dict[str, tuple[float, int, Needs]] = {}
    for step in range(3000):
        what = draw.random()
        if what < 0.5:
            needs = Needs(frozenset({str(draw.randrange(8))}))
            since, priority = draw.uniform(0, 50), draw.randrange(-5, 5)
            queue.push(needs, str(step), str(step), priority, since)
            model[str(step)] = (since - priority, step, needs)
        elif what < 0.7 and model:
            name = draw.choice(list(model))
            assert queue.remove(model.pop(name)[2], name) == name
        else:
            skipped = {str(n) for n in range(8) if draw.random() < 0.3}
            taken = draw.randrange(4)
            for group in queue.in_order():
                if not taken or group.needs.capabilities <= skipped:
                    continue
                taken -= 1
                fit = {n: v for n, v in model.items() if not v[2].capabilities <= skipped}
                oldest = min(fit, key=fit.__getitem__)
                assert queue.pop(group) == oldest
                del model[oldest]
        assert len(queue) == len(model)
        assert len(queue._heads) < 200
    assert {needs for _, _, needs in model.values()} == set(queue.classes)


def test_tasks_that_all_need_something_else_cost_no_more_the_more_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    bench = Bench(Worker("w", resources={"memory": 1e6}), paused=True)
    eligible = bench.registry.eligible

    def count(*args: Any) -> Any:
        looked.append(1)
        return eligible(*args)

    monkeypatch.setattr(bench.registry, "eligible", count)
    bench.scheduler.submit_many([Task(f"t{n}", resources={"memory": n}) for n in range(500)])
    bench.scheduler.resume()
    assert bench.run_all() == [f"t{n}" for n in range(500)]
    assert len(looked) == 500  # one a task


def test_all_that_fits_begins_when_one_of_two_kinds_runs_out() -> None:
    bench = Bench(Worker("w", capacity=9, resources={"memory": 1}), paused=True)
    bench.scheduler.submit(Task("other", resources={"memory": 1}))
    bench.scheduler.submit_many([Task(f"t{n}") for n in range(5)])
    bench.scheduler.resume()
    assert bench.engine.order() == ["other", "t0", "t1", "t2", "t3", "t4"]

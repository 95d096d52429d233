"""A pipeline as a task: of an executor, and of a scheduler."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.runtime.orchestration.agents.registry import AgentRegistry
from swarmc.runtime.orchestration.errors import TaskCancelledError, TaskError, TaskTimeoutError
from swarmc.runtime.orchestration.pipeline import PipelineExecutor
from swarmc.runtime.orchestration.scheduler import Scheduler
from swarmc.runtime.orchestration.tasks import Task, TaskContext
from swarmc.runtime.orchestration.worker import Worker

from .pipeline_nodes import meeting
from .pipeline_tools import equal, pipeline, python

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


@pytest.fixture
def executor() -> Iterator[PipelineExecutor]:
    meeting.reset()
    made = PipelineExecutor()
    yield made
    meeting.go_on.set()
    made.close()


def run(executor: PipelineExecutor, context: TaskContext | None = None, **parameters: Any) -> Any:
    return executor.run(Task("pipeline", parameters), context or TaskContext())


def test_outputs_are_the_result(executor: PipelineExecutor) -> None:
    manifest = pipeline([python("a", "make"), python("b", "twice")], ("a", "b"))
    assert equal(run(executor, manifest=manifest), {"b": np.array([0, 2, 4, 6], np.float32)})
    assert run(executor, manifest=pipeline([python("b", "twice")]), input=[1, 2]) == {"b": [2, 4]}


@pytest.mark.parametrize(
    ("parameters", "message", "retry"),
    [
        ({}, "pipeline needs the parameter 'manifest'", False),
        ({"manifest": 3}, "parameter 'manifest' of pipeline must be str or dict, not 3", False),
        ({"manifest": "nowhere.json"}, "nowhere.json: cannot be read: No such file", False),
        ({"manifest": pipeline([]), "input": 1}, "parameter 'input' of pipeline must be", False),
        ({"manifest": pipeline([python("a", "fail")])}, "node 'a': ValueError: cannot work", True),
    ],
)
def test_failures(
    executor: PipelineExecutor, parameters: dict[str, Any], message: str, retry: bool
) -> None:
    with pytest.raises(TaskError) as caught:
        run(executor, **parameters)
    assert message in str(caught.value)
    assert caught.value.retry is retry


@pytest.mark.parametrize("function", ["wait_async", "wait_in_thread"])
def test_cancelling_the_task_ends_the_pipeline(executor: PipelineExecutor, function: str) -> None:
    context = TaskContext()

    def cancel() -> None:
        assert meeting.begun.wait(60)
        context.cancelled.set()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(TaskCancelledError):
        run(executor, context, manifest=pipeline([python("slow", function)]))
    canceller.join()
    assert meeting.events == (["cancelled"] if function == "wait_async" else [])


def test_the_deadline_ends_the_pipeline(executor: PipelineExecutor) -> None:
    context = TaskContext()
    context.deadline = context.clock() + 0.05
    with pytest.raises(TaskTimeoutError):
        run(executor, context, manifest=pipeline([python("slow", "wait_async")]))
    assert meeting.events == ["cancelled"]


def test_a_scheduler_runs_pipelines(executor: PipelineExecutor) -> None:
    registry = AgentRegistry()
    registry.register(Worker("worker", [executor], owns=False))
    node = {"id": "fib", "node_type": "wasm", "module": str(CORPUS / "lib.wasm"), "function": "fib"}
    first = Task("first", {"manifest": pipeline([node]), "input": [10, 11]}, executor="pipeline")
    second = Task("second", {"manifest": pipeline([python("a", "fail")])}, executor="pipeline",
                  retries=0, dependencies=(first.id,))  # fmt: skip
    with Scheduler(registry) as scheduler:
        scheduler.submit_many([first, second])
        records = scheduler.wait([first.id, second.id], 60)
    assert records[0].result == {"fib": [55, 89]}
    assert "cannot work on None" in str(records[1].error)

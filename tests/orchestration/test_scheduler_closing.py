"""What a scheduler that is closed interrupts has not failed: it runs again after a restart."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.scheduler import Scheduler
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .scheduling import Worker

SECONDS = 60.0


def test_what_is_interrupted_by_closing_runs_again(tmp_path: Path) -> None:
    begun = threading.Event()

    def wait_to_be_told(task: Task, context: TaskContext) -> Any:
        begun.set()
        assert context.cancelled.wait(SECONDS)
        context.check()

    def scheduler(store: Store, run: Any) -> Scheduler:
        registry = AgentRegistry()
        registry.register(Worker("w", run=run))
        return Scheduler(registry, store)

    path = tmp_path / "s.db"
    with Store(path, power_safe=False) as store:
        first = scheduler(store, wait_to_be_told)
        first.submit(Task("t", id="t", retries=0))
        assert begun.wait(SECONDS)
        first.close(0)
    with Store(path, power_safe=False) as store:
        record = store.task("t")
        assert record is not None
        assert record.state is TaskState.RUNNING
        with scheduler(store, lambda task, context: "done") as second:
            assert second.recover() == 1
            (record,) = second.wait(["t"], SECONDS)
        assert (record.state, record.result, record.attempts) == (TaskState.COMPLETED, "done", 2)

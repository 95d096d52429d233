"""A process with a scheduler over a store, to be killed at any point.

``python crash_scheduler_child.py STORE load`` takes up what the store has, then submits task after
task, from two threads, until it is killed; ``... finish`` ends everything and exits. It prints a
line for what it has been told: ``A number id`` accepted, ``R number state result`` final.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskRecord

THREADS = 2
_WAIT = 60.0


class Doubler:
    """An agent that doubles numbers.

    Of every seventh the first attempt fails; every fifth takes a while.
    """

    kind = "generic"
    capabilities = frozenset({"doubling"})
    resources: Mapping[str, float] = MappingProxyType({})
    capacity = 4

    def __init__(self, name: str) -> None:
        self.id = self.name = name

    def execute(self, task: Task, context: TaskContext) -> int:
        """Twice the payload, and what it depends on must be there."""
        if task.payload % 7 == 0 and context.attempt == 1:
            raise ValueError("the first attempt fails")
        if task.payload % 5 == 0:
            time.sleep(0.02)
        if set(context.inputs) != set(task.dependencies):
            raise AssertionError(f"{task.name} began without {task.dependencies}")
        return int(task.payload) * 2

    def close(self) -> None:
        """Nothing."""


def say(line: str) -> None:
    """Tell the parent, in one piece."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tell(record: TaskRecord) -> None:
    """A task is final."""
    say(f"R {record.task.payload} {record.state.value} {record.result}")


def load(scheduler: Scheduler, first: int, step: int) -> None:
    """Submit every ``step``-th number from ``first`` on. Each third depends on the one before."""
    number, before = first, None
    while True:
        dependencies = (before,) if before is not None and number % 3 == 0 else ()
        task = Task(
            f"task {number}", number, requires=frozenset({"doubling"}), dependencies=dependencies,
            idempotency_key=f"key {number}",
        )  # fmt: skip
        before = scheduler.submit(task, timeout=_WAIT)
        say(f"A {number} {before}")
        scheduler.watch(before, tell)
        number += step


def main() -> None:
    """See above."""
    path, mode = sys.argv[1:]
    with Store(Path(path)) as store:
        registry = AgentRegistry(store)
        known = len(list(store.tasks()))
        registry.register(Doubler("a"))
        registry.register(Doubler("b"))
        with Scheduler(registry, store, SchedulerConfig(retry_delay=0.001)) as scheduler:
            scheduler.recover()
            say("ready")
            if mode == "finish":
                scheduler.wait([record.task.id for record in store.tasks()], _WAIT)
                return
            start = max(0, known - 6)  # some are submitted again
            threads = [
                threading.Thread(target=load, args=(scheduler, start + n, THREADS), daemon=True)
                for n in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main()

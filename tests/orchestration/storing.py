"""What tests of the store have in common."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task


def accepted(task: Task, at: float = 1.0) -> Event:
    return Event(EventKind.TASK_ACCEPTED, task.id, task.to_data(), at)


def started(task: Task, attempt: int = 1, at: float = 2.0) -> Event:
    return Event(EventKind.TASK_STARTED, task.id, {"agent": "a1", "attempt": attempt}, at)


def completed(task: Task, result: Any = None, at: float = 3.0) -> Event:
    return Event(EventKind.TASK_COMPLETED, task.id, {"result": result}, at)


def accept(store: Store, count: int = 1, size: int = 0) -> list[Task]:
    """Have tasks accepted, each in an append of its own, and wait for the last one."""
    tasks = [Task(f"t{number}", "x" * size) for number in range(count)]
    for task in tasks[:-1]:
        store.append_soon([Event(EventKind.TASK_ACCEPTED, task.id, task.to_data())])
    store.append([Event(EventKind.TASK_ACCEPTED, tasks[-1].id, tasks[-1].to_data())])
    return tasks


def run(code: str, *arguments: object) -> str:
    """What a Python program prints."""
    program = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout

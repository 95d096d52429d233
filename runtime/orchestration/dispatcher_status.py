"""What ``swarmc status`` shows: counts of a store, of a dispatcher that runs or of one that ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .interfaces import AgentState
from .tasks import TaskState

if TYPE_CHECKING:
    from .store import StoreReader

_ACTIVE = (AgentState.READY, AgentState.BUSY)
_TABLES = ("state", "executions", "tasks", "nodes")


@dataclass(frozen=True, slots=True)
class DispatcherStatus:
    """Counts at one moment.

    Args:
        idle, busy: workers that run nothing, and that run something.
        queued: tasks that wait, for each other or for a worker.
        workflows: runs that have not ended.
        records: of the store's tables, by name.
    """

    idle: int = 0
    busy: int = 0
    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    workflows: int = 0
    records: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_TABLES, 0))

    @property
    def active(self) -> int:
        """Workers."""
        return self.idle + self.busy

    def lines(self) -> list[str]:
        """As text."""
        return [
            "Coordinator Status:",
            f"  Active nodes: {self.active}",
            f"    Idle: {self.idle}",
            f"    Busy: {self.busy}",
            f"  Queued tasks: {self.queued}",
            f"  Running tasks: {self.running}",
            f"  Completed tasks: {self.completed}",
            f"  Failed tasks: {self.failed}",
            "",
            f"Active workflows: {self.workflows}",
            "",
            "State database:",
            *(f"  {table}: {count} records" for table, count in self.records.items()),
        ]

    def to_data(self) -> dict[str, Any]:
        """As a value."""
        return {
            "coordinator": {
                "active_nodes": self.active, "idle": self.idle, "busy": self.busy,
                "queued_tasks": self.queued, "running_tasks": self.running,
                "completed_tasks": self.completed, "failed_tasks": self.failed,
            },
            "active_workflows": self.workflows,
            "state_database": dict(self.records),
        }  # fmt: skip


def read_status(path: Path) -> tuple[DispatcherStatus, bool]:
    """What the store at a path tells, and whether a process works with it.

    Without a store there is nothing to count.

    Raises:
        StoreError: it cannot be read.
    """
    from .store import Store
    from .store.lock import lock_holder

    if not path.exists():
        return DispatcherStatus(), False
    holder = lock_holder(path)
    alive = holder is not None and holder.alive
    with Store.open_readonly(path) as store:
        return status_of(store, alive=alive), alive


def status_of(
    store: StoreReader, *, alive: bool = True, nodes: tuple[int, int] | None = None
) -> DispatcherStatus:
    """What a store tells.

    Args:
        alive: whether a process works with it: else its workers are gone, whatever it says.
        nodes: how many workers are idle and how many busy, if that is known better.
    """
    tasks, records = store.task_counts(), store.record_counts()
    idle, busy = nodes or (_nodes(store) if alive else (0, 0))
    return DispatcherStatus(
        idle, busy, tasks[TaskState.WAITING] + tasks[TaskState.QUEUED],
        tasks[TaskState.RUNNING], tasks[TaskState.COMPLETED], tasks[TaskState.FAILED],
        sum(1 for _ in store.workflows(["running", "rolling_back"])),
        {table: records[table] for table in _TABLES},
    )  # fmt: skip


def _nodes(store: StoreReader) -> tuple[int, int]:
    """How many workers are idle, and how many busy."""
    working = {record.agent for record in store.tasks([TaskState.RUNNING])}
    active = [agent.id for agent in store.agents() if agent.state in _ACTIVE]
    busy = sum(agent in working for agent in active)
    return len(active) - busy, busy

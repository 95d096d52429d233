"""What became of a workflow."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..tasks import TaskRecord, TaskState


class WorkflowState(enum.Enum):
    """Where a run is. The last three are final."""

    RUNNING = "running"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"  #: every symbol did
    FAILED = "failed"  #: nothing was there to roll back, or a rollback failed
    ROLLED_BACK = "rolled_back"  #: every rollback completed

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (WorkflowState.RUNNING, WorkflowState.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """What became of a symbol, or of a rollback.

    Args:
        executor: that runs it.
        attempts: how many have begun.
        result: of one that completed.
        error: of one that failed or was cancelled, or of the last attempt that failed.
        duration: seconds of the last attempt, if it has ended.
        agent: id of the worker that runs or ran the last attempt.
        dependencies: names of the symbols that come right before; of a rollback, what it undoes.
    """

    name: str
    executor: str
    state: TaskState = TaskState.WAITING
    attempts: int = 0
    result: Any = None
    error: str | None = None
    duration: float | None = None
    agent: str | None = None
    dependencies: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, name: str, executor: str, record: TaskRecord | None, dependencies: Iterable[str] = ()
    ) -> SymbolResult:
        """What a task's record says; None: it was not submitted yet."""
        before = tuple(dependencies)
        if record is None:
            return cls(name, executor, dependencies=before)
        begun, ended = record.started, record.finished
        duration = ended - begun if begun is not None and ended is not None else None
        return cls(
            name, executor, record.state, record.attempts, record.result, record.error, duration,
            record.agent, before,
        )  # fmt: skip

    def to_data(self) -> dict[str, Any]:
        """As a value."""
        return {
            "name": self.name, "executor": self.executor, "state": self.state.value,
            "attempts": self.attempts, "result": self.result, "error": self.error,
            "duration_ms": _milliseconds(self.duration),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """A run of a workflow as it is now.

    Args:
        id: of the run.
        error: why it did not complete.
        symbols: by name, in the manifest's order.
        rollbacks: by the name of the symbol that they undo, in the order in which they run.
        duration: seconds from its start to its end, or until now.
        started: seconds since 1970.
        reference: what who asked for it calls it.
    """

    id: str
    name: str
    version: str
    state: WorkflowState
    error: str | None = None
    symbols: Mapping[str, SymbolResult] = field(default_factory=dict)
    rollbacks: Mapping[str, SymbolResult] = field(default_factory=dict)
    duration: float = 0.0
    started: float = 0.0
    reference: str | None = None

    def _count(self, state: TaskState) -> int:
        return sum(symbol.state is state for symbol in self.symbols.values())

    @property
    def success(self) -> bool:
        """Whether every symbol completed."""
        return self.state is WorkflowState.COMPLETED

    @property
    def total_tasks(self) -> int:
        """Symbols."""
        return len(self.symbols)

    @property
    def completed_tasks(self) -> int:
        """Symbols that completed; some may have been rolled back since."""
        return self._count(TaskState.COMPLETED)

    @property
    def failed_tasks(self) -> int:
        """Symbols that failed."""
        return self._count(TaskState.FAILED)

    @property
    def cancelled_tasks(self) -> int:
        """Symbols that were cancelled, because another one failed or by request."""
        return self._count(TaskState.CANCELLED)

    @property
    def results(self) -> dict[str, Any]:
        """Results of the symbols that completed, by name."""
        return {
            name: symbol.result
            for name, symbol in self.symbols.items()
            if symbol.state is TaskState.COMPLETED
        }

    def to_data(self) -> dict[str, Any]:
        """As a value."""
        return {
            "id": self.id, "name": self.name, "version": self.version,
            "state": self.state.value, "error": self.error,
            "total_tasks": self.total_tasks, "completed_tasks": self.completed_tasks,
            "failed_tasks": self.failed_tasks, "cancelled_tasks": self.cancelled_tasks,
            "duration_ms": _milliseconds(self.duration),
            "symbols": [symbol.to_data() for symbol in self.symbols.values()],
            "rollbacks": [
                {"symbol": name, **rollback.to_data()} for name, rollback in self.rollbacks.items()
            ],
        }  # fmt: skip


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)

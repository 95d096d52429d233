"""What a runner knows of one run, and how it is told to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..interfaces import EventLog
from ..tasks import TaskRecord, TaskState
from .result import SymbolResult, WorkflowResult, WorkflowState
from .schema import Symbol, WorkflowManifest
from .tasks import rollback_id, task_id


class StoredRun(Protocol):
    """A run of a workflow as a store tells of it; ``store.WorkflowRecord`` is one."""

    @property
    def id(self) -> str: ...
    @property
    def manifest(self) -> Any: ...
    @property
    def state(self) -> str: ...
    @property
    def error(self) -> str | None: ...
    @property
    def compensations(self) -> tuple[str, ...]: ...
    @property
    def started(self) -> float: ...
    @property
    def finished(self) -> float | None: ...
    @property
    def reference(self) -> str | None: ...


class WorkflowLog(EventLog, Protocol):
    """What workflows ask of a store besides what every part does."""

    def workflow(self, workflow_id: str) -> StoredRun | None:
        """A run; None if there is none with this id."""

    def workflows(self, states: list[str] | None = None) -> Iterator[StoredRun]:
        """Runs in these states (None: in any), in the order of their starts."""


@dataclass(eq=False, slots=True)
class Run:
    """A run. Only the runner's thread changes it, with the runner's lock.

    Args:
        stopping: whether no more symbols are begun, because one failed or by request.
        pending: ids of tasks of symbols that are not final.
        records: of symbols that are, by name.
        rollbacks: names of symbols that are undone, in order.
        undone: records of rollbacks that are final, by symbol.
        reference: what who asked for it calls it.
        broken: why it cannot go on in this process.
        done: set when it is final, or broken.
    """

    id: str
    manifest: WorkflowManifest
    symbols: dict[str, Symbol]
    started: float
    state: WorkflowState = WorkflowState.RUNNING
    error: str | None = None
    stopping: bool = False
    pending: set[str] = field(default_factory=set)
    records: dict[str, TaskRecord] = field(default_factory=dict)
    rollbacks: tuple[str, ...] = ()
    undone: dict[str, TaskRecord] = field(default_factory=dict)
    finished: float | None = None
    reference: str | None = None
    broken: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(
        cls, run_id: str, manifest: WorkflowManifest, started: float, reference: str | None
    ) -> Run:
        """A run that has just begun."""
        symbols = {symbol.name: symbol for symbol in manifest.symbols}
        pending = {task_id(run_id, name) for name in symbols}
        return cls(run_id, manifest, symbols, started, pending=pending, reference=reference)

    def brief(self) -> WorkflowResult:
        """How it is now, without its symbols."""
        end = self.finished if self.finished is not None else time.time()
        return WorkflowResult(
            self.id, self.manifest.name, self.manifest.version, self.state, self.error,
            duration=max(0.0, end - self.started), started=self.started, reference=self.reference,
        )  # fmt: skip

    def why(self) -> str:
        """Why it did not complete: the failure that came first."""
        def ended(record: TaskRecord) -> float:
            return record.finished or 0.0

        for state, became in (
            (TaskState.FAILED, "failed"), (TaskState.CANCELLED, "was cancelled"),
        ):  # fmt: skip
            records = [(n, r) for n, r in self.records.items() if r.state is state]
            if records:
                name, record = min(records, key=lambda item: ended(item[1]))
                return f"{name} {became}: {record.error}"
        return "a symbol did not complete"

    def begun(self, name: str) -> bool:
        """Whether a symbol may have had an effect."""
        record = self.records.get(name)
        return record is not None and record.attempts > 0

    def snapshot(self, find: Callable[[str], TaskRecord | None]) -> WorkflowResult:
        """How it is now.

        Args:
            find: the record of a task that is not final, if it has one.
        """
        symbols = {
            name: SymbolResult.of(
                name, symbol.dispatch, self.records.get(name) or find(task_id(self.id, name)),
                symbol.dependencies,
            )
            for name, symbol in self.symbols.items()
        }
        rollbacks = {
            name: SymbolResult.of(
                rollback.name, rollback.dispatch,
                self.undone.get(name) or find(rollback_id(self.id, name)), (name,),
            )
            for name in self.rollbacks
            if (rollback := self.symbols[name].rollback) is not None
        }  # fmt: skip
        end = self.finished if self.finished is not None else time.time()
        return WorkflowResult(
            self.id, self.manifest.name, self.manifest.version, self.state, self.error, symbols,
            rollbacks, max(0.0, end - self.started), self.started, self.reference,
        )  # fmt: skip


def is_workflow(manifest: Any) -> bool:
    """Whether what a run was started with is a workflow's manifest, and not a pipeline's."""
    return isinstance(manifest, Mapping) and "symbols" in manifest

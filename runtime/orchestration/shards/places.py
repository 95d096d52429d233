"""Where shards are run: a scheduler of this process, or, in ``cluster``, one behind a router."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import UnknownTaskError
from ..scheduler import Scheduler
from ..tasks import Task, TaskRecord, TaskState
from .modules import ModuleTable

_LOOK = 0.5  # seconds between looks whether the scheduler still works


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker that runs shards.

    Args:
        domain: what fails, or is broken into, together with it.
        public_key: what its signatures are checked with; empty: it signs nothing.
        capacity: how many tasks it runs at once.
        usable: whether it takes tasks at the moment.
    """

    worker_id: str
    domain: str
    public_key: bytes
    capacity: int = 1
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a task."""

    state: TaskState
    result: Any = None
    error: str | None = None
    agent: str | None = None


class Place(Protocol):
    """Runs tasks of the executor ``shard``. May be used from several threads."""

    def put_module(self, module: bytes) -> str:
        """Make a module known to whoever runs tasks; gives its digest."""

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        """Have tasks run; gives their ids, which are those of earlier tasks with their keys.

        Raises:
            ModuleMissingError: their module has been forgotten: put it again.
        """

    def finished(self, task_ids: Sequence[str], timeout: float) -> dict[str, Finished]:
        """Those that are final, as soon as there is one, at the latest after this many seconds."""

    def cancel(self, task_ids: Sequence[str], reason: str) -> None:
        """End those that are not final."""

    def workers(self) -> list[WorkerInfo]:
        """Who there is."""

    def exclude(self, worker_id: str, reason: str, evidence: str) -> None:
        """Have nothing more run by a worker.

        Args:
            evidence: a certificate, as JSON, that shows that it has lied.
        """


class SchedulerPlace:
    """A scheduler of this process.

    Args:
        modules: where the executors of its agents get modules from.
        workers: those of its agents that sign what they give.
        excluded: called with a worker's id, the reason and the evidence.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        modules: ModuleTable,
        *,
        workers: Iterable[WorkerInfo] = (),
        excluded: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._modules = modules
        self._workers = list(workers)
        self._told = excluded
        self._excluded: set[str] = set()
        self._done: dict[str, Finished] = {}
        self._changed = threading.Condition()  # guards _done and _excluded

    def put_module(self, module: bytes) -> str:
        """Keep a module in the table."""
        return self._modules.put(module)

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        """Give tasks to the scheduler, once it has room for them."""
        ids = self._scheduler.submit_many(tasks, timeout=60.0)
        for task_id in ids:
            self._scheduler.watch(task_id, self._final)
        return ids

    def _final(self, record: TaskRecord) -> None:
        with self._changed:
            self._done[record.task.id] = Finished(
                record.state, record.result, record.error, record.agent
            )
            self._changed.notify_all()

    def finished(self, task_ids: Sequence[str], timeout: float) -> dict[str, Finished]:
        """Those that are final; each is given once."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found = {name: self._done.pop(name) for name in task_ids if name in self._done}
                left = end - time.monotonic()
                if found or left <= 0:
                    return found
                self._changed.wait(min(left, _LOOK))
                self._scheduler.check()

    def cancel(self, task_ids: Sequence[str], reason: str) -> None:
        """End tasks that are not final."""
        for task_id in task_ids:
            with contextlib.suppress(UnknownTaskError):  # it was not accepted
                self._scheduler.cancel(task_id, reason)

    def workers(self) -> list[WorkerInfo]:
        """Those that are not excluded."""
        with self._changed:
            return [one for one in self._workers if one.worker_id not in self._excluded]

    def exclude(self, worker_id: str, reason: str, evidence: str) -> None:
        """Count a worker among them no more, and say so.

        Raises:
            OrchestrationError: the evidence does not show it.
        """
        from ..verify.evidence import check_evidence

        check_evidence(
            evidence, worker_id, {one.worker_id: one.public_key for one in self._workers},
            domains={one.worker_id: one.domain for one in self._workers},
        )  # fmt: skip
        with self._changed:
            self._excluded.add(worker_id)
        if self._told is not None:
            self._told(worker_id, reason, evidence)

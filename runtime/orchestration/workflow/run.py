"""Running workflows: symbols as tasks, and what was done undone again when one fails.

A symbol that fails, after its retries, stops its run: symbols that have not begun are cancelled,
those that run are waited for. Then every symbol that has begun and has a rollback is undone: the
one that failed, those that completed, those that were interrupted. Rollbacks run one after the
other, in the reverse of the order of dependencies. One that fails does not keep the next from
running. The list is durable before the first of them begins.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from ..errors import ClosedError, OrchestrationError, QueueFullError, UnknownTaskError
from ..events import Event, EventKind
from ..scheduler import Scheduler
from ..tasks import TaskRecord, TaskState, new_id
from .result import WorkflowResult, WorkflowState
from .schema import WorkflowManifest
from .state import Run, StoredRun, WorkflowLog, is_workflow
from .tasks import TaskDefaults, rollback_id, rollback_task, symbol_of, symbol_tasks, task_id

log = logging.getLogger(__name__)

_LOOK = 0.5  # seconds after which those who wait look whether the scheduler still works
_PATIENCE = 60.0  # seconds for room in the queue, for runs that are resumed
_UNFINISHED = [WorkflowState.RUNNING.value, WorkflowState.ROLLING_BACK.value]


class UnknownWorkflowError(OrchestrationError, KeyError):
    """No run has this id."""

    __str__ = OrchestrationError.__str__  # KeyError's shows the repr


class WorkflowRunner:
    """Runs workflows on a scheduler. May be used from several threads.

    Args:
        scheduler: that runs the tasks; it must have recovered already if its store has tasks.
        store: where runs are kept, the scheduler's; None: they end with the process.
        defaults: for symbols that do not say how long and how often they may try.
        kept: how many finished runs are remembered without a store.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        store: WorkflowLog | None = None,
        *,
        defaults: TaskDefaults | None = None,
        kept: int = 1000,
    ) -> None:
        self._scheduler, self._store = scheduler, store
        self._defaults = defaults or TaskDefaults()
        self._kept = kept
        self._listeners: tuple[Callable[[WorkflowResult], None], ...] = ()
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()  # guards _runs, and what is in the runs
        self._closed = False
        self._jobs: queue.SimpleQueue[tuple[Run, Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="swarmc-workflows", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # For users

    def deploy(
        self, manifest: WorkflowManifest, *, run_id: str | None = None, timeout: float = 0.0,
        reference: str | None = None,
    ) -> str:  # fmt: skip
        """Start a run and give its id.

        Args:
            run_id: made up if not given.
            timeout: seconds to wait for room in the scheduler's queue.
            reference: what who asks for it calls it, told again in what is told of it.

        Raises:
            InvalidTaskError: dependencies of a manifest that was made by hand are wrong.
            QueueFullError, StoreError: it was not started.
        """
        manifest.graph()
        run = Run.of(run_id or new_id("run"), manifest, time.time(), reference)
        with self._lock:
            if self._closed:
                raise ClosedError("the runner is closed")
            if run.id in self._runs:
                raise OrchestrationError(f"there is a run {run.id!r} already")
            self._runs[run.id] = run
        try:
            self._write(EventKind.WORKFLOW_STARTED, run, {
                "name": manifest.name, "version": manifest.version,
                "manifest": manifest.to_data(), "reference": reference,
            })  # fmt: skip
        except BaseException:
            self._forget(run)
            raise
        self._tell(run)
        try:
            tasks = symbol_tasks(run.id, manifest, self._defaults, reference)
            self._scheduler.submit_many(tasks, timeout=timeout)
        except OrchestrationError as error:
            run.error = f"not started: {error}"
            self._finish(run, WorkflowState.FAILED)
            self._forget(run)
            raise
        self._watch(run)
        return run.id

    def wait(self, run_id: str, timeout: float | None = None) -> WorkflowResult:
        """Wait until a run has ended, well or not, rollbacks included.

        Raises:
            TimeoutError: it has not, after this many seconds; it goes on.
            OrchestrationError: it cannot go on in this process: the store failed, or the
                scheduler or the runner was closed. :meth:`resume` takes it up later.
        """
        run = self._find(run_id)
        if run is None:
            return self.result(run_id)
        end = None if timeout is None else time.monotonic() + timeout
        while not run.done.is_set():
            step = _LOOK if end is None else min(_LOOK, end - time.monotonic())
            if step <= 0:
                raise TimeoutError(f"run {run_id} is not done after {timeout:g} s")
            if not run.done.wait(step):
                self._scheduler.check()
        self.check(run_id)
        return self.result(run_id)

    def check(self, run_id: str) -> None:
        """Raise if a run, or any, cannot go on in this process, as :meth:`wait` does."""
        run = self._find(run_id)
        if run is not None and run.broken is not None:
            raise OrchestrationError(f"run {run_id} was left: {run.broken}") from run.broken
        if run is not None and not run.done.is_set():
            self._scheduler.check()

    def run(self, manifest: WorkflowManifest, timeout: float | None = None) -> WorkflowResult:
        """Deploy a workflow and wait for its end."""
        return self.wait(self.deploy(manifest), timeout)

    def cancel(self, run_id: str, reason: str = "cancelled") -> bool:
        """Stop a run, also what it is running now, and roll it back.

        Returns:
            False if it has ended, or is being rolled back already.
        """
        run = self._find(run_id)
        if run is None or run.state is not WorkflowState.RUNNING:
            self.result(run_id)  # raises if it is not known
            return False
        self._jobs.put((run, partial(self._stop, run, reason, interrupt=True)))
        return True

    def result(self, run_id: str) -> WorkflowResult:
        """How a run is now, or how it ended.

        Raises:
            UnknownWorkflowError: there is none with this id.
        """
        run = self._find(run_id)
        if run is None:
            stored = self._store.workflow(run_id) if self._store is not None else None
            if stored is None or not is_workflow(stored.manifest):
                raise UnknownWorkflowError(f"no run {run_id!r}")
            run = self._restored(stored)
        with self._lock:
            return run.snapshot(self._record)

    def on_change(self, listener: Callable[[WorkflowResult], None]) -> Callable[[], None]:
        """Have a function called when a run begins, is rolled back, and ends; what is given ends
        that.

        It is told of the run without its symbols, by whatever thread; it must be quick and must not
        raise.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(o for o in self._listeners if o is not listener)

        return end

    def runs(self) -> list[str]:
        """Ids of the runs of this runner that have not ended."""
        with self._lock:
            return [run.id for run in self._runs.values() if not run.done.is_set()]

    def resume(self) -> list[str]:
        """Go on with all runs that a store has of an earlier process, and give their ids.

        What was being run when that process ended is run again: symbols and rollbacks run at
        least once, with the idempotency keys that they had.
        """
        resumed = []
        for stored in list(self._store.workflows(_UNFINISHED)) if self._store is not None else ():
            if not is_workflow(stored.manifest) or self._find(stored.id) is not None:
                continue
            run = self._restored(stored)
            with self._lock:
                self._runs[run.id] = run
            if run.state is WorkflowState.ROLLING_BACK:
                self._jobs.put((run, partial(self._undo_next, run)))
            else:
                self._resubmit(run)
                self._watch(run)
            resumed.append(run.id)
        return resumed

    def close(self) -> None:
        """Leave the runs that have not ended; with a store, they can be resumed."""
        with self._lock:
            self._closed = True
            unfinished = [run for run in self._runs.values() if not run.done.is_set()]
        self._jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for run in unfinished:
            if not run.done.is_set():
                run.broken = ClosedError("the runner was closed")
                run.done.set()

    # Taking up again

    def _restored(self, stored: StoredRun) -> Run:
        manifest = WorkflowManifest.from_data(stored.manifest)
        run = Run.of(stored.id, manifest, stored.started, stored.reference)
        run.state, run.error = WorkflowState(stored.state), stored.error
        run.rollbacks = tuple(symbol_of(one, run.id) for one in stored.compensations)
        run.finished = stored.finished
        for name in run.symbols:
            record = self._record(task_id(run.id, name))
            if record is not None and record.state.final:
                run.records[name] = record
        for name in run.rollbacks:
            record = self._record(rollback_id(run.id, name))
            if record is not None and record.state.final:
                run.undone[name] = record
        return run

    def _resubmit(self, run: Run) -> None:
        """The process may have ended between the start of the run and that of its tasks."""
        tasks = symbol_tasks(run.id, run.manifest, self._defaults, run.reference)
        if all(self._record(task.id) is None for task in tasks):
            self._scheduler.submit_many(tasks, timeout=_PATIENCE)

    # In the runner's thread

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            run, act = job
            try:
                act()
            except Exception as error:
                log.exception("run %s cannot go on", run.id)
                run.broken = error
                run.done.set()

    def _watch(self, run: Run) -> None:
        """Hear of the end of every symbol."""
        for name in run.symbols:
            def ended(record: TaskRecord, name: str = name) -> None:
                self._jobs.put((run, partial(self._symbol_ended, run, name, record)))

            self._scheduler.watch(task_id(run.id, name), ended)

    def _symbol_ended(self, run: Run, name: str, record: TaskRecord) -> None:
        with self._lock:
            run.records[name] = record
            run.pending.discard(record.task.id)
        if record.state is not TaskState.COMPLETED and not run.stopping:
            self._stop(run, f"{name} did not complete", interrupt=False)
        if not run.pending and run.state is WorkflowState.RUNNING:
            self._all_ended(run)

    def _stop(self, run: Run, reason: str, *, interrupt: bool) -> None:
        """Begin no more symbols."""
        if run.state is not WorkflowState.RUNNING or not run.pending:
            return
        with self._lock:
            run.stopping = True
            if interrupt:
                run.error = run.error or reason
        for identifier in tuple(run.pending):
            record = self._record(identifier)
            if record is not None and (interrupt or record.state is not TaskState.RUNNING):
                self._scheduler.cancel(identifier, reason)

    def _all_ended(self, run: Run) -> None:
        if all(record.state is TaskState.COMPLETED for record in run.records.values()):
            run.error = None
            self._finish(run, WorkflowState.COMPLETED)
            return
        run.error = run.error or run.why()
        order = reversed(run.manifest.graph().order())
        rollbacks = tuple(n for n in order if run.symbols[n].rollback and run.begun(n))
        if not rollbacks:
            self._finish(run, WorkflowState.FAILED)
            return
        self._write(EventKind.WORKFLOW_ROLLING_BACK, run, {
            "error": run.error, "compensations": [rollback_id(run.id, n) for n in rollbacks],
        })  # fmt: skip
        with self._lock:
            run.rollbacks, run.state = rollbacks, WorkflowState.ROLLING_BACK
        self._tell(run)
        self._undo_next(run)

    def _undo_next(self, run: Run) -> None:
        """Run the first rollback that has not ended, if there is one."""
        name = next((name for name in run.rollbacks if name not in run.undone), None)
        if name is None:
            undone = all(r.state is TaskState.COMPLETED for r in run.undone.values())
            self._finish(run, WorkflowState.ROLLED_BACK if undone else WorkflowState.FAILED)
            return
        identifier = rollback_id(run.id, name)
        if self._record(identifier) is None:
            self._submit_rollback(run, name)

        def ended(record: TaskRecord) -> None:
            self._jobs.put((run, partial(self._rollback_ended, run, name, record)))

        self._scheduler.watch(identifier, ended)

    def _submit_rollback(self, run: Run, name: str) -> None:
        symbol = run.symbols[name]
        assert symbol.rollback is not None
        record = run.records.get(name)
        task = rollback_task(
            run.id, symbol, symbol.rollback, record, self._defaults, run.reference
        )
        while True:
            with contextlib.suppress(QueueFullError):  # a rollback is not given up for that
                self._scheduler.submit(task, timeout=_LOOK)
                return
            if self._closed:
                raise ClosedError("the runner was closed")

    def _rollback_ended(self, run: Run, name: str, record: TaskRecord) -> None:
        if record.state is not TaskState.COMPLETED:
            log.warning("%s: rollback of %s %s: %s", run.id, name, record.state.value, record.error)
        with self._lock:
            run.undone[name] = record
        self._undo_next(run)

    def _finish(self, run: Run, state: WorkflowState) -> None:
        self._write(EventKind.WORKFLOW_FINISHED, run, {"state": state.value, "error": run.error})
        with self._lock:
            run.state, run.finished = state, time.time()
            finished = [r for r in self._runs.values() if r.done.is_set()]
            for old in finished[: max(0, len(finished) - self._kept)]:
                del self._runs[old.id]
        self._tell(run)
        run.done.set()

    # Helpers

    def _tell(self, run: Run) -> None:
        for listener in self._listeners:
            listener(run.brief())

    def _write(self, kind: EventKind, run: Run, data: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.append([Event(kind, run.id, data)])

    def _record(self, identifier: str) -> TaskRecord | None:
        try:
            return self._scheduler.record(identifier)
        except UnknownTaskError:
            return None

    def _find(self, run_id: str) -> Run | None:
        with self._lock:
            return self._runs.get(run_id)

    def _forget(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.id, None)

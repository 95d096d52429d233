"""The scheduler: tasks come in, wait for each other and for agents, run, and end for good."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from typing import Self

from ..agents.breaker import Breakers
from ..agents.registry import AgentRegistry
from ..agents.shedding import LoadShedder
from ..engine import Engine
from ..errors import TaskTimeoutError, UnknownTaskError
from ..interfaces import EventLog
from ..tasks import Task, TaskRecord, TaskState
from .admission import Admission
from .config import SchedulerConfig, SchedulerStats
from .entries import Watcher
from .lifecycle import THROUGHPUT_WINDOW, Lifecycle

_LOOK = 0.5  # seconds after which those who wait look whether the scheduler still works
_AT_ONCE = 4096  # tasks that are looked at with the lock held; then others have a turn
_LONG = 3600.0  # the timer looks that often in any case: what is far off is too long to wait for

log = logging.getLogger(__name__)


class Scheduler:
    """Runs tasks on the agents of a registry. May be used from several threads.

    Args:
        registry: who can run tasks. Its lock becomes the scheduler's.
        store: where tasks are kept; None: in memory, values passed by reference.
        config: None: the defaults.
        engine: where attempts run; None: threads of this process. It is closed with the scheduler.
        clock: seconds, for deadlines and waiting times.
        breakers: agents and executors that keep failing are left alone as these say; None: never.
        shedder: refuses tasks that matter less as the queue fills; None: nothing does.
        paused: begin without starting tasks until :meth:`resume`.
        timer: whether a thread of the scheduler looks after deadlines and delayed attempts;
            False: whoever made it calls :meth:`tick`.
    """

    def __init__(
        self,
        registry: AgentRegistry,
        store: EventLog | None = None,
        config: SchedulerConfig | None = None,
        *,
        engine: Engine | None = None,
        clock: Callable[[], float] = time.monotonic,
        breakers: Breakers | None = None,
        shedder: LoadShedder | None = None,
        paused: bool = False,
        timer: bool = True,
    ) -> None:
        self._life = Lifecycle(
            registry, store, config or SchedulerConfig(), engine, clock, breakers, shedder, paused
        )  # fmt: skip
        self._admission = Admission(self._life)
        self._threads = [threading.Thread(target=self._call, name="swarmc-watch", daemon=True)]
        if timer:
            self._threads.append(
                threading.Thread(target=self._run_timer, name="swarmc-timer", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def config(self) -> SchedulerConfig:
        """Its settings."""
        return self._life.config

    @property
    def registry(self) -> AgentRegistry:
        """Its agents."""
        return self._life.registry

    # Taking tasks

    def submit(self, task: Task, *, timeout: float = 0.0) -> str:
        """Accept a task and give its id, or that of an earlier task with its idempotency key.

        Args:
            timeout: seconds to wait for room in the queue.

        Raises:
            QueueFullError: there is none; or, as an OverloadedError, none for a task of such a
                priority. Nothing was accepted.
            InvalidTaskError: it cannot be run: its id is taken, a dependency is unknown.
            ClosedError: the scheduler is closed.
            StoreError: it could not be made durable; it is not accepted.
        """
        return self._admission.submit((task,), timeout)[0]

    def submit_many(self, tasks: Sequence[Task], *, timeout: float = 0.0) -> list[str]:
        """Accept tasks, all or none, which may depend on each other in any order.

        Raises:
            DependencyCycleError: they wait for each other. Else as :meth:`submit`.
        """
        return self._admission.submit(tasks, timeout)

    def recover(self, where: Callable[[Task], bool] = lambda task: True) -> int:
        """Take up again what a store holds of an earlier process: every task that is not final.

        What ran then, runs again: an attempt of which no end is stored may have had any effect.

        Args:
            where: which tasks are the scheduler's, in a store that others keep tasks in as well.

        Returns:
            How many tasks.
        """
        return self._admission.recover(where)

    # Asking

    def record(self, task_id: str) -> TaskRecord:
        """What is known of a task. Raises :class:`UnknownTaskError`."""
        life = self._life
        with life.lock:
            entry = life.entries.get(task_id)
            record = life.finished.get(task_id) if entry is None else entry.record()
        if record is None and life.store is not None:
            record = life.store.task(task_id)
        if record is None:
            raise UnknownTaskError(f"no task {task_id!r}")
        return record

    def in_states(self, states: Container[TaskState]) -> set[str]:
        """Ids of the tasks that have not ended and are in one of these states."""
        life = self._life
        found: set[str] = set()
        with life.lock:
            entries = list(life.entries.values())
        for start in range(0, len(entries), _AT_ONCE):
            with life.lock:
                part = entries[start : start + _AT_ONCE]
                found.update(entry.task.id for entry in part if entry.told in states)
        return found

    def watch(self, task_id: str, watcher: Watcher) -> None:
        """Have a function called with the record once the task is final, at once if it is.

        A thread of the scheduler calls all watchers, one after the other. What they raise is
        logged.
        """
        life = self._life
        with life.lock:
            entry = life.entries.get(task_id)
            if entry is not None:
                entry.watchers.append(watcher)
                return
        life.calls.put(partial(watcher, self._final(task_id)))

    def on_change(self, listener: Watcher) -> Callable[[], None]:
        """Have a function called at every change of a task; what is given ends that.

        It is called with the scheduler's lock held, in the order of the changes: it must be quick
        and must not raise. The end of a task is told when it is durable.
        """
        life = self._life
        with life.lock:
            life.listeners = [*life.listeners, listener]

        def end() -> None:
            with life.lock:
                life.listeners = [other for other in life.listeners if other is not listener]

        return end

    def wait(self, task_ids: Iterable[str], timeout: float | None = None) -> list[TaskRecord]:
        """Wait until tasks are final, and give their records in the same order.

        Raises:
            TimeoutError: some are not, after this many seconds; they go on.
            UnknownTaskError: one is not known.
            OrchestrationError: the store failed, or the scheduler was closed: some never will be.
        """
        life = self._life
        ids = list(task_ids)
        records: dict[str, TaskRecord] = {}
        enough = threading.Event()
        wanted = len(set(ids))

        def final(record: TaskRecord) -> None:
            records[record.task.id] = record
            if len(records) == wanted:
                enough.set()

        with life.lock:
            waited_for = [life.entries[task_id] for task_id in set(ids) if task_id in life.entries]
            for entry in waited_for:
                entry.finals.append(final)
        end = None if timeout is None else time.monotonic() + timeout
        try:
            for task_id in set(ids) - {entry.task.id for entry in waited_for}:
                final(self._final(task_id))
            while wanted and not enough.is_set():
                step = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                if step <= 0:
                    missing = f"{wanted - len(records)} of {wanted} tasks"
                    raise TimeoutError(f"{missing} are not done after {timeout:g} s")
                if not enough.wait(step):
                    life.refuse_if_stopped()
        finally:
            if not enough.is_set():
                with life.lock:
                    for entry in waited_for:
                        entry.finals.remove(final)
        return [records[task_id] for task_id in ids]

    def _final(self, task_id: str) -> TaskRecord:
        """The record of a task that this scheduler has no more to do with."""
        record = self.record(task_id)
        if not record.state.final:
            raise UnknownTaskError(
                f"{record.task.name} ({task_id}) is of an earlier process, or not accepted yet",
                hint="call recover() first",
            )
        return record

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs and nothing could; whether that came in time.

        Attempts that wait for a delay, and tasks that no free agent can run, do not count.
        """
        life = self._life
        end = None if timeout is None else time.monotonic() + timeout
        with life.lock:
            while life.running or life.counts["storing"] or life.placeable():
                life.refuse_if_stopped()
                step = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                if step <= 0:
                    return False
                life.changed.wait(step)
        return True

    def check(self) -> None:
        """Raise if nothing more will happen: ClosedError, or the error of a store that failed."""
        with self._life.lock:
            self._life.refuse_if_stopped()

    def stats(self) -> SchedulerStats:
        """Counts as they are now."""
        life = self._life
        with life.lock:
            counts = life.counts
            unplaced = sum(
                len(group.items)
                for group in life.queue.classes.values()
                if not life.registry.capable(group.needs.capabilities, None, group.resources)
            )
            second = int(life.clock())
            recent = sum(
                count for at, count in life.completions if second - THROUGHPUT_WINDOW <= at < second
            )
            return SchedulerStats(
                **counts,
                waiting=sum(e.state is TaskState.WAITING for e in life.entries.values()),
                queued=len(life.queue),
                delayed=len(life.delayed),
                unplaced=unplaced,
                running=len(life.running),
                throughput=recent / THROUGHPUT_WINDOW,
                queue_time=life.queue_time.snapshot(),
                run_time=life.run_time.snapshot(),
            )

    # Steering

    def cancel(self, task_id: str, reason: str = "cancelled") -> bool:
        """End a task, and those that depend on it, wherever they are.

        An attempt that runs is told to stop; nobody waits for it.

        Returns:
            False if the task was final already.

        Raises:
            UnknownTaskError: no task has this id.
        """
        life = self._life
        with life.lock:
            entry = life.entries.get(task_id)
            if entry is not None and not entry.state.final:
                life.end(entry, TaskState.CANCELLED, reason)
                attempts = life.place()
                life.tell_of_room()
            elif entry is not None:
                return False
        if entry is None:
            self.record(task_id)  # raises if it is not known
            return False
        life.launch(attempts)
        return True

    def pause(self) -> None:
        """Start no more tasks; what runs goes on."""
        with self._life.lock:
            self._life.paused = True

    def resume(self) -> None:
        """Start tasks again."""
        with self._life.lock:
            self._life.refuse_if_stopped(new=True)
            self._life.paused = False
            attempts = self._life.place()
            self._life.tell_of_room()
        self._life.launch(attempts)

    def tick(self) -> float:
        """Time out attempts, begin delayed ones; give when, on the clock, there is more to do.

        The timer's thread calls this; with ``timer=False``, you do.
        """
        life = self._life
        with life.lock:
            now = life.clock()
            for entry in list(life.running.values()):
                if entry.attempt is not None and entry.attempt.context.deadline <= now:
                    life.counts["timed_out"] += 1
                    error = TaskTimeoutError(f"timed out after {entry.task.timeout:g} s")
                    life.abandon(entry, error)
                    life.attempt_failed(entry, error)
            while life.delayed and life.delayed[0][0] <= now:
                entry = heapq.heappop(life.delayed)[2]
                if entry.state is TaskState.QUEUED:  # not cancelled meanwhile
                    life.push(entry)
            attempts = life.place()
            life.tell_of_room()
            deadlines = (e.attempt.context.deadline for e in life.running.values() if e.attempt)
            following = min(min(deadlines, default=float("inf")), now + life.guards.wait())
            if life.delayed:
                following = min(following, life.delayed[0][0])
            life.next_tick = following
        life.launch(attempts)
        return following

    def close(self, timeout: float = 10.0) -> bool:
        """Take and start no more, wait for what runs, this many seconds at most.

        What has not run stays in the store, for :meth:`recover`. Attempts that have not ended by
        then are told to stop. May be called again.

        Returns:
            Whether everything that ran has ended.
        """
        life = self._life
        end = time.monotonic() + timeout
        with life.lock:
            life.paused = life.closing = True
            while (life.running or life.counts["storing"]) and not (life.broken or life.closed):
                left = end - time.monotonic()
                if left <= 0:
                    break
                life.changed.wait(min(left, _LOOK))
            life.closed = True
            for entry in life.running.values():
                if entry.attempt is not None:
                    entry.attempt.context.cancelled.set()
            life.changed.notify_all()
        life.unwatch()
        left = min(_LONG, max(1.0, end - time.monotonic()))
        ended = life.engine.close(left)
        life.guards.deliver_by(None)
        life.calls.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(left)  # a watcher may wait for something
        return ended

    def _run_timer(self) -> None:
        life = self._life
        while True:
            following = self.tick()
            with life.lock:
                if not life.closed and life.next_tick >= following:
                    life.changed.wait(min(_LONG, max(0.0, following - life.clock())))
                if life.closed:
                    return

    def _call(self) -> None:
        while (call := self._life.calls.get()) is not None:
            try:
                call()
            except Exception:  # the others are called all the same
                log.exception("%r failed", call)

"""How tasks come into the scheduler: from users, and from a store after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import InvalidTaskError, QueueFullError
from ..events import Event, EventKind
from ..interfaces import EventLog
from ..tasks import Task, TaskRecord, TaskState
from .entries import Entry, refuse_cycles
from .lifecycle import Lifecycle
from .queue import Needs

_LOOK = 0.5  # seconds after which those who wait look again
_UNFINISHED = (TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING)


class Admission:
    """Accepts tasks into the books of a scheduler."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        #: Keys that somebody is submitting, and whether he waits for room; whoever has one of
        #: them, too, waits until it is known what became of it. May be taken with the scheduler's
        #: lock, not the other way round.
        self._claims: dict[str, bool] = {}
        self._keyed = threading.Condition()
        self._recovering = threading.Lock()  # held by the one thread that recovers

    def submit(self, tasks: Sequence[Task], timeout: float) -> list[str]:
        """What ``Scheduler.submit_many`` does."""
        for task in tasks:
            if not isinstance(task, Task):
                raise InvalidTaskError(f"only a Task can be submitted, not {task!r}")
        end = time.monotonic() + timeout
        keys = {task.idempotency_key for task in tasks if task.idempotency_key is not None}
        if not keys:
            self._accept(tasks, end, keys)
            return [task.id for task in tasks]
        self._claim(keys, end)
        try:
            fresh, ids = self._without_known_keys(tasks)
            self._accept(fresh, end, keys)
            return ids
        finally:
            with self._keyed:
                for key in keys:
                    del self._claims[key]
                self._keyed.notify_all()

    def _claim(self, keys: set[str], end: float) -> None:
        """Be the only one who submits these keys."""
        with self._keyed:
            while rivals := keys & self._claims.keys():
                left = _LOOK
                if any(self._claims[key] for key in rivals):
                    left = min(left, end - time.monotonic())
                if left <= 0:
                    raise QueueFullError(
                        f"a task with the key {min(rivals)!r} waits for room in the queue",
                        hint="wait until some tasks are done",
                    )
                self._keyed.wait(left)
            self._claims.update(dict.fromkeys(keys, False))

    def _hold_up(self, keys: set[str], waits: bool) -> None:
        """Note whether these keys wait for room."""
        if keys:
            with self._keyed:
                self._claims.update(dict.fromkeys(keys, waits))
                self._keyed.notify_all()

    def _without_known_keys(self, tasks: Sequence[Task]) -> tuple[list[Task], list[str]]:
        """Tasks that must be run, and the ids that stand for all of them."""
        life = self._life
        known: dict[str, str] = {}  # keys of these tasks
        instead: dict[str, str] = {}  # ids of these tasks
        fresh = []
        for task in tasks:
            key = task.idempotency_key
            if key is None:
                fresh.append(task)
                continue
            earlier = known.get(key) or life.keys.get(key)
            if earlier is None and life.store is not None:
                record = life.store.task_by_key(key)
                earlier = record.task.id if record is not None else None
            if earlier is None:
                known[key] = task.id
                fresh.append(task)
            else:
                instead[task.id] = earlier
        if instead:
            fresh = [
                replace(task, dependencies=tuple(instead.get(d, d) for d in task.dependencies))
                for task in fresh
            ]
        return fresh, [instead.get(task.id, task.id) for task in tasks]

    def _accept(self, tasks: Sequence[Task], end: float, keys: set[str]) -> None:
        if not tasks:
            return
        refuse_cycles(tasks)
        life = self._life
        ids = {task.id for task in tasks}
        with life.lock:
            life.refuse_if_stopped(new=True)
            outside = self._check(tasks, ids)
            if self._make_room(tasks, end, keys):
                outside = self._check(tasks, ids)  # others may have come while it waited
            life.reserved |= ids
        accepted = time.time()
        try:
            found = self._look_up(tasks, outside)
            if life.store is not None:
                life.store.append(
                    [Event(EventKind.TASK_ACCEPTED, t.id, t.to_data(), accepted) for t in tasks]
                )
        except BaseException:
            with life.lock:
                life.reserved -= ids
                life.tell_of_room()
            raise
        with life.lock:
            life.reserved -= ids
            now = life.clock()
            entries = [Entry(task, Needs.of(task), now, accepted) for task in tasks]
            self._insert(entries, found)
            life.counts["accepted"] += len(tasks)
            attempts = life.place()
        life.launch(attempts)

    def _check(self, tasks: Sequence[Task], ids: set[str]) -> set[str]:
        """Refuse what is wrong; give the dependencies that are neither here nor unfinished."""
        life = self._life
        if len(ids) < len(tasks):
            raise InvalidTaskError("two of these tasks have one id")
        outside: set[str] = set()
        for task in tasks:
            if task.id in life.entries or task.id in life.finished or task.id in life.reserved:
                raise InvalidTaskError(f"there is a task {task.id!r} already")
            if not task.dependencies:
                continue
            if not life.config.dependency_resolution:
                raise InvalidTaskError(
                    f"{task.name} depends on other tasks",
                    hint="dependency_resolution is off in the scheduler's configuration",
                )
            outside.update(d for d in task.dependencies if d not in ids and d not in life.entries)
        return outside

    def _look_up(self, tasks: Sequence[Task], outside: set[str]) -> dict[str, TaskRecord]:
        """Records of finished tasks that others depend on. Without the lock: it may read a disk."""
        life = self._life
        found = {}
        for task_id in outside:
            record = life.finished.get(task_id)
            if record is None and life.store is not None:
                record = life.store.task(task_id)
            if record is None:
                name = next(task.name for task in tasks if task_id in task.dependencies)
                raise InvalidTaskError(f"{name} depends on {task_id!r}, which is no known task")
            if not record.state.final:
                raise InvalidTaskError(
                    f"{record.task.name}, on which others depend, is of an earlier process",
                    hint="call recover() first",
                )
            found[task_id] = record
        return found

    def _make_room(self, tasks: Sequence[Task], end: float, keys: set[str]) -> bool:
        """Wait, with the lock, until these may wait in the queue; whether it took any time."""
        life = self._life
        if self._has_room(tasks):
            return False
        self._hold_up(keys, True)
        life.room_wanted.append(len(tasks))
        try:
            while not self._has_room(tasks):
                left = min(_LOOK, end - time.monotonic())
                if left <= 0 or len(tasks) > life.config.task_queue_size:
                    self._refuse(tasks)
                life.changed.wait(left)
                life.refuse_if_stopped(new=True)
        finally:
            life.room_wanted.remove(len(tasks))
            self._hold_up(keys, False)
        return True

    def _has_room(self, tasks: Sequence[Task]) -> bool:
        life = self._life
        waiting, limit = life.waiting, life.config.task_queue_size
        if waiting + len(tasks) > limit:
            return False
        if life.shedder is None:
            return True
        life.shedder.update(waiting, limit)
        least = life.shedder.least()
        return least is None or all(task.priority >= least for task in tasks)

    def _refuse(self, tasks: Sequence[Task]) -> None:
        life = self._life
        waiting, limit, count = life.waiting, life.config.task_queue_size, len(tasks)
        if life.shedder is not None and waiting + count <= limit:
            for task in tasks:
                life.shedder.check(task.name, task.priority, waiting, limit)
        raise QueueFullError(
            f"{waiting} tasks wait, and {count} more would be over the limit of {limit}"
            " (task_queue_size)",
            hint="submit fewer at once" if count > limit else "wait until some are done",
        )

    def _insert(self, entries: Sequence[Entry], found: dict[str, TaskRecord]) -> None:
        """Put tasks into the books, with the lock. Dependencies are here, or in ``found``."""
        life = self._life
        for entry in entries:
            life.entries[entry.task.id] = entry
            if entry.task.idempotency_key is not None:
                life.keys[entry.task.idempotency_key] = entry.task.id
        doomed: list[tuple[Entry, str]] = []
        for entry in entries:
            for task_id in entry.task.dependencies:
                before = life.entries.get(task_id)
                if before is not None:
                    before.dependents.append(entry)
                    entry.waiting.add(task_id)
                    continue
                record = found.get(task_id) or self._ended_meanwhile(task_id)
                if record is not None and record.state is TaskState.COMPLETED:
                    entry.inputs[task_id] = record.result
                else:
                    became = record.state.value if record is not None else "is gone"
                    name = record.task.name if record is not None else task_id
                    doomed.append((entry, f"{name}, which it needs, {became}"))
            if not entry.waiting:
                life.push(entry)
            life.tell(entry)
        for entry, reason in doomed:
            if not entry.state.final:
                life.end(entry, TaskState.CANCELLED, reason)

    def _ended_meanwhile(self, task_id: str) -> TaskRecord | None:
        """A task that was unfinished when those that depend on it were checked."""
        life = self._life
        record = life.finished.get(task_id)
        return life.store.task(task_id) if record is None and life.store is not None else record

    def recover(self, where: Callable[[Task], bool]) -> int:
        """What ``Scheduler.recover`` does."""
        life = self._life
        if life.store is None:
            return 0
        with self._recovering:
            with life.lock:
                life.refuse_if_stopped(new=True)
                life.leaving = set()
            try:
                records = [r for r in life.store.tasks(_UNFINISHED) if where(r.task)]
                found = self._ended_before(records, life.store)
                failures = {r.task.id: _failures(life.store, r) for r in records if r.attempts}
                with life.lock:  # those of this process, which go on meanwhile, are not restored
                    ours = life.leaving | life.reserved | life.entries.keys()
                    lost = [record for record in records if record.task.id not in ours]
                    entries = [self._restored(r, failures.get(r.task.id, 0)) for r in lost]
                    self._insert(entries, found)
                    attempts = life.place()
            finally:
                life.leaving = None
        life.launch(attempts)
        return len(lost)

    @staticmethod
    def _ended_before(records: Sequence[TaskRecord], store: EventLog) -> dict[str, TaskRecord]:
        """Finished tasks that these depend on."""
        ids = {record.task.id for record in records}
        needed = {d for record in records for d in record.task.dependencies} - ids
        found = ((task_id, store.task(task_id)) for task_id in needed)
        return {task_id: r for task_id, r in found if r is not None and r.state.final}

    def _restored(self, record: TaskRecord, failures: int) -> Entry:
        """A task as it was. One more attempt is made, however many have failed or were lost."""
        task = record.task
        since = self._life.clock() - max(0.0, time.time() - record.accepted)
        entry = Entry(task, Needs.of(task), since, record.accepted)
        entry.attempts = record.attempts
        entry.failures = min(failures, task.retries)
        entry.failovers = min(record.attempts - failures, self._life.config.max_failovers)
        entry.error = record.error
        return entry


def _failures(store: EventLog, record: TaskRecord) -> int:
    """How many attempts failed; the others' agents did, or the process that ran them."""
    events = store.events(subject=record.task.id, kinds=(EventKind.TASK_RETRIED,))
    return sum(event.data.get("failover") is not True for event in events)

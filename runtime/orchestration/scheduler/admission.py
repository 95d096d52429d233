"""How tasks come into the scheduler: from users, and from a store after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from ..errors import InvalidTaskError, QueueFullError
from ..events import Event, EventKind
from ..tasks import Task, TaskRecord, TaskState
from .entries import Entry, refuse_cycles
from .lifecycle import Lifecycle
from .queue import Needs

_UNFINISHED = (TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING)


class Admission:
    """Accepts tasks into the books of a scheduler."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        # Held from looking for a key until its task is accepted; the first of two submitters
        # with one key makes the second wait.
        self._keyed = threading.Lock()

    def submit(self, tasks: Sequence[Task], timeout: float) -> list[str]:
        """What ``Scheduler.submit_many`` does."""
        if any(task.idempotency_key is not None for task in tasks):
            with self._keyed:
                fresh, ids = self._without_known_keys(tasks)
                self._accept(fresh, timeout)
                return ids
        self._accept(tasks, timeout)
        return [task.id for task in tasks]

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

    def _accept(self, tasks: Sequence[Task], timeout: float) -> None:
        if not tasks:
            return
        refuse_cycles(tasks)
        life = self._life
        with life.lock:
            life.refuse_if_stopped()
            outside = self._check(tasks)
            self._make_room(len(tasks), timeout)
            if life.shedder is not None:
                waiting, limit = life.waiting, life.config.task_queue_size
                for task in tasks:
                    life.shedder.check(task.name, task.priority, waiting, limit)
            life.reserved += len(tasks)
        accepted = time.time()
        try:
            found = self._look_up(tasks, outside)
            if life.store is not None:
                life.store.append(
                    [Event(EventKind.TASK_ACCEPTED, t.id, t.to_data(), accepted) for t in tasks]
                )
        finally:
            with life.lock:
                life.reserved -= len(tasks)
        with life.lock:
            now = life.clock()
            entries = [Entry(task, Needs.of(task), now, accepted) for task in tasks]
            self._insert(entries, found)
            life.counts["accepted"] += len(tasks)
            attempts = life.place()
        life.launch(attempts)

    def _check(self, tasks: Sequence[Task]) -> set[str]:
        """Refuse what is wrong; give the dependencies that are neither here nor unfinished."""
        life = self._life
        ids = {task.id for task in tasks}
        if len(ids) < len(tasks):
            raise InvalidTaskError("two of these tasks have one id")
        outside: set[str] = set()
        for task in tasks:
            if task.id in life.entries or task.id in life.finished:
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

    def _make_room(self, count: int, timeout: float) -> None:
        """Wait, with the lock, until so many more may wait."""
        life = self._life
        limit = life.config.task_queue_size
        end = time.monotonic() + timeout
        while (waiting := life.waiting) + count > limit:
            left = end - time.monotonic()
            if left <= 0 or count > limit:
                raise QueueFullError(
                    f"{waiting} tasks wait, and {count} more would be over the limit of {limit}"
                    " (task_queue_size)",
                    hint="submit fewer at once" if count > limit else "wait until some are done",
                )
            life.waiting_for_room += 1
            try:
                life.changed.wait(left)
            finally:
                life.waiting_for_room -= 1
            life.refuse_if_stopped()

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
        for entry, reason in doomed:
            if not entry.state.final:
                life.end(entry, TaskState.CANCELLED, reason)

    def _ended_meanwhile(self, task_id: str) -> TaskRecord | None:
        """A task that was unfinished when those that depend on it were checked."""
        life = self._life
        record = life.finished.get(task_id)
        return life.store.task(task_id) if record is None and life.store is not None else record

    def recover(self) -> int:
        """What ``Scheduler.recover`` does."""
        life = self._life
        if life.store is None:
            return 0
        records = [r for r in life.store.tasks(_UNFINISHED) if r.task.id not in life.entries]
        ids = {record.task.id for record in records}
        found: dict[str, TaskRecord] = {}
        for record in records:
            for task_id in record.task.dependencies:
                if task_id not in ids and task_id not in found:
                    ended = life.store.task(task_id)
                    if ended is not None:
                        found[task_id] = ended
        with life.lock:
            self._insert([self._restored(record) for record in records], found)
            attempts = life.place()
        life.launch(attempts)
        return len(records)

    def _restored(self, record: TaskRecord) -> Entry:
        """A task as it was. Attempts before the one that was interrupted count as failed."""
        task = record.task
        since = self._life.clock() - max(0.0, time.time() - record.accepted)
        entry = Entry(task, Needs.of(task), since, record.accepted)
        entry.attempts = record.attempts
        interrupted = record.state is TaskState.RUNNING
        entry.failures = min(max(0, record.attempts - interrupted), task.retries)
        entry.error = record.error
        return entry

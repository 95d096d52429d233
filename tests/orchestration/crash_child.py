"""A process that is to be killed: it works on a store as fast as it can, and says what it was told.

Run as ``python crash_child.py STORE ROUND``. Once it works it prints ``ready``; afterwards a line
is an acknowledgement, printed when the store had given it: ``A ID`` (accepted), ``K KEY ID``
(accepted under an idempotency key), ``R ID RESULT`` (completed). A round takes up what earlier
rounds left.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Iterator

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import DuplicateKeyError, Store
from swarmc.runtime.orchestration.tasks import Task, TaskRecord, TaskState

KEYS = 50


def say(*words: object) -> None:
    """Print a line at once and in one piece, whichever thread says it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def payload(task_id: str) -> dict[str, object]:
    """What a task has to work on, known from its id."""
    return {"of": task_id, "numbers": [len(task_id), 1.5, None]}


def accepted(task: Task) -> Event:
    return Event(EventKind.TASK_ACCEPTED, task.id, task.to_data())


def started(task_id: str, attempt: int) -> Event:
    return Event(EventKind.TASK_STARTED, task_id, {"agent": "a", "attempt": attempt})


def completed(task_id: str, result: str) -> Event:
    return Event(EventKind.TASK_COMPLETED, task_id, {"result": result})


def tasks_of(round_: str, thread: int) -> Iterator[Task]:
    """Tasks without end; every eighth has one of few idempotency keys."""
    for number in itertools.count():
        id = f"{round_}-{thread}-{number}"
        key = f"key-{number // 8 % KEYS}" if number % 8 == 0 else None
        yield Task("t", payload(id), idempotency_key=key, id=id)


def wait_for_each(store: Store, round_: str, thread: int) -> None:
    """Accept, start and complete tasks, waiting for each to be durable."""
    for task in tasks_of(round_, thread):
        try:
            store.append([accepted(task)])
        except DuplicateKeyError as error:
            say("K", error.key, error.task_id)
            continue
        say("A", task.id)
        if task.idempotency_key is not None:
            say("K", task.idempotency_key, task.id)
        store.append_soon([started(task.id, 1)])
        result = f"{round_}/1"
        store.append([completed(task.id, result)])
        say("R", task.id, result)


def wait_for_none(store: Store, round_: str, thread: int) -> None:
    """Give events as fast as the store takes them, some hundred tasks ahead of it."""
    room = threading.Semaphore(100)

    def say_accepted(id: str, error: BaseException | None) -> None:
        if error is None:
            say("A", id)

    def say_completed(id: str, result: str, error: BaseException | None) -> None:
        room.release()
        if error is None:
            say("R", id, result)

    for task in tasks_of(round_, thread):
        room.acquire()
        result = f"{round_}/2"
        store.append_soon([accepted(task)], lambda error, id=task.id: say_accepted(id, error))  # type: ignore[misc]
        store.append_soon([started(task.id, 1)])
        store.append_soon(
            [Event(EventKind.TASK_RETRIED, task.id, {"error": "again", "attempt": 1, "delay": 0}),
             started(task.id, 2)],
        )  # fmt: skip
        store.append_soon(
            [completed(task.id, result)],
            lambda error, id=task.id, r=result: say_completed(id, r, error),  # type: ignore[misc]
        )


def take_up(store: Store, round_: str, left: list[TaskRecord]) -> None:
    """Run again what was not finished when the last round was killed."""
    for record in left:
        id, attempt = record.task.id, record.attempts + 1
        result = f"{round_}/{attempt}"
        store.append([started(id, attempt), completed(id, result)])
        say("R", id, result)


def main() -> None:
    path, round_ = sys.argv[1:]
    store = Store(path)
    left = list(store.tasks({TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING}))
    say("ready")
    threads = [
        threading.Thread(target=work, args=(store, round_, number))
        for number, work in enumerate((wait_for_each, wait_for_each, wait_for_none))
    ]
    for thread in threads:
        thread.start()
    take_up(store, round_, left)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

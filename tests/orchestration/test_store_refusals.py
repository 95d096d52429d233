"""What cannot have happened is refused, to the append alone that says it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.codec import ValueEncodingError
from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import (
    DuplicateKeyError,
    DuplicateTaskError,
    IllegalTransitionError,
    InvalidEventError,
    Store,
    StoreError,
)
from swarmc.runtime.orchestration.store.tables import Tables
from swarmc.runtime.orchestration.tasks import Task

from .storing import accepted, completed, started

ACCEPTED, STARTED = EventKind.TASK_ACCEPTED, EventKind.TASK_STARTED
COMPLETED, FAILED = EventKind.TASK_COMPLETED, EventKind.TASK_FAILED
RETRIED, CANCELLED = EventKind.TASK_RETRIED, EventKind.TASK_CANCELLED


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.db" if request.param == "file" else None) as store:
        yield store


@pytest.mark.parametrize(
    ("before", "event", "message"),
    [
        (0, started, "cannot start: it was never accepted"),
        (1, completed, "cannot complete: it never started"),
        (2, lambda t: started(t, 1), "cannot start attempt 1 after 1"),
        (3, completed, "cannot complete: it is completed"),
        (3, lambda t: started(t, 2), "cannot start: it is completed"),
        (3, lambda t: Event(CANCELLED, t.id), "cannot be cancelled: it is completed"),
        (3, lambda t: Event(FAILED, t.id), "cannot fail: it is completed"),
        (3, lambda t: Event(RETRIED, t.id), "cannot be retried: it is completed"),
    ],
)
def test_what_cannot_follow(
    store: Store, before: int, event: Callable[[Task], Event], message: str
) -> None:
    task = Task("t")
    store.append([accepted(task), started(task), completed(task)][:before])
    for _ in range(2):
        with pytest.raises(IllegalTransitionError, match=message):
            store.append([event(task)])
    other = Task("other")
    with pytest.raises(IllegalTransitionError):
        store.append([accepted(other), event(task)])
    assert store.task(other.id) is None
    assert store.stats().last_seq == before


def test_others_of_the_group_are_unharmed(store: Store) -> None:
    """One of each kind of refusal, between appends that are allowed."""
    taken, keyed = Task("taken"), Task("keyed", idempotency_key="k")
    store.append([accepted(taken), started(taken), completed(taken, 1)])
    store.append([accepted(keyed)])
    good = [Task(f"good {number}") for number in range(6)]
    bad = [
        [Event(ACCEPTED, taken.id, taken.to_data())],
        [accepted(Task("late", idempotency_key="k"))],
        [accepted(Task("half")), completed(taken, 2)],
        [accepted(Task("set", payload={1, 2}))],
        [started(good[0]), Event(STARTED, good[0].id, {"attempt": 1, "agent": "\ud800"})],
        [Event(ACCEPTED, "\ud800", {"id": "\ud800", "name": "n"})],
    ]
    outcomes: list[BaseException | None] = []
    held, go = threading.Event(), threading.Event()

    def hold(error: BaseException | None) -> None:
        held.set()
        go.wait(60)

    store.append_soon([], hold)
    assert held.wait(60)  # the rest becomes one group
    for task, events in zip(good, bad, strict=True):
        store.append_soon([accepted(task)], outcomes.append)
        store.append_soon(events, outcomes.append)
    go.set()
    store.append([])
    assert outcomes[::2] == [None] * 6
    assert [type(error) for error in outcomes[1::2]] == [
        DuplicateTaskError, DuplicateKeyError, IllegalTransitionError, ValueEncodingError,
        IllegalTransitionError, InvalidEventError,
    ]  # fmt: skip
    assert [record.task for record in store.tasks()] == [taken, keyed, *good]
    assert [event.seq for event in store.events()] == list(range(1, 11))
    assert store.stats().commits == 3
    store.append([started(good[0]), completed(good[0])])


@pytest.mark.parametrize(
    "junk",
    [["event"], [Event(ACCEPTED, ["x"], {"id": ["x"]})], [Event(ACCEPTED, "x", None)],  # type: ignore[arg-type]
     [Event(ACCEPTED, "x", {"id": "x", "name": "n", "idempotency_key": [1]})],
     [Event("task.accepted", "x", {"id": "x", "name": "n"})],  # type: ignore[arg-type]
     [Event(ACCEPTED, "x", {"id": "x", "name": "n"}, "now")],  # type: ignore[arg-type]
     [Event(ACCEPTED, "x", {"id": "x", "name": "n"}, float("nan"))]],
)  # fmt: skip
def test_what_is_no_event(store: Store, junk: list[Any]) -> None:
    good = [Task("one"), Task("two", idempotency_key="k")]
    with pytest.raises(InvalidEventError):
        store.append(junk)
    with pytest.raises(InvalidEventError):
        store.append([accepted(good[0]), *junk])
    store.append([accepted(task) for task in good])
    assert [record.task for record in store.tasks()] == good


def test_a_mistake_of_ours_lets_nobody_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(Tables, "store", broken)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the writer of .* failed: RuntimeError\('oh'\)"):
            store.append([accepted(Task("t"))])
    with pytest.raises(StoreError, match="RuntimeError"):
        store.set_state("k", 1)
    assert "RuntimeError: oh" in caplog.text


def test_a_key_is_accepted_once_in_a_race(store: Store) -> None:
    tasks = [Task(f"t{number}", idempotency_key="k") for number in range(8)]
    winners: list[Task] = []
    losers: list[DuplicateKeyError] = []
    barrier = threading.Barrier(8)

    def submit(task: Task) -> None:
        barrier.wait()
        try:
            store.append([accepted(task)])
            winners.append(task)
        except DuplicateKeyError as error:
            losers.append(error)

    threads = [threading.Thread(target=submit, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert {(error.key, error.task_id) for error in losers} == {("k", winners[0].id)}
    assert [record.task for record in store.tasks()] == winners


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event(ACCEPTED, "x", {"name": "n"}), "task x says that its id is None"),
        (Event(ACCEPTED, "x", {"id": "x"}), "task.accepted: name is text, not None"),
        (Event(ACCEPTED, "", {"id": ""}), "an event's subject is an id, not ''"),
        (Event(EventKind.AGENT_STATE, "x", {"state": "?"}), "there is no state '\\?'"),
        (Event(EventKind.WORKFLOW_FINISHED, "x", {"state": "?"}), "does not end as '\\?'"),
        (Event(EventKind.MESSAGE_SENT, "x", {"channel": 1}), "channel is text, not 1"),
    ],
)
def test_events_that_lack_something(store: Store, event: Event, message: str) -> None:
    with pytest.raises(InvalidEventError, match=message):
        store.append([event])
    assert store.record_counts()["events"] == 0

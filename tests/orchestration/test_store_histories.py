"""Whatever happens, in whatever groups: what is so now is what follows from the events."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.store.schema import PROJECTIONS

IDS = st.sampled_from(["a", "b", "c", "d"])
KINDS: dict[EventKind, st.SearchStrategy[dict[str, Any]]] = {
    EventKind.TASK_ACCEPTED: st.fixed_dictionaries(
        {"name": st.just("n")},
        optional={
            "idempotency_key": st.sampled_from(["k", "l", "\ud800"]),
            "workflow": IDS, "dependencies": st.lists(IDS, max_size=1), "payload": st.binary(),
        },
    ),
    EventKind.TASK_STARTED: st.fixed_dictionaries(
        {"attempt": st.integers(0, 3), "agent": st.sampled_from(["x", None])}
    ),
    EventKind.TASK_RETRIED: st.just({"error": "e"}),
    EventKind.TASK_COMPLETED: st.fixed_dictionaries({"result": st.integers()}),
    EventKind.TASK_FAILED: st.just({"error": "e"}),
    EventKind.TASK_CANCELLED: st.just({"reason": "r"}),
    EventKind.AGENT_REGISTERED: st.fixed_dictionaries(
        {"name": st.sampled_from("mn"), "kind": st.just("k"), "capabilities": st.just(["c"])}
    ),
    EventKind.AGENT_STATE: st.fixed_dictionaries({"state": st.sampled_from(["ready", "retired"])}),
    EventKind.WORKFLOW_STARTED: st.just({"name": "n", "version": None, "manifest": [1]}),
    EventKind.WORKFLOW_ROLLING_BACK: st.fixed_dictionaries(
        {"error": st.just("e"), "compensations": st.lists(IDS, max_size=2)}
    ),
    EventKind.WORKFLOW_FINISHED: st.fixed_dictionaries(
        {"state": st.sampled_from(["completed", "failed", "rolled_back", "?"])}
    ),
    EventKind.MESSAGE_SENT: st.fixed_dictionaries(
        {"channel": st.just("c"), "sender": st.just("s"), "recipient": st.sampled_from(["r", None])}
    ),
    EventKind.MESSAGE_DELIVERED: st.just({"recipient": "r"}),
}  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(list(KINDS)))
    subject, data = draw(IDS), draw(KINDS[kind])
    if kind is EventKind.TASK_ACCEPTED:
        data = {"id": subject, **data}
    return Event(kind, subject, data, draw(st.integers(0, 9)) * 1.0)


histories = st.lists(st.lists(events(), min_size=1, max_size=3), max_size=60)


def tables(store: Store) -> dict[str, list[Any]]:
    with store._readers.connection() as db:
        return {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("events", *PROJECTIONS)
        }


def told_as_one_group(store: Store, history: list[list[Event]]) -> list[type[Any]]:
    """What becomes of appends that the writer finds all at once."""
    outcomes: list[type[Any]] = []
    held, go = threading.Event(), threading.Event()

    def hold(error: BaseException | None) -> None:
        held.set()
        go.wait(60)

    store.append_soon([], hold)
    assert held.wait(60)
    for append in history:
        store.append_soon(append, lambda error: outcomes.append(type(error)))
    go.set()
    store.append([])
    return outcomes


def told_one_by_one(store: Store, history: list[list[Event]]) -> list[type[Any]]:
    outcomes: list[type[Any]] = []
    for append in history:
        try:
            store.append(append)
            outcomes.append(type(None))
        except Exception as error:
            outcomes.append(type(error))
    return outcomes


@given(histories)
@settings(deadline=None, derandomize=True, database=None, max_examples=150)
def test_groups_and_rebuilding_change_nothing(history: list[list[Event]]) -> None:
    with Store() as one, Store() as other:
        outcomes = told_one_by_one(one, history)
        assert told_as_one_group(other, history) == outcomes
        found = tables(one)
        assert tables(other) == found
        assert one.rebuild() == len(found["events"])
        assert tables(one) == found
        assert [event.seq for event in one.events()] == list(range(1, len(found["events"]) + 1))
        for subject in "abcd":
            chain = list(one.events(subject=subject))
            assert chain == [event for event in one.events() if event.subject == subject]


@given(histories, st.integers(0, 9))
@settings(deadline=None, derandomize=True, database=None, max_examples=100)
def test_what_is_cleaned_up_is_gone_and_nothing_else(history: list[list[Event]], age: int) -> None:
    with Store(clock=lambda: 10.0) as store:
        told_one_by_one(store, history)
        before = tables(store)
        cleaned = store.cleanup(age)
        after = tables(store)
        assert store.rebuild() == len(after["events"])
        assert tables(store) == after
        for table, rows in before.items():
            assert set(after[table]) <= set(rows)
        assert cleaned.events == len(before["events"]) - len(after["events"])
        for record in store.tasks():
            needed = record.task.dependencies if not record.state.final else ()
            ours = {row[1] for row in before["tasks"]}
            for id in ours & set(needed):
                assert store.task(id) is not None
        for workflow in store.workflows(["running", "rolling_back"]):
            had = sum(row[9] == workflow.id for row in before["tasks"])
            assert len(list(store.tasks(workflow=workflow.id))) == had
        told_one_by_one(store, history)
        found = tables(store)
        store.rebuild()
        assert tables(store) == found

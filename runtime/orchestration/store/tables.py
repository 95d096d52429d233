"""The tables that the writer keeps: a group of appends in, rows out, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ..codec import ValueEncodingError, loads
from ..errors import OrchestrationError
from ..events import Event, EventKind
from ..interfaces import Stored
from .bulk import Bulk
from .errors import (
    DuplicateKeyError,
    DuplicateTaskError,
    InvalidEventError,
    StoreDamagedError,
    StoreError,
)
from .fold import Fold
from .now import AgentNow, MessageNow, Now, TaskNow, WorkflowNow
from .schema import PROJECTIONS

Append = tuple[Sequence[Event], Stored | None]
#: What happened to each append of a group: None, or why it is not stored.
Outcomes = list[BaseException | None]

_KINDS: dict[str, tuple[type[Any], str]] = {
    "tasks": (TaskNow, "finished IS NULL"),
    "workflows": (WorkflowNow, "finished IS NULL"),
    "agents": (AgentNow, "1"),
    "messages": (MessageNow, "delivered IS NULL AND recipient IS NOT NULL"),
}
#: Where a name of a column is not that of the field.
_FIELDS = {"idempotency_key": "key"}
_PAGE = 8192

#: What one append can be to blame for, and the others of its group not.
_ITS_FAULT = (
    sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError,
    UnicodeError, OverflowError,
)  # fmt: skip
#: What comes of events that are none, or whose data is no mapping.
_JUNK = (AttributeError, TypeError, ValueError)


class Tables:
    """The projections and the events of one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._events = Bulk(db, "events", ("seq", "prev", "kind", "subject", "at", "data"))
        self._runs = Bulk(db, "executions", TaskNow.RUN_COLUMNS, TaskNow.RUN_CHANGING)
        self._rows = {
            name: Bulk(db, name, kind.COLUMNS, kind.CHANGING) for name, (kind, _) in _KINDS.items()
        }
        self.fold = Fold(self._find)

    def load(self) -> None:
        """Hold what the tables say is not final; forget what was not written."""
        (seq,) = self.db.execute(
            "SELECT max(coalesce((SELECT max(seq) FROM events), 0),"
            " coalesce((SELECT value FROM meta WHERE name = 'sequence'), 0))"
        ).fetchone()
        self.fold = Fold(self._find, seq)
        for table, (kind, unfinished) in _KINDS.items():
            columns = ",".join(kind.COLUMNS)
            query = f"SELECT {columns} FROM {table} WHERE {unfinished} ORDER BY number"
            for row in self.db.execute(query):
                now = _now(kind, row)
                self.fold.held[table][now.id] = now

    def _find(self, table: str, subject: str) -> Now | None:
        kind = _KINDS[table][0]
        columns = ",".join(kind.COLUMNS)
        row = self.db.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (subject,)).fetchone()
        return _now(kind, row) if row is not None else None

    # -- appends -----------------------------------------------------------------------------

    def store(self, group: Sequence[Append]) -> Outcomes:
        """Store the appends of a group that are allowed, in one transaction.

        Raises:
            sqlite3.Error: none of them is stored.
        """
        try:
            self._find_keys(group)
        except (*_ITS_FAULT, *_JUNK):
            return self._one_by_one(group)
        outcomes: Outcomes = []
        for events, _stored in group:
            try:
                self.fold.add(events)
                outcomes.append(None)
            except Exception as error:
                outcomes.append(_explained(error))
        if not self.fold.rows:
            self.fold.clear()
            return outcomes
        try:
            self.db.execute("BEGIN IMMEDIATE")
            self._write()
            self.db.execute("COMMIT")
        except _ITS_FAULT:
            self.give_up()
            return self._one_by_one(group)
        except BaseException:
            self.give_up()
            raise
        self.fold.clear()
        return outcomes

    def _find_keys(self, group: Sequence[Append]) -> None:
        """Learn which idempotency keys of the group are taken, by one query."""
        accepted = EventKind.TASK_ACCEPTED
        keys = [
            key
            for events, _stored in group
            for event in events
            if event.kind is accepted and (key := event.data.get("idempotency_key")) is not None
        ]
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT idempotency_key, id FROM tasks WHERE idempotency_key IN ({marks})"
            self.fold.keys.update(self.db.execute(query, part))

    def _one_by_one(self, group: Sequence[Append]) -> Outcomes:
        """Store a group of which one append or more are refused by the tables."""
        outcomes: Outcomes = []
        try:
            self.db.execute("BEGIN IMMEDIATE")
            for events, _stored in group:
                outcomes.append(self._one(events))
            self.db.execute("COMMIT")
        except BaseException:
            self.give_up()
            raise
        return outcomes

    def _one(self, events: Sequence[Event]) -> BaseException | None:
        try:
            undo = self.fold.mark(events)
        except _JUNK as error:
            return _explained(error)
        self.db.execute("SAVEPOINT one")
        try:
            self.fold.add(events)
            self._write()
        except (*_ITS_FAULT, *_JUNK, OrchestrationError) as error:
            self.db.execute("ROLLBACK TO one")
            self.db.execute("RELEASE one")
            undo()
            return self._blamed(error, events)
        self.db.execute("RELEASE one")
        self.fold.clear()
        return None

    def _blamed(self, error: BaseException, events: Sequence[Event]) -> BaseException:
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError) and "idempotency_key" in text:
            for event in events:
                key = str(event.data.get("idempotency_key"))
                row = self.db.execute(
                    "SELECT id FROM tasks WHERE idempotency_key = ?", (key,)
                ).fetchone()
                if row is not None:
                    return DuplicateKeyError(key, row[0])
        if isinstance(error, sqlite3.IntegrityError) and text.endswith(".id"):
            names = ", ".join(sorted({event.subject for event in events}))
            return DuplicateTaskError(f"one of these was stored already: {names}")
        return _explained(error)

    def _write(self) -> None:
        fold = self.fold
        self._events.write(fold.rows)
        self._write_projections()

    def _write_projections(self) -> None:
        runs: list[Any] = []
        for name, touched in self.fold.touched.items():
            if not touched:
                continue
            rows: list[Any] = []
            for now in touched.values():
                rows += now.row()
            self._rows[name].write(rows)
        for task in self.fold.touched["tasks"].values():
            for run in task.runs.values():
                runs += run
        self._runs.write(runs)

    def give_up(self) -> None:
        """Undo the transaction, and take what is so from the tables."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self.load()

    # -- projections -------------------------------------------------------------------------

    def rebuild(self) -> int:
        """Make the projections again from the events; how many events there are.

        Raises:
            StoreDamagedError: the events are no possible history.
        """
        for table in PROJECTIONS:
            self.db.execute(f"DELETE FROM {table}")
        last = self.fold.seq
        self.fold = Fold(self._find)
        count = after = 0
        columns = "seq, prev, kind, subject, at, data"
        query = f"SELECT {columns} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        while rows := self.db.execute(query, (after, _PAGE)).fetchall():
            for row in rows:
                self._replay(*row)
            self._write_projections()
            self.fold.clear()
            count += len(rows)
            after = rows[-1][0]
        self.fold.seq = last
        return count

    def _replay(self, seq: int, prev: int, kind: str, subject: str, at: float, data: str) -> None:
        try:
            before = self.fold.replay(kind, subject, loads(data), at, seq)
        except (OrchestrationError, KeyError) as error:
            raise StoreDamagedError(f"event {seq} cannot be: {error}") from error
        if before != prev:
            raise StoreDamagedError(
                f"event {seq} says that {prev} was before it, but {before or 'none'} was"
            )


def _now(kind: type[Any], row: tuple[Any, ...]) -> Any:
    now = object.__new__(kind)
    for column, value in zip(kind.COLUMNS, row, strict=True):
        setattr(now, _FIELDS.get(column, column), value)
    if kind is TaskNow:
        now.runs = {}
    return now


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, (StoreError, OrchestrationError)):
        return error
    if isinstance(error, sqlite3.DataError):
        return ValueEncodingError(f"an event is too large to be stored: {error}")
    found = InvalidEventError(f"an event cannot be stored: {error}")
    found.__cause__ = error
    return found

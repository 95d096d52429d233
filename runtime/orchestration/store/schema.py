"""The tables of a store, and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .errors import StoreDamagedError, StoreVersionError

#: Marks the file as ours, for ``file`` and for us: "swrm".
APPLICATION_ID = 0x7377726D

#: ``prev`` is the event before it of the same subject, or 0: the history of a subject is found
#: along it from the ``last`` of its row, without an index that every event would pay for.
_EVENTS = """
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, prev INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
  at REAL NOT NULL, data TEXT NOT NULL)
"""
#: What is so now. ``number`` is the sequence number of the event that made the row, so that tasks
#: are in the order of their acceptance, and the task itself is read from the event; ``outcome``
#: that of the event with the result or the error; ``run`` that of the attempt that runs, or 0.
_PROJECTIONS = """
CREATE TABLE tasks (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, agent TEXT, accepted REAL NOT NULL, started REAL, finished REAL,
  idempotency_key TEXT, workflow TEXT, outcome INTEGER NOT NULL, run INTEGER NOT NULL,
  last INTEGER NOT NULL);
CREATE UNIQUE INDEX tasks_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_workflow ON tasks (workflow, number) WHERE workflow IS NOT NULL;
CREATE INDEX tasks_unfinished ON tasks (number) WHERE finished IS NULL;
CREATE TABLE executions (
  seq INTEGER PRIMARY KEY, task INTEGER NOT NULL, attempt INTEGER NOT NULL, agent TEXT,
  started REAL NOT NULL, finished REAL, outcome TEXT);
CREATE TABLE workflows (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, version TEXT,
  state TEXT NOT NULL, started REAL NOT NULL, finished REAL, rollback INTEGER NOT NULL,
  last INTEGER NOT NULL);
CREATE TABLE agents (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, kind TEXT NOT NULL,
  state TEXT NOT NULL, registered REAL NOT NULL, changed REAL NOT NULL,
  described INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE VIEW nodes AS SELECT * FROM agents;
CREATE TABLE messages (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
  sender TEXT NOT NULL, recipient TEXT, sent REAL NOT NULL, delivered REAL,
  deliveries INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE INDEX messages_waiting ON messages (channel, number) WHERE delivered IS NULL;
"""
_STATE = """
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL, changed REAL NOT NULL)
  WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID
"""

PROJECTIONS = ("tasks", "executions", "workflows", "agents", "messages")

#: Step N makes version N out of version N - 1; the first is from an empty file. A step is
#: statements with semicolons between them, and none inside. Append steps, and never change one that
#: was released.
STEPS: tuple[str, ...] = (";".join((_EVENTS, _PROJECTIONS, _STATE)),)


def prepare(
    db: sqlite3.Connection, where: str, steps: Sequence[str] | None = None, *, change: bool = True
) -> int:
    """See that the tables are those of this version; give the version that they had before.

    Args:
        where: the store's path, for messages.
        steps: None: those of this swarmc.
        change: whether a file that is empty or older may be brought up to date.

    Raises:
        StoreDamagedError: it is a database of something else.
        StoreVersionError: it is newer, or older and must not be changed.
    """
    steps = STEPS if steps is None else steps
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise StoreDamagedError(
            f"{where} is a database, but not a store of swarmc", hint="give another path"
        )
    if version > len(steps):
        raise StoreVersionError(
            f"{where} has version {version} of the store's tables; this swarmc knows {len(steps)}",
            hint="install the version of swarmc that wrote it, or a newer one",
        )
    if version == len(steps):
        return int(version)
    if not change:
        raise StoreVersionError(
            f"{where} has version {version} of the store's tables; this swarmc reads {len(steps)}",
            hint="open it for writing once, which brings it up to date",
        )
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return int(version)

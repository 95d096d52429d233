"""What can go wrong with a store, and which of SQLite's complaints means what."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import ClosedError, OrchestrationError


class StoreError(OrchestrationError):
    """Base of what a store refuses or cannot do."""


class StoreClosedError(StoreError, ClosedError):
    """The store was closed, or belongs to the process that this one was forked from."""


class StoreLockedError(StoreError):
    """Another process writes to the store.

    Args:
        pid: its number, if it is known.
    """

    def __init__(self, message: str, *, pid: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class StoreAccessError(StoreError):
    """The file cannot be opened, made or written."""


class StoreFullError(StoreError):
    """The disk is full, or the store as large as it may be. What fits later is taken again."""


class StoreDamagedError(StoreError):
    """The file is not what a store wrote."""


class StoreVersionError(StoreError):
    """The file is of another version of swarmc."""


class InvalidEventError(StoreError):
    """An event that lacks something, or has something of a wrong type."""


class IllegalTransitionError(StoreError):
    """An event that cannot follow what happened before: a task completed twice, for example."""


class DuplicateTaskError(StoreError):
    """A task, workflow or message with this id was stored already."""


class DuplicateKeyError(StoreError):
    """A task with this idempotency key was accepted already.

    Args:
        key: the idempotency key.
        task_id: the task that has it.
    """

    def __init__(self, key: str, task_id: str) -> None:
        super().__init__(f"idempotency key {key!r} is that of task {task_id} already")
        self.key = key
        self.task_id = task_id


def stored_error(error: sqlite3.Error, path: Path | None) -> StoreError:
    """The error of ours that says what SQLite's means for the store at ``path``."""
    where = str(path) if path is not None else "the store in memory"
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    kind: type[StoreError] = StoreError
    what, hint = f"{where} failed: {error}", None
    if primary == sqlite3.SQLITE_FULL:
        kind, what = StoreFullError, f"{where} cannot grow: the disk or the store's limit is full"
        hint = "free some space, or remove what is finished with cleanup()"
    elif primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        kind, what = StoreDamagedError, f"{where} is damaged or is no store: {error}"
        hint = "restore it from a copy; keep the damaged file, `sqlite3 FILE .recover` saves much"
    elif primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        kind, what = StoreLockedError, f"{where} is in use by another program: {error}"
        hint = "close what has it open for writing, such as a database browser"
    elif primary in (
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH,
    ):  # fmt: skip
        kind, what = StoreAccessError, f"{where} cannot be opened or written: {error}"
        hint = "it and its folder must be writable; give another path, or change the permissions"
    elif primary == sqlite3.SQLITE_IOERR:
        kind, what = StoreAccessError, f"{where} cannot be read or written: {error}"
        name = getattr(error, "sqlite_errorname", "")
        hint = f"{name}: look at the disk, its quota and the limit on file sizes (ulimit -f)"
    return kind(what, hint=hint)

"""The store: what happened to tasks, agents, workflows and messages, and what is so now."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from ..codec import dumps
from ..events import Event
from ..interfaces import Stored
from .cleanup import clean
from .connect import Readers, connect
from .errors import StoreAccessError, StoreClosedError, StoreError, stored_error
from .lock import WriterLock
from .reader import StoreReader
from .records import Cleaned, StoreStats
from .schema import prepare
from .tables import Tables
from .writer import Waiter, Writer


class Store(StoreReader):
    """Keeps events and what follows from them in one SQLite file; an ``EventLog``.

    Everything may be called from any thread. A child process that was forked must open a store of
    its own: this one refuses to work there.

    Args:
        path: the file, made if it is not there; its folder must exist. None: in memory, for as
            long as the store is open.
        power_safe: whether what is acknowledged survives a loss of power. False: a crash of the
            process only, and commits do not wait for the disk.
        max_size: bytes to which the file may grow; None: as the disk has room.
        clock: seconds since 1970.

    Raises:
        StoreLockedError: another process, or another store of this one, writes to it.
        StoreError: other reasons why it cannot be opened, one class for each.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        power_safe: bool = True,
        max_size: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        where = _real(path) if path is not None else None
        self._lock = WriterLock(where) if where is not None else None
        try:
            tables = Tables(_open(where, power_safe, max_size))
            with _opening(where, tables.db):
                tables.load()
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise
        super().__init__(where, Readers(where, tables.db if where is None else None))
        self._writer = Writer(tables, where, self._readers)
        #: Guards the closing.
        self._closing = threading.Lock()
        self._closed = False
        _OPEN.add(self)

    @classmethod
    def open_readonly(cls, path: str | os.PathLike[str]) -> StoreReader:
        """A store to look at, beside the process that writes it or without one.

        Raises:
            StoreError: it is not there, or no store, or of another version.
        """
        return open_readonly(_real(path))

    def __enter__(self) -> Self:
        return self

    # -- writing -----------------------------------------------------------------------------

    def append(self, events: Sequence[Event]) -> None:
        """Write events in one transaction, and return when they are durable.

        Raises:
            IllegalTransitionError: one of them cannot follow what is stored.
            DuplicateTaskError, DuplicateKeyError: what they tell of is there already.
            ValueEncodingError: something in them has no JSON form.
            StoreError: they cannot be written. None of them is stored.
        """
        self._writer.check_thread()
        waiter = Waiter()
        self._writer.put(events, waiter)
        waiter.wait()

    def append_soon(self, events: Sequence[Event], stored: Stored | None = None) -> None:
        """Have events written, after all that were given before; return at once.

        The data of the events must not be changed before they are stored.

        Args:
            stored: called from the writer's thread with None, or with why none of the events is
                stored. It must be quick and must not raise.
        """
        self._writer.put(events, stored)

    def set_state(self, key: str, value: Any) -> None:
        """Keep a value under a key, durably; None is a value, too."""
        row = (key, dumps(value), self._clock())
        self._writer.call(lambda tables: tables.db.execute(
            "INSERT INTO state (key, value, changed) VALUES (?, ?, ?) ON CONFLICT (key)"
            " DO UPDATE SET value = excluded.value, changed = excluded.changed", row
        ) and None)  # fmt: skip

    def delete_state(self, key: str) -> bool:
        """Forget the value of a key; whether there was one."""
        return bool(self._writer.call(
            lambda tables: tables.db.execute("DELETE FROM state WHERE key = ?", (key,)).rowcount
        ))  # fmt: skip

    def cleanup(self, older_than: float | timedelta) -> Cleaned:
        """Remove what ended longer ago than this, with its events; how much it was.

        That is: tasks, unless their workflow or a task that depends on them is not over;
        workflows of which no task remains; messages that were delivered; retired agents. An
        idempotency key can be used anew when its task is gone.

        Args:
            older_than: seconds, or a timedelta.
        """
        age = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
        if not age >= 0:
            raise StoreError(f"an age is not negative: {older_than!r}")
        return clean(self._writer.call, self._clock() - age)

    def rebuild(self) -> int:
        """Make what is so now again from the events; how many events there are.

        Raises:
            StoreDamagedError: the events are no possible history. Nothing is changed.
        """
        return int(self._writer.call(lambda tables: tables.rebuild()))

    # -- the store itself --------------------------------------------------------------------

    def stats(self) -> StoreStats:
        """What it did since it was opened."""
        writer = self._writer
        return StoreStats(
            events=writer.events,
            appends=writer.appends,
            refused=writer.refused,
            commits=writer.commits,
            largest_commit=writer.largest,
            commit_time=writer.times.snapshot(),
            waiting=writer.waiting,
            last_seq=writer.tables.fold.seq,
            size=self._size(),
        )

    def _size(self) -> int:
        if self.path is None:
            return 0
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Write what was given, then close the file; may be called more than once."""
        self._writer.check_thread()
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._writer.close()
            super().close()
            if self._lock is not None:
                self._lock.release()
            _OPEN.discard(self)

    def _forked(self) -> None:
        """In a child process: leave everything to the parent."""
        self._closed = True
        self._closing = threading.Lock()
        self._writer.ended = StoreClosedError(
            "the store belongs to the process that this one was forked from",
            hint="open a store after forking",
        )
        self._readers.forget()
        if self._lock is not None:
            self._lock.forget()


def _real(path: str | os.PathLike[str]) -> Path:
    """The file itself: a lock beside a link to it would not be seen by others."""
    return Path(os.path.realpath(path))


def open_readonly(path: Path) -> StoreReader:
    """See :meth:`Store.open_readonly`."""
    try:
        path.stat()
    except OSError as error:
        raise StoreAccessError(f"there is no store {path}: {error.strerror}") from error
    try:
        return _reader(path, "")
    except StoreAccessError:
        if path.with_name(path.name + "-wal").exists():
            raise
    # Where SQLite cannot make its files beside the store and nobody else did, nobody writes.
    return _reader(path, "&immutable=1")


def _reader(path: Path, options: str) -> StoreReader:
    readers = Readers(path, options=options)
    try:
        with readers.connection() as db:
            prepare(db, str(path), change=False)
    except BaseException:
        readers.close()
        raise
    return StoreReader(path, readers)


def _open(path: Path | None, power_safe: bool, max_size: int | None) -> sqlite3.Connection:
    try:
        db = connect(path)
    except sqlite3.Error as error:
        raise stored_error(error, path) from error
    with _opening(path, db):
        if path is not None:
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreAccessError(f"{path} is on a file system without write-ahead logs")
            db.execute(f"PRAGMA synchronous = {'FULL' if power_safe else 'NORMAL'}")
            db.execute("PRAGMA wal_autocheckpoint = 0")
        if max_size is not None:
            (page,) = db.execute("PRAGMA page_size").fetchone()
            db.execute(f"PRAGMA max_page_count = {max(1, max_size // page)}")
        prepare(db, str(path) if path is not None else "the store in memory")
    return db


@contextmanager
def _opening(path: Path | None, db: sqlite3.Connection) -> Iterator[None]:
    """Say in our words what SQLite complains of; close the connection if anything goes wrong."""
    try:
        yield
    except sqlite3.Error as error:
        db.close()
        raise stored_error(error, path) from error
    except BaseException:
        db.close()
        raise


#: Stores of this process that are open, for when it forks.
_OPEN: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_OPEN):
        store._forked()


os.register_at_fork(after_in_child=_after_fork)

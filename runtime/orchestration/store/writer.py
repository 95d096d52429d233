"""The thread that writes: it takes what is waiting, and stores it in one transaction."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..events import Event
from ..histogram import Histogram
from ..interfaces import Stored
from .connect import BUSY_TIMEOUT, Readers
from .errors import (
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    stored_error,
)
from .tables import Append, Outcomes, Tables

_LOG = logging.getLogger(__name__)

#: Events of a group; more would only make those who wait for it wait longer.
_GROUP = 16_384
#: Bytes of the write-ahead log after which it is moved into the database; after a pause of some
#: seconds, a smaller one is, too.
_LOG_SIZE, _IDLE_LOG_SIZE, _IDLE_SECONDS = 64 << 20, 4 << 20, 1.0

_STOP = object()


class Waiter:
    """Somebody who waits until something is durable."""

    __slots__ = ("_done", "error", "result")

    def __init__(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self.error: BaseException | None = None
        self.result: Any = None

    def __call__(self, error: BaseException | None) -> None:
        self.error = error
        self._done.release()

    def wait(self) -> Any:
        """The result, when there is one. Raises what went wrong."""
        self._done.acquire()
        if self.error is not None:
            raise self.error
        return self.result


class Writer:
    """Owns the connection that writes, and the thread that uses it.

    What goes wrong with the disk being full or a lock of another program refuses a group, and the
    next one is tried. Anything else that SQLite reports ends the writer: after a failed write to
    the disk nobody knows what is there, and only opening the file again tells.

    Args:
        tables: loaded; of the connection that only the writer uses from here on.
        readers: share the connection if the store is in memory.
    """

    def __init__(self, tables: Tables, path: Path | None, readers: Readers) -> None:
        self._db = tables.db
        self.tables = tables
        self._path = path
        self._log = path.with_name(path.name + "-wal") if path is not None else None
        self._log_limit = _LOG_SIZE
        self._readers = readers
        #: Of (events, stored), (work, waiter) and (_STOP, None).
        self._queue: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        #: Why nothing is written any more. Set before the queue is emptied for the last time;
        #: who puts something into it looks afterwards, and empties it then.
        self.ended: StoreError | None = None
        self.events = self.appends = self.refused = self.commits = self.largest = 0
        self.times = Histogram()
        self._thread = threading.Thread(target=self._run, name="swarmc store", daemon=True)
        self._thread.start()

    # -- callers -----------------------------------------------------------------------------

    def put(self, events: Sequence[Event], stored: Stored | None) -> None:
        """Have events written; ``stored`` hears of it."""
        self._queue.put((tuple(events), stored))
        if self.ended is not None:
            self._refuse_rest()

    def call(self, work: Callable[[Tables], Any]) -> Any:
        """Run ``work`` in a transaction behind all that was given before; its result."""
        self.check_thread()
        waiter = Waiter()
        self._queue.put((work, waiter))
        if self.ended is not None:
            self._refuse_rest()
        return waiter.wait()

    def check_thread(self) -> None:
        """Raise if the caller is the writer, which must not wait for itself."""
        if threading.get_ident() == self._thread.ident:
            raise StoreError(
                "what is called when events are stored must not wait for others to be",
                hint="use append_soon",
            )

    @property
    def waiting(self) -> int:
        """Appends that are not taken yet, about."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what was given so far, then stop."""
        self.check_thread()
        self._queue.put((_STOP, None))
        self._thread.join()

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self.ended is None:
                self._take()
        finally:
            if self.ended is None:
                self.ended = StoreError(f"the writer of {self._path} failed")
            self._refuse_rest()
            if isinstance(self.ended, StoreClosedError):
                # Whoever closes last moves the log into the database, and readers cannot.
                self._readers.close()
            with self._readers.only_lock:
                self._db.close()

    def _take(self) -> None:
        """Wait for something to do, and do it, with what came meanwhile."""
        group: list[Append] = []
        size = 0
        what, stored = self._next()
        while type(what) is tuple:
            group.append((what, stored))
            size += len(what)
            if size >= _GROUP or self._queue.empty():
                what = None
                break
            what, stored = self._queue.get()
        if group:
            self._tell(group, self._store(group))
        if what is _STOP:
            self.ended = StoreClosedError("the store is closed")
        elif what is not None:
            self._work(what, stored)

    def _next(self) -> tuple[Any, Any]:
        size = self._log_size()
        if size < _IDLE_LOG_SIZE:
            return self._queue.get()
        if size < self._log_limit:
            try:
                return self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                pass
        self._checkpoint()
        return self._queue.get()

    def _store(self, group: list[Append]) -> Outcomes:
        begun = time.perf_counter()
        before = self.tables.fold.seq
        try:
            with self._readers.only_lock:
                outcomes = self.tables.store(group)
        except sqlite3.Error as error:
            return [self._failed(error)] * len(group)
        except Exception as error:  # a mistake of ours: nobody must wait for ever because of it
            _LOG.exception("the writer of %s failed", self._path)
            self.ended = StoreError(f"the writer of {self._path} failed: {error!r}")
            return [self.ended] * len(group)
        count = self.tables.fold.seq - before
        self.events += count
        self.largest = max(self.largest, count)
        if count:
            self.commits += 1
            self.times.observe(time.perf_counter() - begun)
        return outcomes

    def _tell(self, group: list[Append], outcomes: Outcomes) -> None:
        for (_events, stored), outcome in zip(group, outcomes, strict=True):
            if outcome is None:
                self.appends += 1
            else:
                self.refused += 1
            if stored is None:
                continue
            try:
                stored(outcome)
            except Exception:
                _LOG.exception("%r, called when events are stored, failed", stored)

    def _work(self, work: Callable[[Tables], Any], waiter: Waiter) -> None:
        if self.ended is not None:
            waiter(self.ended)
            return
        try:
            with self._readers.only_lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    waiter.result = work(self.tables)
                    self._db.execute("COMMIT")
                except BaseException:
                    self.tables.give_up()
                    raise
        except sqlite3.Error as error:
            waiter(self._failed(error))
        except Exception as error:
            waiter(error)
        else:
            waiter(None)

    def _failed(self, error: sqlite3.Error) -> StoreError:
        found = stored_error(error, self._path)
        found.__cause__ = error
        if not isinstance(found, (StoreFullError, StoreLockedError)):
            self.ended = found
        return found

    def _refuse_rest(self) -> None:
        """Nothing is written any more: say so to all that wait."""
        while True:
            try:
                _what, stored = self._queue.get_nowait()
            except queue.Empty:
                return
            if stored is not None:
                self._tell([((), stored)], [self.ended])

    # -- the write-ahead log -----------------------------------------------------------------

    def _log_size(self) -> int:
        if self._log is None:
            return 0
        try:
            return os.stat(self._log).st_size
        except FileNotFoundError:
            return 0

    def _checkpoint(self) -> None:
        """Move the log into the database. Readers that are at work may leave some of it."""
        try:
            self._db.execute("PRAGMA busy_timeout = 0")
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
        except sqlite3.Error as error:
            self._failed(error)
        self._log_limit = self._log_size() + _LOG_SIZE

"""Connections to the database of a store, and a pool of those that read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from .errors import StoreClosedError, stored_error

#: Seconds to wait for another program's lock. Only strangers take one: our writer is alone.
BUSY_TIMEOUT = 5.0


def connect(path: Path | None, mode: str = "rwc", options: str = "") -> sqlite3.Connection:
    """Open a database; None: one in memory, of this connection's own.

    Args:
        mode: SQLite's ``rwc``, ``rw`` or ``ro``.
    """
    name = ":memory:"
    if path is not None:
        name = f"file:{quote(str(path.absolute()))}?mode={mode}{options}"
    return sqlite3.connect(
        name,
        uri=path is not None,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )


class Readers:
    """Connections that read, each used by one thread at a time, kept for the next.

    Args:
        path: the database; None: it is in memory, and ``only`` is its one connection.
        options: for SQLite's URI.
    """

    def __init__(
        self, path: Path | None, only: sqlite3.Connection | None = None, options: str = ""
    ) -> None:
        self._path = path
        self._options = options
        self._free: list[sqlite3.Connection] = []
        #: Guards ``_free`` and ``_closed``.
        self._lock = threading.Lock()
        self._closed = False
        #: In memory: held by who uses the one connection, the writer in a transaction included.
        self.only = only
        self.only_lock = threading.RLock()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees everything committed before.

        Raises:
            StoreError: what SQLite complains of meanwhile, said in our words.
        """
        try:
            if self.only is not None:
                with self.only_lock:
                    self._check()
                    yield self.only
                return
            db = self._take()
            try:
                yield db
            finally:
                self._give(db)
        except sqlite3.Error as error:
            raise stored_error(error, self._path) from error

    def _check(self) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed")

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            self._check()
            if self._free:
                return self._free.pop()
        return connect(self._path, "ro", self._options)

    def _give(self, db: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(db)
                return
        db.close()

    def close(self) -> None:
        """Close those that nobody uses now; the others are closed after use."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for db in free:
            db.close()

    def forget(self) -> None:
        """In a forked child: use none of the parent's connections, and close none either."""
        self._closed = True
        _ABANDONED.extend(self._free)
        self._free = []


#: Connections of a parent process: SQLite allows a child neither to use nor to close them.
_ABANDONED: list[sqlite3.Connection] = []

"""Writing many rows by few statements.

Python gives up its global lock around each step of a statement and may wait 5 ms for it when other
threads compute, so a row a statement would be 200 rows a second then: a statement writes up to
some thousands. Statements are prepared for a few numbers of rows; what is missing to the next
one is filled with rows of NULL, which a WHERE leaves out.
"""

from __future__ import annotations

import sqlite3
from typing import Any

_SIZES = (1, 8, 64, 512, 4096)


class Bulk:
    """Inserts rows of one table, or changes those that are there.

    Args:
        columns: the first is the primary key, which is never NULL.
        changing: columns that change in rows that are there; none: such rows are an error.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        table: str,
        columns: tuple[str, ...],
        changing: tuple[str, ...] = (),
    ) -> None:
        self._db = db
        self._width = len(columns)
        most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // self._width
        self._sizes = tuple(size for size in _SIZES if size <= most)
        row = f"({','.join('?' * self._width)})"
        insert = f"INSERT INTO {table} ({','.join(columns)})"
        update = ""
        if changing:
            sets = ",".join(f"{name}=excluded.{name}" for name in changing)
            update = f" ON CONFLICT ({columns[0]}) DO UPDATE SET {sets}"
        self._text = {
            size: f"{insert} SELECT * FROM (VALUES {','.join([row] * size)}) "
            f"WHERE column1 IS NOT NULL{update}"
            for size in self._sizes
        }

    def write(self, values: list[Any]) -> None:
        """Write rows, given one after the other without anything between."""
        width, largest = self._width, self._sizes[-1]
        for start in range(0, len(values), largest * width):
            part = values[start : start + largest * width]
            size = next(size for size in self._sizes if size * width >= len(part))
            part += [None] * (size * width - len(part))
            self._db.execute(self._text[size], part)

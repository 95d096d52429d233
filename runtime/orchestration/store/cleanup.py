"""Removing what is over, some at a time, so that others write in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from .records import Cleaned
from .tables import Tables

_BATCH = 2000

#: Tasks whose results somebody may still ask for: dependencies of those that are not over, and
#: what compensates a workflow that is being rolled back.
_NEEDED = """
SELECT d.value FROM tasks AS t JOIN events AS e ON e.seq = t.number,
json_each(e.data, '$.dependencies') AS d WHERE t.finished IS NULL
UNION SELECT c.value FROM workflows AS w JOIN events AS e ON e.seq = w.rollback,
json_each(e.data, '$.compensations') AS c WHERE w.finished IS NULL
"""
#: What may go of each table, by the time :before. In this order: a workflow goes after its tasks.
_GONE = {
    "tasks": f"""
SELECT t.number, t.last FROM tasks AS t LEFT JOIN workflows AS w ON w.id = t.workflow
WHERE t.finished < :before AND (w.id IS NULL OR w.finished < :before)
AND t.id NOT IN ({_NEEDED})""",
    "workflows": """
SELECT number, last FROM workflows AS w WHERE finished < :before
AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.workflow = w.id)""",
    "agents": "SELECT number, last FROM agents WHERE state = 'retired' AND changed < :before",
    "messages": "SELECT number, last FROM messages WHERE delivered < :before",
}
_CHAINS = """
DELETE FROM {table} WHERE seq IN (WITH RECURSIVE chain (seq) AS (
  SELECT last FROM temp.gone
  UNION ALL SELECT e.prev FROM chain JOIN events AS e ON e.seq = chain.seq WHERE e.prev > 0)
SELECT seq FROM chain)
"""


def clean(call: Callable[[Callable[[Tables], Any]], Any], before: float) -> Cleaned:
    """Remove what ended before a time, in several transactions.

    Args:
        call: runs work in a transaction of the writer.
    """
    counts = {field.name: 0 for field in fields(Cleaned)}
    for table in _GONE:
        while True:
            rows, events = call(partial(_batch, table=table, before=before))
            counts[table] += rows
            counts["events"] += events
            if rows < _BATCH:
                break
    return Cleaned(**counts)


def _batch(tables: Tables, table: str, before: float) -> tuple[int, int]:
    db = tables.db
    db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (number INTEGER PRIMARY KEY, last INTEGER)")
    db.execute("DELETE FROM temp.gone")
    db.execute(
        f"INSERT INTO temp.gone {_GONE[table]} ORDER BY 1 LIMIT :most",
        {"before": before, "most": _BATCH},
    )
    if table == "tasks":
        db.execute(_CHAINS.format(table="executions"))
    events = db.execute(_CHAINS.format(table="events")).rowcount
    rows = db.execute(
        f"DELETE FROM {table} WHERE number IN (SELECT number FROM temp.gone)"
    ).rowcount
    if rows:
        db.execute(
            "INSERT INTO meta (name, value) VALUES ('sequence', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (tables.fold.seq,),
        )  # so that a number is never used twice
        tables.load()
    return rows, events

"""What a store acknowledged is there after kill -9, once, whenever it comes."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.store.schema import PROJECTIONS
from swarmc.runtime.orchestration.tasks import TaskState

from .crash_child import payload
from .crashing import run_and_kill
from .forking import forker

CHILD = Path(__file__).with_name("crash_child.py")
STORES, KILLS = 10, 10  #: so many stores, each killed so often


@dataclass
class Told:
    """What children were told by the store, over all rounds."""

    accepted: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            what, *words = line.split(" ")
            if what == "A":
                self.accepted.add(words[0])
            elif what == "K":
                assert self.keys.setdefault(words[0], words[1]) == words[1]
            else:
                assert what == "R"
                assert words[0] not in self.results, "a result was acknowledged twice"
                self.results[words[0]] = words[1]


def projections(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all projections."""
    db = sqlite3.connect(path)
    try:
        return {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in PROJECTIONS
        }
    finally:
        db.close()


def check(path: Path, told: Told) -> None:
    """Everything that was acknowledged is so."""
    with Store(path) as store:
        records = {record.task.id: record for record in store.tasks()}
        events = list(store.events())
        before = projections(path)
        assert store.rebuild() == len(events)
        assert projections(path) == before
    assert told.accepted <= records.keys()
    for record in records.values():
        assert record.task.payload == payload(record.task.id)
    for id, result in told.results.items():
        assert (records[id].state, records[id].result) == (TaskState.COMPLETED, result)
    for key, id in told.keys.items():
        assert records[id].task.idempotency_key == key
    keys = Counter(record.task.idempotency_key for record in records.values())
    assert max((count for key, count in keys.items() if key is not None), default=1) == 1
    ends = Counter(event.subject for event in events if event.kind is EventKind.TASK_COMPLETED)
    assert max(ends.values(), default=1) == 1
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory if there is such a place: what a killed process wrote is there without a disk,
    and others who keep the disk busy do not slow the test down."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as name:
        yield Path(name)


@pytest.mark.parametrize("seed", range(STORES))
def test_killed_under_load(seed: int, folder: Path) -> None:
    path, told, chance = folder / "s.db", Told(), random.Random(seed)
    with forker(CHILD) as forks:
        for round_ in range(KILLS):
            told.hear(run_and_kill(forks, (path, round_), chance))
            check(path, told)
    assert len(told.accepted) > 300
    assert len(told.results) > 300
    assert told.keys

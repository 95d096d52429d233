"""``kill -9`` a hundred times: no task that was accepted is lost, no result lost or doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import TaskState

from .forking import Forker, forker

CHILD = Path(__file__).with_name("crash_scheduler_child.py")
KILLS = 100
MOST_KILLS = 5 * KILLS  #: where a slow machine gets little done between two of them
LONG = 60


class Told:
    """What the processes had been told before they died."""

    def __init__(self) -> None:
        self.accepted: dict[int, str] = {}
        self.results: dict[int, tuple[str, str]] = {}

    @property
    def enough(self) -> bool:
        """Whether there was load."""
        return len(self.accepted) > KILLS and len(self.results) > KILLS / 2

    def hear(self, output: str) -> None:
        """Take what a process printed; its last line may be cut off."""
        for line in output[: output.rfind("\n") + 1].splitlines():
            word, *rest = line.split()
            if word == "A":
                number, task_id = int(rest[0]), rest[1]
                assert self.accepted.setdefault(number, task_id) == task_id
            elif word == "R":
                number, outcome = int(rest[0]), (rest[1], rest[2])
                assert self.results.setdefault(number, outcome) == outcome


def run_and_kill(forks: Forker, store: Path, lines: int, delay: float) -> str:
    """Let a process work until it has printed so many lines, and so many seconds more."""
    process = forks.start(store, "load")
    try:
        first = b"".join(process.stdout.readline() for _ in range(lines))
        time.sleep(delay)
    finally:
        rest, errors = process.kill()
    assert errors == ""
    return (first + rest).decode()


def test_killed_a_hundred_times(tmp_path: Path) -> None:
    path = tmp_path / "swarm.db"
    chance = random.Random(20261121)
    told = Told()
    with forker(CHILD) as forks:
        kills = 0
        while kills < KILLS or (not told.enough and kills < MOST_KILLS):
            kills += 1
            if chance.random() < 0.2:  # while it opens the store, and takes up what is there
                told.hear(run_and_kill(forks, path, 0, chance.uniform(0, 0.04)))
            else:
                lines, delay = 1 + chance.randrange(60), chance.uniform(0, 0.03)
                told.hear(run_and_kill(forks, path, lines, delay))
    finish = [sys.executable, str(CHILD), str(path), "finish"]
    subprocess.run(finish, check=True, stdout=subprocess.DEVNULL, timeout=LONG)

    with Store(path) as store:
        records = {record.task.id: record for record in store.tasks()}
        ends = Counter(
            event.subject for event in store.events() if event.kind is EventKind.TASK_COMPLETED
        )
        before = store.record_counts()
        store.rebuild()
        assert store.record_counts() == before
        assert {r.task.id: r for r in store.tasks()} == records
    assert told.enough
    for number, task_id in told.accepted.items():
        assert records[task_id].task.payload == number
    for number, outcome in told.results.items():
        record = records[told.accepted[number]] if number in told.accepted else None
        assert outcome == ("completed", str(number * 2))
        assert record is None or record.result == number * 2
    assert all(record.state is TaskState.COMPLETED for record in records.values())
    assert all(record.result == record.task.payload * 2 for record in records.values())
    assert set(ends) == set(records)
    assert set(ends.values()) == {1}
    payloads = [record.task.payload for record in records.values()]
    assert len(set(payloads)) == len(payloads)  # of two submissions with one key, one is run
    cut_short = [r for r in records.values() if r.attempts > 1 and r.task.payload % 7]
    assert len(cut_short) > KILLS / 10

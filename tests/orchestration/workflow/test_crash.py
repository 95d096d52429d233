"""Workflows survive ``kill -9``: whatever had begun is undone, in order, under the same keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import TaskState

PROGRAM = Path(__file__).with_name("crashing.py")
SECONDS = 60.0


def run(folder: Path, point: int) -> bool:
    """Run the program; whether it got to its end."""
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, str(point)], capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        assert done.stdout == "rolled_back\n"
        return True
    assert done.returncode == -9, done.stderr
    return False


def check(folder: Path) -> None:
    """Look at what was done outside, and at what the store says of it."""
    lines = (folder / "effects").read_text().splitlines()
    names = [line.split("\t")[0] for line in lines]
    keys = {line.split("\t")[0]: set[str]() for line in lines}
    for line in lines:
        name, key = line.split("\t")
        keys[name].add(key)
    expected = {name: {f"run/{name}"} for name in ("a", "b", "c", "d", "last")}
    expected |= {f"undo {name}": {f"run/{name}/rollback"} for name in ("a", "b", "c", "d", "last")}
    assert keys == expected, "everything ran, with one key each"
    undone = [name for name in names if name.startswith("undo ")]
    assert max(map(names.index, ("a", "b", "c", "d", "last"))) < names.index(undone[0])
    order = list(dict.fromkeys(undone))
    assert order == ["undo last", "undo d", "undo c", "undo b", "undo a"]
    assert undone == sorted(undone, key=order.index), "none began before the one before had ended"
    with Store.open_readonly(folder / "store.db") as store:
        workflow = store.workflow("run")
        assert workflow is not None
        assert workflow.state == "rolled_back"
        assert workflow.error == "last failed: no luck"
        assert [task.state for task in store.tasks() if not task.state.final] == []
        rollbacks = [task for task in store.tasks() if task.task.id.endswith("/rollback")]
        assert {task.state for task in rollbacks} == {TaskState.COMPLETED}


@pytest.mark.parametrize("point", range(1, 40, 4))
def test_killed_once_and_run_again(tmp_path: Path, point: int) -> None:
    if not run(tmp_path, point):
        assert run(tmp_path, 0)
    check(tmp_path)


@pytest.mark.parametrize("points", [(4, 7, 11)])
def test_killed_again_and_again(tmp_path: Path, points: tuple[int, ...]) -> None:
    kills = 0
    while not run(tmp_path, points[kills % len(points)]):
        kills += 1
        assert kills < 40, "every process gets some way"
    assert kills > 2
    check(tmp_path)

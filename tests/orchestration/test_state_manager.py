"""State under keys, and tidying up, as users of workflows write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.state_manager import StateManager
from swarmc.runtime.orchestration.store import Store, StoreClosedError, StoreError
from swarmc.runtime.orchestration.tasks import Task


def test_values_stay(tmp_path: Path) -> None:
    with StateManager(tmp_path / "s.db") as state:
        state.set("a", [1, b"2"])
        state.set("b", None)
        state.set("a", {"x": 1.5})
    with StateManager(str(tmp_path / "s.db")) as state:
        assert state.get("a") == {"x": 1.5}
        assert state.get("b", 7) is None
        assert state.get("c", 7) == 7
        assert state.keys() == ["a", "b"]
        assert state.delete("b")
        assert not state.delete("b")
        assert state.record_counts()["state"] == 1
    state.close()
    with pytest.raises(StoreClosedError):
        state.get("a")


def test_cleanup_counts_milliseconds() -> None:
    with Store(clock=lambda: 10.0) as store:
        state = StateManager(store)
        state.set("k", 1)
        task = Task("t")
        store.append([Event(EventKind.TASK_ACCEPTED, task.id, task.to_data(), 1.0)])
        store.append([Event(EventKind.TASK_CANCELLED, task.id, {"reason": "r"}, 8.0)])
        assert state.cleanup(2500).tasks == 0
        assert state.cleanup(1500).tasks == 1
        assert state.get("k") == 1
        for age in (-1.0, float("nan")):
            with pytest.raises(StoreError, match="an age is not negative"):
                state.cleanup(age)
        state.close()
        assert store.record_counts()["tasks"] == 0  # it was not opened here, so it is not closed


@pytest.mark.parametrize("first", ["store", "state_manager"])
def test_either_module_may_come_first(first: str) -> None:
    code = (
        f"from swarmc.runtime.orchestration.{first} import StateManager\n"
        "from swarmc.runtime.orchestration.store import StateManager as other\n"
        "assert other is StateManager"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

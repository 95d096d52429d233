"""Router and workers under faults: what was accepted finishes once; and what checks that checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.tools import chaos, chaos_history
from swarmc.runtime.tools.chaos_work import digest_of

K = EventKind


def history(*events: tuple[EventKind, str, dict[str, Any]]) -> chaos_history.History:
    return chaos_history.read(Event(kind, subject, data) for kind, subject, data in events)


def accepted(task: str, workflow: str | None = None, name: str = "n") -> Any:
    return (K.TASK_ACCEPTED, task, {"name": name, "workflow": workflow})


def started(task: str) -> Any:
    return (K.TASK_STARTED, task, {"agent": "w", "attempt": 1})


def completed(task: str, result: Any) -> Any:
    return (K.TASK_COMPLETED, task, {"result": result})


GOOD = (accepted("t"), started("t"), completed("t", 1))


def test_a_history_that_is_as_promised() -> None:
    lost = (K.TASK_RETRIED, "t", {"error": "e", "attempt": 1, "delay": 0, "failover": True})
    found = history(
        accepted("t"), started("t"), lost, started("t"), completed("t", 1),
        accepted("w/a", "w"), started("w/a"), completed("w/a", 2), (K.AGENT_STATE, "x", {}),
        accepted("s", name="shard 1 of 2"), started("s"), completed("s", {}),
    )  # fmt: skip
    assert chaos_history.check(found, {"t": 1}, {"w": {"a": 2}}, ("shard ",)) == []
    assert (found.failovers, found.attempts["t"]) == (1, 2)


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ((*GOOD, completed("t", 1)), "task.completed after it was completed"),
        ((*GOOD, started("t")), "task.started after it was completed"),
        ((*GOOD, accepted("t")), "accepted twice"),
        ((started("t"), *GOOD), "task.started before it was accepted"),
        (GOOD[:2], "was accepted, and is not final"),
        ((), "was accepted, and is not final"),
        ((*GOOD[:2], (K.TASK_FAILED, "t", {"error": "e"})), "was accepted, and is failed"),
        ((*GOOD[:2], completed("t", 2)), "t gave 2, not 1"),
        ((*GOOD, accepted("u")), r"u \(n\) was submitted by nobody"),
        ((*GOOD, accepted("w/a", "other")), "submitted by nobody"),
    ],
)
def test_a_history_that_is_not(events: Sequence[Any], what: str) -> None:
    found = chaos_history.check(history(*events), {"t": 1}, {})
    assert any(re.search(what, line) for line in found), found


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ((), "w has 0 tasks, not 1"),
        ((accepted("w/a", "w"),), "w/a of w is not final"),
        ((accepted("w/a", "w"), started("w/a"), completed("w/a", 3)), "w/a of w gave 3"),
    ],
)
def test_a_workflow_that_is_not(events: Sequence[Any], what: str) -> None:
    assert what in chaos_history.check(history(*events), {}, {"w": {"a": 2}})


def test_results_are_known_beforehand() -> None:
    assert digest_of(1, ["b", "a"]) == digest_of(1, ["a", "b"]) != digest_of(2, ["a", "b"])


def test_twenty_seconds_of_chaos(tmp_path: Path) -> None:
    report = chaos.run(tmp_path, 20.0, 5, workers=2, every=1.2)
    assert report.findings == []
    assert report.tasks > 10 and report.workflows > 1 and report.attempts >= report.tasks
    assert {name.partition(" ")[0] for name in report.faults} == {"kill", "freeze", "stall", "cut"}
    assert any(name.endswith("router") for name in report.faults)

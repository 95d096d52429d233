"""Whether a store's history is what clients were promised: each accepted task finished once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..orchestration.events import Event, EventKind

_ENDS = {
    EventKind.TASK_COMPLETED: "completed", EventKind.TASK_FAILED: "failed",
    EventKind.TASK_CANCELLED: "cancelled",
}  # fmt: skip


@dataclass(slots=True)
class History:
    """What the events of a store say.

    Args:
        results: of tasks that completed. workflows: of tasks that belong to one.
        attempts: how many began, by task. failovers: attempts that were lost with their agents.
        findings: what must not be.
    """

    results: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    workflows: dict[str, str] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    failovers: int = 0
    findings: list[str] = field(default_factory=list)


def read(events: Iterable[Event]) -> History:
    """Go through events in their order."""
    history = History()
    for event in events:
        if event.kind.value.startswith("task."):
            _take(history, event)
    return history


def _take(history: History, event: Event) -> None:
    task = event.subject
    if event.kind is EventKind.TASK_ACCEPTED:
        if task in history.names:
            history.findings.append(f"{task} was accepted twice")
        history.names[task] = str(event.data.get("name"))
        workflow = event.data.get("workflow")
        if workflow is not None:
            history.workflows[task] = workflow
        return
    if task not in history.names:
        history.findings.append(f"{task}: {event.kind.value} before it was accepted")
    if task in history.ends:
        history.findings.append(f"{task}: {event.kind.value} after it was {history.ends[task]}")
    if event.kind is EventKind.TASK_STARTED:
        history.attempts[task] += 1
    elif event.kind is EventKind.TASK_RETRIED:
        history.failovers += bool(event.data.get("failover"))
    elif event.kind in _ENDS:
        history.ends[task] = _ENDS[event.kind]
        if event.kind is EventKind.TASK_COMPLETED:
            history.results[task] = event.data.get("result")


def check(
    history: History, tasks: Mapping[str, Any], workflows: Mapping[str, Mapping[str, Any]],
    others: Iterable[str] = (),
) -> list[str]:  # fmt: skip
    """What is not as it was promised.

    Args:
        tasks: that were accepted, with the results that they must have.
        workflows: runs that were accepted, with the results of their symbols.
        others: beginnings of names of tasks whose results were checked elsewhere.
    """
    found = list(history.findings)
    for task, result in tasks.items():
        if history.ends.get(task) != "completed":
            found.append(f"{task} was accepted, and is {history.ends.get(task, 'not final')}")
        elif history.results[task] != result:
            found.append(f"{task} gave {history.results[task]!r}, not {result!r}")
    for task, name in history.names.items():
        run = history.workflows.get(task)
        if task in tasks:
            continue
        if run is None or run not in workflows:
            if not name.startswith(tuple(others)):
                found.append(f"{task} ({name}) was submitted by nobody")
        elif history.ends.get(task) != "completed":
            found.append(f"{task} of {run} is {history.ends.get(task, 'not final')}")
        elif history.results[task] not in workflows[run].values():
            found.append(f"{task} of {run} gave {history.results[task]!r}")
    for run, results in workflows.items():
        count = sum(other == run for other in history.workflows.values())
        if count != len(results):
            found.append(f"{run} has {count} tasks, not {len(results)}")
    return found

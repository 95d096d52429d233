"""Symbols and rollbacks as tasks: their ids, what executors are given, and what was left unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..tasks import Task, TaskRecord
from .schema import DEFAULT_TIMEOUT_MS, Rollback, Symbol, WorkflowManifest


@dataclass(frozen=True, slots=True)
class TaskDefaults:
    """What a symbol gets that does not say it itself.

    Args:
        retries: attempts beyond the first.
        timeouts: milliseconds, by executor; others have 30,000.
        priorities: whether symbols' priorities count.
    """

    retries: int = 3
    timeouts: Mapping[str, int] = field(default_factory=dict)
    priorities: bool = True

    def timeout(self, symbol: Symbol | Rollback) -> int:
        """Milliseconds that an attempt at a symbol may take."""
        if "timeout" in symbol.model_fields_set:
            return symbol.timeout
        return self.timeouts.get(symbol.dispatch, DEFAULT_TIMEOUT_MS)

    def retries_of(self, symbol: Symbol | Rollback) -> int:
        """Attempts at a symbol beyond the first."""
        return symbol.retries if "retries" in symbol.model_fields_set else self.retries


def task_id(run_id: str, symbol: str) -> str:
    """Id of a symbol's task. Names of symbols have no ``/``."""
    return f"{run_id}/{symbol}"


def rollback_id(run_id: str, symbol: str) -> str:
    """Id of the task that undoes a symbol."""
    return f"{run_id}/{symbol}/rollback"


def symbol_of(identifier: str, run_id: str) -> str:
    """The symbol of a task or of a rollback."""
    return identifier.removeprefix(f"{run_id}/").removesuffix("/rollback")


def symbol_tasks(
    run_id: str, manifest: WorkflowManifest, defaults: TaskDefaults, reference: str | None = None
) -> list[Task]:
    """A task for every symbol, in the manifest's order; they have the run's reference."""
    return [
        _task(
            task_id(run_id, symbol.name), run_id, symbol, defaults,
            tuple(task_id(run_id, name) for name in symbol.dependencies), reference,
        )
        for symbol in manifest.symbols
    ]  # fmt: skip


def rollback_task(
    run_id: str, symbol: Symbol, rollback: Rollback, record: TaskRecord | None,
    defaults: TaskDefaults, reference: str | None = None,
) -> Task:  # fmt: skip
    """The task that undoes a symbol; it is told what became of that."""
    undone = {
        "symbol": symbol.name,
        "state": record.state.value if record else None,
        "result": record.result if record else None,
        "error": record.error if record else None,
    }
    return _task(
        rollback_id(run_id, symbol.name), run_id, rollback, defaults, (), reference,
        {"rollback_of": undone},
    )


def _task(
    identifier: str, run_id: str, symbol: Symbol | Rollback, defaults: TaskDefaults,
    dependencies: tuple[str, ...], reference: str | None, more: Mapping[str, Any] | None = None,
) -> Task:  # fmt: skip
    payload = {
        "type": symbol.type.value, "context": symbol.context.value,
        "parameters": symbol.parameters, **(more or {}),
    }  # fmt: skip
    return Task(
        symbol.name, payload, symbol.dispatch,
        priority=symbol.priority if defaults.priorities else 0, dependencies=dependencies,
        timeout=defaults.timeout(symbol) / 1000, retries=defaults.retries_of(symbol),
        workflow=run_id, reference=reference, id=identifier,
    )  # fmt: skip

"""What a task asks of an executor, read from its payload once, for all executors alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ..errors import TaskError
from ..tasks import Task, TaskContext

Kind = type | tuple[type, ...]
_SYMBOL_KEYS = frozenset({"type", "context", "parameters", "rollback_of"})


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at a task, as executors see it.

    Args:
        name: of the task.
        parameters: what it is to work on.
        type, context: of the symbol of a workflow, such as ``action`` and ``wordpress``.
        inputs: results of the tasks that it depends on; of symbols in a workflow by their names.
        idempotency_key: the same in all attempts, also after a crash: what is done outside can
            be done once.
        attempt: from 1.
        workflow: id of the run, if it belongs to one.
        rollback_of: for a compensation, what it undoes: ``symbol``, ``result``, ``error``.
        task_context: to notice cancellation and the deadline, and to say what happens meanwhile.
    """

    name: str
    parameters: dict[str, Any]
    type: str | None = None
    context: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str = ""
    attempt: int = 1
    workflow: str | None = None
    rollback_of: Mapping[str, Any] | None = None
    task_context: TaskContext = field(default_factory=TaskContext)

    @classmethod
    def of(cls, task: Task, context: TaskContext) -> Self:
        """Read a task.

        A payload is a symbol of a workflow (``{"type": ..., "parameters": {...}}``), or else the
        parameters themselves; what is no dict becomes the parameter ``value``.
        """
        payload = task.payload
        symbol: dict[str, Any] = {}
        if payload is None:
            parameters: Any = {}
        elif not isinstance(payload, dict):
            parameters = {"value": payload}
        elif isinstance(payload.get("parameters"), dict) and payload.keys() <= _SYMBOL_KEYS:
            symbol, parameters = payload, payload["parameters"]
        else:
            parameters = payload
        prefix = f"{task.workflow}/" if task.workflow else ""
        return cls(
            task.name, dict(parameters), symbol.get("type"), symbol.get("context"),
            {key.removeprefix(prefix): value for key, value in context.inputs.items()},
            task.idempotency_key or task.id, context.attempt, task.workflow,
            symbol.get("rollback_of"), context,
        )  # fmt: skip

    def to_data(self) -> dict[str, Any]:
        """As a value of :mod:`~..codec`: what other programs are given."""
        data = {
            "name": self.name, "type": self.type, "context": self.context,
            "parameters": self.parameters, "inputs": dict(self.inputs),
            "idempotency_key": self.idempotency_key, "attempt": self.attempt,
            "workflow": self.workflow,
        }  # fmt: skip
        if self.rollback_of is not None:
            data["rollback_of"] = dict(self.rollback_of)
        return data

    def parameter(self, name: str, kind: Kind, default: Any = ...) -> Any:
        """A parameter of a type.

        Raises:
            TaskError: it is missing and has no default, or is of another type.
        """
        value = self.parameters.get(name, default)
        if value is ...:
            raise TaskError(f"{self.name} needs the parameter {name!r}", retry=False)
        if value is default:
            return value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = _names(kind)
            message = f"parameter {name!r} of {self.name} must be {names}, not {shown(value)}"
            raise TaskError(message, retry=False)
        return value


def _names(kind: Kind) -> str:
    return " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))


def shown(value: object, limit: int = 60) -> str:
    """A value for an error message, not longer than a few words."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."

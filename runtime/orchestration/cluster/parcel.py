"""Attempts and what came of them, as bytes that travel between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import SwarmcError
from ..codec import ValueEncodingError, dumps, loads
from ..errors import TaskCancelledError, TaskError, TaskTimeoutError
from ..tasks import Task, TaskContext

_KINDS: dict[str, type[TaskError]] = {"timeout": TaskTimeoutError, "task": TaskError}
#: Bytes of an order, and of an outcome, at most.
MAX_ORDER = MAX_OUTCOME = 64 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do.

    Args:
        attempt: number of the attempt.
        timeout: seconds that are left for it.
        inputs: results of the tasks that it depends on.
    """

    task: Task
    attempt: int
    timeout: float
    inputs: Mapping[str, Any]


def pack_order(task: Task, context: TaskContext) -> bytes:
    """Raises :class:`ValueEncodingError`: its payload has no JSON form, or is too large."""
    order = {
        "task": task.to_data(), "attempt": context.attempt, "timeout": context.remaining(),
        "inputs": dict(context.inputs),
    }  # fmt: skip
    data = dumps(order).encode()
    if len(data) > MAX_ORDER:
        raise ValueEncodingError(_too_large("it", data, MAX_ORDER))
    return data


def _too_large(what: str, data: bytes, most: int) -> str:
    return f"{what} has {len(data) >> 20} MiB, and at most {most >> 20} travel"


def unpack_order(data: bytes) -> Order:
    """What :func:`pack_order` gave."""
    order = loads(data)
    return Order(
        Task.from_data(order["task"]), order["attempt"], order["timeout"], order["inputs"]
    )


def pack_outcome(result: Any, error: BaseException | None) -> bytes:
    """A result, or what was raised. A result without a JSON form, or too large, is an error."""
    if error is None:
        try:
            data = dumps({"result": result}).encode()
        except ValueEncodingError as problem:
            error = TaskError(f"its result cannot travel: {problem}", retry=False)
        else:
            if len(data) <= MAX_OUTCOME:
                return data
            error = TaskError(_too_large("its result", data, MAX_OUTCOME), retry=False)
    return dumps({"error": _error_data(error)}).encode()


def _error_data(error: BaseException) -> dict[str, Any]:
    if isinstance(error, TaskCancelledError):
        return {"kind": "cancelled", "message": error.message, "hint": None, "retry": False}
    if isinstance(error, TaskError):
        kind = "timeout" if isinstance(error, TaskTimeoutError) else "task"
        # They are of whoever wrote the executor, and may be anything.
        message, retry = str(error.message), bool(error.retry)
        hint = None if error.hint is None else str(error.hint)
    else:
        kind, hint, retry = "task", None, True
        try:
            message = f"{type(error).__name__}: {error}"
        except Exception as problem:  # it is of whoever wrote the executor, as the error is
            message = f"{type(error).__name__}: it cannot say what ({type(problem).__name__})"
    return {"kind": kind, "message": message, "hint": hint, "retry": retry}


def unpack_outcome(data: bytes) -> tuple[Any, TaskError | None]:
    """What :func:`pack_outcome` gave. What is none is an error, too."""
    try:
        outcome = loads(data)
        if "error" not in outcome:
            return outcome["result"], None
        said = outcome["error"]
        if said["kind"] == "cancelled":
            return None, TaskCancelledError(str(said["message"]))
        made, hint = _KINDS[said["kind"]], said["hint"]
        return None, made(
            str(said["message"]), retry=bool(said["retry"]),
            hint=None if hint is None else str(hint),
        )  # fmt: skip
    except (SwarmcError, KeyError, TypeError) as error:
        return None, TaskError(f"the worker's answer is none: {error}")

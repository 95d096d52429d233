"""Operations that every :class:`~.internal.InternalExecutor` has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from ..graph import suggestion
from .calls import Call, Kind

if TYPE_CHECKING:
    from .internal import Operation, State

log = logging.getLogger(__name__)

_STEP = 0.02  # seconds between looks at the clock
_ASKED = "asked to fail"


def noop(call: Call) -> None:
    """Do nothing."""


def echo(call: Call) -> Any:
    """Give the parameter ``value``, or all parameters if there is none of that name."""
    return call.parameters["value"] if "value" in call.parameters else dict(call.parameters)


def inputs(call: Call) -> dict[str, Any]:
    """Give the results of what the task depends on, by name."""
    return dict(call.inputs)


def write_log(call: Call) -> str:
    """Write the parameter ``message`` to Python's log; gives it."""
    message = str(call.parameter("message", str))
    log.info("%s: %s", call.name, message)
    call.task_context.emit("log", message)
    return message


def sleep(call: Call) -> None:
    """Wait for ``milliseconds``; ends soon after the task is cancelled or timed out."""
    context = call.task_context
    end = context.clock() + call.parameter("milliseconds", (int, float)) / 1000
    while (left := end - context.clock()) > 0:
        context.check()
        context.cancelled.wait(min(left, _STEP))
    context.check()


def fail(call: Call) -> None:
    """Fail with ``message``; ``retry: false`` spends no retries; ``attempts: n`` fails n times."""
    limit = call.parameter("attempts", int, None)
    if limit is None or call.attempt <= limit:
        retry = call.parameter("retry", bool, True)
        raise TaskError(call.parameter("message", str, _ASKED), retry=retry)


_NUMBER = (int, float)
#: Keys that begin so are the router's own: tokens of swarms, who is excluded.
RESERVED = ("swarm/", "router/", "cluster/")
#: What built-in operations take, and of which kind; those with ``...`` must be given. Others take
#: anything. docs/orchestration/workflows.md has the same.
TAKES: dict[str, dict[str, tuple[Kind, Any]]] = {
    "log": {"message": (str, ...)}, "sleep": {"milliseconds": (_NUMBER, ...)},
    "fail": {"attempts": (int, None), "retry": (bool, True), "message": (str, _ASKED)},
    "set_state": {"key": (str, ...), "value": (object, None)},
    "get_state": {"key": (str, ...), "default": (object, None)},
    "delete_state": {"key": (str, ...)},
}  # fmt: skip


def check_parameters(call: Call) -> None:
    """See that a built-in operation has what it needs, and nothing that it would not look at.

    Raises:
        TaskError: it has not.
    """
    operation = call.parameters["operation"]
    takes = TAKES.get(operation)
    if takes is None:  # those that take anything
        return
    for name in call.parameters.keys() - {"operation"}:
        if name not in takes:
            known = suggestion(name, takes)
            raise TaskError(f"operation {operation} has no parameter {name!r}{known}", retry=False)
    for name, (kind, default) in takes.items():
        if kind is not object or default is ...:
            call.parameter(name, kind, default)


def built_in(state: State) -> dict[str, Operation]:
    """The operations by their names."""

    def key_of(call: Call) -> str:
        key: str = call.parameter("key", str)
        if key.startswith(RESERVED):
            raise TaskError(f"{key} is the router's own", retry=False)
        return key

    def set_state(call: Call) -> Any:
        """Set ``key`` to ``value``, or to the results of the dependencies; gives what was set."""
        value = call.parameters.get("value", dict(call.inputs))
        state.set_state(key_of(call), value)
        return value

    def get_state(call: Call) -> Any:
        """The value of ``key``, else ``default``, else None."""
        return state.get_state(key_of(call), call.parameters.get("default"))

    def delete_state(call: Call) -> None:
        """Forget ``key``."""
        state.delete_state(key_of(call))

    return {
        "noop": noop, "echo": echo, "inputs": inputs, "log": write_log, "sleep": sleep,
        "fail": fail, "set_state": set_state, "get_state": get_state,
        "delete_state": delete_state,
    }  # fmt: skip

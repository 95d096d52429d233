"""Operations in this process: those built in, one's own, and what is wrong with a call."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.errors import (
    InvalidTaskError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.executors import Call, InternalExecutor
from swarmc.runtime.orchestration.executors.operations import RESERVED, TAKES
from swarmc.runtime.orchestration.tasks import Task, TaskContext


def run(executor: InternalExecutor, context: TaskContext | None = None, **parameters: Any) -> Any:
    return executor.run(Task("t", parameters), context or TaskContext())


def test_a_call_is_what_the_task_says() -> None:
    payload = {"type": "action", "context": "network", "parameters": {"x": 1}}
    context = TaskContext(2, inputs={"run-1/a": 5, "other": 6})
    call = Call.of(Task("t", payload, workflow="run-1", id="run-1/t"), context)
    assert call.to_data() == {
        "name": "t", "type": "action", "context": "network", "parameters": {"x": 1},
        "inputs": {"a": 5, "other": 6}, "idempotency_key": "run-1/t", "attempt": 2,
        "workflow": "run-1",
    }  # fmt: skip
    assert Call.of(Task("t", 7, idempotency_key="k"), context).parameters == {"value": 7}
    assert Call.of(Task("t", idempotency_key="k"), context).idempotency_key == "k"
    other = {"parameters": {"x": 1}, "y": 2}
    assert Call.of(Task("t", other), context).parameters == other


def test_built_in_operations(caplog: pytest.LogCaptureFixture) -> None:
    executor = InternalExecutor()
    said: list[tuple[str, Any]] = []
    context = TaskContext(inputs={"a": 1}, emit=lambda kind, data: said.append((kind, data)))
    assert run(executor, operation="noop") is None
    assert run(executor, operation="echo", value=[1]) == [1]
    assert run(executor, operation="echo", x=1) == {"x": 1}
    assert run(executor, context, operation="inputs") == {"a": 1}
    with caplog.at_level(logging.INFO):
        assert run(executor, context, operation="log", message="hi") == "hi"
    assert said == [("log", "hi")]
    assert "t: hi" in caplog.messages
    assert run(executor, operation="get_state", key="k", default=0) == 0
    assert run(executor, operation="set_state", key="k", value=3) == 3
    assert run(executor, operation="get_state", key="k") == 3
    assert run(executor, operation="delete_state", key="k") is None
    assert run(executor, operation="get_state", key="k") is None
    assert run(executor, context, operation="set_state", key="all") == {"a": 1}
    executor.close()


def test_built_in_operations_are_documented() -> None:
    words = {str: "text", (int, float): "number", int: "whole number", bool: "true or false",
             object: "any value"}  # fmt: skip
    path = Path(__file__).parents[3] / "docs" / "orchestration" / "workflows.md"
    _, _, text = path.read_text().partition("### Operations that are built in\n")
    text, _, _ = text.partition("\n## ")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    listed = {row[0]: row[1] for row in rows if len(row) == 3 and row[2] not in ("---", "result")}
    executor = InternalExecutor()
    assert sorted(listed) == list(executor.operations)
    assert {name for name, what in listed.items() if "takes any" in what} == (
        listed.keys() - TAKES.keys()
    )
    wanted = [
        [operation, name, words[kind], "must be given" if given is ... else json.dumps(given)]
        for operation, takes in TAKES.items() for name, (kind, given) in takes.items()
    ]  # fmt: skip
    assert [row[:4] for row in rows if len(row) == 5][2:] == wanted
    assert tuple(re.findall("`([a-z]+/)`", text)) == RESERVED


def test_defaults_are_those_that_are_documented() -> None:
    executor = InternalExecutor()
    with pytest.raises(TaskError, match="asked to fail") as error:
        run(executor, TaskContext(1000), operation="fail")
    assert error.value.retry
    assert run(executor, operation="sleep", milliseconds=-1) is None
    assert run(executor, operation="get_state", key="k") is None
    run(executor, operation="set_state", key="k", value=None)
    assert run(executor, operation="get_state", key="k", default=1) is None
    for operation, takes in TAKES.items():
        needed = {name for name, (_, default) in takes.items() if default is ...}
        if needed:
            with pytest.raises(TaskError, match=f"needs the parameter '({'|'.join(needed)})'"):
                run(executor, operation=operation)


def test_failing_on_request() -> None:
    executor = InternalExecutor()
    with pytest.raises(TaskError, match="no luck") as raised:
        run(executor, operation="fail", message="no luck", retry=False)
    assert not raised.value.retry
    with pytest.raises(TaskError, match="asked to fail"):
        run(executor, TaskContext(2), operation="fail", attempts=2)
    assert run(executor, TaskContext(3), operation="fail", attempts=2) is None


def test_sleep_notices() -> None:
    executor = InternalExecutor()
    now = [0.0]
    context = TaskContext(deadline=1.0, clock=lambda: now[0])
    context.cancelled.wait = lambda timeout=None: now.__setitem__(0, now[0] + timeout)  # type: ignore
    run(executor, context, operation="sleep", milliseconds=500)
    assert now[0] == pytest.approx(0.5)
    with pytest.raises(TaskTimeoutError):
        run(executor, context, operation="sleep", milliseconds=9000)
    assert now[0] < 1.1
    cancelled = TaskContext()
    cancelled.cancelled.set()
    with pytest.raises(TaskCancelledError):
        run(executor, cancelled, operation="sleep", milliseconds=60_000)


def test_own_operations() -> None:
    executor = InternalExecutor({"double": lambda call: 2 * call.parameters["x"]})
    executor.register("where", "os.path:basename")
    assert "where" in executor.operations
    assert run(executor, operation="double", x=21) == 42
    with pytest.raises(TypeError):  # os.path.basename takes no Call
        run(executor, operation="where")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("os.path", "'os.path' does not name a function; write package.module:function"),
        ("no_such_module:f", "there is no no_such_module:f"),
        ("os.path:nothing", "there is no os.path:nothing"),
        ("os:sep", "os:sep is no function but a str"),
    ],
)
def test_paths_that_name_no_function(path: str, message: str) -> None:
    with pytest.raises(InvalidTaskError, match=message):
        InternalExecutor({"f": path})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "t names no operation; set the parameter operation to one of delete_state, echo,"),
        ({"operation": "ecko"}, "there is no internal operation 'ecko': did you mean echo?"),
        ({"operation": ["echo"]}, "there is no internal operation"),
        ({"operation": "sleep"}, "t needs the parameter 'milliseconds'"),
        ({"operation": "sleep", "milliseconds": "5"},
         "parameter 'milliseconds' of t must be int or float, not '5'"),
        ({"operation": "sleep", "milliseconds": True}, "must be int or float, not True"),
        ({"operation": "log", "message": 5}, "parameter 'message' of t must be str, not 5"),
    ],
)  # fmt: skip
def test_wrong_calls_are_not_retried(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as raised:
        InternalExecutor().run(Task("t", parameters), TaskContext())
    assert message in str(raised.value)
    assert not raised.value.retry


@pytest.mark.parametrize("operation", ["get_state", "set_state", "delete_state"])
@pytest.mark.parametrize("key", ["swarm/swarm-1", "router/address", "cluster/excluded"])
def test_what_the_router_keeps_for_itself_is_no_tasks(operation: str, key: str) -> None:
    """Tokens of swarms, and who is excluded: in the same store, which tasks of this process use."""
    with pytest.raises(TaskError, match=f"{key} is the router's own"):
        run(InternalExecutor(), operation=operation, key=key)

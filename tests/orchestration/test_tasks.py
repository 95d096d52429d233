"""Tasks are built step by step, say what is wrong with them, and survive being written down."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.errors import (
    InvalidTaskError,
    TaskCancelledError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.tasks import Task, TaskBuilder, TaskContext, TaskPriority, new_id


def test_defaults() -> None:
    task = Task("t")
    assert (task.timeout, task.retries, task.priority) == (30.0, 3, 0)
    assert task.id != Task("t").id


def test_ids_grow_and_differ_between_processes() -> None:
    ids = [new_id("task") for _ in range(1000)]
    assert ids == sorted(set(ids))
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, new_id("task").encode())
        os._exit(0)
    theirs = os.read(read, 100).decode()
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert len(theirs) == len(ids[0])
    assert theirs[13:25] != ids[0][13:25]


def test_builder() -> None:
    first = Task("first")
    builder = (
        TaskBuilder("neural_analysis").payload(b"\x00").priority(TaskPriority.HIGH)
        .requires("neural_inference").requires("a", "b").resource("gpu").executor("wasm")
        .depends_on(first, "task-2").depends_on(first).timeout(timedelta(milliseconds=1500))
        .retries(0).idempotency_key("k")
    )  # fmt: skip
    task = builder.build()
    assert task == Task(
        "neural_analysis", b"\x00", "wasm", frozenset({"neural_inference", "a", "b"}), {"gpu": 1},
        10, (first.id, "task-2"), 1.5, 0, "k", None, task.id,
    )  # fmt: skip
    assert builder.build().id != task.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "a task needs a name"),
        ({"timeout": 0}, "timeout of t must be positive and finite, not 0"),
        ({"timeout": float("nan")}, "timeout of t must be positive and finite, not nan"),
        ({"retries": -1}, "retries of t must not be negative: -1"),
        ({"id": "x", "dependencies": ("x",)}, "t depends on itself"),
        ({"resources": {"gpu": -1}}, "t cannot need -1 of gpu"),
        ({"name": 3}, "name of 3 must be text, not 3"),
        ({"priority": "high"}, "priority of t must be an int, not 'high'"),
        ({"timeout": timedelta(seconds=1)}, "timeout of t must be a number of seconds"),
        ({"retries": 1.5}, "retries of t must be an int, not 1.5"),
        ({"requires": "gpu"}, "requires of t must be texts, not 'gpu'"),
        ({"dependencies": (3,)}, r"dependencies of t must be texts, not \(3,\)"),
    ],
)
def test_what_is_impossible_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidTaskError, match=message):
        Task(**{"name": "t", **changes})  # type: ignore[arg-type]


def test_builders_refuse_what_is_of_another_kind() -> None:
    builder: Any = TaskBuilder("t")
    for duration in ("30", None, [1]):
        with pytest.raises(InvalidTaskError, match="timeout must be seconds or a timedelta, not "):
            builder.timeout(duration)
    with pytest.raises(InvalidTaskError, match="priority of t must be an int, not 'high'"):
        builder.priority("high")
    assert builder.priority(np.int64(4)).timeout(np.float32(2)).build().priority == 4


def test_written_down_and_read_again() -> None:
    plain = Task("t")
    assert plain.to_data() == {"id": plain.id, "name": "t"}
    full = Task(
        "t", {"x": b"1"}, "wasm", frozenset("ab"), {"gpu": 0.5}, 3, ("y",), 2.5, 1, "k", "w"
    )
    for task in (plain, full):
        assert Task.from_data(loads(dumps(task.to_data()))) == task


def test_context_says_when_to_stop() -> None:
    now = [0.0]
    context = TaskContext(deadline=2.0, clock=lambda: now[0])
    context.check()
    now[0] = 1.5
    assert context.remaining() == 0.5
    now[0] = 2.0
    with pytest.raises(TaskTimeoutError):
        context.check()
    context.cancelled.set()
    with pytest.raises(TaskCancelledError):
        context.check()

"""What is too much in a request is refused before it takes time; large requests let others by."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.router import decoding
from swarmc.runtime.orchestration.router.decoding import (
    LARGE,
    MAX_SMALL,
    too_many,
    understand,
    understand_tasks,
)
from swarmc.runtime.orchestration.router.protocol import MAX_MESSAGE, METHODS
from swarmc.runtime.orchestration.router.protocol_tasks import MAX_TASKS, TaskSubmit
from swarmc.runtime.orchestration.router.wire import MAX_ARRAY
from swarmc.runtime.orchestration.shards.router_place import _batches
from swarmc.runtime.orchestration.tasks import Task

TINY = b'{"name":"a"}'


def filled(head: bytes, item: bytes, tail: bytes) -> msgspec.Raw:
    """As many items as fit into a message."""
    count = (MAX_MESSAGE - len(head) - len(tail)) // (len(item) + 1)
    return msgspec.Raw(head + b",".join([item] * count) + tail)


@pytest.mark.parametrize(
    ("method", "raw", "message"),
    [
        ("task_submit", filled(b'{"tasks":[', TINY, b"]}"),
         "Expected `array` of length <= 10000 - at `$.tasks`"),
        ("task_cancel", filled(b'{"task_ids":[', b'"a"', b"]}"),
         "Expected `array` of length <= 10000 - at `$.task_ids`"),
        ("swarm_inject", filled(b'{"swarm_id":"s","prompt":"x","nodes":[', b"1", b"]}"),
         "Expected `array` of length <= 1024 - at `$.nodes`"),
        ("hello", filled(b'{"protocol":"p","targets":[', b'"a"', b"]}"),
         "Expected at most 262,144 bytes, got 16,777,2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_arrays_without_end_are_not_read_to_their_end(
    method: str, raw: msgspec.Raw, message: str
) -> None:
    decoding._bounds(METHODS[method][1])  # is made once
    tracemalloc.start()
    try:
        with pytest.raises(msgspec.ValidationError) as refused:
            understand(method, raw)
        assert message in str(refused.value)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def in_pieces(raw: msgspec.Raw) -> tuple[TaskSubmit, int]:
    """What was understood, and how often somebody else had a turn meanwhile."""

    async def main() -> tuple[TaskSubmit, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(other())
        try:
            return await understand_tasks(raw), turns
        finally:
            beside.cancel()

    return asyncio.run(main())


def test_large_requests_are_what_they_would_be_and_let_others_by() -> None:
    tasks = [
        {"name": f"t{n}", "payload": {"x": "y" * 2000}, "dependencies": ["a", "b"], "extra": 1}
        for n in range(1000)
    ]
    more = {"reference": "c-1", "while_connected_ms": 500}
    assert {"tasks", *more} == {field.name for field in msgspec.structs.fields(TaskSubmit)}
    raw = msgspec.Raw(msgspec.json.encode({"tasks": tasks, **more}))
    assert understand("task_submit", raw) is None
    found, turns = in_pieces(raw)
    assert found == msgspec.json.decode(raw, type=TaskSubmit)
    assert turns >= len(raw) // (1 << 18)
    small = msgspec.Raw(msgspec.json.encode({"tasks": tasks[:2]}))
    assert understand("task_submit", small) == msgspec.json.decode(small, type=TaskSubmit)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": ""}, "Expected `str` of length >= 1 - at `$.tasks[1].name`"),
        ({}, "missing required field `name` - at `$.tasks[1]`"),
        (3, "Expected `object`, got `int` - at `$.tasks[1]`"),
        ({"name": "a", "requires": ["a"] * 65}, "length <= 64 - at `$.tasks[1].requires`"),
        ({"name": "a", "dependencies": ["a"] * 100_000},
         "length <= 10000 - at `$.tasks[1].dependencies`"),
        ({"name": "a", "resources": {f"{n:09}": 1 for n in range(100_000)}},
         "length <= 64 - at `$.tasks[1].resources`"),
    ],
    ids=["name", "empty", "number", "requires", "dependencies", "resources"],
)  # fmt: skip
def test_mistakes_in_large_requests_are_told_with_the_path(task: Any, message: str) -> None:
    tasks = [{"name": "a", "payload": "x" * LARGE}, task]
    raw = msgspec.Raw(msgspec.json.encode({"tasks": tasks}))
    assert understand("task_submit", raw) is None
    with pytest.raises(msgspec.ValidationError) as refused:
        in_pieces(raw)
    assert message in str(refused.value)


def test_nothing_is_refused_that_may_be_large() -> None:
    for method, params in {
        "module_put": {"data": "A" * (4 * MAX_SMALL)},
        "swarm_launch": {"prompt": "," * (4 * MAX_SMALL)},
        "task_status": {"task_ids": ["i" * 1000] * MAX_TASKS},
        "state_set": {"key": "k", "value": [1] * MAX_SMALL},
        "swarm_inject": {"swarm_id": "s", "prompt": "x" * MAX_SMALL, "nodes": [1] * 1024},
        "turn_event": {"turn_id": "t", "type": "usage", "data": {"a": [0] * MAX_SMALL}},
    }.items():
        assert understand(method, msgspec.Raw(msgspec.json.encode(params)))


def test_a_frame_is_no_array_of_too_many() -> None:
    def array(count: int, pad: str = "") -> bytes:
        return msgspec.json.encode([{"jsonrpc": "2.0", "pad": pad}] * count)

    assert not too_many(array(MAX_ARRAY, "x" * 100), MAX_ARRAY)
    assert too_many(array(MAX_ARRAY + 1, "x" * 100), MAX_ARRAY)
    assert too_many(b" \n" + array(MAX_ARRAY + 1, "x" * 100), MAX_ARRAY)
    assert too_many(array(MAX_ARRAY + 1, "x" * 100).decode(), MAX_ARRAY)
    for other in (b"[" * LARGE * 2, b"x" * LARGE * 2, b"[\xff" + b" " * LARGE, b" " * LARGE * 2):
        assert not too_many(other, MAX_ARRAY)  # decoding it says what it is


def test_our_own_client_sends_no_more_than_may_be() -> None:
    tasks = [Task("t", {"n": n}, "shard") for n in range(2500)]
    batches = list(_batches(tasks))
    assert [len(batch) for batch in batches] == [1000, 1000, 500]
    assert max(map(len, batches)) <= MAX_TASKS
    large = [Task("t", "x" * (3 << 20), "shard") for _ in range(3)]
    assert [len(batch) for batch in _batches(large)] == [1, 1, 1]

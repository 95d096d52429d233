"""Pipelines of Python nodes: order, values, errors, timeouts, cancellation."""

from __future__ import annotations

import asyncio
import functools
import json
import operator
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.pipeline import (
    ArrayFormatError,
    Executor,
    Mode,
    NodeError,
    NodeTimeoutError,
    PipelineError,
    PipelineTimeoutError,
    RunningLoopError,
)

from .pipeline_nodes import meeting
from .pipeline_tools import NODES, equal, pipeline, python

EMPTY = '{"version":"v1","metadata":{"name":"test"},"nodes":[],"connections":[]}'


@pytest.fixture(autouse=True)
def fresh_meeting() -> Iterator[None]:
    meeting.reset()
    yield
    meeting.go_on.set()


@pytest.fixture(params=Mode)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with Executor(request.param) as made:
        yield made


def both(executor: Executor, manifest: Any, items: list[Any] | None = None) -> Any:
    """The outputs of a pipeline, which are the same in sync and in async execution."""
    if items is None:
        found = executor.execute_sync(manifest)
        other = asyncio.run(executor.execute(manifest))
    else:
        found = executor.execute_with_input_sync(manifest, items)
        other = asyncio.run(executor.execute_with_input(manifest, items))
    assert equal(dict(found.outputs), dict(other.outputs))
    assert found.graph_info == other.graph_info
    return found.outputs


def test_nothing(executor: Executor) -> None:
    result = executor.execute_sync(EMPTY)
    assert (result.status, result.outputs, result.durations) == ("success", {}, {})
    assert json.loads(result.to_json()) == {
        "status": "success", "outputs": {}, "durations_ms": {},
        "graph_info": {
            "node_count": 0, "source_count": 0, "sink_count": 0, "execution_order": [],
        },
    }  # fmt: skip
    assert both(executor, EMPTY, [1, 2]) == {}
    with pytest.raises(PipelineError, match="has not one last node: none"):
        result.output  # noqa: B018


def test_a_diamond_of_sync_and_async_nodes(executor: Executor) -> None:
    manifest = pipeline(
        [python("sum", "add"), python("make", "make", params={"count": 3}),
         python("twice", "twice"), python("object", "doubler"), python("half", "doubler.half")],
        ("make", "twice"), ("make", "object"), ("twice", "sum", "a"), ("half", "sum", "b"),
        ("object", "half"),
    )  # fmt: skip
    outputs = both(executor, manifest)
    assert equal(outputs, {"sum": np.array([0, 3, 6], np.float32)})
    result = executor.execute_sync(manifest)
    assert result.graph_info.execution_order == ("make", "twice", "object", "half", "sum")
    assert list(result.durations) == list(result.graph_info.execution_order)
    assert all(taken > 0 for taken in result.durations.values())
    counts = result.graph_info
    assert (counts.node_count, counts.source_count, counts.sink_count) == (5, 1, 1)
    assert equal(result.output, np.array([0, 3, 6], np.float32))
    assert result.to_dict()["outputs"]["sum"]["dtype"] == "float32"


def test_ports_by_name(executor: Executor) -> None:
    manifest = pipeline(
        [python("ports", "ports"), python("all", "collect", params={"fixed": True}),
         python("first", "collect", inputs=["left"])],
        ("ports", "all", "l", "left"), ("ports", "all", "r", "right"), ("ports", "all", "whole"),
        ("ports", "first", None, "left"),
    )  # fmt: skip
    outputs = both(executor, manifest)
    right = np.arange(3)
    whole = {"left": 1, "right": right}
    assert equal(
        outputs,
        {"all": {"fixed": True, "l": 1, "r": right, "whole": whole}, "first": {"left": 1}},
    )


def test_a_port_that_is_not_there(executor: Executor) -> None:
    manifest = pipeline(
        [python("ports", "ports"), python("b", "same")], ("ports", "b", None, "middle")
    )
    message = "node 'b': node 'ports' gave no 'middle': it gave left, right"
    with pytest.raises(NodeError, match=message):
        executor.execute_sync(manifest)


def test_each_item_of_the_input(executor: Executor) -> None:
    manifest = pipeline(
        [python("a", "twice"), python("b", "add", params={"b": 10}), python("c", "add"),
         python("named", "collect", inputs=["item"])],
        ("a", "c", "a"), ("b", "c", "b"),
    )  # fmt: skip
    outputs = both(executor, manifest, [1, 2, 5])
    assert outputs == {"c": [13, 16, 25], "named": [{"item": 1}, {"item": 2}, {"item": 5}]}
    assert both(executor, manifest, []) == {"c": [], "named": []}
    assert both(executor, manifest, [7]) == {"c": [31], "named": [{"item": 7}]}
    for wrong in ("text", {"a": 1}, 3):
        with pytest.raises(PipelineError, match="input_data must be a list of items"):
            executor.execute_with_input_sync(manifest, wrong)  # type: ignore[arg-type]


def test_independent_nodes_run_at_the_same_time() -> None:
    nodes = [
        python("a", "meet", params={"name": "a"}),
        python("b", "meet", params={"name": "b"}),
        python("c", "meet_async", params={"name": "c"}),
    ]
    with Executor() as executor:
        result = asyncio.run(executor.execute(pipeline(nodes)))
    assert result.outputs == {"a": "a", "b": "b", "c": "c"}


def test_sync_execution_has_one_order() -> None:
    names = ["d", "a", "c", "b"]
    nodes = [python(name, "note", params={"name": name}) for name in names]
    with Executor() as executor:
        for _ in range(3):
            meeting.events.clear()
            executor.execute_sync(pipeline(nodes, ("b", "a", "x")))
            assert meeting.events == ["d", "c", "b", "a"]


def test_not_more_calls_at_once_than_allowed() -> None:
    nodes = [python(f"n{number}", "note", params={"name": str(number)}) for number in range(20)]
    with Executor(max_concurrency=1) as executor:
        asyncio.run(executor.execute(pipeline(nodes)))
    assert meeting.events == [str(number) for number in range(20)]
    with pytest.raises(PipelineError, match="max_concurrency must be at least 1"):
        Executor(max_concurrency=0)
    with pytest.raises(PipelineError, match="unknown mode 'fast': known are native, wasm"):
        Executor("fast")


def test_sync_in_a_running_loop_is_refused(executor: Executor) -> None:
    async def inside() -> None:
        with pytest.raises(RunningLoopError, match=r"execute_sync would block .* await execute\("):
            executor.execute_sync(EMPTY)
        with pytest.raises(RunningLoopError, match=r"await execute_with_input\("):
            executor.execute_with_input_sync(EMPTY, [])
        # in another thread there is no loop to block
        result = await asyncio.to_thread(executor.execute_sync, EMPTY)
        assert result.status == "success"

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("function", "message", "cause"),
    [
        ("fail", "ValueError: cannot work on None", ValueError),
        ("fail_soon", "ValueError: soon", ValueError),
        ("stop_iteration", "StopIteration: inside", StopIteration),
        ("leave", "SystemExit: 3", SystemExit),
        ("own_timeout", "TimeoutError: its own", TimeoutError),
        ("cancel_itself", "it cancelled itself", asyncio.CancelledError),
        ("give_coroutine", "it gave something to await, but is no coroutine function", None),
        ("add", "TypeError: add() missing 1 required positional argument: 'a'", TypeError),
        ("nothing", f"there is no {NODES}:nothing: module", AttributeError),
        ("no_function", f"{NODES}:no_function is no function but a int", None),
        ("no.such.module:f", "there is no no.such.module:f: No module named 'no'", ImportError),
    ],
)
def test_errors_of_nodes(
    executor: Executor, function: str, message: str, cause: type[BaseException] | None
) -> None:
    for run in (executor.execute_sync, lambda m: asyncio.run(executor.execute(m))):
        with pytest.raises(NodeError) as caught:
            run(pipeline([python("good", "make"), python("bad", function)]))
        assert str(caught.value).startswith(f"node 'bad': {message}")
        assert (caught.value.node, caught.value.item) == ("bad", None)
        reason = caught.value.__cause__
        assert cause is None or isinstance(reason, cause) or isinstance(
            reason.__cause__ if reason else None, cause
        )


def test_the_item_that_failed_is_named(executor: Executor) -> None:
    manifest = pipeline([python("a", "fail_on_two")])
    with pytest.raises(NodeError, match="node 'a', item 1: LookupError: two") as caught:
        executor.execute_with_input_sync(manifest, [1, 2, 3])
    assert caught.value.item == 1


def test_a_failure_ends_the_others() -> None:
    nodes = [python("waits", "wait_async"), python("fails", "fail_soon"), python("after", "same")]
    with Executor() as executor, pytest.raises(NodeError, match="'fails': ValueError: soon"):
        asyncio.run(executor.execute(pipeline(nodes, ("waits", "after"))))
    assert meeting.events == ["cancelled"]


@pytest.mark.parametrize("function", ["wait_async", "wait_in_thread"])
def test_timeouts(executor: Executor, function: str) -> None:
    manifest = pipeline([python("slow", function, timeout_ms=30)])
    for run in (executor.execute_sync, lambda m: asyncio.run(executor.execute(m))):
        with pytest.raises(NodeTimeoutError, match="'slow': took longer than its timeout_ms of 30"):
            run(manifest)
    with Executor(timeout=0.03) as impatient:
        with pytest.raises(PipelineTimeoutError, match=r"'test' took longer than 0\.03 s"):
            impatient.execute_sync(pipeline([python("slow", function)]))
    with pytest.raises(TimeoutError):
        executor.execute_sync(manifest)


@pytest.mark.parametrize("function", ["wait_async", "wait_in_thread"])
def test_cancellation_of_who_waits(executor: Executor, function: str) -> None:
    async def run() -> None:
        nodes = [python("slow", function), python("after", "note", params={"name": "after"})]
        task = asyncio.create_task(executor.execute(pipeline(nodes, ("slow", "after", "x"))))
        while not meeting.begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    meeting.go_on.set()
    assert "after" not in meeting.events
    if function == "wait_async":
        assert meeting.events == ["cancelled"]


def test_python_functions_run_in_threads_of_the_pipeline() -> None:
    with Executor() as executor:
        result = executor.execute_sync(pipeline([python("where", "thread_name")]))
    assert result.output == "where"
    assert threading.current_thread().name != "where"


def test_a_closed_executor_runs_nothing() -> None:
    executor = Executor()
    executor.close()
    executor.close()
    with pytest.raises(ClosedError, match="the executor is closed"):
        executor.execute_sync(EMPTY)


def test_arrays_are_handed_on_without_a_copy() -> None:
    array = np.arange(10)
    manifest = pipeline([python("a", "same"), python("b", "same"), python("c", "same")],
                        ("a", "b"), ("a", "c"))  # fmt: skip
    with Executor() as native:
        outputs = native.execute_with_input_sync(manifest, [array]).outputs
    assert np.shares_memory(outputs["b"][0], array)
    assert np.shares_memory(outputs["c"][0], array)
    assert array.flags.writeable
    marker = object()
    with Executor() as native:
        outputs = native.execute_with_input_sync(manifest, [marker]).outputs
    assert outputs["b"][0] is marker
    with Executor(Mode.WASM) as executor:
        outputs = executor.execute_with_input_sync(manifest, [array]).outputs
    assert equal(outputs["b"][0], array)
    assert not np.shares_memory(outputs["b"][0], array)


def test_no_node_can_change_what_another_gets(executor: Executor) -> None:
    manifest = pipeline([python("make", "make"), python("bad", "write_into")], ("make", "bad"))
    with pytest.raises(NodeError, match="'bad': ValueError: assignment destination is read-only"):
        executor.execute_sync(manifest)


def test_what_has_no_json_form_goes_only_by_reference() -> None:
    manifest = pipeline([python("a", "give_set"), python("b", "same")], ("a", "b"))
    with Executor() as native:
        result = native.execute_sync(manifest)
        assert result.output == {1, 2}
        with pytest.raises(ArrayFormatError, match=r"outputs\['b'\] has no JSON form: set"):
            result.to_json()
    with Executor("wasm") as executor:
        with pytest.raises(NodeError, match="node 'a': result: value has no JSON form: set"):
            executor.execute_sync(manifest)
        with pytest.raises(ArrayFormatError, match=r"input_data: value has no JSON form: object"):
            executor.execute_with_input_sync(manifest, [object()])




@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A pipeline of sums, each of any nodes before it."""
    count = draw(st.integers(1, 6))
    nodes, wires = [], []
    for number in range(count):
        sources = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        nodes.append(python(f"n{number}", draw(st.sampled_from(["sums", "sums_async"]))))
        for place, source in enumerate(sources):
            wires.append((f"n{source}", f"n{number}", f"p{place}"))
    return pipeline(draw(st.permutations(nodes)), *wires)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(graphs(), st.lists(st.integers(-9, 9), max_size=3) | st.none())
def test_every_way_of_running_gives_the_same(
    manifest: dict[str, Any], items: list[int] | None
) -> None:
    results = []
    for mode in Mode:
        with Executor(mode) as executor:
            results.append(dict(both(executor, manifest, items)))
    assert equal(results[0], results[1])
    assert results[0].keys() == expected(manifest, items).keys()
    assert equal(results[0], expected(manifest, items))


def expected(manifest: dict[str, Any], items: list[int] | None) -> dict[str, Any]:
    """What a pipeline of sums gives, computed in the plainest way."""

    def value(name: str, item: list[int]) -> dict[str, Any]:
        sources = [c["from"] for c in manifest["connections"] if c["to"] == name]
        given_ = item if not sources else [value(source, item)["sum"] for source in sources]
        return {"sum": functools.reduce(operator.add, given_, 1)}

    used = {c["from"] for c in manifest["connections"]}
    sinks = [node["id"] for node in manifest["nodes"] if node["id"] not in used]
    if items is None:
        return {name: value(name, []) for name in sinks}
    return {name: [value(name, [item]) for item in items] for name in sinks}

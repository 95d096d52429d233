"""Pipelines with WebAssembly: arrays in linear memory, commands with JSON, swarms, the corpus."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.pipeline import (
    Executor,
    Mode,
    NodeError,
    load_manifest,
    serialize_numpy,
)
from swarmc.runtime.orchestration.pipeline.modules import MOST_AGENTS, Module

from .pipeline_tools import CORPUS, equal, lib, pipeline, python, scale, spectrum


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWARMC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.syspath_prepend(str(CORPUS / "pipeline"))
        yield


@pytest.fixture(params=Mode)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with Executor(request.param) as made:
        yield made


def power(signal: Any) -> Any:
    return (np.abs(np.fft.rfft(signal.astype(np.float64))) ** 2).astype(np.float32)


def test_the_pipeline_of_the_corpus_against_numpy(executor: Executor) -> None:
    manifest = load_manifest(CORPUS / "pipeline" / "spectrum.json")
    found = executor.execute_sync(manifest)
    other = asyncio.run(executor.execute(manifest))
    assert found.graph_info.execution_order == ("tones", "spectrum", "decibels", "peaks")
    n = np.arange(1024)
    signal = sum(np.cos(2 * np.pi * f * n / 1024) for f in (20, 50, 51.5, 200))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / 1024)
    strength = np.abs(np.fft.rfft(window * signal)) ** 2
    levels = 10 * np.log10(strength / strength.max())
    inner = levels[1:-1]
    is_peak = (inner > -6) & (inner > levels[:-2]) & (inner > levels[2:])
    expected = (np.flatnonzero(is_peak) + 1).astype(np.int32)
    assert expected.tolist() == [20, 50, 200]
    for result in (found, other):
        assert equal(result.output, expected)
        assert result.to_dict()["outputs"] == {"peaks": serialize_numpy(expected)}


@pytest.mark.parametrize("size", [1, 2, 64, 4096])
def test_the_command_computes_what_numpy_does(executor: Executor, size: int) -> None:
    signal = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    found = executor.execute_with_input_sync(pipeline([spectrum()]), [signal, signal[::-1]])
    for spectrum_, reference in zip(found.output, (signal, signal[::-1]), strict=True):
        assert spectrum_.dtype == np.float32
        np.testing.assert_allclose(spectrum_, power(reference), rtol=1e-4, atol=1e-5)


def test_a_swarm_is_one_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatches = []
    original = Module.dispatch

    def counted(self: Module, *args: Any) -> Any:
        result = original(self, *args)
        dispatches.append(len(result))
        return result

    monkeypatch.setattr(Module, "dispatch", counted)
    signals = np.random.default_rng(1).standard_normal((1000, 32)).astype(np.float32)
    inside = pipeline(
        [python("signals", "same"), spectrum(swarm=True), python("stack", "numpy:stack")],
        ("signals", "spectrum"), ("spectrum", "stack"),
    )  # fmt: skip
    with Executor() as executor:
        stacked = executor.execute_with_input_sync(inside, [signals]).output[0]
        np.testing.assert_allclose(stacked, [power(s) for s in signals], rtol=1e-3, atol=1e-4)
        assert dispatches == [1000]
        # and so are many items of the input
        items = executor.execute_with_input_sync(pipeline([spectrum()]), list(signals)).output
        assert dispatches == [1000, 1000]
        assert all(map(np.array_equal, items, stacked))
        # several calls of a swarm, too, whatever their lengths
        lists = [list(signals[:3]), [], list(signals[3:5])]
        parts = executor.execute_with_input_sync(pipeline([spectrum(swarm=True)]), lists).output
        assert dispatches == [1000, 1000, 5]
        assert [len(part) for part in parts] == [3, 0, 2]
        assert all(map(np.array_equal, parts[0] + parts[2], stacked[:5]))


def test_a_swarm_of_an_export_with_shared_inputs(executor: Executor) -> None:
    signals = np.arange(12, dtype=np.float32).reshape(3, 4)
    manifest = pipeline(
        [python("signals", "same"), scale(swarm=["samples"], params={"factor": 2}),
         scale("each", swarm=True), python("factors", "count_rows")],
        ("signals", "scale"), ("signals", "each"), ("factors", "each", "factor"),
        ("signals", "factors"),
    )  # fmt: skip
    outputs = executor.execute_with_input_sync(manifest, [signals]).outputs
    assert equal(outputs["scale"][0], list(signals * 2))
    assert equal(outputs["each"][0], [signals[0] * 0, signals[1] * 1, signals[2] * 2])


def test_lengths_of_a_swarm_must_agree(executor: Executor) -> None:
    manifest = pipeline([python("a", "same"), python("b", "ports_of"), scale(swarm=True)],
                        ("a", "scale"), ("b", "scale", "factor", "right"))  # fmt: skip
    message = "node 'scale', item 0: inputs for different numbers of agents: samples has 2"
    with pytest.raises(NodeError, match=message):
        executor.execute_with_input_sync(manifest, [np.zeros((2, 2), np.float32)])
    with pytest.raises(NodeError, match="'input' must be a list, with a value for each agent, not"):
        executor.execute_with_input_sync(pipeline([spectrum(swarm=True)]), [3])
    with pytest.raises(NodeError, match="it is a swarm, but no input says how many agents"):
        executor.execute_sync(pipeline([spectrum(swarm=True)]))


def test_numbers_go_to_an_export_and_come_back(executor: Executor) -> None:
    manifest = pipeline([lib("fib", "fib"), lib("gcd", "gcd", inputs=["a", "b"], params={"b": 12}),
                         lib("root", "square_root")])  # fmt: skip
    outputs = executor.execute_with_input_sync(manifest, [10, 18]).outputs
    assert outputs == {"fib": [55, 2584], "gcd": [2, 6], "root": [10**0.5, 18**0.5]}
    assert executor.execute_sync(pipeline([lib("count", "count")])).output == 1
    # a fresh instance each time
    assert executor.execute_sync(pipeline([lib("count", "count")])).output == 1


def test_an_array_reaches_the_next_node_where_it_lies_in_memory() -> None:
    manifest = pipeline([scale(params={"factor": 3}), python("next", "same")], ("scale", "next"))
    signal = np.arange(100, dtype=np.float32)
    with Executor() as executor:
        first, second = (
            executor.execute_with_input_sync(manifest, [signal + n]).output[0] for n in range(2)
        )
        (module,) = executor._modules._loaded.values()
        swarm = module.swarm
        assert len(swarm) == 2  # the agents live as long as the arrays
        for agent, array in zip(swarm.agent_ids.tolist(), (first, second), strict=True):
            memory: Any = swarm.view_agent_memories([agent])
            assert np.shares_memory(memory, array)
            assert not array.flags.writeable
            memory[:] = agent + 1
            assert (array.view(np.uint8) == agent + 1).all()
        # nobody looks at the first one any more, so its agent goes before the next one comes
        ids = swarm.agent_ids.tolist()
        del first
        gc.collect()
        third = executor.execute_with_input_sync(manifest, [signal]).output
        assert swarm.agent_ids.tolist() == [ids[1], ids[1] + 1]
        assert np.array_equal(third[0], signal * 3)
        # those of one dispatch stay together
        pair = executor.execute_with_input_sync(manifest, [signal, signal]).output
        del pair[0]
        gc.collect()
        executor.execute_with_input_sync(manifest, [signal])
        assert len(swarm) == 5
        assert np.array_equal(pair[0], signal * 3)


def test_arrays_outlive_what_made_them() -> None:
    manifest = pipeline([scale(params={"factor": 3})])
    signal = np.arange(5000, dtype=np.float32)
    executor = Executor()
    kept = [executor.execute_with_input_sync(manifest, [signal + n]).output[0] for n in range(3)]
    rows = executor.execute_with_input_sync(manifest, [signal] * 3).output
    executor.close()
    del executor
    gc.collect()
    for number, array in enumerate(kept):
        assert np.array_equal(array, (signal + number) * 3)
    assert all(np.array_equal(row, signal * 3) for row in rows)
    part = kept[1][10:20]
    del kept, rows
    gc.collect()
    assert np.array_equal(part, (signal[10:20] + 1) * 3)


def test_a_full_swarm_makes_room_without_touching_what_is_looked_at() -> None:
    manifest = pipeline([scale(params={"factor": 1})])
    with Executor() as executor:
        many = executor.execute_with_input_sync(
            manifest, [np.full(8, n, np.float32) for n in range(MOST_AGENTS + 100)]
        ).output
        more = executor.execute_with_input_sync(
            manifest, [np.full(8, -n, np.float32) for n in range(MOST_AGENTS)]
        ).output
        assert all((array == number).all() for number, array in enumerate(many))
        assert all((array == -number).all() for number, array in enumerate(more))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2.5], [2, 5]),
        (np.array([[1, 2], [3, 4]], np.float32)[:, ::-1], [4, 2, 8, 6]),
        (np.array([1, 2], np.int16), [2, 4]),
        (np.array([1, 2], ">f4"), [2, 4]),
        (np.float32(1.5), [3]),
        ([], []),
    ],
)
def test_what_becomes_an_array(executor: Executor, value: Any, expected: list[float]) -> None:
    manifest = pipeline([scale(params={"factor": 2})])
    (found,) = executor.execute_with_input_sync(manifest, [value]).output
    assert equal(found, np.array(expected, np.float32))


def test_the_shape_of_an_output(executor: Executor) -> None:
    node = scale(params={"factor": 2})
    node["output"] = {"dtype": "float32", "shape": [-1, 2]}
    signal = np.arange(6, dtype=np.float32)
    (found,) = executor.execute_with_input_sync(pipeline([node]), [signal]).output
    assert equal(found, (signal * 2).reshape(3, 2))
    with pytest.raises(NodeError, match="its result: cannot reshape array of size 5"):
        executor.execute_with_input_sync(pipeline([node]), [signal[:5]])


def test_a_module_that_changes_is_loaded_again(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    manifest = pipeline([{"id": "a", "node_type": "wasm", "module": str(path), "function": "f"}])
    for number in (1, 22):
        path.write_text(f'(module (func (export "f") (result i32) (i32.const {number})))')
        assert executor.execute_sync(manifest).output == number


def test_a_closed_executor_closes_its_modules() -> None:
    executor = Executor()
    manifest = pipeline([lib("fib", "fib")])
    executor.execute_with_input_sync(manifest, [1])
    (module,) = executor._modules._loaded.values()
    executor.close()
    assert len(module.swarm) == 0
    with pytest.raises(ClosedError):
        executor.execute_with_input_sync(manifest, [1])


def test_prepare_finds_what_is_missing_and_runs_nothing(executor: Executor) -> None:
    good = pipeline([python("fails", "fail"), lib("fib", "fib")])
    assert asyncio.run(executor.prepare(good)).name == "test"
    with pytest.raises(NodeError, match=r"node 'b': .*exports no function 'no'"):
        asyncio.run(executor.prepare(pipeline([python("fails", "fail"), lib("b", "no")])))


def test_arrays_where_memory_cannot_be_looked_at() -> None:
    """The stand-in for a GPU: arrays are copied out of its memory."""
    nodes = [scale(params={"factor": 2}), scale("more", params={"factor": 3}, swarm=["samples"])]
    signal = np.arange(8, dtype=np.float32)
    with Executor(target="ptx") as executor:
        first = executor.execute_with_input_sync(pipeline(nodes[:1]), [signal, signal[:3]]).output
        second = executor.execute_with_input_sync(pipeline(nodes[1:]), [[signal, signal]]).output
        (module,) = executor._modules._loaded.values()
        assert len(module.swarm) == 0  # nothing looks at an agent's memory
    assert equal(first, [signal * 2, signal[:3] * 2])
    assert equal(second, [[signal * 3, signal * 3]])


def test_an_unknown_target_is_an_error() -> None:
    with Executor(target="abacus") as executor:
        with pytest.raises((NodeError, ArgumentError), match="abacus"):
            executor.execute_sync(pipeline([lib("count", "count")]))

"""Pipelines with WebAssembly: arrays in linear memory, commands with JSON, swarms, the corpus."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.pipeline import (
    Executor,
    Mode,
    NodeError,
    NodeTimeoutError,
    PipelineError,
    load_manifest,
    serialize_numpy,
)
from swarmc.runtime.orchestration.pipeline.modules import MOST_AGENTS, Module

from .pipeline_tools import equal, pipeline, python

CORPUS = Path(__file__).resolve().parents[2] / "corpus"

ODD = """
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 65537))
  (func (export "none") (param i32) (result i32) (i32.const 0))
  (func (export "pair") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1))
  (func (export "both") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))
  (func (export "nothing"))
  (func (export "trap") (param i32)
    (if (i32.eq (local.get 0) (i32.const 2)) (then unreachable))))
"""
ECHO = """
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 131000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""


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


def frames(id_: str, function: str, **more: Any) -> dict[str, Any]:
    module = str(CORPUS / "frames.wasm")
    return {"id": id_, "node_type": "wasm", "module": module, "function": function, **more}


def lib(id_: str, function: str, **more: Any) -> dict[str, Any]:
    return {**frames(id_, function, **more), "module": str(CORPUS / "lib.wasm")}


def scale(id_: str = "scale", **more: Any) -> dict[str, Any]:
    inputs = [{"name": "samples", "dtype": "float32"}, "factor"]
    return frames(id_, "scale", inputs=inputs, output={"dtype": "float32"}, **more)


def spectrum(**more: Any) -> dict[str, Any]:
    module = str(CORPUS / "spectrum.wasm")
    return {"id": "spectrum", "node_type": "wasi", "module": module, **more}


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


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.wasm").write_bytes(wasmtime.wat2wasm(ODD))
    (folder / "echo.wasm").write_bytes(wasmtime.wat2wasm(ECHO))
    (folder / "text.wasm").write_bytes(b"no module")

    def node(function: str | None, module: str = "odd.wasm", **more: Any) -> dict[str, Any]:
        kind = {"node_type": "wasi"} if function is None else {
            "node_type": "wasm", "function": function,
        }  # fmt: skip
        return {"id": "odd", "module": str(folder / module), **kind, **more}

    return node


ARRAY = [{"name": "x", "dtype": "float32"}]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (scale(params={"factor": 2}), r"an array of float64 is no float32: convert it with astype"),
        (frames("a", "mean", inputs=["x"]), "takes a number, not array of float64; an array's"),
        (frames("a", "mean", inputs=[{"name": "x", "dtype": "float64"}, "y"], params={"y": 1}),
         "mean takes 2 parameters .* its inputs are 3"),
        (frames("a", "mean", inputs=["x", "y"]), "input 'y' has no value; connect it"),
        (frames("a", "missing"), "exports no function 'missing'; it exports alloc, scale, mean"),
        (frames("a", "mean", output={"dtype": "int8"}), "must give an address and a number of"),
        (frames("a", "astray", inputs=[{"name": "x", "dtype": "float64"}],
                output={"dtype": "int8"}), "is 1,073,741,826 elements at address 32784: bytes"),
        (frames("a", "mean", inputs=[{"name": "x", "dtype": "float64"}], alloc="mean"),
         "exports no mean"),
        (lib("a", "fib", inputs=[{"name": "x", "dtype": "float64"}]), r"exports no alloc\(i32\)"),
        (lib("a", "_start"), "exports no function '_start'"),
        ({**spectrum(), "module": str(CORPUS / "lib.wasm")}, "lib.wasm is no WASI command"),
        ({**spectrum(), "module": "/nowhere.wasm"}, "cannot read /nowhere.wasm: No such file"),
        (spectrum(), "exited with code 1: 'spectrum: input must be a float32 array"),
        (spectrum(params={"window": "x"}), "exited with code 1: 'spectrum: window must be none"),
        ({**spectrum(), "module": str(CORPUS / "hello.wasm")},
         "its standard output is not JSON: .*: 'hello, swarm'"),
        (spectrum(output_size=10), "wrote more than the 10 bytes of its output_size"),
        (spectrum(fuel=100), "trapped: .*fuel"),
    ],
)  # fmt: skip
def test_errors_of_webassembly_nodes(executor: Executor, node: Any, message: str) -> None:
    item: Any = np.zeros(2)
    if "output_size" in node or "fuel" in node:
        item = np.zeros(2, np.float32)
    with pytest.raises(NodeError, match=message) as caught:
        executor.execute_with_input_sync(pipeline([node]), [item])
    assert caught.value.node == node["id"]


def test_errors_of_odd_modules(
    executor: Executor, odd: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    def run(node: dict[str, Any], items: list[Any]) -> Any:
        return executor.execute_with_input_sync(pipeline([node]), items).output

    assert run(odd("both", inputs=["a", "b"], params={"b": 0.5}), [7]) == [[0.5, 7]]
    assert executor.execute_sync(pipeline([odd("nothing")])).output is None
    with pytest.raises(NodeError, match=r"'odd', item 1: trapped: unreachable \(in function"):
        run(odd("trap"), [1, 2, 3])
    assert run(odd("trap"), [1, 3]) == [None, None]
    with pytest.raises(NodeError, match="'odd', item 0: agent 2: trapped: unreachable"):
        run(odd("trap", swarm=True), [[0, 1, 2]])
    with pytest.raises(NodeError, match="none has no room for the 8 bytes of input 'x'"):
        run(odd("pair", inputs=ARRAY, output={"dtype": "float32"}, alloc="none"), [[1, 2]])
    with pytest.raises(NodeError, match="alloc gave room that is none: bytes 65537 to 65545"):
        run(odd("pair", inputs=ARRAY, output={"dtype": "float32"}), [[1, 2]])
    with pytest.raises(NodeError, match=r"text\.wasm: "):
        run(odd("x", "text.wasm"), [1])
    # what a command reads is JSON with its id, params and inputs
    (said,) = run(odd(None, "echo.wasm", params={"p": [1]}), [{"x": "ü"}])
    assert said == {"id": "odd", "params": {"p": [1]}, "inputs": {"input": {"x": "ü"}}}
    with pytest.raises(PipelineError, match=r"value.* is nan, for which JSON has no word"):
        run(odd(None, "echo.wasm"), [[1.0, np.float64("nan")]])


def test_a_module_that_changes_is_loaded_again(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "m.wat"
    manifest = pipeline([{"id": "a", "node_type": "wasm", "module": str(path), "function": "f"}])
    for number in (1, 22):
        path.write_text(f'(module (func (export "f") (result i32) (i32.const {number})))')
        assert executor.execute_sync(manifest).output == number


@pytest.mark.parametrize("how", ["timeout", "cancel", "sibling"])
def test_webassembly_is_interrupted(how: str) -> None:
    endless = frames("endless", "forever", fuel=1 << 62)
    if how == "timeout":
        endless["timeout_ms"] = 100
    nodes = [endless, *([python("fails", "fail_soon")] if how == "sibling" else [])]

    async def run(executor: Executor) -> None:
        await executor.prepare(pipeline(nodes))  # compiling takes time that is not the node's
        task = asyncio.create_task(executor.execute(pipeline(nodes)))
        if how == "cancel":
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return
        expected = NodeTimeoutError if how == "timeout" else NodeError
        message = "'endless': took longer" if how == "timeout" else "'fails': ValueError: soon"
        with pytest.raises(expected, match=message):
            await task

    with Executor() as executor:
        asyncio.run(run(executor))
        # it has ended, and the module is free for others
        threads = [t for t in threading.enumerate() if t.name == "endless"]
        deadline = time.monotonic() + 5
        while any(t.is_alive() for t in threads) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(t.is_alive() for t in threads)
        mean = frames("mean", "mean", inputs=ARRAY)
        assert executor.execute_with_input_sync(pipeline([mean]), [[1, 2]]).output == [1.5]


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

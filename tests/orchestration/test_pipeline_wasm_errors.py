"""Pipelines with WebAssembly that goes wrong, and WebAssembly that is stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

from swarmc.runtime.orchestration.pipeline import (
    Executor,
    Mode,
    NodeError,
    NodeTimeoutError,
    PipelineError,
)

from .pipeline_tools import CORPUS, frames, lib, pipeline, python, scale, spectrum

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
        deadline = time.monotonic() + 60
        while any(t.is_alive() for t in threads) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(t.is_alive() for t in threads)
        mean = frames("mean", "mean", inputs=ARRAY)
        assert executor.execute_with_input_sync(pipeline([mean]), [[1, 2]]).output == [1.5]

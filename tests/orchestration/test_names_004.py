"""Every name that the document on executing pipelines shows, as Python has it, and what it does."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from swarmc.runtime.cli import app
from swarmc.runtime.orchestration import pipeline as api
from swarmc.runtime.orchestration.pipeline import (
    ExecutionResult,
    Executor,
    Manifest,
    RunningLoopError,
    load_manifest,
    serialize_numpy_wasm,
)

from .pipeline_tools import pipeline, python

#: Of "Testing": what the document pipes into its executor.
TEST_MANIFEST = '{"version":"v1","metadata":{"name":"test"},"nodes":[],"connections":[]}'
CORPUS = Path(__file__).resolve().parents[2] / "corpus"


@pytest.mark.parametrize(
    "name", ["Executor", "Manifest", "ExecutionResult", "load_manifest", "serialize_numpy_wasm"]
)
def test_names_are_exported(name: str) -> None:
    assert name in api.__all__
    assert getattr(api, name).__doc__


@pytest.mark.parametrize(
    ("name", "parameters", "waits"),
    [
        ("execute", ["self", "manifest"], True),
        ("execute_sync", ["self", "manifest"], False),
        ("execute_with_input", ["self", "manifest", "input_data"], True),
        ("execute_with_input_sync", ["self", "manifest", "input_data"], False),
    ],
)
def test_method_signatures(name: str, parameters: list[str], waits: bool) -> None:
    method = getattr(Executor, name)
    signature = inspect.signature(method)
    assert list(signature.parameters) == parameters
    assert signature.return_annotation == "ExecutionResult"
    assert inspect.iscoroutinefunction(method) is waits


def test_manifest_keys() -> None:
    assert list(json.loads(TEST_MANIFEST)) == list(Manifest.model_fields)
    manifest = load_manifest(TEST_MANIFEST)
    assert (manifest.version, manifest.metadata.name) == ("v1", "test")
    assert (manifest.nodes, manifest.connections) == ([], [])


def test_native_async_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``let result = executor.execute(&manifest).await?``"""
    (tmp_path / "pipeline.json").write_text(TEST_MANIFEST)
    monkeypatch.chdir(tmp_path)

    async def main() -> ExecutionResult:
        manifest = load_manifest("pipeline.json")
        executor = Executor()
        return await executor.execute(manifest)

    assert asyncio.run(main()).status == "success"


def test_wasm_sync_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``let result = executor.execute_sync(&manifest)?``"""
    (tmp_path / "pipeline.json").write_text(TEST_MANIFEST)
    monkeypatch.chdir(tmp_path)
    manifest = load_manifest("pipeline.json")
    executor = Executor()
    assert executor.execute_sync(manifest).status == "success"


def test_input_data_is_a_list_of_values() -> None:
    manifest = pipeline([python("double", "twice")])
    executor = Executor()
    found = asyncio.run(executor.execute_with_input(manifest, [1, 2]))
    assert found.outputs == {"double": [2, 4]}
    assert executor.execute_with_input_sync(manifest, [1, 2]).outputs == found.outputs


def test_block_on_is_refused_inside_of_a_loop() -> None:
    async def main() -> None:
        with pytest.raises(RunningLoopError):
            Executor().execute_sync(TEST_MANIFEST)

    asyncio.run(main())


def test_serialize_numpy_wasm() -> None:
    """The document's function takes a slice of f32 and gives these three keys."""
    array = np.array([1.0, -0.5, np.nan], np.float32)
    value = serialize_numpy_wasm(array)
    assert value == {
        "dtype": "float32", "shape": [len(array)],
        "data": base64.b64encode(array.tobytes()).decode(),
    }  # fmt: skip
    assert list(value) == ["dtype", "shape", "data"]


def test_the_result_is_printed_as_pretty_json() -> None:
    """``serde_json::to_string_pretty(&result)``, of a manifest on standard input."""
    result = CliRunner().invoke(app, ["pipeline", "run", "-"], input=TEST_MANIFEST)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["status"] == "success"
    assert result.stdout == json.dumps(found, indent=2) + "\n"
    assert Executor().execute_sync(TEST_MANIFEST).to_json().startswith('{\n  "status"')


def test_execution_modes() -> None:
    """Native and WASM execution, and what the document says of each."""
    array = np.arange(4, dtype=np.float32)
    manifest = pipeline([python("a", "same")])
    native = Executor("native").execute_with_input_sync(manifest, [array]).output[0]
    assert np.shares_memory(native, array)  # zero-copy
    wasm = Executor("wasm").execute_with_input_sync(manifest, [array]).output[0]
    assert np.array_equal(wasm, array)
    assert not np.shares_memory(wasm, array)  # JSON and base64
    assert Executor().mode is api.Mode.NATIVE


def test_async_python_nodes_run_in_every_mode() -> None:
    """The document's WASM mode has none; here nothing is missing there."""
    manifest = pipeline([python("a", "twice")])
    for mode in ("native", "wasm"):
        executor = Executor(mode)
        assert executor.execute_with_input_sync(manifest, [4]).output == [8]


def test_a_wasi_command_reads_stdin_and_writes_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``read_stdin`` and ``println!`` do in the document; any WASI command will do."""
    node: dict[str, Any] = {
        "id": "spectrum", "node_type": "wasi", "module": str(CORPUS / "spectrum.wasm"),
    }  # fmt: skip
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(pipeline([node])).encode()))
    )
    signal = np.array([1, 0, 0, 0], np.float32)
    with Executor() as executor:
        result = executor.execute_with_input_sync(load_manifest("-"), [signal])
    assert result.output[0].tolist() == [1, 1, 1]


def test_the_browser_s_page_takes_what_the_document_s_takes() -> None:
    """``run({args, stdin})`` and ``result.stdout``; tests/…/test_pipeline_browser.py runs it."""
    source = (CORPUS.parent / "docs" / "examples" / "browser" / "run.js").read_text()
    assert "export async function runCommand(module, { argv" in source
    assert "stdin" in source
    assert "stdout: await stdout.bytes()" in source

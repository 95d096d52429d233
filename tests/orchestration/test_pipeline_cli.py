"""``swarmc pipeline``: results, exit codes, standard input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.pipeline import deserialize_numpy, serialize_numpy

from .pipeline_tools import pipeline, python

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
MANIFEST = str(CORPUS / "pipeline" / "spectrum.json")
EMPTY = '{"version":"v1","metadata":{"name":"test"},"nodes":[],"connections":[]}'

Run = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWARMC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def swarmc() -> Run:
    def run(*args: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in ("pipeline", *args)], input=stdin)

    return run


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("options", [[], ["--sync"], ["--mode", "wasm"], ["--json", "--sync"]])
def test_the_pipeline_of_the_corpus(swarmc: Run, options: list[str]) -> None:
    before = list(sys.path)
    result = swarmc("run", MANIFEST, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sys.path == before
    found = json.loads(result.stdout)
    assert list(found) == ["status", "outputs", "graph_info", "durations_ms"]
    assert found["status"] == "success"
    assert deserialize_numpy(found["outputs"]["peaks"]).tolist() == [20, 50, 200]
    assert result.stdout.count("\n") == (1 if "--json" in options else result.stdout.count("\n"))
    assert result.stdout.startswith('{"status"' if "--json" in options else '{\n  "status"')


def test_the_document_s_manifest_on_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swarmc", "pipeline", "run", "-"], input=EMPTY,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["outputs"] == {}


def test_input_and_output_files(swarmc: Run, tmp_path: Path) -> None:
    path = written(tmp_path / "p.json", pipeline([python("neg", "numpy:negative")]))
    array = np.arange(3, dtype=np.int16)
    items = json.dumps([2, serialize_numpy(array)])
    given = tmp_path / "items.json"
    given.write_text(items)
    output = tmp_path / "result.json"
    assert swarmc("run", path, "--input", given, "--output", output).stdout == ""
    for result in (output.read_text(), swarmc("run", path, "-i", "-", stdin=items).stdout):
        first, second = json.loads(result)["outputs"]["neg"]
        assert first == -2
        assert np.array_equal(deserialize_numpy(second), -array)


def test_functions_beside_the_manifest_are_found(swarmc: Run, tmp_path: Path) -> None:
    (tmp_path / "beside_a_manifest.py").write_text("def f(x):\n    return x + 1\n")
    path = written(tmp_path / "p.json", pipeline([python("f", "beside_a_manifest:f")]))
    result = swarmc("run", path, "-i", "-", "--json", stdin="[1, 2]")
    assert json.loads(result.stdout)["outputs"] == {"f": [2, 3]}


@pytest.mark.parametrize(
    ("manifest", "items", "code", "message"),
    [
        ('{"version": "v1",\n "nodes": 1}', None, 2,
         "{path} has 2 mistakes:\n{path}:1:1: key 'metadata' is missing\n{path}:2:11: nodes: inp"),
        (pipeline([python("a", "json:nothing")]), None, 2,
         "node 'a': there is no json:nothing: module"),
        (pipeline([python("a", "json:loads")]), "[1]", 1,
         "node 'a', item 0: TypeError: the JSON object must be str"),
        (pipeline([python("a", "time:sleep")]), "[9]", 1, "pipeline 'test' took longer than 0.5 s"),
        (pipeline([python("a", "builtins:set")]), None, 1, "outputs['a'] has no JSON form: set"),
        (EMPTY, "{}", 2, "<stdin>:1:1: the input must be a list, with one item for each execution"),
        (EMPTY, "[1,\n NaN]", 2, "<stdin>:2:2: [1]: NaN is no JSON"),
        (EMPTY, '[1, {"dtype": "int8", "shape": [], "data": ""}]', 2,
         "<stdin>:1:5: [1]: data has 0 bytes, but int8 of shape [] takes 1"),
    ],
)  # fmt: skip
def test_errors(
    swarmc: Run, tmp_path: Path, manifest: Any, items: str | None, code: int, message: str
) -> None:
    path = tmp_path / "p.json"
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    more = [] if items is None else ["--input", "-"]
    result = swarmc("run", path, "--timeout", "0.5", *more, stdin=items)
    assert (result.exit_code, result.stdout) == (code, "")
    assert "swarmc: error: " in result.stderr
    assert message.replace("{path}", str(path)) in result.stderr


def test_files_that_are_not_there(swarmc: Run, tmp_path: Path) -> None:
    result = swarmc("run", tmp_path / "no.json")
    assert (result.exit_code, "no.json: cannot be read" in result.stderr) == (2, True)
    result = swarmc("run", MANIFEST, "--input", tmp_path / "no.json")
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)
    result = swarmc("run", "-", "--input", "-", stdin=EMPTY)
    assert (result.exit_code, "cannot both be standard input" in result.stderr) == (2, True)


def test_check_shows_the_order(swarmc: Run, tmp_path: Path) -> None:
    result = swarmc("check", MANIFEST)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == """\
pipeline spectrum: 4 nodes, 3 connections
step 1
  tones     python  signals:tones
step 2
  spectrum  wasi    ../spectrum.wasm
step 3
  decibels  python  signals:decibels
step 4
  peaks     wasm    ../frames.wasm peaks
"""
    result = swarmc("check", "-", stdin=EMPTY)
    assert result.stdout == "pipeline test: 0 nodes, 0 connections\n"
    path = written(tmp_path / "p.json", pipeline([python("a", "no_such_module:f")]))
    result = swarmc("check", path)
    assert result.exit_code == 2
    assert "there is no no_such_module:f: No module" in result.stderr


def heed_interrupts() -> None:
    """What a shell starts in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("options", [[], ["--sync"]])
def test_ctrl_c_stops_webassembly(tmp_path: Path, options: list[str]) -> None:
    endless = {"id": "endless", "node_type": "wasm", "module": str(CORPUS / "frames.wasm"),
               "function": "forever", "fuel": 1 << 62}  # fmt: skip
    path = written(tmp_path / "p.json", pipeline([python("first", "announce:begun"), endless]))
    (tmp_path / "announce.py").write_text("def begun():\n    print('begun', flush=True)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "swarmc", "pipeline", "run", str(path), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"  # everything is compiled by then
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "swarmc: interrupted\n")

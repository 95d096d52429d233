"""``swarmc pipeline``: run a manifest, or check it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..errors import ArgumentError
from .cli_terminal import spinner, write_file
from .orchestration.documents.document import read_text
from .orchestration.documents.json_reader import read_json
from .orchestration.graph import GraphNode, render_plan
from .orchestration.pipeline import Executor, Manifest, NodeError, load_manifest
from .orchestration.pipeline.arrays import from_json
from .orchestration.pipeline.errors import ArrayFormatError, PipelineTimeoutError
from .orchestration.pipeline.models import BaseNode, ModuleNode, PythonNode, WasmNode
from .orchestration.pipeline.result import ExecutionResult

_FAILED = 1
_STANDARD = Path("-")


@dataclass(frozen=True, slots=True)
class PipelineCommand:
    """The options of ``swarmc pipeline run`` as they were typed."""

    manifest: Path
    input: Path | None = None
    sync: bool = False
    mode: str = "native"
    target: str | None = None
    timeout: float | None = None
    json: bool = False
    output: Path = _STANDARD


def run_pipeline(command: PipelineCommand) -> int:
    """Run a pipeline and print its result as JSON; returns the exit code.

    Raises:
        SwarmcError: manifest or input are wrong, or something that it names is not there.
    """
    if command.manifest == _STANDARD and command.input == _STANDARD:
        raise ArgumentError("manifest and --input cannot both be standard input")
    manifest = load_manifest(str(command.manifest))
    items = None if command.input is None else _read_items(command.input)
    with (
        _importable(manifest.directory),
        Executor(command.mode, target=command.target, timeout=command.timeout) as executor,
    ):
        with spinner("compiling"):
            asyncio.run(executor.prepare(manifest))
        try:
            with spinner(f"running {manifest.name}"):
                result = _execute(executor, manifest, items, sync=command.sync)
            text = result.to_json(None if command.json else 2)
        except (NodeError, PipelineTimeoutError, ArrayFormatError) as error:
            typer.echo(f"swarmc: error: {error}", err=True)
            return _FAILED
        write_file(command.output, lambda file: file.write(text + "\n"), binary=False)
    return 0


def check_pipeline(path: Path, *, as_json: bool = False) -> None:
    """Check a manifest and all that it names, and print in which order its nodes run.

    Raises:
        SwarmcError: something is wrong.
    """
    manifest = load_manifest(str(path))
    with _importable(manifest.directory), Executor() as executor, spinner("compiling"):
        asyncio.run(executor.prepare(manifest))
    if as_json:
        graph = manifest.graph
        typer.echo(json.dumps({
            "name": manifest.name, "connections": len(manifest.connections),
            "nodes": {name: " ".join(_described(graph[name])) for name in graph.order()},
            "steps": [list(names) for names in graph.levels()],
        }))  # fmt: skip
        return
    typer.echo(f"pipeline {manifest.name}: {_number(len(manifest.nodes), 'node')},"
               f" {_number(len(manifest.connections), 'connection')}")  # fmt: skip
    if manifest.nodes:
        typer.echo(render_plan(manifest.graph, _described))


def _described(node: GraphNode[BaseNode]) -> tuple[str, ...]:
    value = node.value
    if isinstance(value, PythonNode):
        return ("python", value.function)
    assert isinstance(value, ModuleNode)
    kind = "wasm" if isinstance(value, WasmNode) else "wasi"
    function = f" {value.function}" if isinstance(value, WasmNode) else ""
    return (kind, f"{value.module}{function}{', a swarm' if value.swarm else ''}")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _execute(
    executor: Executor, manifest: Manifest, items: list[Any] | None, *, sync: bool
) -> ExecutionResult:
    if items is None:
        if sync:
            return executor.execute_sync(manifest)
        return asyncio.run(executor.execute(manifest))
    if sync:
        return executor.execute_with_input_sync(manifest, items)
    return asyncio.run(executor.execute_with_input(manifest, items))


def _read_items(path: Path) -> list[Any]:
    """The items of an input file.

    Raises:
        DocumentError: it cannot be read, or is no list in JSON.
    """
    name, text = read_text(path)
    document = read_json(name, text)
    if not document.problems and not isinstance(document.data, list):
        document.add("the input must be a list, with one item for each execution", ())
    document.raise_problems()
    items = []
    for number, item in enumerate(document.data):
        try:
            items.append(from_json(item))
        except ArrayFormatError as error:
            document.add(f"[{number}]: {error}", (number,))
    document.raise_problems()
    return items


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let Python find modules beside the manifest, as it does beside a script."""
    path = str(directory.resolve())
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)

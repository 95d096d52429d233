"""Manifests of pipelines: ``load_manifest`` reads one, or says everything that is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from ..graph import GraphNode, TaskGraph, suggestion
from .errors import ManifestError, Problem
from .models import NODE_TYPES, BaseNode, Connection, Metadata, Node, PythonNode
from .positions import JsonDocument, Path, dotted
from .wiring import check_connections

VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Wire:
    """One value that comes into a node.

    Args:
        port: of the node; None: the only argument of a Python function, by position.
        source: the node that it comes from.
        from_port: key of what that gives; None: all.
    """

    port: str | None
    source: str
    from_port: str | None


class Manifest(BaseModel):
    """A pipeline: nodes, and what flows from one to another. :func:`load_manifest` makes one."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    version: Literal["v1"]
    metadata: Metadata
    nodes: list[Node]
    connections: list[Connection] = []

    _source: str = PrivateAttr("<dict>")
    _directory: FilePath = PrivateAttr(default_factory=FilePath)

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return self.metadata.name

    @property
    def source(self) -> str:
        """Where it was read: a path, ``<stdin>``, ``<text>`` or ``<dict>``."""
        return self._source

    @property
    def directory(self) -> FilePath:
        """What paths of modules start from: the manifest's directory, or the current one."""
        return self._directory

    @cached_property
    def graph(self) -> TaskGraph[BaseNode]:
        """The nodes in their order."""
        wires = self.wires
        return TaskGraph(
            GraphNode(node.id, node, tuple(dict.fromkeys(w.source for w in wires[node.id])))
            for node in self.nodes
        )

    @cached_property
    def wires(self) -> dict[str, list[Wire]]:
        """What comes into each node, in the order of the connections."""
        nodes = {node.id: node for node in self.nodes}
        found: dict[str, list[Wire]] = {name: [] for name in nodes}
        for one in self.connections:
            node = nodes[one.target]
            port = one.to_port or node.default_port
            if one.to_port is None and isinstance(node, PythonNode) and not node.inputs:
                found[node.id].append(Wire(None, one.source, one.from_port))
            else:
                found[node.id].append(Wire(port, one.source, one.from_port))
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], directory: str | os.PathLike[str] = ".") -> Self:
        """The manifest that a dictionary is.

        Raises:
            ManifestError: it is none; the error has every problem.
        """
        return _build(cls, dict(data), None, "<dict>", FilePath(directory))

    @classmethod
    def from_text(
        cls, text: str | bytes, source: str = "<text>", directory: str | os.PathLike[str] = "."
    ) -> Self:
        """The manifest of JSON text.

        Raises:
            ManifestError: it is none; the error has every problem with line and column.
        """
        document = JsonDocument(text)
        return _build(cls, document.value, document, source, FilePath(directory))


def load_manifest(source: Any) -> Manifest:
    """Read a manifest.

    Args:
        source: a path; ``-`` for standard input; a dictionary; JSON text, which begins with ``{``;
            an open file; or a manifest, which is given back.

    Raises:
        ManifestError: the file cannot be read, or is no manifest; the error has every problem, each
            with file, line and column.
    """
    if isinstance(source, Manifest):
        return source
    if isinstance(source, Mapping):
        return Manifest.from_dict(source)
    if isinstance(source, bytes):
        return Manifest.from_text(source)
    if isinstance(source, str) and source.lstrip()[:1] == "{":
        return Manifest.from_text(source)
    if isinstance(source, str) and source == "-":
        return Manifest.from_text(_standard_input(), "<stdin>")
    if hasattr(source, "read"):
        return Manifest.from_text(source.read(), str(getattr(source, "name", "<file>")))
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source).__name__
        raise ManifestError("<manifest>", (Problem(f"a {kind} is no manifest, nor names one"),))
    path = FilePath(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(str(path), (Problem(f"cannot read it: {error.strerror}"),)) from None
    return Manifest.from_text(data, str(path), path.parent)


def _standard_input() -> str | bytes:
    buffer = getattr(sys.stdin, "buffer", None)
    data: str | bytes = sys.stdin.read() if buffer is None else buffer.read()
    return data


_M = TypeVar("_M", bound=Manifest)


def _build(
    kind: type[_M], value: Any, document: JsonDocument | None, source: str, directory: FilePath
) -> _M:
    problems = [] if document is None else list(document.problems)
    if not problems or value is not None:
        problems += _problems(value, document)
    if problems:
        distinct = dict.fromkeys(problems)
        ordered = sorted(distinct, key=lambda p: (p.line or 0, p.column or 0))
        raise ManifestError(source, tuple(ordered))
    manifest = kind.model_validate(value)
    manifest._source, manifest._directory = source, directory
    return manifest


def _problems(value: Any, document: JsonDocument | None) -> list[Problem]:
    """Everything that is wrong with the value of a manifest."""

    def problem(message: str, path: Path, *, key: bool = False) -> Problem:
        if document is None:
            return Problem(message, dotted(path))
        return document.problem(message, path, key=key)

    if not isinstance(value, dict):
        return [problem(f"a manifest is an object, not {_kind(value)}", ())]
    found = []
    version = value.get("version", VERSION)
    if version != VERSION:
        message = f"unknown version {version!r}: known is {VERSION!r}"
        found.append(problem(message, ("version",)))
    try:
        Manifest.model_validate(value)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["loc"] != ("version",) or detail["type"] == "missing":
                found.append(problem(*_explained(detail), key=detail["type"] == "extra_forbidden"))
    found += [problem(message, path) for message, path in check_connections(value)]
    return found


def _explained(detail: Any) -> tuple[str, Path]:
    """What pydantic found, in the words of the rest, and the path to it."""
    path = _without_tags(detail["loc"])
    kind, message = detail["type"], str(detail["msg"])
    last = path[-1] if path else ""
    if kind == "missing":
        return f"key {last!r} is missing", path[:-1]
    if kind == "extra_forbidden":
        return f"unknown key {last!r}{suggestion(str(last), _known(detail['loc']))}", path
    if kind == "union_tag_not_found":
        return "key 'node_type' is missing", path
    if kind == "union_tag_invalid":
        tag = str(detail["ctx"]["tag"])
        known = ", ".join(NODE_TYPES)
        close = suggestion(tag, NODE_TYPES) or f": known are {known}"
        return f"unknown node_type {tag!r}{close}", (*path, "node_type")
    if "swarm" in path and kind in ("bool_type", "list_type"):
        return "takes true, false or a list of names of inputs", path
    if kind in ("model_type", "model_attributes_type"):
        return f"takes an object, not {_kind(detail['input'])}", path
    if kind == "value_error":
        return message.removeprefix("Value error, "), path
    shown = repr(detail["input"])
    return f"{message[0].lower()}{message[1:]}, not {shown:.60}", path


def _without_tags(loc: tuple[str | int, ...]) -> Path:
    """A path without pydantic's names for the members of unions."""
    if len(loc) > 2 and loc[0] == "nodes" and loc[2] in NODE_TYPES:
        loc = (*loc[:2], *loc[3:])
    if "swarm" in loc:
        place = loc.index("swarm")
        loc = (*loc[: place + 1], *(step for step in loc[place + 1 :] if isinstance(step, int)))
    return loc


def _known(loc: tuple[str | int, ...]) -> list[str]:
    """Keys that there are where ``loc`` has an unknown one."""
    if len(loc) == 1:
        return list(Manifest.model_fields)
    if loc[0] == "connections":
        return ["from", "to", "from_port", "to_port"]
    if loc[0] == "nodes" and len(loc) == 4:
        return list(NODE_TYPES[str(loc[2])].model_fields)
    return []


def _kind(value: object) -> str:
    names = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")

"""Manifests of pipelines: ``load_manifest`` reads one, or says everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from ..documents.check import shown_path
from ..documents.document import (
    Document,
    DocumentError,
    DocumentPath,
    Problem,
    decode,
    read_text,
)
from ..documents.json_reader import read_json
from ..graph import GraphNode, TaskGraph, suggestion
from .errors import ManifestError
from .models import NODE_TYPES, BaseNode, Connection, Metadata, Node, PythonNode
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
        return _build(cls, Document("<dict>", dict(data)), directory)

    @classmethod
    def from_text(
        cls, text: str | bytes, source: str = "<text>", directory: str | os.PathLike[str] = "."
    ) -> Self:
        """The manifest of JSON text.

        Raises:
            ManifestError: it is none; the error has every problem with line and column.
        """
        with _as_manifest_error():
            data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
            decoded = decode(source, data)
        return _build(cls, read_json(source, decoded), directory)


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
    if hasattr(source, "read"):
        return Manifest.from_text(source.read(), str(getattr(source, "name", "<file>")))
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source).__name__
        raise ManifestError("<manifest>", [Problem(f"a {kind} is no manifest, nor names one")])
    path = FilePath(source)
    with _as_manifest_error():
        name, text = read_text(path)
    return Manifest.from_text(text, name, "." if str(path) == "-" else path.parent)


@contextmanager
def _as_manifest_error() -> Iterator[None]:
    try:
        yield
    except DocumentError as error:
        raise ManifestError(error.name, error.problems) from error


_M = TypeVar("_M", bound=Manifest)


def _build(kind: type[_M], document: Document, directory: str | os.PathLike[str]) -> _M:
    if document.data is not None or not document.problems:
        _check(document)
    if document.problems:
        raise ManifestError(document.name, document.problems)
    manifest = kind.model_validate(document.data)
    manifest._source, manifest._directory = document.name, FilePath(directory)
    return manifest


def _check(document: Document) -> None:
    """Note everything that is wrong with a manifest."""

    def add(message: str, path: DocumentPath, *, key: bool = False) -> None:
        document.add(f"{shown_path(path)}: {message}" if path else message, path, key=key)

    value = document.data
    if not isinstance(value, dict):
        add(f"a manifest is an object, not {_kind(value)}", ())
        return
    version = value.get("version", VERSION)
    if version != VERSION:
        add(f"unknown version {version!r}: known is {VERSION!r}", ("version",))
    try:
        Manifest.model_validate(value)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["loc"] != ("version",) or detail["type"] == "missing":
                add(*_explained(detail), key=detail["type"] == "extra_forbidden")
    for message, path in check_connections(value):
        add(message, path)


def _explained(detail: Any) -> tuple[str, DocumentPath]:
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


def _without_tags(loc: tuple[str | int, ...]) -> DocumentPath:
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

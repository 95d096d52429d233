"""Manifests of workflows, in YAML or TOML, with every mistake told at once and in its place."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..documents.check import check
from ..documents.document import Document, DocumentPath, decode, read_text
from ..graph import GraphNode, find_problems, suggestion
from .schema import EXECUTORS, WorkflowManifest

_TOML_LINE = re.compile(r"""^\s*(\[|[\w"'.-]+(\s*\.\s*[\w"'-]+)*\s*=)""")
_SUFFIXES = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "yaml"}
_IN_ROLLBACK = {
    "dependencies": "a rollback has no dependencies: rollbacks run in the reverse order of what"
    " they undo",
    "rollback": "a rollback has no rollback of its own",
}


class ManifestFormat(enum.Enum):
    """Languages of manifests."""

    YAML = "yaml"
    TOML = "toml"


def load_manifest(
    path: str | Path,
    *,
    format: ManifestFormat | str | None = None,
    executors: Collection[str] | None = EXECUTORS,
) -> WorkflowManifest:
    """Read a manifest from a file, or from standard input if the path is ``-``.

    Args:
        format: ``yaml`` or ``toml``; None: by the file's name, else by its first line.
        executors: what ``dispatch`` may name; None: anything.

    Raises:
        DocumentError: with all mistakes, as ``FILE:LINE:COLUMN: what``.
    """
    name, text = read_text(path)
    return _parse(name, text, format or _SUFFIXES.get(Path(path).suffix.lower()), executors)


def parse_manifest(
    text: str | bytes,
    *,
    name: str = "<manifest>",
    format: ManifestFormat | str | None = None,
    executors: Collection[str] = EXECUTORS,
) -> WorkflowManifest:
    """Read a manifest from a text; otherwise as :func:`load_manifest`."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _parse(name, decode(name, data), format, executors)


def _parse(
    name: str, text: str, format: ManifestFormat | str | None, executors: Collection[str] | None
) -> WorkflowManifest:
    kind = detect_format(text) if format is None else ManifestFormat(format)
    if kind is ManifestFormat.TOML:
        from ..documents.toml_reader import read_toml as read
    else:
        from ..documents.yaml_reader import read_yaml as read
    return _checked(read(name, text), executors)


def manifest_of(
    data: Any, *, name: str = "<manifest>", executors: Collection[str] = EXECUTORS
) -> WorkflowManifest:
    """A manifest from what a file has in it, such as what ``to_data`` gives.

    Raises:
        DocumentError: with all mistakes, as ``NAME: what``.
    """
    return _checked(Document(name, data), executors)


def _checked(document: Document, executors: Collection[str] | None) -> WorkflowManifest:
    def also(document: Document) -> None:
        if executors is not None:
            _check_executors(document, executors)
        _check_graph(document)

    return check(WorkflowManifest, document, unknown=_unknown, also=also)


def detect_format(text: str) -> ManifestFormat:
    """The language of a manifest, by the first line that says something."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return ManifestFormat.TOML if _TOML_LINE.match(line) else ManifestFormat.YAML
    return ManifestFormat.YAML


def _unknown(path: DocumentPath) -> str | None:
    if "rollback" in path[:-1]:
        return _IN_ROLLBACK.get(str(path[-1]))
    return None


def _symbols(document: Document) -> list[tuple[int, dict[str, Any]]]:
    """Index and content of all symbols that have some shape."""
    data = document.data.get("symbols") if isinstance(document.data, dict) else None
    symbols = data if isinstance(data, list) else []
    return [(i, symbol) for i, symbol in enumerate(symbols) if isinstance(symbol, dict)]


def _check_executors(document: Document, executors: Collection[str]) -> None:
    def look(dispatch: object, path: DocumentPath) -> None:
        if isinstance(dispatch, str) and dispatch and dispatch not in executors:
            message = f"there is no executor {dispatch!r}{suggestion(dispatch, executors)}"
            if not message.endswith("?"):
                message += f": there are {', '.join(executors)}"
            document.add(message, path)

    for index, symbol in _symbols(document):
        look(symbol.get("dispatch"), ("symbols", index, "dispatch"))
        rollback = symbol.get("rollback")
        if isinstance(rollback, dict):
            look(rollback.get("dispatch"), ("symbols", index, "rollback", "dispatch"))


def _check_graph(document: Document) -> None:
    nodes, places = [], []
    for index, symbol in _symbols(document):
        name, given = symbol.get("name"), symbol.get("dependencies")
        if not isinstance(name, str) or not name:
            continue
        texts = [(i, d) for i, d in enumerate(given if isinstance(given, list) else [])
                 if isinstance(d, str)]  # fmt: skip
        nodes.append(GraphNode(name, None, tuple(text for _, text in texts)))
        places.append((index, [i for i, _ in texts]))
    for problem in find_problems(nodes):
        index, dependencies = places[problem.node]
        message = problem.message.replace("nodes ", "symbols ", 1)
        if problem.dependency is None:
            document.add(message, ("symbols", index, "name"))
        else:
            place = dependencies[problem.dependency]
            document.add(message, ("symbols", index, "dependencies", place))

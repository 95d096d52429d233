"""YAML to a document: everything in its place, and nothing that could hurt."""

from __future__ import annotations

from typing import Any

import yaml

from .document import (
    MOST_LEVELS,
    MOST_VALUES,
    START,
    Document,
    DocumentError,
    DocumentPath,
    Position,
    Problem,
    position_of,
)

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null", "binary"))
_MERGE = _TAG + "merge"


def read_yaml(name: str, text: str) -> Document:
    """Read one YAML document; dates stay the text that they are written as.

    Mistakes that leave the rest readable, such as a key that stands there twice, are noted in
    the document's problems.

    Raises:
        DocumentError: it is no YAML, or what its aliases stand for is too large.
    """
    document = Document(name)
    try:
        _check_levels(name, text)
        root = yaml.compose(text, SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(name, [Problem(f"is no YAML: {what}", _at(mark))]) from None
    except yaml.reader.ReaderError as error:
        place = position_of(text, error.position) if error.position is not None else None
        raise DocumentError(name, [Problem(f"is no YAML: {error.reason}", place)]) from None
    except yaml.YAMLError as error:
        raise DocumentError(name, [Problem(f"is no YAML: {error}")]) from None
    if root is None:
        raise DocumentError(name, [Problem("is empty")])
    document.data = _Reader(document).value(root, ())
    return document


def _check_levels(name: str, text: str) -> None:
    """Refuse deep nesting before anything descends into it."""
    level = 0
    for event in yaml.parse(text, SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MOST_LEVELS:
                problem = Problem("is nested too deeply", _at(event.start_mark))
                raise DocumentError(name, [problem])
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1


class _Reader:
    """Makes values of nodes, and remembers where they were."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._constructor = yaml.constructor.SafeConstructor()
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: DocumentPath) -> Any:
        """The value of a node."""
        self._count += 1
        place = _place(node)
        if self._count > MOST_VALUES or len(path) > MOST_LEVELS:
            message = "stands for too many values, through aliases"
            raise DocumentError(self._document.name, [Problem(message, place)])
        if id(node) in self._open:
            raise DocumentError(self._document.name, [Problem("contains itself", place)])
        self._document.values[path] = place
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if node.tag != _TAG + "seq":
                self._document.add(f"tag {_short(node.tag)} is not allowed", path)
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: DocumentPath) -> Any:
        if node.tag not in _SCALARS:
            if node.tag != _TAG + "timestamp":
                self._document.add(f"tag {_short(node.tag)} is not allowed", path)
            return node.value
        try:
            return self._constructor.construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._document.add(f"cannot be read as {_short(node.tag).removeprefix('!!')}", path)
            return None

    def _mapping(self, node: yaml.MappingNode, path: DocumentPath) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            self._document.add(f"tag {_short(node.tag)} is not allowed", path)
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(value_node, path, merged)
                continue
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                self._key_is_no_text(key_node)
                continue
            inner = (*path, key)
            if key in found:
                first = self._document.keys[inner].line
                message = f"key {key!r} is there twice; the first is in line {first}"
                self._document.problems.append(Problem(message, _place(key_node)))
                continue
            self._document.keys[inner] = _place(key_node)
            found[key] = self.value(value_node, inner)
        return {**merged, **found}

    def _key_is_no_text(self, node: yaml.Node) -> None:
        shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        hint = ": write it in quotes" if isinstance(node, yaml.ScalarNode) else ""
        self._document.problems.append(Problem(f"key {shown} is no text{hint}", _place(node)))

    def _merge(self, node: yaml.Node, path: DocumentPath, merged: dict[str, Any]) -> None:
        """``<<``: keys of other mappings, of which the first has precedence."""
        here = self._document.values[path]
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._document.problems.append(Problem("<< needs a mapping", _place(source)))
                continue
            values = self.value(source, path)
            for key, value in values.items():
                merged.setdefault(key, value)
        self._document.values[path] = here


def _place(node: yaml.Node) -> Position:
    return _at(node.start_mark) or START


def _at(mark: Any) -> Position | None:
    return None if mark is None else Position(mark.line + 1, mark.column + 1)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag

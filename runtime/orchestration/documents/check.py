"""A document against a pydantic model: every mistake at its place, in plain words."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic
from pydantic_core import ErrorDetails

from ..graph import suggestion
from .document import Document, DocumentPath

M = TypeVar("M", bound=pydantic.BaseModel)

_KINDS = {
    "string_type": "text", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "bool_type": "true or false", "dict_type": "a table of keys",
    "list_type": "a list", "model_type": "a table of keys", "model_attributes_type":
    "a table of keys", "finite_number": "a finite number",
}  # fmt: skip
_BOUNDS = {
    "greater_than": ("more than", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"), "less_than_equal": ("at most", "le"),
}  # fmt: skip


def check(
    model: type[M],
    document: Document,
    *,
    unknown: Callable[[DocumentPath], str | None] = lambda path: None,
    also: Callable[[Document], None] = lambda document: None,
) -> M:
    """The model that a document describes.

    Args:
        unknown: a message of its own for an unknown key at a path.
        also: notes further mistakes; it must cope with data of any shape.

    Raises:
        DocumentError: with all mistakes, those found while the document was read included.
    """
    made: M | None = None
    try:
        made = model.model_validate(document.data)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            _note(detail, model, document, unknown)
    also(document)
    document.raise_problems()
    assert made is not None
    return made


def _note(
    detail: ErrorDetails, model: type[pydantic.BaseModel], document: Document,
    unknown: Callable[[DocumentPath], str | None],
) -> None:  # fmt: skip
    path: DocumentPath = detail["loc"]
    kind, last = detail["type"], path[-1] if path else None
    if kind == "missing":
        document.add(f"{last!r} is missing{_of(path[:-1])}", path[:-1])
    elif kind == "extra_forbidden":
        known = [str(key) for key in _fields_at(model, path[:-1])]
        message = unknown(path) or f"unknown key {last!r}{suggestion(str(last), known)}"
        document.add(message, path, key=True)
    else:
        document.add(_message(detail, path, model), path)


def _of(path: DocumentPath) -> str:
    return f" in {shown_path(path)}" if path else ""


def shown_path(path: DocumentPath) -> str:
    """``symbols[2].parameters.x``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _message(detail: ErrorDetails, path: DocumentPath, model: type[pydantic.BaseModel]) -> str:
    kind, given = detail["type"], detail["input"]
    name = shown_path(path) or "the file"
    context = detail.get("ctx", {})
    if kind in _KINDS:
        quotes = kind == "string_type" and isinstance(given, (int, float))
        hint = ": write it in quotes" if quotes else ""
        return f"{name} must be {_KINDS[kind]}, not {_shown(given)}{hint}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{name} must be {words} {context[key]}, not {_shown(given)}"
    if kind == "enum":
        values = _enum_values(model, path)
        near = suggestion(given, values) if isinstance(given, str) else ""
        return f"{name} must be one of {', '.join(values)}, not {_shown(given)}{near}"
    if kind in ("too_short", "string_too_short"):
        return f"{name} must not be empty"
    if kind == "string_too_long":
        return f"{name} must not be longer than {context['max_length']} characters"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table of keys"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _enum_values(model: type[pydantic.BaseModel], path: DocumentPath) -> list[str]:
    found = _annotation_at(model, path)
    assert isinstance(found, type) and issubclass(found, enum.Enum)
    return [str(member.value) for member in found]


def _fields_at(model: type[pydantic.BaseModel], path: DocumentPath) -> list[str]:
    found = _annotation_at(model, path)
    if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
        return list(found.model_fields)
    return []


def _annotation_at(model: type[pydantic.BaseModel], path: DocumentPath) -> Any:
    """The type that a model declares for what lies at a path."""
    found: Any = model
    for part in path:
        if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
            field = found.model_fields.get(str(part))
            found = _bare(field.annotation) if field else _extra(found)
        else:
            arguments = typing.get_args(found)
            found = _bare(arguments[-1]) if arguments else None
    return found


def _extra(model: type[pydantic.BaseModel]) -> Any:
    """What a model declares for keys that are none of its fields."""
    if model.model_config.get("extra") != "allow":
        return None
    declared = typing.get_type_hints(model).get("__pydantic_extra__")
    arguments = typing.get_args(_bare(declared))
    return _bare(arguments[-1]) if arguments else None


def _bare(annotation: Any) -> Any:
    """A type without Optional and Annotated."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(annotation) if one is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation

"""JSON, with the place of every key and value.

Stricter than :mod:`json`: keys must not repeat, ``NaN`` and ``Infinity`` are no numbers, and
nothing is nested deeper than :data:`MOST_LEVELS`.
"""

from __future__ import annotations

import bisect
import json
import re
from typing import Any

from .check import shown_path
from .document import Document, DocumentPath, Position, Problem

MOST_LEVELS = 100
_SPACE = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_SCALAR_START = frozenset('"-0123456789tfnNI')


def read_json(name: str, text: str) -> Document:
    """What a JSON text says, with its mistakes: at most one of syntax, which ends the reading.

    Args:
        name: of the file, for messages.
    """
    return _Reader(name, text).document


class _Reader:
    def __init__(self, name: str, text: str) -> None:
        self.document = Document(name)
        self._text = text
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._constant = ""
        self._decoder = json.JSONDecoder(parse_constant=self._note_constant)
        try:
            data, end = self._read(self._skip(0), (), 0)
            end = self._skip(end)
            if end != len(text):
                raise _Syntax("more text behind the end", end)
            self.document.data = data
        except _Syntax as error:
            message, at = error.args
            self.document.problems.append(Problem(message, self._position(at)))

    def _position(self, at: int) -> Position:
        line = bisect.bisect_right(self._lines, at)
        return Position(line, at - self._lines[line - 1] + 1)

    def _add(self, message: str, path: DocumentPath, at: int) -> None:
        where = f"{shown_path(path)}: " if path else ""
        self.document.problems.append(Problem(where + message, self._position(at)))

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _note_constant(self, name: str) -> None:
        self._constant = name

    def _read(self, at: int, path: DocumentPath, level: int) -> tuple[Any, int]:
        """The value that begins at ``at``, and where it ends."""
        self.document.values.setdefault(path, self._position(at))
        first = self._text[at : at + 1]
        if level > MOST_LEVELS:
            raise _Syntax(f"nested more than {MOST_LEVELS} levels deep", at)
        if first == "{":
            return self._object(at + 1, path, level + 1)
        if first == "[":
            return self._list(at + 1, path, level + 1)
        return self._scalar(at, path)

    def _scalar(self, at: int, path: DocumentPath) -> tuple[Any, int]:
        if self._text[at : at + 1] not in _SCALAR_START:
            raise _Syntax(self._expected("a value", at), at)
        self._constant = ""
        try:
            value, end = self._decoder.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            if error.msg == "Expecting value":
                raise _Syntax(self._expected("a value", at), at) from None
            message = error.msg[0].lower() + error.msg[1:]
            raise _Syntax(message, error.pos) from None
        except ValueError as error:  # more digits than Python takes
            raise _Syntax(str(error), at) from None
        if self._constant:
            self._add(f"{self._constant} is no JSON", path, at)
        if isinstance(value, str) and not _is_text(value):
            self._add("half of a surrogate pair is no text", path, at)
        return value, end

    def _expected(self, what: str, at: int) -> str:
        found = _WORD.match(self._text, at)
        text = found.group()[:20] if found else self._text[at : at + 1]
        return f"expected {what}, found {text!r}" if text else f"expected {what}, found the end"

    def _list(self, at: int, path: DocumentPath, level: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self._skip(at)
        if self._text[at : at + 1] == "]":
            return items, at + 1
        while True:
            item, at = self._read(self._skip(at), (*path, len(items)), level)
            items.append(item)
            at = self._skip(at)
            if self._text[at : at + 1] == "]":
                return items, at + 1
            if self._text[at : at + 1] != ",":
                raise _Syntax(self._expected("',' or ']'", at), at)
            at += 1

    def _object(self, at: int, path: DocumentPath, level: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(at)
        if self._text[at : at + 1] == "}":
            return found, at + 1
        while True:
            at = self._skip(at)
            if self._text[at : at + 1] != '"':
                raise _Syntax(self._expected("a key in double quotes", at), at)
            key, end = self._scalar(at, path)
            inner = (*path, key)
            if key in found:
                first = self.document.keys[inner].line
                self._add(f"key {key!r} is here twice, first in line {first}", inner, at)
            self.document.keys.setdefault(inner, self._position(at))
            at = self._skip(end)
            if self._text[at : at + 1] != ":":
                raise _Syntax(self._expected("':'", at), at)
            value, at = self._read(self._skip(at + 1), inner, level)
            found.setdefault(key, value)
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return found, at + 1
            if self._text[at : at + 1] != ",":
                raise _Syntax(self._expected("',' or '}'", at), at)
            at += 1


class _Syntax(Exception):
    """Message and offset of what is no JSON."""


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

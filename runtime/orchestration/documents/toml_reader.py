"""TOML to a document: Python's own parser for the values, a scanner for their places."""

from __future__ import annotations

import datetime
import re
import tomllib
from typing import Any

from .document import (
    MOST_LEVELS,
    START,
    Document,
    DocumentError,
    DocumentPath,
    Position,
    Problem,
    position_of,
)

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}#\r\n]*")  # a number, date or boolean
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def read_toml(name: str, text: str) -> Document:
    """Read a TOML document; dates and times become text.

    Raises:
        DocumentError: it is no TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DocumentError(name, [_problem(str(error), text)]) from None
    except RecursionError:
        raise DocumentError(name, [Problem("is nested too deeply")]) from None
    except ValueError as error:  # a number or a date that there is none of
        raise DocumentError(name, [Problem(f"is no TOML: {error}")]) from None
    document = Document(name, _plain(data, name, 0))
    document.values[()] = START
    _Scanner(text, document).scan()
    return document


def _problem(message: str, text: str) -> Problem:
    at = _AT.search(message)
    if at is None:
        return Problem(f"is no TOML: {message}")
    place = position_of(text, None) if at[1] is None else Position(int(at[1]), int(at[2]))
    return Problem(f"is no TOML: {message[: at.start()]}", place)


def _plain(value: Any, name: str, level: int) -> Any:
    if level > MOST_LEVELS:
        raise DocumentError(name, [Problem("is nested too deeply")])
    if isinstance(value, dict):
        return {key: _plain(item, name, level + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, name, level + 1) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


class _Scanner:
    """Goes once over a text that is known to be TOML, and notes where keys and values begin."""

    def __init__(self, text: str, document: Document) -> None:
        self._text = text
        self._keys, self._values = document.keys, document.values
        self._at = 0
        self._line, self._line_start, self._seen = 1, 0, 0
        self._counts: dict[DocumentPath, int] = {}  # lengths so far of arrays of tables

    def scan(self) -> None:
        """Note all places."""
        table: DocumentPath = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)

    def _place(self) -> Position:
        """Where the scanner is; counts on from the last place that was asked for."""
        self._line += self._text.count("\n", self._seen, self._at)
        self._line_start = self._text.rfind("\n", 0, self._at) + 1
        self._seen = self._at
        return Position(self._line, self._at - self._line_start + 1)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return match[0]

    def _header(self) -> DocumentPath:
        place = self._place()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        path: DocumentPath = ()
        keys = self._key()
        for number, (key, key_place) in enumerate(keys):
            path = (*path, key)
            self._keys.setdefault(path, key_place)
            self._values.setdefault(path, place)
            if array and number == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self._values.setdefault(path, place)
        self._at += 2 if array else 1
        return path

    def _key(self) -> list[tuple[str, Position]]:
        """A dotted key, and the blanks around it."""
        parts = []
        while True:
            self._skip(_BLANKS)
            place = self._place()
            if self._text[self._at] in "\"'":
                begun = self._at
                self._string()
                key = next(iter(tomllib.loads(f"{self._text[begun : self._at]} = 0")))
            else:
                key = self._skip(_BARE_KEY)
            parts.append((key, place))
            self._skip(_BLANKS)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _pair(self, table: DocumentPath) -> None:
        path = table
        keys = self._key()
        for key, place in keys:
            path = (*path, key)
            self._keys.setdefault(path, place)
            self._values.setdefault(path, place)
        self._at += 1  # =
        self._skip(_BLANKS)
        self._value(path)

    def _value(self, path: DocumentPath) -> None:
        self._values[path] = self._place()
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._items(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_PLAIN)

    def _string(self) -> None:
        for pattern in _STRINGS:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return
        raise AssertionError("no string where one begins")

    def _items(self, path: DocumentPath) -> None:
        self._at += 1
        self._skip(_SPACE)
        number = 0
        while not self._text.startswith("]", self._at):
            self._value((*path, number))
            number += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: DocumentPath) -> None:
        self._at += 1
        self._skip(_SPACE)
        while not self._text.startswith("}", self._at):
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_SPACE)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_SPACE)

"""JSON with the line and column of everything in it.

Stricter than :mod:`json`: keys must not repeat, ``NaN`` and ``Infinity`` are no numbers, and
nothing is nested deeper than :data:`MOST_LEVELS`.
"""

from __future__ import annotations

import bisect
import json
import re
from typing import Any

from .errors import Problem

#: Keys and indices that lead to a value.
Path = tuple[str | int, ...]

MOST_LEVELS = 100
_SPACE = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_SCALAR_START = frozenset('"-0123456789tfnNI')


class JsonDocument:
    """JSON text, read.

    Attributes:
        value: what it says; None if it is not JSON.
        problems: what is wrong, in the order of the text; at most one of them is of syntax, which
            ends the reading.
    """

    def __init__(self, text: str | bytes) -> None:
        self.value: Any = None
        self.problems: list[Problem] = []
        self._places: dict[Path, int] = {}
        self._keys: dict[Path, int] = {}
        self._lines = [0]
        self._constant = ""
        self._decoder = json.JSONDecoder(parse_constant=self._note_constant)
        self._text = ""
        try:
            self._text = text if isinstance(text, str) else text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = bytes(text[: error.start]).decode("utf-8-sig", "replace")  # type: ignore[arg-type]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            self.problems.append(Problem(f"not UTF-8: {error.reason}", "", line, column))
            return
        self._lines += [found.end() for found in re.finditer("\n", self._text)]
        try:
            self.value, end = self._read(self._skip(0), (), 0)
            if self._skip(end) != len(self._text):
                raise _Syntax("more text behind the end", self._skip(end))
        except _Syntax as error:
            self.value = None
            self.problems.append(Problem(error.args[0], "", *self._line_column(error.args[1])))

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value, or of its key; of what surrounds it if it is not there."""
        while path not in self._places and path:
            path, key = path[:-1], False
        places = self._keys if key and path in self._keys else self._places
        return self._line_column(places.get(path, 0))

    def problem(self, message: str, path: Path, *, key: bool = False) -> Problem:
        """A problem with what a path leads to."""
        return Problem(message, dotted(path), *self.place(path, key=key))

    def _line_column(self, at: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _note_constant(self, name: str) -> None:
        self._constant = name

    def _read(self, at: int, path: Path, level: int) -> tuple[Any, int]:
        """The value that begins at ``at``, and where it ends."""
        self._places.setdefault(path, at)
        first = self._text[at : at + 1]
        if level > MOST_LEVELS:
            raise _Syntax(f"nested more than {MOST_LEVELS} levels deep", at)
        if first == "{":
            return self._object(at + 1, path, level + 1)
        if first == "[":
            return self._list(at + 1, path, level + 1)
        return self._scalar(at, path)

    def _scalar(self, at: int, path: Path) -> tuple[Any, int]:
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
            self.problems.append(self.problem(f"{self._constant} is no JSON", path))
        if isinstance(value, str) and not _is_text(value):
            self.problems.append(self.problem("half of a surrogate pair is no text", path))
        return value, end

    def _expected(self, what: str, at: int) -> str:
        found = _WORD.match(self._text, at)
        text = found.group()[:20] if found else self._text[at : at + 1]
        return f"expected {what}, found {text!r}" if text else f"expected {what}, found the end"

    def _list(self, at: int, path: Path, level: int) -> tuple[list[Any], int]:
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

    def _object(self, at: int, path: Path, level: int) -> tuple[dict[str, Any], int]:
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
                line, column = self._line_column(at)
                first = self._line_column(self._keys[inner])[0]
                message = f"key {key!r} is here twice, first in line {first}"
                self.problems.append(Problem(message, dotted(inner), line, column))
            self._keys.setdefault(inner, at)
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


def dotted(path: Path) -> str:
    """A path as people write it: ``nodes[2].params``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text

"""A file's values and where each stands in it; and all mistakes of a file as one error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OrchestrationError

DocumentPath = tuple[str | int, ...]  #: keys and indices from the outermost value inwards
MOST_BYTES = 4 << 20
MOST_VALUES = 200_000
MOST_LEVELS = 64


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text, both numbers from 1; columns count characters."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake and where it is."""

    message: str
    position: Position | None = None


class DocumentError(OrchestrationError):
    """Everything that is wrong with a file: ``FILE:LINE:COLUMN: what``, a line each.

    Args:
        name: of the file.
        problems: in the order in which they stand in the file.
    """

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.name = name
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.position or START, p.message)))
        lines = []
        for problem in self.problems:
            at = problem.position
            where = name if at is None else f"{name}:{at.line}:{at.column}"
            lines.append(f"{where}: {problem.message}")
        if len(lines) > 1:
            lines.insert(0, f"{name} has {len(lines)} mistakes:")
        super().__init__("\n".join(lines))


@dataclass(slots=True)
class Document:
    """What a file says.

    Args:
        name: of the file, for messages.
        data: its outermost value.
        keys, values: where each key and each value begins.
        problems: mistakes found while it was read.
    """

    name: str
    data: Any = None
    keys: dict[DocumentPath, Position] = field(default_factory=dict)
    values: dict[DocumentPath, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, message: str, path: DocumentPath, *, key: bool = False) -> None:
        """Note a mistake in a value or, if asked, in its key."""
        places = (self.keys, self.values) if key else (self.values, self.keys)
        while path:
            for place in places:
                if path in place:
                    self.problems.append(Problem(message, place[path]))
                    return
            path = path[:-1]
        self.problems.append(Problem(message, self.values.get(())))

    def raise_problems(self) -> None:
        """Raise :class:`DocumentError` if there are any."""
        if self.problems:
            raise DocumentError(self.name, self.problems)


def read_text(path: str | Path) -> tuple[str, str]:
    """Name and text of a file; ``-`` is standard input.

    Raises:
        DocumentError: it cannot be read, is too large, or is no text in UTF-8.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DocumentError(name, [Problem(f"cannot be read: {error.strerror}")]) from None
    return name, decode(name, data)


def decode(name: str, data: bytes) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DocumentError: it is too large, empty, or no text in UTF-8.
    """
    if len(data) > MOST_BYTES:
        raise DocumentError(name, [Problem(f"is larger than {MOST_BYTES >> 20} MiB")])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DocumentError(name, [Problem("is in UTF-16: save it in UTF-8", START)])
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = position_of(data[: error.start].decode("utf-8"), None)
        message = f"is no UTF-8: byte {data[error.start]:#04x}"
        raise DocumentError(name, [Problem(message, place)]) from None
    if "\0" in text:
        place = position_of(text, text.index("\0"))
        raise DocumentError(name, [Problem("has a NUL character in it", place)])
    if not text.strip():
        raise DocumentError(name, [Problem("is empty")])
    return text


def position_of(text: str, offset: int | None) -> Position:
    """The place of a character, or of the end."""
    before = text[:offset]
    line_start = before.rfind("\n") + 1
    return Position(before.count("\n") + 1, len(before) - line_start + 1)

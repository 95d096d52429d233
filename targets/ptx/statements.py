"""Cutting PTX text into statements, which is all the structure that PTX has."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .module import PtxError


class Kind(enum.Enum):
    """What a statement is."""

    OPEN = "{"
    CLOSE = "}"
    LABEL = "label"
    HEADER = "function header"
    DIRECTIVE = "directive"
    INSTRUCTION = "instruction"


@dataclass(frozen=True, slots=True)
class Statement:
    """``text`` lacks comments and the semicolon; white space in it is single blanks.

    ``declares`` says of a header that a semicolon follows, so that there is no body.
    """

    kind: Kind
    text: str
    line: int
    declares: bool = False


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_SPACE = re.compile(r"\s+")
_STATEMENT = re.compile(
    r"""\s*(?:
      (?P<open>\{) | (?P<close>\}) | (?P<empty>;)
    | (?P<line>\.(?:version|target|address_size)\b[^\n]*)
    | (?P<label>[\w$]+)\s*:(?!:)
    | (?P<header>(?:\.(?:visible|extern|weak)\s+)?\.(?:func|entry)\b[^{;]*)(?P<after>[{;])
    | (?P<text>[^;{}\s][^;]*);
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_KINDS = {
    "open": Kind.OPEN, "close": Kind.CLOSE, "label": Kind.LABEL, "header": Kind.HEADER,
    "line": Kind.DIRECTIVE,
}  # fmt: skip


def statements(text: str) -> Iterator[Statement]:
    """The statements of a module, in order.

    Raises:
        PtxError: something ends without a semicolon.
    """
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    position, line = 0, 1
    while True:
        match = _STATEMENT.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            line += text.count("\n", position, len(text) - len(rest))
            raise PtxError("no statement ends here", line=line, text=rest.partition("\n")[0])
        group = "header" if match["header"] is not None else match.lastgroup
        assert group is not None
        start = match.start(group)
        line += text.count("\n", position, start)
        if group == "end":
            return
        if group != "empty":
            yield _statement(group, match, line)
        # The brace after a header is a statement of its own.
        position = match.end() - (match["after"] == "{")
        line += text.count("\n", start, position)


def _statement(group: str, match: re.Match[str], line: int) -> Statement:
    text = _SPACE.sub(" ", match[group]).strip()
    if group == "text":
        kind = Kind.DIRECTIVE if text.startswith(".") else Kind.INSTRUCTION
        return Statement(kind, text, line)
    return Statement(_KINDS[group], text, line, declares=match["after"] == ";")

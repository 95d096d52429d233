"""From words on the command line to what each agent is given.

A text may hold ``{expressions}`` of ``id`` (the agent's place, from 0) and ``agents`` (how many
there are), which are replaced for each agent. Braces with anything else in them stay as they are.
"""

from __future__ import annotations

import ast
import csv
import io
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType
from typing import Any

from ..errors import ArgumentError
from ..ir.types import FuncType, Type
from .values import wrong_count

_GROUP = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r"(?:\{[^{}]*\}|[^\s,{}]|[{}])+")
_NAMES = frozenset({"id", "agents"})
_OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift,
    ast.BitAnd, ast.BitOr, ast.BitXor, ast.UAdd, ast.USub, ast.Invert,
)  # fmt: skip
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def _is_arithmetic(node: ast.AST) -> bool:
    match node:
        case ast.Expression(body=body):
            return _is_arithmetic(body)
        case ast.BinOp(left=left, op=op, right=right):
            return isinstance(op, _OPERATORS) and _is_arithmetic(left) and _is_arithmetic(right)
        case ast.UnaryOp(op=op, operand=operand):
            return isinstance(op, _OPERATORS) and _is_arithmetic(operand)
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.Name(id=name):
            return name in _NAMES
        case _:
            return False


def _expression(text: str) -> CodeType | None:
    """Code of an expression of the agent's id, or None if the text is none."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return compile(tree, text, "eval") if names and _is_arithmetic(tree) else None


class Template:
    """A text with ``{expressions}``; ``constant`` says that it has none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | CodeType] = []
        cursor = 0
        for match in _GROUP.finditer(text):
            code = _expression(match[1])
            if code is not None:
                self._parts += [text[cursor : match.start()], code]
                cursor = match.end()
        self._parts.append(text[cursor:])
        self.constant = len(self._parts) == 1

    def render(self, id_: int, agents: int) -> str:
        """The text of one agent.

        Raises:
            ArgumentError: the expression divides by zero, or is too large.
        """
        names = {"id": id_, "agents": agents}
        try:
            return "".join(
                part if isinstance(part, str) else str(eval(part, {"__builtins__": {}}, names))
                for part in self._parts
            )
        except (ArithmeticError, ValueError, TypeError, MemoryError) as error:
            raise ArgumentError(f"{self.text!r} for agent {id_}: {error}") from None


def words(texts: Sequence[str]) -> list[str]:
    """The values in ``--args``, separated by spaces or commas outside braces."""
    return [match[0] for text in texts for match in _WORD.finditer(text)]


def _integer(text: str) -> int:
    return int(text, 0) if not text.lstrip("+-").isdecimal() else int(text)


def _float(text: str) -> float:
    return float.fromhex(text) if "0x" in text.lower() else float(text)


def _reference(text: str) -> int | None:
    return None if text == "null" else int(text)


_PARSERS: dict[Type, tuple[Callable[[str], Any], str]] = {
    Type.I32: (_integer, "an integer"),
    Type.I64: (_integer, "an integer"),
    Type.F32: (_float, "a number"),
    Type.F64: (_float, "a number"),
    Type.V128: (bytes.fromhex, "32 hexadecimal digits"),
    Type.FUNCREF: (_reference, "null"),
    Type.EXTERNREF: (_reference, "null or a number"),
    Type.ANYREF: (_reference, "null"),
    Type.EXNREF: (_reference, "null"),
}


def parse_value(type_: Type, text: str, where: str) -> Any:
    """A value of a parameter.

    Raises:
        ArgumentError: the text is none.
    """
    parse, what = _PARSERS[type_]
    try:
        return parse(text.strip())
    except ValueError:
        raise ArgumentError(f"{where} is {type_.value}: {text!r} is not {what}") from None


def argument_rows(
    texts: Sequence[str], type_: FuncType, agents: int, name: str
) -> list[Any] | list[list[Any]]:
    """Arguments from ``--args``: one row for all agents, or a list with a row for each."""
    templates = [Template(word) for word in words(texts)]
    if len(templates) != len(type_.params):
        raise wrong_number(type_, len(templates), name)
    where = [f"argument {place} of {name}" for place in range(len(templates))]
    if all(template.constant for template in templates):
        return [
            parse_value(t, template.text, place)
            for t, template, place in zip(type_.params, templates, where, strict=True)
        ]
    columns = [
        [parse_value(t, template.text, place)] * agents if template.constant
        else [parse_value(t, template.render(id_, agents), place) for id_ in range(agents)]
        for t, template, place in zip(type_.params, templates, where, strict=True)
    ]  # fmt: skip
    return [list(row) for row in zip(*columns, strict=True)]


def wrong_number(type_: FuncType, given: int, name: str) -> ArgumentError:
    """The error for a wrong number of arguments, with how they are given here."""
    hint = "--args or --args-file give them" if type_.params else None
    if name == "_start":
        hint = "arguments of its command line come after --"
    return wrong_count(type_.params, given, name, hint)


def read_bytes(path: Path) -> bytes:
    """A file that the user named; - is standard input.

    Raises:
        ArgumentError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror}") from None


def read_text(path: Path) -> str:
    """The same as text.

    Raises:
        ArgumentError: it cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{path} is not UTF-8: {error}") from None


def csv_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file, without empty ones, and without a head that has no number in it."""
    rows = [row for row in csv.reader(read_text(path).splitlines()) if any(map(str.strip, row))]
    return rows[1:] if rows and not any(map(_looks_like_value, rows[0])) else rows


def _looks_like_value(text: str) -> bool:
    for parse in (_integer, _float):
        try:
            parse(text.strip())
        except ValueError:
            continue
        return True
    return text.strip() == "null"


def csv_arguments(rows: list[list[str]], type_: FuncType, name: str) -> list[list[Any]]:
    """Arguments of each agent from the rows of a CSV file.

    Raises:
        ArgumentError: a row has too many or too few values, or a wrong one.
    """
    params = type_.params
    parsed = []
    for number, row in enumerate(rows):
        if len(row) != len(params):
            wrong = wrong_count(params, len(row), name)
            raise ArgumentError(f"row {number} of --args-file: {wrong.message}")
        parsed.append([
            parse_value(t, text, f"argument {place} of {name} in row {number}")
            for place, (t, text) in enumerate(zip(params, row, strict=True))
        ])  # fmt: skip
    return parsed


def input_lines(path: Path) -> list[bytes]:
    """Standard input of each agent: a line each, with its newline."""
    return io.BytesIO(read_bytes(path)).readlines()


def input_directory(path: Path) -> list[bytes]:
    """Standard input of each agent: the files of a directory, in the order of their names.

    Raises:
        ArgumentError: the directory cannot be read.
    """
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror}") from None
    return [read_bytes(file) for file in files]


def argv_lines(path: Path) -> list[list[str]]:
    """Program arguments of each agent: a line each, split as a shell does.

    Raises:
        ArgumentError: a quotation is not closed.
    """
    found = []
    for number, line in enumerate(read_text(path).splitlines()):
        try:
            found.append(shlex.split(line))
        except ValueError as error:
            raise ArgumentError(f"line {number} of {path}: {error}") from None
    return found


@dataclass(frozen=True, slots=True)
class CommandLines:
    """Program arguments and environment as the user gave them."""

    program: str
    argv: tuple[str, ...]
    more: list[list[str]] | None
    env: tuple[str, ...]

    def argvs(self, agents: int) -> list[str] | list[list[str]]:
        """The command line of all agents, or of each."""
        templates = [Template(text) for text in self.argv]
        if self.more is None and all(template.constant for template in templates):
            return [self.program, *self.argv]
        more: Sequence[list[str]] = [[]] * agents if self.more is None else self.more
        return [
            [self.program, *(template.render(id_, agents) for template in templates), *more[id_]]
            for id_ in range(agents)
        ]

    def envs(self, agents: int) -> dict[str, str] | list[dict[str, str]]:
        """The environment of all agents, or of each.

        Raises:
            ArgumentError: a variable has no value.
        """
        pairs = [text.partition("=") for text in self.env]
        for key, equals, _ in pairs:
            if not equals or not key:
                raise ArgumentError(f"--env takes KEY=VALUE, not {key!r}")
        templates = [(key, Template(value)) for key, _, value in pairs]
        if all(template.constant for _, template in templates):
            return {key: template.text for key, template in templates}
        return [
            {key: template.render(id_, agents) for key, template in templates}
            for id_ in range(agents)
        ]


def parse_size(text: str, option: str) -> int:
    """A number of bytes such as 65536, 64KiB or 1.5G (units are powers of 1024).

    Raises:
        ArgumentError: the text is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ArgumentError(f"{option} takes a size such as 65536 or 64KiB, not {text!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def parse_count(text: str, option: str) -> int:
    """A whole number such as 1000, 1_000 or 1e3.

    Raises:
        ArgumentError: the text is none.
    """
    wrong = ArgumentError(f"{option} takes a whole number, not {text!r}")
    try:
        if "e" not in text.lower() or "x" in text.lower():
            return int(text, 0)
        number = float(text)
        if number != int(number):
            raise wrong
    except (ValueError, OverflowError):
        raise wrong from None
    return int(number)


def parse_clock(text: str) -> int:
    """Nanoseconds since the epoch of a time: a number, ISO 8601 (UTC if it does not say) or now.

    Raises:
        ArgumentError: the text is none.
    """
    if text == "now":
        return time.time_ns()
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentError(
            f"--clock takes nanoseconds since 1970, an ISO 8601 time or now, not {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 10**9 + moment.microsecond * 1000

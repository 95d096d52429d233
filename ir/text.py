"""Pieces of the IR's text form that printer and parser share: tokens, strings, immediates."""

from __future__ import annotations

import re
from typing import Any, NoReturn, assert_never

from ..errors import IRError
from .ops import Attr
from .types import EntityId, Shape, Trap, Type

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|;.*|->|-?[\w.%]+|\S')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\')
_BYTE_TEXT = [chr(b) if b in _PLAIN_BYTES else f"\\{b:02x}" for b in range(256)]


def quote(text: str) -> str:
    """A string literal: printable ASCII as it is, anything else as ``\\u{hex}``."""
    return '"' + "".join(
        c if ord(c) < 256 and ord(c) in _PLAIN_BYTES else f"\\u{{{ord(c):x}}}" for c in text
    ) + '"'


def quote_bytes(data: bytes) -> str:
    """A literal of bytes: printable ASCII as it is, anything else as two hex digits."""
    return '"' + "".join([_BYTE_TEXT[b] for b in data]) + '"'


class Cursor:
    """The tokens of one line, and a place among them."""

    __slots__ = ("line", "position", "tokens")

    def __init__(self, text: str, line: int) -> None:
        self.line = line
        self.tokens: list[str] = _TOKEN.findall(text)
        if self.tokens and self.tokens[-1][0] == ";":
            self.tokens.pop()
        self.position = 0

    def fail(self, message: str) -> NoReturn:
        """Raise an IRError that names the line."""
        raise IRError(message, line=self.line)

    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, what: str = "more") -> str:
        """Consume the next token."""
        if self.position >= len(self.tokens):
            self.fail(f"the line ends where {what} is expected")
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, token: str) -> bool:
        """Consume the next token if it is this one."""
        if self.position < len(self.tokens) and self.tokens[self.position] == token:
            self.position += 1
            return True
        return False

    def expect(self, token: str) -> None:
        """Consume the next token, which must be this one."""
        found = self.take(f"'{token}'")
        if found != token:
            self.fail(f"expected '{token}', found '{found}'")

    def end(self) -> None:
        """The line must be at its end."""
        if self.position < len(self.tokens):
            self.fail(f"unexpected '{self.peek()}'")

    def integer(self, what: str = "a number") -> int:
        """Consume a decimal or hexadecimal integer."""
        token = self.take(what)
        try:
            return int(token, 0)
        except ValueError:
            self.fail(f"expected {what}, found '{token}'")

    def natural(self, what: str = "a number") -> int:
        """Consume an integer that is not negative."""
        number = self.integer(what)
        if number < 0:
            self.fail(f"{what} is negative: {number}")
        return number

    def location(self) -> int:
        """Consume ``@offset`` if it is there; -1 if it is not."""
        return self.natural("an offset") if self.accept("@") else -1

    def entity(self) -> EntityId:
        """Consume an entity's id, ``instance.index``."""
        token = self.take("an id")
        instance, _, index = token.partition(".")
        if not (instance.isdecimal() and index.isdecimal()):
            self.fail(f"expected an id like 0.3, found '{token}'")
        return EntityId(int(instance), int(index))

    def type(self) -> Type:
        """Consume the name of a type."""
        token = self.take("a type")
        try:
            return Type(token)
        except ValueError:
            self.fail(f"unknown type '{token}'")

    def shape(self) -> Shape:
        """Consume the name of a shape."""
        token = self.take("a shape")
        try:
            return Shape(token)
        except ValueError:
            self.fail(f"unknown shape '{token}'")

    def types(self) -> tuple[Type, ...]:
        """Consume a parenthesised list of types."""
        self.expect("(")
        found: list[Type] = []
        while not self.accept(")"):
            if found:
                self.expect(",")
            found.append(self.type())
        return tuple(found)

    def string(self) -> str:
        """Consume a string literal."""
        return "".join(
            part if isinstance(part, str) else chr(part) for part in self._literal()
        )

    def bytes(self) -> bytes:
        """Consume a literal of bytes; characters stand for their UTF-8."""
        return b"".join(
            part.encode() if isinstance(part, str) else bytes((part,)) for part in self._literal()
        )

    def _literal(self) -> list[str | int]:
        """The parts of a literal: text, or the number of a byte written ``\\hh``."""
        token = self.take("a string")
        if len(token) < 2 or token[0] != '"' or token[-1] != '"':
            self.fail(f"expected a string, found '{token}'")
        parts: list[str | int] = []
        start = 1
        for match in _ESCAPE.finditer(token, 1, len(token) - 1):
            parts.append(token[start:match.start()])
            start = match.end()
            point, byte, other = match.groups()
            if byte is not None:
                parts.append(int(byte, 16))
            elif point is not None and int(point, 16) < 0x110000:
                parts.append(chr(int(point, 16)))
            elif other in ('"', "\\"):
                parts.append(other)
            else:
                self.fail(f"unknown escape '{match.group()}'")
        parts.append(token[start:-1])
        return parts


def format_const(type_: Type | None, bits: int) -> str:
    """A bit pattern: signed decimal for integers, decimal for references, hexadecimal else."""
    if type_ is None or type_.is_ref:
        return str(bits)
    if type_.is_int:
        return str(bits - (1 << type_.bits) if bits >> (type_.bits - 1) else bits)
    return f"0x{bits:0{type_.bits // 4}x}"


def parse_const(cursor: Cursor, type_: Type | None) -> int:
    """A bit pattern: signed or unsigned, decimal or hexadecimal, that fits the type."""
    number = cursor.integer("a value")
    if type_ is None:
        cursor.fail("a value needs a type")
    low = -1 << (type_.bits - 1) if type_.is_int else 0
    if not low <= number < 1 << type_.bits:
        cursor.fail(f"{number} does not fit in {type_.value}")
    return number & ((1 << type_.bits) - 1)


def format_attr(kind: Attr, value: Any, type_: Type | None) -> str:
    """Text of an immediate of an instruction whose controlling type is ``type_``."""
    if kind is Attr.CONST:
        return format_const(type_, value)
    if isinstance(value, Trap):
        return value.slug
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Shape):
        return str(value.value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def parse_attr(cursor: Cursor, kind: Attr, type_: Type | None) -> Any:
    """Inverse of :func:`format_attr`."""
    match kind:
        case Attr.CONST:
            return parse_const(cursor, type_)
        case Attr.TRAP:
            token = cursor.take("a trap")
            if token.upper() not in Trap.__members__ or not token.islower():
                cursor.fail(f"unknown trap '{token}'")
            return Trap[token.upper()]
        case Attr.SIGNED | Attr.HIGH:
            token = cursor.take("true or false")
            if token not in ("true", "false"):
                cursor.fail(f"expected true or false, found '{token}'")
            return token == "true"
        case (Attr.OFFSET | Attr.WIDTH | Attr.ALIGN | Attr.SIG | Attr.OBJECT | Attr.AMOUNT
              | Attr.LANE | Attr.REGION | Attr.COUNT):
            return cursor.natural(kind.value)
        case (Attr.MEMORY | Attr.SRC_MEMORY | Attr.GLOBAL | Attr.TABLE | Attr.SRC_TABLE
              | Attr.DATA | Attr.ELEM | Attr.FUNC):
            return cursor.entity()
        case Attr.SHAPE:
            return cursor.shape()
        case Attr.LANES:
            token = cursor.take("lanes")
            try:
                return bytes.fromhex(token)
            except ValueError:
                cursor.fail(f"expected hexadecimal digits of lanes, found '{token}'")
        case _:
            assert_never(kind)

"""Scripts of the specification's suite (.wast): split into commands, with modules as bytes.

Only as much of the text format is understood as tells one command from the next; a module's text
is turned into bytes by wasmtime's ``wat2wasm``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from ...errors import SwarmcError
from .oracle import load_wasmtime
from .wast_values import Const, Pattern, parse_const, parse_pattern

_TOKEN = re.compile(rb'\s+|;;[^\n]*|\(;|\(|\)|"(?:[^"\\]|\\.)*"|[^\s()";]+|;')
_COMMENT = re.compile(rb"\(;|;\)")
_ESCAPE = re.compile(rb"\\(u\{[0-9a-fA-F_]+\}|[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


class ScriptError(SwarmcError):
    """A script that is none, or that uses what the runner does not know."""


class TextError(SwarmcError):
    """Text of a module that is malformed, as wasmtime says."""


@dataclass(frozen=True, slots=True)
class Node:
    """A parenthesised expression: its place in the script, and the tokens and nodes in it."""

    start: int
    end: int
    items: list[bytes | Node]

    @property
    def head(self) -> bytes:
        """The keyword it begins with, empty if there is none."""
        first = self.items[0] if self.items else b""
        return first if isinstance(first, bytes) else b""

    def words(self) -> list[bytes]:
        """The tokens directly in it."""
        return [item for item in self.items if isinstance(item, bytes)]

    def nodes(self) -> list[Node]:
        """The expressions directly in it."""
        return [item for item in self.items if isinstance(item, Node)]


class Form(Enum):
    """How a script gives a module."""

    TEXT = "text"
    BINARY = "binary"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class ModuleText:
    """A module as the script gives it: its bytes, or text.

    ``definition``: it is not instantiated; instances of it may come later.
    """

    name: str | None
    form: Form
    content: bytes
    definition: bool = False

    def binary(self) -> bytes:
        """Its bytes in the binary format.

        Raises:
            TextError: the text is malformed.
            TargetError: wasmtime, which translates text, is not installed.
        """
        if self.form is Form.BINARY:
            return self.content
        wasmtime = load_wasmtime()
        # wat2wasm takes str; strings in scripts are arbitrary bytes.
        content = self.content
        if self.form is Form.TEXT:
            text = "".join(chr(byte) if byte < 128 else f"\\{byte:02x}" for byte in content)
        else:
            text = content.decode("utf-8", "surrogateescape")
        try:
            return bytes(wasmtime.wat2wasm(text))
        except (wasmtime.WasmtimeError, UnicodeEncodeError) as error:
            raise TextError(str(error)) from error


@dataclass(frozen=True, slots=True)
class InstanceOf:
    """A further instance of a definition; names may be missing."""

    name: str | None
    definition: str | None


@dataclass(frozen=True, slots=True)
class Invoke:
    """A call of an export; ``module`` None: of the last module."""

    module: str | None
    name: str
    args: tuple[Const, ...]


@dataclass(frozen=True, slots=True)
class Get:
    """Reading an exported global."""

    module: str | None
    name: str


Action: TypeAlias = Invoke | Get


@dataclass(frozen=True, slots=True)
class Register:
    """Makes a module's exports known under a name for imports."""

    name: str
    module: str | None


class Kind(Enum):
    """What a command claims."""

    MODULE = "module"
    REGISTER = "register"
    ACTION = "action"
    RETURN = "assert_return"
    TRAP = "assert_trap"
    EXHAUSTION = "assert_exhaustion"
    EXCEPTION = "assert_exception"
    INVALID = "assert_invalid"
    MALFORMED = "assert_malformed"
    UNLINKABLE = "assert_unlinkable"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a script.

    Attributes:
        line: where it begins, from 1.
        body: what it does or is about.
        message: the beginning of the error that is expected.
        expected: one for each result.
    """

    line: int
    kind: Kind
    body: ModuleText | InstanceOf | Action | Register
    message: str = ""
    expected: tuple[Pattern, ...] = ()


def read_script(source: bytes) -> list[Command]:
    """The commands of a script.

    Raises:
        ScriptError: it is not well-formed, or a command is unknown.
    """
    nodes = list(split(source))
    if nodes and nodes[0].head not in _KNOWN:  # the fields of a module, without the module
        return [Command(1, Kind.MODULE, ModuleText(None, Form.TEXT, source))]
    commands, line, position = [], 1, 0
    for node in nodes:
        line += source.count(b"\n", position, node.start)
        position = node.start
        commands.append(_command(source, node, line))
    return commands


def split(source: bytes) -> Iterator[Node]:
    """The expressions at the top level."""
    pos = 0
    open_: list[Node] = []
    while pos < len(source):
        match = _TOKEN.match(source, pos)
        if match is None:
            raise ScriptError(f"unexpected {source[pos:pos + 20]!r}", offset=pos)
        token, start, pos = match.group(), pos, match.end()
        if token == b"(;":
            pos = _skip_comment(source, pos)
        elif token == b"(":
            open_.append(Node(start, start, []))
        elif token[:1].isspace() or token.startswith(b";;"):
            pass
        elif not open_:
            raise ScriptError(f"unexpected {token!r}", offset=start)
        elif token != b")":
            open_[-1].items.append(token)
        else:
            done = open_.pop()
            done = Node(done.start, pos, done.items)
            if done.head.startswith(b"@"):
                continue  # an annotation, which means nothing
            if open_:
                open_[-1].items.append(done)
            else:
                yield done
    if open_:
        raise ScriptError("an expression does not end", offset=open_[0].start)


def _skip_comment(source: bytes, pos: int) -> int:
    depth = 1
    while depth:
        match = _COMMENT.search(source, pos)
        if match is None:
            raise ScriptError("a comment does not end", offset=pos)
        depth += 1 if match.group() == b"(;" else -1
        pos = match.end()
    return pos


def unquote(token: bytes) -> bytes:
    """The bytes that a string in the text format means."""

    def meaning(match: re.Match[bytes]) -> bytes:
        body = match.group(1)
        if body.startswith(b"u{"):
            return chr(int(body[2:-1], 16)).encode()
        return bytes([int(body, 16)]) if len(body) == 2 else _LETTERS.get(body, body)

    return _ESCAPE.sub(meaning, token[1:-1])


_ASSERTIONS = {kind.value.encode(): kind for kind in Kind if kind.value.startswith("assert")}
_KNOWN = {b"module", b"register", b"invoke", b"get", *_ASSERTIONS}


def _command(source: bytes, node: Node, line: int) -> Command:
    head = node.head
    if head == b"module":
        words = node.words()[1:]
        if words[:1] == [b"instance"]:
            names = [word.decode() for word in words[1:]]
            body: ModuleText | InstanceOf | Action = InstanceOf(*(*names, None, None)[:2])
        else:
            body = _module(source, node)
        return Command(line, Kind.MODULE, body)
    if head == b"register":
        words = node.words()
        name = words[2].decode() if len(words) > 2 else None
        return Command(line, Kind.REGISTER, Register(_string(words[1]), name))
    if head in (b"invoke", b"get"):
        return Command(line, Kind.ACTION, _action(node))
    kind = _ASSERTIONS.get(head)
    nodes = node.nodes()
    if kind is None or not nodes:
        raise ScriptError(f"unknown command {head.decode(errors='replace')!r} in line {line}")
    subject = nodes[0]
    body = _module(source, subject) if subject.head == b"module" else _action(subject)
    if kind is Kind.RETURN:
        return Command(line, kind, body, expected=tuple(map(_pattern, nodes[1:])))
    message = "" if kind is Kind.EXCEPTION else _string(node.words()[-1])
    return Command(line, kind, body, message)


def _string(token: bytes) -> str:
    """A string as a name; bytes that are no UTF-8 are kept apart."""
    return unquote(token).decode("utf-8", "surrogateescape")


def _module(source: bytes, node: Node) -> ModuleText:
    words = node.words()[1:]
    name = None
    content = source[node.start:node.end]
    definition = words[:1] == [b"definition"]
    if definition:
        del words[0]
        content = content.replace(b"definition", b"", 1)
    if words and words[0].startswith(b"$"):
        name = words.pop(0).decode()
    if words and words[0] in (b"binary", b"quote"):
        form = Form(words[0].decode())
        return ModuleText(name, form, b"".join(map(unquote, words[1:])), definition)
    return ModuleText(name, Form.TEXT, content, definition)


def _action(node: Node) -> Action:
    words = node.words()[1:]
    module = words.pop(0).decode() if words[0].startswith(b"$") else None
    name = _string(words[0])
    if node.head == b"get":
        return Get(module, name)
    return Invoke(module, name, tuple([parse_const(_texts(arg)) for arg in node.nodes()]))


def _pattern(node: Node) -> Pattern:
    if node.head == b"either":
        first, *others = map(_pattern, node.nodes())
        return replace(first, others=tuple(others))
    return parse_pattern(_texts(node))


def _texts(node: Node) -> list[str]:
    return [word.decode() for word in node.words()]

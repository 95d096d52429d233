"""Modules for the tests of the binary format: the corpus, and the specification's suite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
SUITE = ROOT.parent / "shared" / "spec" / "2.0"

_TOKEN = re.compile(rb'\s+|;;[^\n]*|\(;|\(|\)|"(?:[^"\\]|\\.)*"|[^\s()";]+')
_ESCAPE = re.compile(rb"\\(u\{[0-9a-fA-F]+\}|[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}

#: A parenthesised expression: where it starts and ends in the script, and what it holds.
_Node = tuple[int, int, list[Any]]


def _skip_comment(source: bytes, pos: int) -> int:
    depth = 1
    while depth:
        match = re.compile(rb"\(;|;\)").search(source, pos)
        assert match is not None
        depth += 1 if match.group() == b"(;" else -1
        pos = match.end()
    return pos


def _commands(source: bytes) -> Iterator[_Node]:
    """The top-level expressions of a script."""
    pos = 0
    open_: list[tuple[int, list[Any]]] = []
    while pos < len(source):
        match = _TOKEN.match(source, pos)
        assert match is not None, source[pos:pos + 40]
        token = match.group()
        pos = match.end()
        if token == b"(;":
            pos = _skip_comment(source, pos)
        elif token == b"(":
            open_.append((match.start(), []))
        elif token == b")":
            start, items = open_.pop()
            if not open_:
                yield start, pos, items
            else:
                open_[-1][1].append((start, pos, items))
        elif not token[:1].isspace() and not token.startswith(b";;"):
            open_[-1][1].append(token)


def _unquote(token: bytes) -> bytes:
    def replace(match: re.Match[bytes]) -> bytes:
        body = match.group(1)
        if body.startswith(b"u{"):
            return chr(int(body[2:-1], 16)).encode()
        return bytes([int(body, 16)]) if len(body) == 2 else _LETTERS.get(body, body)
    return _ESCAPE.sub(replace, token[1:-1])


def _binary(source: bytes, module: _Node) -> bytes | None:
    """The bytes of a module expression, None if it is quoted text or text not for wat2wasm."""
    start, end, items = module
    head = [item for item in items[1:3] if isinstance(item, bytes)]
    if b"quote" in head:
        return None
    if b"binary" in head:
        return b"".join(_unquote(item) for item in items[1:]
                        if isinstance(item, bytes) and item.startswith(b'"'))
    # wat2wasm takes str; strings in the suite are arbitrary bytes.
    text = "".join(chr(byte) if byte < 128 else f"\\{byte:02x}" for byte in source[start:end])
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError:
        return None


def _suite() -> Iterator[tuple[str, str, bytes, str]]:
    for path in sorted(SUITE.glob("*.wast")):
        source = path.read_bytes()
        for start, end, items in _commands(source):
            kind = items[0].decode()
            if kind == "module":
                module, message = (start, end, items), ""
            elif kind in ("assert_malformed", "assert_invalid"):
                module, message = items[1], _unquote(items[2]).decode()
            else:
                continue
            data = _binary(source, module)
            if data is not None:
                where = f"{path.name}:{source.count(bytes([10]), 0, start) + 1}"
                yield where, kind, data, message


@pytest.fixture(scope="session")
def suite() -> list[tuple[str, str, bytes, str]]:
    """Modules of the specification's 2.0 suite: (file:line, command, bytes, message expected).

    The command is ``module``, ``assert_malformed`` or ``assert_invalid``.
    """
    if not SUITE.is_dir():
        pytest.skip("the specification's suite is not at ../shared/spec/2.0")
    return list(_suite())


@pytest.fixture(scope="session")
def corpus_modules() -> list[tuple[str, bytes]]:
    """The corpus: (name, bytes)."""
    modules = [(path.name, path.read_bytes()) for path in sorted(CORPUS.glob("*.wasm"))]
    assert modules
    return modules

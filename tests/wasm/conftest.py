"""Modules for the tests of the binary format: the corpus, and the specification's suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmc.runtime.tools.wast import Form, Kind, ModuleText, TextError, read_script

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
SUITE = ROOT.parent / "shared" / "spec" / "2.0"

_KINDS = (Kind.MODULE, Kind.INVALID, Kind.MALFORMED)


def _suite() -> Iterator[tuple[str, str, bytes, str]]:
    for path in sorted(SUITE.rglob("*.wast")):
        for command in read_script(path.read_bytes()):
            body = command.body
            if not isinstance(body, ModuleText) or command.kind not in _KINDS:
                continue
            if command.kind is Kind.MALFORMED and body.form is not Form.BINARY:
                continue  # it is the text that is malformed
            try:
                data = body.binary()
            except TextError:
                continue
            yield f"{path.name}:{command.line}", command.kind.value, data, command.message


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

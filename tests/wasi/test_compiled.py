"""The WASI functions that are compiled beforehand are those that Numba makes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from swarmc.runtime import hosts
from swarmc.runtime.tools import wasi_code
from swarmc.runtime.wasi import compiled, table
from swarmc.targets.executable import HostImport

EXIT = table.implementation(table.PREVIEW1, "proc_exit")


def test_the_file_is_up_to_date() -> None:
    hint = "run python -m swarmc.runtime.tools.wasi_code"
    there = json.loads(gzip.decompress(compiled.FILE.read_bytes()))
    assert there["made from"] == compiled.made_from(), hint
    if there["python"] != wasi_code.python_version():
        pytest.skip("Numba writes other code for other versions of Python")
    # Numba counts what it compiles in the names that it gives, so the process is to be a new one.
    code = (
        "import sys; from swarmc.runtime.tools.wasi_code import render;"
        " sys.stdout.buffer.write(render())"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert there == json.loads(gzip.decompress(made)), hint


def test_what_was_made_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled.compiled_text(EXIT) is not None
    monkeypatch.setattr(compiled, "made_from", lambda: "others")
    compiled._texts.cache_clear()
    try:
        assert compiled.compiled_text(EXIT) is None
    finally:
        compiled._texts.cache_clear()


def test_without_the_file_numba_compiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compiled, "FILE", tmp_path / "none")
    monkeypatch.setattr(hosts, "_addresses", {})
    compiled._texts.cache_clear()
    try:
        assert compiled.compiled_text(EXIT) is None
        type_ = table.signature(table.PREVIEW1, "proc_exit")
        assert type_ is not None
        assert all(hosts.resolve([HostImport(table.PREVIEW1, "proc_exit", type_)]))
    finally:
        compiled._texts.cache_clear()

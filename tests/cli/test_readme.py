"""The README's Python and its commands do what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    text = "\n".join(blocks("sh"))
    return [line for line in text.splitlines() if line.startswith("swarmc ")]


@pytest.mark.parametrize("source", blocks("python"))
def test_python(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "corpus").symlink_to(ROOT / "corpus")
    monkeypatch.chdir(tmp_path)  # some write files
    exec(compile(source, "README.md", "exec"), {})


@pytest.mark.parametrize("line", [c for c in commands() if "corpus/" in c])
def test_commands(
    line: str, swarmc: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "inputs.txt").write_text("one two\nthree\n")
    (tmp_path / "rows.csv").write_text("12,18\n7,21\n")
    (tmp_path / "corpus").symlink_to(ROOT / "corpus")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)[1:]
    result = swarmc(*words)
    assert result.exit_code == 0, result.output


def test_every_document_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert "docs/architecture.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []

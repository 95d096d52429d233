"""The examples of the pages on orchestration run, and print what the pages say they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "orchestration.md", *sorted(DOCS.glob("orchestration/*.md"))]
#: A block of Python whose first line names it, and the block of output behind it, if there is one.
EXAMPLE = re.compile(
    r"^```python\n# run: (?P<name>\S+)\n(?P<code>.*?)^```$"
    r"(?:\n\n^```(?:text)?\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = [
    pytest.param(found["code"], found["output"], id=f"{page.name}:{found['name']}")
    for page in PAGES
    for found in EXAMPLE.finditer(page.read_text(encoding="utf-8"))
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert sum(output is not None for _code, output in (one.values for one in EXAMPLES)) >= 8


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_example(code: str, output: str | None, tmp_path: Path) -> None:
    for folder in ("corpus", "docs"):  # examples name files of the repository
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    for _ in range(2 if "tasks.db" in code else 1):  # a second run finds what the first one left
        _run(output, tmp_path)


def _run(output: str | None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if output is not None:
        assert done.stdout == output

"""The example of docs/arrays.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_example(
    monkeypatch: pytest.MonkeyPatch, shared_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "arrays.md").read_text("utf-8"), re.M | re.S
    )
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(shared_cache))
    exec(compile(source, "arrays.md", "exec"), {})
    assert capsys.readouterr().out.endswith("instructions an agent\n")

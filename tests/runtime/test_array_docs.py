"""The examples of docs/arrays.md and docs/dispatching.md do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("page", "blocks"), [("arrays.md", 1), ("dispatching.md", 2)])
def test_examples(
    page: str, blocks: int, monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    sources = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(sources) == blocks
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(shared_cache))
    exec(compile("\n".join(sources), page, "exec"), {})

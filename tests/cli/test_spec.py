"""``swarmc spec``: the score on the terminal and in files, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result


def test_score_and_files(swarmc: Callable[..., Result], tmp_path: Path) -> None:
    script, page, data = (tmp_path / name for name in ("a.wast", "page.md", "data.json"))
    script.write_text('(module (func (export "f") (result i32) (i32.const 1)))\n'
                      '(assert_return (invoke "f") (i32.const 1))')
    result = swarmc("spec", str(script))
    assert result.exit_code == 0, result.output
    assert "100.00 %" in result.output
    script.write_text(script.read_text() + '\n(assert_return (invoke "f") (i32.const 2))')
    result = swarmc("spec", str(tmp_path), "--json", str(data), "--markdown", str(page))
    assert result.exit_code == 1
    assert "a.wast:3: assert_return: (i32 0x1) instead of (i32 0x2)" in result.output
    assert json.loads(data.read_text())["totals"] == {"passed": 2, "failed": 1, "skipped": 0}
    assert "a.wast:3 assert_return" in page.read_text()


def test_wrong_input(swarmc: Callable[..., Result], tmp_path: Path) -> None:
    assert swarmc("spec", str(tmp_path)).exit_code == 2
    (tmp_path / "a.wast").write_text("(module")
    result = swarmc("spec", str(tmp_path))
    assert result.exit_code == 2
    assert "a.wast: an expression does not end" in result.output

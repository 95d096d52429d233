"""``swarmc fuzz`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from swarmc.compiler.pipeline import LEVELS
from swarmc.compiler.wasm.opcodes import BY_NAME
from swarmc.runtime.tools.malformed import Judge

Swarmc = Callable[..., Result]


def test_json(swarmc: Swarmc, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    result = swarmc("fuzz", "--seconds", "1", "--seed", "7", "-o", tmp_path, "--json", file)
    assert result.exit_code == 0, result.output
    report = json.loads(file.read_text())
    assert report["seed"] == 7 and report["tested"] == ["cpu"] and report["mismatches"] == []
    assert report["modules"] == report["generators"]["ours"] >= 1
    assert report["instructions"]["total"] == len(BY_NAME)
    assert 20 < report["instructions"]["executed"] <= report["instructions"]["generated"]
    assert f"of {len(BY_NAME)} generated" in result.output


def test_passes_are_tested_one_by_one(swarmc: Swarmc, tmp_path: Path) -> None:
    result = swarmc("fuzz", "--passes", "--seconds", "0.1", "--seed", "2", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    for number, run in enumerate(LEVELS[-1], 1):
        assert f"after pass {number}, {run.__name__}" in result.output


def test_malformed(swarmc: Swarmc, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    result = swarmc("fuzz", "--malformed", "50", "--seed", "5", "-o", tmp_path, "--json", file)
    assert result.exit_code == 0, result.output
    report = json.loads(file.read_text())
    assert report["seed"] == 5 and report["modules"] == 50 and report["mismatches"] == []
    assert report["accepted"] + sum(report["errors"].values()) == 50
    assert f"modules      50, of which {report['accepted']} are accepted" in result.output


def test_malformed_mismatch(swarmc: Swarmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                            ) -> None:
    monkeypatch.setattr(Judge, "refusal", lambda self, data: "no such luck")
    result = swarmc("fuzz", "--malformed", "100", "--seed", "5", "-o", tmp_path)
    assert result.exit_code == 1
    assert "accepted what wasmtime refuses: no such luck" in result.output
    assert list(tmp_path.glob("malformed-5-*.wasm"))


def test_wasm_opt_is_asked_for_by_name(
    swarmc: Swarmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = swarmc("fuzz", "--seconds", "1", "--generator", "wasm-opt")
    assert result.exit_code == 2
    assert "no wasm-opt on PATH" in result.output and "binaryen" in result.output

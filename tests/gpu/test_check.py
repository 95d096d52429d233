"""The check of a GPU works on the stand-in; on a GPU, where there is one, it runs in earnest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from swarmc.errors import TargetError
from swarmc.ir.types import Trap
from swarmc.targets.cuda.gpu import shared_gpu

from . import check

QUICK = ["corpus", "traps", "hosts", "arrays", "scale", "mail", "host calls"]


def test_it_checks_the_stand_in() -> None:
    lines: list[str] = []
    record = check.run(check.small_plan("ptx"), QUICK, lines.append)
    stages = record["stages"]
    assert all(stages[name]["passed"] for name in QUICK), lines
    assert stages["corpus"]["programs"] == 4 * 4 and stages["corpus"]["executions"] > 100
    assert stages["traps"]["kinds"] == 11
    assert 0 < stages["hosts"]["trapped"] < stages["hosts"]["agents"]
    assert "a GPU alone" in stages["arrays"]["skipped"]  # tests/cuda runs it on a driver for tests
    assert record["stages"]["scale"]["without memory"]["agents"] == 300
    assert stages["mail"]["sent"] > 0
    assert stages["host calls"]["noted"] > 0
    assert len(lines) == len(QUICK)


def test_a_stage_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("divide", [1, 1], Trap.INTEGER_DIVIDE_BY_ZERO)
    monkeypatch.setattr(check, "ENDS", (wrong,))
    plan = dataclasses.replace(check.small_plan("cpu"), suite=Path("nowhere"))
    record = check.run(plan, ["traps", "suite", "scale"], lambda line: None)
    stages = record["stages"]
    assert [stages[name]["passed"] for name in ("traps", "suite", "scale")] == [False, False, True]
    assert "CheckError" in stages["traps"]["error"]


def test_the_gpu_of_this_machine(tmp_path: Path) -> None:
    try:
        shared_gpu()
    except TargetError as error:
        pytest.skip(str(error))
    record = check.run(check.Plan("cuda"), [*QUICK, "sanitizer"])
    assert all(stage["passed"] for stage in record["stages"].values()), record

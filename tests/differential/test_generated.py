"""Generated modules give the same on the CPU, in the IR interpreter, and on wasmtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.tools import fuzz
from swarmc.runtime.tools.executors import InterpreterExecutor

MODULES = 25


@pytest.mark.parametrize("seed", range(6))
def test_cpu(seed: int, tmp_path: Path) -> None:
    report = fuzz.run(1000.0, seed, tmp_path, modules=MODULES, minimise_seconds=20.0)
    assert report.modules == MODULES
    assert report.tally.returned > MODULES * 8
    assert report.tally.trapped > MODULES * 8
    assert not report.saved, str(report)


@pytest.mark.parametrize("seed", range(100, 104))
def test_interpreter_before_and_after_the_passes(seed: int, tmp_path: Path) -> None:
    levels = [InterpreterExecutor(level=level) for level in (0, 1, 2)]
    report = fuzz.run(1000.0, seed, tmp_path, modules=MODULES, agents=4, executors=levels,
                      minimise_seconds=20.0)
    assert report.modules == MODULES
    assert report.tally.returned > MODULES * 8
    assert not report.saved, str(report)

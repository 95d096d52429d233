"""Generated modules give the same on the CPU, in the IR interpreter, and on wasmtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.compiler.pipeline import LEVELS
from swarmc.ir import ops
from swarmc.ir.function import Function
from swarmc.ir.module import Module
from swarmc.runtime.tools import fuzz
from swarmc.runtime.tools.executors import pass_executors
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cpu import CpuTarget

MODULES = 25


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 6])
def test_cpu(seed: int, tmp_path: Path) -> None:
    report = fuzz.run(1000.0, seed, tmp_path, modules=MODULES, minimise_seconds=20.0)
    assert report.modules == MODULES
    assert report.tally.returned > MODULES * 8
    assert report.tally.trapped > MODULES * 8
    assert not report.saved, str(report)


@pytest.mark.parametrize(
    ("seed", "layout"),
    [(10, MemoryLayout.INTERLEAVED_4), (11, MemoryLayout.INTERLEAVED_8),
     (12, MemoryLayout.INTERLEAVED_8), (13, MemoryLayout.INTERLEAVED_16)],
)
def test_interleaved(seed: int, layout: MemoryLayout, tmp_path: Path) -> None:
    """More agents than a group has."""
    report = fuzz.run(1000.0, seed, tmp_path, target=CpuTarget(layout), agents=40,
                      modules=MODULES, minimise_seconds=20.0)
    assert report.modules == MODULES
    assert report.tally.returned > MODULES * 8
    assert not report.saved, str(report)


@pytest.mark.parametrize("seed", range(100, 103))
def test_interpreter_before_and_after_every_pass(seed: int, tmp_path: Path) -> None:
    report = fuzz.run(1000.0, seed, tmp_path, modules=30, agents=2,
                      executors=pass_executors(), minimise_seconds=20.0)
    assert report.modules == 30
    assert report.tally.returned > 200
    assert not report.saved, str(report)


def forget_a_charge(function: Function, module: Module) -> bool:
    """A wrong pass: it removes the last charge of a function."""
    for block in reversed(function.blocks):
        for inst in block.insts:
            if inst.op is ops.CHARGE:
                block.insts.remove(inst)
                return True
    return False


def test_a_wrong_pass_is_named(tmp_path: Path) -> None:
    passes = (*LEVELS[-1][:2], forget_a_charge, *LEVELS[-1][2:])
    report = fuzz.run(1000.0, 6, tmp_path, modules=4, agents=2,
                      executors=pass_executors(passes), minimise_seconds=1.0)
    assert report.saved
    assert {mismatch.executor for _, mismatch in report.saved} == {
        "interpreter after pass 3, forget_a_charge"}

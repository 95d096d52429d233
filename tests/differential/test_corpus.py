"""The corpus against wasmtime, on the CPU and by the code of a GPU: output, exit code, results,
memory, fuel."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.tools import corpus
from swarmc.runtime.tools.corpus import Program
from swarmc.runtime.tools.corpus_scripts import call_scripts, run_scripts
from swarmc.runtime.tools.differential import Tally, compare
from swarmc.runtime.tools.execution import Setup, Workload
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.base import Target
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.ptx import PtxTarget

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
PROGRAMS = {
    f"{folder.name}/{program.name}": program
    for folder in (CORPUS, CORPUS / "bench")
    for program in corpus.load_manifest(folder)
}
FUEL = 100_000_000
#: Bytes that programs have at most which can be compiled twice.
SMALL = 10_000


LAYOUTS = [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, layout: MemoryLayout) -> None:
    check(PROGRAMS[name], CpuTarget(layout), level=1)


@pytest.mark.parametrize(("name", "layout"), [
    pytest.param(name, layout, id=f"{name}-{layout}")
    for name, program in PROGRAMS.items() for layout in LAYOUTS
    # A GPU's code of a program with a C library takes LLVM ten seconds.
    if layout is not MemoryLayout.FLAT or program.binary.stat().st_size < SMALL
])  # fmt: skip
def test_program_by_the_code_of_a_gpu(name: str, layout: MemoryLayout) -> None:
    check(PROGRAMS[name], PtxTarget(layout), level=1)


def check(program: Program, target: Target, level: int) -> None:
    """Run all that the manifest has of a program."""
    name, data = program.name, program.binary.read_bytes()
    oracle = Oracle(optimise=True).load(data, Setup())
    subject = TargetExecutor(target, opt_level=level).load(data, Setup())
    tally = Tally()
    for scripts in (run_scripts(program), call_scripts(program, data)):
        if scripts:
            workload = Workload(scripts, FUEL)
            found = compare(oracle.run(workload), subject.run(workload), workload, name, tally)
            assert found is None, str(found)
    assert tally.executions

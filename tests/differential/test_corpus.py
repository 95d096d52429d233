"""The corpus on the CPU against wasmtime: output, exit code, results, memory, fuel."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.tools import corpus
from swarmc.runtime.tools.corpus_scripts import call_scripts, run_scripts
from swarmc.runtime.tools.differential import Tally, compare
from swarmc.runtime.tools.execution import Setup, Workload
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cpu import CpuTarget

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
PROGRAMS = {
    f"{folder.name}/{program.name}": program
    for folder in (CORPUS, CORPUS / "bench")
    for program in corpus.load_manifest(folder)
}
FUEL = 100_000_000


@pytest.mark.parametrize("layout", [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, layout: MemoryLayout) -> None:
    program = PROGRAMS[name]
    data = program.binary.read_bytes()
    oracle = Oracle(optimise=True).load(data, Setup())
    subject = TargetExecutor(CpuTarget(layout), opt_level=1).load(data, Setup())
    tally = Tally()
    for scripts in (run_scripts(program), call_scripts(program, data)):
        if scripts:
            workload = Workload(scripts, FUEL)
            found = compare(oracle.run(workload), subject.run(workload), workload, name, tally)
            assert found is None, str(found)
    assert tally.executions

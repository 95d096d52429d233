"""The corpus on the CPU against wasmtime: output, exit code, results, memory, fuel."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from swarmc.compiler.wasm.decoder import decode
from swarmc.ir.types import Type
from swarmc.runtime.tools import corpus
from swarmc.runtime.tools.differential import Tally, compare
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.oracle import Oracle, function_type
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
COPIES = 3


def bits(type_: Type, value: int | float) -> int:
    match type_:
        case Type.F32:
            return int.from_bytes(struct.pack("<f", value), "little")
        case Type.F64:
            return int.from_bytes(struct.pack("<d", value), "little")
        case _:
            return int(value) & ((1 << type_.bits) - 1)


def runs(program: corpus.Program) -> tuple[Script, ...]:
    """The manifest's runs, each several times with inputs that differ."""
    scripts = []
    for run in program.runs:
        for copy in range(COPIES):
            stdin = run.stdin.encode() + b"extra %d\n" % copy * (copy > 0)
            args = (program.name, *run.args, *(["more"] * (copy > 1)))
            scripts.append(Script((Call("_start"),), stdin=stdin, argv=args,
                                  environ=tuple((run.env or {}).items())))
    return tuple(scripts)


def calls(program: corpus.Program, data: bytes) -> tuple[Script, ...]:
    """The manifest's calls, from the first on and from later ones on."""
    module = decode(data)
    types = {e.name: function_type(module, e.index).params for e in module.exports
             if e.kind == "func"}
    made = [
        Call(call.export, tuple(map(bits, types[call.export], call.args)))
        for call in program.calls
    ]
    return tuple(Script(tuple(made[start:] + made[:start])) for start in range(len(made)))


@pytest.mark.parametrize("layout", [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, layout: MemoryLayout) -> None:
    program = PROGRAMS[name]
    data = program.binary.read_bytes()
    oracle = Oracle(optimise=True).load(data, Setup())
    subject = TargetExecutor(CpuTarget(layout), opt_level=1).load(data, Setup())
    tally = Tally()
    for scripts in (runs(program), calls(program, data)):
        if scripts:
            workload = Workload(scripts, FUEL)
            found = compare(oracle.run(workload), subject.run(workload), workload, name, tally)
            assert found is None, str(found)
    assert tally.executions

"""Calls through references: one function for each type, which knows the candidates.

A switch over the functions of the type that references may point to calls each directly, so that
LLVM may put one in the place of its call. On a GPU the assembler sees the whole call graph by that.
A table of function pointers instead is larger there, however many there are (docs/gpu.md has the
numbers): functions with an address stay as they are, and take their parameters in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.types import EntityId
from .program_emitter import ProgramEmitter
from .types import LLVM_TYPES


def caller(program: ProgramEmitter, sig: int) -> str:
    """Name of the function that calls what a reference to a function of a type points to.

    It takes what functions of the type take, and the reference. No reference comes to it that is
    null or of another type.
    """
    return program.declare_later(f"@swarm_call.{sig}")


def callers(program: ProgramEmitter) -> list[str]:
    """All those functions that are used."""
    text = []
    for name in sorted(program.later):
        sig = int(name.rpartition(".")[2])
        text.append(_switch(program, name, sig, program.candidates(sig)))
    return text


def _head(program: ProgramEmitter, name: str, sig: int) -> tuple[str, str, str]:
    """First line, type of the result, and arguments of the call."""
    type_ = program.module.types[sig]
    convention = program.convention(type_, program.throwing.ref_returns_exception(sig))
    returned = convention.returned
    params = ["ptr %ctx", "i64 %fuel", "i32 %depth"]
    params += [f"{LLVM_TYPES[type_.params[n]]} %a{n}" for n in convention.params]
    arguments = ", ".join(params)
    head = (
        f"define internal {program.calling} {returned} {name}({arguments}, i64 %reference) "
        "nounwind {"
    )
    return head, returned, arguments


def _switch(
    program: ProgramEmitter, name: str, sig: int, candidates: Sequence[EntityId]
) -> str:
    head, returned, arguments = _head(program, name, sig)
    numbers = program.numbers
    cases = " ".join(f"i64 {numbers[id_] + 1}, label %f{n}" for n, id_ in enumerate(candidates))
    lines = [head, f"switch i64 %reference, label %none [ {cases} ]", "none:", "unreachable"]
    for n, id_ in enumerate(candidates):
        lines += [
            f"f{n}:",
            f"%r{n} = call {program.calling} {returned} {program.symbol(id_)}({arguments})",
            f"ret {returned} %r{n}",
        ]
    return "\n".join([*lines, "}"])

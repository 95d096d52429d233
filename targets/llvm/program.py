"""Lower a whole IR program to LLVM modules, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...ir import ops
from ...ir.analysis.throwing import Throwing, referenced_functions
from ...ir.function import Function
from ...ir.module import Export, Module
from ...ir.types import EntityId
from ..layout import AgentLayout
from .abi import Abi
from .emit import FunctionEmitter
from .host_calls import entry_wrapper, host_thunk, start_function
from .ops import EMITTERS
from .program_emitter import ProgramEmitter
from .trampolines import Trampolines

METADATA = """\
!0 = !{!"branch_weights", i32 1, i32 4000}
!1 = !{}
!2 = !{!4, !4, i64 0}
!3 = !{!5, !5, i64 0}
!4 = !{!"agent state", !6}
!5 = !{!"linear memory", !6}
!6 = !{!"swarmc"}
"""


@dataclass(frozen=True, slots=True)
class Lowering:
    """How a program is written: see :func:`lower`."""

    module: Module
    layout: AgentLayout
    abi: Abi
    entries: Sequence[Export]
    call_depth: int


def lower(
    lowering: Lowering, parts: int = 1, progress: Callable[[float], None] | None = None
) -> list[str]:
    """Write a program as LLVM IR, in one module or in several that are linked as machine code.

    Besides the functions, the first module defines ``@swarm_enter_entry`` (which calls an entry
    by its number), ``@swarm_call_depth`` and ``@swarm_start``, which the prelude of the target
    uses, and what calls through references need.

    Args:
        parts: modules to write; functions that are neighbours stay together.
        progress: takes the share of functions that are written, 0.0 to 1.0.
    """
    module = lowering.module
    referenced = referenced_functions(module)
    throwing = Throwing(module)
    trampolines = Trampolines(module, throwing, referenced, needed=not lowering.abi.tail_calls)
    functions = list(module.functions.values())
    wanted = referenced | _called_hosts(module, lowering.entries)
    functions += [host_thunk(h) for id_, h in module.host_functions.items() if id_ in wanted]
    texts: list[str] = []
    total = sum(_size(function) for function in functions) or 1
    done = 0
    for number in range(parts):
        program = ProgramEmitter(module, lowering.layout, lowering.abi, EMITTERS, throwing,
                                 trampolines, referenced, parts > 1)
        text = [lowering.abi.support(lowering.layout)]
        while functions and (done < total * (number + 1) / parts or number == parts - 1):
            function = functions.pop(0)
            text.append(FunctionEmitter(program, function).emit())
            if trampolines.steps(function.id):
                text.append(trampolines.wrapper(program, function.id))
            done += _size(function)
            if progress is not None:
                progress(done / total)
        if number == 0:
            text += _driver(lowering, program)
        texts.append(_assemble(program, text))
    return texts


def entry_exports(module: Module, names: Sequence[str] | None) -> list[Export]:
    """The exported functions that can be called, in export order; ``names`` None: all."""
    exports = list(module.function_exports())
    return exports if names is None else [e for e in exports if e.name in names]


def _size(function: Function) -> int:
    return sum(len(block.insts) for block in function.blocks)


def _driver(lowering: Lowering, program: ProgramEmitter) -> list[str]:
    """What the host and the workers need to find their way into the functions."""
    entries = lowering.entries
    text = [lowering.abi.driver(lowering.layout)]
    text += [entry_wrapper(program, n, export.id) for n, export in enumerate(entries)]
    text.append(_enter_entry(len(entries)))
    text += program.trampolines.text(program)
    text += lowering.abi.references(program)
    text.append(f"@swarm_call_depth = internal constant i32 {lowering.call_depth}")
    text.append(start_function(program))
    return text


def _assemble(program: ProgramEmitter, text: list[str]) -> str:
    abi = program.abi
    head = [f'target triple = "{abi.triple}"', f'target datalayout = "{abi.data_layout}"']
    declared = program.declarations | set(abi.declarations)
    metadata = METADATA + "".join([f"{node}\n" for node in program.metadata])
    return "\n\n".join([*head, *text, *sorted(declared), *program.externals(), metadata]) + "\n"


def _enter_entry(count: int) -> str:
    """``i64 @swarm_enter_entry(i32 number, ptr ctx, ptr args, ptr results, i64 fuel, i32 depth)``.

    No number is given that is not that of an entry.
    """
    cases = " ".join(f"i32 {n}, label %entry{n}" for n in range(count))
    lines = [
        "define internal i64 @swarm_enter_entry"
        "(i32 %number, ptr %ctx, ptr %args, ptr %results, i64 %fuel, i32 %depth) {",
        f"switch i32 %number, label %none [ {cases} ]",
        "none:",
        "unreachable",
    ]
    for n in range(count):
        lines += [
            f"entry{n}:",
            f"%left{n} = call i64 @swarm_entry.{n}"
            "(ptr %ctx, ptr %args, ptr %results, i64 %fuel, i32 %depth)",
            f"ret i64 %left{n}",
        ]
    return "\n".join([*lines, "}"])


def _called_hosts(module: Module, entries: Sequence[Export]) -> set[EntityId]:
    """Host functions reached through their thunk: by wrappers, tail calls, calls with handlers."""
    found = {export.id for export in entries} | set(module.starts)
    for function in module.functions.values():
        for block in function.blocks:
            if block.terminator.op in (ops.RETURN_CALL, ops.TRY_CALL):
                found.add(block.terminator.attrs[0])
    return found

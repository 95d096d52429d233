"""Lower a whole IR program to one LLVM module, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir import ops
from ...ir.module import Export, FuncInit, Module
from ...ir.types import EntityId
from ..layout import AgentLayout
from .abi import Abi
from .emit import FunctionEmitter, ProgramEmitter
from .host_calls import entry_wrapper, host_thunk
from .ops import EMITTERS

METADATA = """\
!0 = !{!"branch_weights", i32 1, i32 4000}
!1 = !{}
!2 = !{!4, !4, i64 0}
!3 = !{!5, !5, i64 0}
!4 = !{!"agent state", !6}
!5 = !{!"linear memory", !6}
!6 = !{!"swarmc"}
"""


def lower(
    module: Module,
    layout: AgentLayout,
    abi: Abi,
    entries: Sequence[Export],
    call_depth: int,
    progress: Callable[[float], None] | None = None,
) -> str:
    """Write ``module`` as LLVM IR.

    Besides the functions, the text defines ``@swarm_entries`` (wrappers of ``entries``, in their
    order), ``@swarm_functions`` (code of each function that something refers to, by number),
    ``@swarm_call_depth`` and ``@swarm_start``, which the prelude of the target uses.

    Args:
        progress: takes the share of functions that are written, 0.0 to 1.0.
    """
    program = ProgramEmitter(module, layout, abi, EMITTERS)
    referenced = _referenced(module)
    called = _called_hosts(module, entries)
    parts = [f'target triple = "{abi.triple}"', f'target datalayout = "{abi.data_layout}"']
    parts.append(abi.prelude(layout))
    total = len(module.functions) or 1
    for done, function in enumerate(module.functions.values()):
        parts.append(FunctionEmitter(program, function).emit())
        if progress is not None and done % 64 == 0:
            progress(done / total)
    for id_, host in module.host_functions.items():
        if id_ in referenced or id_ in called:
            parts.append(FunctionEmitter(program, host_thunk(host)).emit())
    parts += [entry_wrapper(program, n, export.id) for n, export in enumerate(entries)]
    parts.append(_pointers("swarm_entries", [f"@swarm_entry.{n}" for n in range(len(entries))]))
    symbols = [
        program.symbol(id_) if id_ in referenced else "null" for id_ in sorted(program.numbers)
    ]
    parts.append(_pointers("swarm_functions", symbols))
    parts.append(f"@swarm_call_depth = internal constant i32 {call_depth}")
    parts.append(_start(program))
    parts += sorted(program.declarations | set(abi.declarations))
    parts.append(METADATA)
    return "\n\n".join(parts) + "\n"


def _pointers(name: str, symbols: Sequence[str]) -> str:
    items = ", ".join(f"ptr {symbol}" for symbol in symbols)
    return f"@{name} = constant [{len(symbols)} x ptr] [{items}]"


def _start(program: ProgramEmitter) -> str:
    """``i64 @swarm_start(ptr ctx, i64 fuel, i32 depth)``: all start functions, in order."""
    lines = ["define internal i64 @swarm_start(ptr %ctx, i64 %fuel0, i32 %depth) {"]
    for n, id_ in enumerate(program.module.starts):
        lines.append(
            f"%fuel{n + 1} = call {program.calling} i64 {program.symbol(id_)}"
            f"(ptr %ctx, i64 %fuel{n}, i32 %depth)"
        )
    lines += [f"ret i64 %fuel{len(program.module.starts)}", "}"]
    return "\n".join(lines)


def _referenced(module: Module) -> set[EntityId]:
    """Functions that a reference may point to."""
    found = {
        inst.attrs[0]
        for function in module.functions.values()
        for inst in function.insts()
        if inst.op is ops.REF_FUNC
    }
    inits: list[int | FuncInit] = [g.init for g in module.globals.values()]
    inits += [table.init for table in module.tables.values()]
    for segment in module.elems.values():
        inits += segment.items
    found |= {init.id for init in inits if isinstance(init, FuncInit)}
    return found - module.removed.keys()


def _called_hosts(module: Module, entries: Sequence[Export]) -> set[EntityId]:
    """Host functions that wrappers or tail calls reach through their thunk."""
    found = {export.id for export in entries} | set(module.starts)
    for function in module.functions.values():
        for block in function.blocks:
            if block.terminator.op is ops.RETURN_CALL:
                found.add(block.terminator.attrs[0])
    return found

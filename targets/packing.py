"""What every target makes of a lowered program besides machine code."""

from __future__ import annotations

from ..ir import module as ir
from .executable import Effort, Entry, Executable, GlobalExport, HostImport
from .image import initial_state
from .llvm.program import Lowering


def host_imports(module: ir.Module) -> tuple[HostImport, ...]:
    """The host functions that a program calls, by number."""
    return tuple(
        HostImport(h.module, h.name, h.type) for h in module.host_functions.values()
        if not h.missing
    )  # fmt: skip


def pack(
    lowering: Lowering,
    *,
    target: str,
    fingerprint: str,
    objects: tuple[bytes, ...],
    effort: Effort = Effort.FULL,
    stack: int | None = None,
) -> Executable:
    """An executable of a program whose code is in ``objects``.

    Raises:
        InstantiationError: an active segment does not fit.
    """
    module, layout = lowering.module, lowering.layout
    state = initial_state(module, layout)
    return Executable(
        target=target,
        fingerprint=fingerprint,
        objects=objects,
        layout=layout,
        entries=tuple(
            Entry(export.name, module.types[module.sig_of(export.id)], number, export.nonnull)
            for number, export in enumerate(lowering.entries)
        ),
        hosts=host_imports(module),
        global_exports=tuple(
            GlobalExport(e.name, g.type, g.mutable, layout.globals[e.id], bool(e.nonnull))
            for e in module.exports
            if e.kind == "global" and (g := module.globals[e.id])
        ),
        spans=(),
        signatures=tuple(module.sig_of(id_) for id_ in module.function_numbers()),
        template=state.template,
        runs=state.runs,
        data=state.data,
        elems=state.elems,
        tables=state.tables,
        call_depth=lowering.call_depth,
        command=False,
        effort=effort,
        stack=stack,
        memory_exports={
            e.name: layout.memory_number(e.id) for e in module.exports if e.kind == "memory"
        },
    )  # fmt: skip

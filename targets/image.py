"""The initial state of an agent, as data: what instantiation copies, for every target."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InstantiationError
from ..ir import module as ir
from ..ir.types import Type
from .executable import DataRun
from .layout import AgentLayout, Ctx


@dataclass(frozen=True, slots=True)
class InitialState:
    """See the fields of the same names of :class:`~.executable.Executable`."""

    template: bytes
    runs: tuple[DataRun, ...]
    data: tuple[bytes, ...]
    elems: tuple[tuple[int, ...], ...]
    tables: tuple[tuple[int, ...], ...]


def initial_state(module: ir.Module, layout: AgentLayout) -> InitialState:
    """Evaluate globals, tables and active segments of a program.

    Raises:
        InstantiationError: an active segment does not fit.
    """
    numbers = module.function_numbers()

    def handle(init: int | ir.FuncInit) -> int:
        return numbers[init.id] + 1 if isinstance(init, ir.FuncInit) else init

    template = bytearray(layout.state_size - Ctx.END)

    def put(offset: int, value: int, size: int = 8) -> None:
        start = offset - Ctx.END
        template[start : start + size] = value.to_bytes(size, "little")

    for global_ in module.globals.values():
        size = 16 if global_.type is Type.V128 else 8
        put(layout.globals[global_.id], handle(global_.init), size)
    contents = {
        table.id: [handle(table.init)] * table.minimum for table in module.tables.values()
    }
    for segment in module.elems.values():
        if segment.table is None:
            continue
        items = contents[segment.table]
        end = segment.offset + len(segment.items)
        if end > len(items):
            raise InstantiationError(
                f"out of bounds table access: element segment {segment.id.index} ends at {end}, "
                f"its table has {len(items)} elements"
            )
        items[segment.offset : end] = [handle(item) for item in segment.items]
    shared: list[tuple[int, ...]] = []
    for table in layout.tables.values():
        if table.shared:
            shared.append(tuple(contents[table.id]))
            continue
        put(table.size, table.minimum)
        for n, item in enumerate(contents[table.id]):
            if item:
                put(table.elements + 8 * n, item)
    for offset, live in _segment_flags(module, layout):
        put(offset, 0 if live else 1, 1)
    return InitialState(
        bytes(template),
        _runs(module, layout),
        tuple(b"" if segment.active else segment.data for segment in module.data.values()),
        tuple(
            () if segment.active or segment.declarative else tuple(map(handle, segment.items))
            for segment in module.elems.values()
        ),
        tuple(shared),
    )


def _segment_flags(module: ir.Module, layout: AgentLayout) -> list[tuple[int, bool]]:
    """(offset of the dropped flag, whether the segment can still be used) of all segments."""
    flags = [(layout.dropped_data[s.id], not s.active) for s in module.data.values()]
    return flags + [
        (layout.dropped_elems[s.id], not (s.active or s.declarative)) for s in module.elems.values()
    ]


def _runs(module: ir.Module, layout: AgentLayout) -> tuple[DataRun, ...]:
    runs = []
    for segment in module.data.values():
        if segment.memory is None:
            continue
        size = module.memories[segment.memory].minimum * ir.PAGE_SIZE
        end = segment.offset + len(segment.data)
        if end > size:
            raise InstantiationError(
                f"out of bounds memory access: data segment {segment.id.index} ends at byte "
                f"{end}, its memory has {size}"
            )
        if segment.data:
            number = layout.memory_number(segment.memory)
            runs.append(DataRun(number, segment.offset, segment.data))
    return tuple(runs)

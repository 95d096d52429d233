"""The initial state of an agent, as data: what instantiation copies, for every target."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InstantiationError
from ..ir import module as ir
from ..ir.types import EntityId, Type
from .executable import DataRun
from .layout import AgentLayout, Ctx

_HandleOf = Callable[[int | ir.FuncInit], int]


@dataclass(frozen=True, slots=True)
class InitialState:
    """See the fields of the same names of :class:`~.executable.Executable`."""

    template: bytes
    runs: tuple[DataRun, ...]
    data: tuple[bytes, ...]
    elems: tuple[bytes, ...]
    tables: tuple[bytes, ...]


def initial_state(module: ir.Module, layout: AgentLayout) -> InitialState:
    """Evaluate globals, tables and active segments of a program.

    Raises:
        InstantiationError: an active segment does not fit.
    """
    numbers = module.function_numbers()

    def handle(init: int | ir.FuncInit) -> int:
        return numbers[init.id] + 1 if isinstance(init, ir.FuncInit) else init

    contents = _contents(module, handle)
    return InitialState(
        _template(module, layout, handle, contents),
        _runs(module, layout, numbers),
        tuple(
            b"" if segment.active else segment.content(numbers)
            for segment in module.data.values()
        ),
        tuple(
            b"" if segment.active or segment.declarative
            else array("Q", map(handle, segment.items)).tobytes()
            for segment in module.elems.values()
        ),
        tuple(contents[table.id] for table in layout.tables.values() if table.shared),
    )  # fmt: skip


def _contents(module: ir.Module, handle: _HandleOf) -> dict[EntityId, bytes]:
    """Handles in each table once active segments have been copied into it."""
    contents = {
        table.id: array("Q", [handle(table.init)]) * table.minimum
        for table in module.tables.values()
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
        items[segment.offset : end] = array("Q", map(handle, segment.items))
    return {id_: items.tobytes() for id_, items in contents.items()}


def _template(
    module: ir.Module, layout: AgentLayout, handle: _HandleOf, contents: dict[EntityId, bytes]
) -> bytes:
    """The state block after its header: globals, tables that are not shared, segment flags."""
    template = bytearray(layout.state_size - Ctx.END)

    def put(offset: int, value: bytes) -> None:
        start = offset - Ctx.END
        template[start : start + len(value)] = value

    for global_ in module.globals.values():
        size = 16 if global_.type is Type.V128 else 8
        put(layout.globals[global_.id], handle(global_.init).to_bytes(size, "little"))
    for table in layout.tables.values():
        if not table.shared:
            put(table.size, table.minimum.to_bytes(8, "little"))
            put(table.elements, contents[table.id])
    for offset, live in _segment_flags(module, layout):
        put(offset, b"\0" if live else b"\1")
    return bytes(template)


def _segment_flags(module: ir.Module, layout: AgentLayout) -> list[tuple[int, bool]]:
    """(offset of the dropped flag, whether the segment can still be used) of all segments."""
    flags = [(layout.dropped_data[s.id], not s.active) for s in module.data.values()]
    return flags + [
        (layout.dropped_elems[s.id], not (s.active or s.declarative)) for s in module.elems.values()
    ]


def _runs(
    module: ir.Module, layout: AgentLayout, numbers: dict[EntityId, int]
) -> tuple[DataRun, ...]:
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
            runs.append(DataRun(number, segment.offset, segment.content(numbers)))
    return tuple(runs)

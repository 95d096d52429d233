"""Generates bulk operations on memory and tables: overlapping, at the edges, and beyond them."""

from __future__ import annotations

from ...ir.module import PAGE_SIZE
from ...ir.types import Type
from .body_generator import BodyGenerator

_I32, _I64 = Type.I32, Type.I64


def _extent(g: BodyGenerator, limit: int, places: tuple[Type, ...], length: Type,
            depth: int) -> None:
    """Push places and a length of these types, mostly within ``limit``."""
    kind = g.choices.below(24)
    mask = max((1 << (limit // 2).bit_length() >> 1) - 1, 0)
    for type_ in places:
        if kind == 23:
            g.const(type_, g.choices.pick((limit, limit - 1, limit + 1, -1, 0)))
        elif kind > 14:
            g.const(type_, g.choices.below(min(limit // 2, 64) + 1))
        else:
            g.masked(min(mask, 0x3FFF), depth, 120, type_)
    if kind >= 22:
        g.const(length, g.choices.pick((0, 1, 2, limit, -1)))
    elif kind > 14:
        g.const(length, g.choices.below(min(limit // 2, 300) + 1))
    else:
        g.masked(min(mask, 0xFF), depth, 120, length)


def _length(to: Type, source: Type) -> Type:
    """Type of the length of a copy."""
    return _I64 if to is source is _I64 else _I32


def memory_bulk(g: BodyGenerator, depth: int) -> None:
    """Fill, copy or initialise memory, or drop a data segment."""
    if not g.plan.memories:
        return
    memory = g.memory()
    pages, t = g.plan.memories[memory]
    limit = pages * PAGE_SIZE
    kind = g.choices.below(4 if g.plan.data else 2)
    if kind == 0:
        _extent(g, limit, (t, _I32), t, depth)  # any byte to fill with, so a place will do
        g.emit("memory.fill", memory, pops=3)
    elif kind == 1:
        other = g.memory()
        source = g.plan.memories[other].address
        _extent(g, limit, (t, source), _length(t, source), depth)
        g.emit("memory.copy", (memory, other), pops=3)
    else:
        segment = g.choices.below(len(g.plan.data))
        if kind == 2:
            g.masked(0xFFF, depth, 120, t)
            _extent(g, g.plan.data[segment], (_I32,), _I32, depth)
            g.emit("memory.init", (segment, memory), pops=3)
        else:
            g.emit("data.drop", segment)


def memory_grow(g: BodyGenerator, depth: int) -> None:
    """Grow memory: a little, to the limit, or beyond."""
    if not g.plan.memories:
        return
    memory = g.memory()
    t = g.plan.memories[memory].address
    if g.choices.chance(1, 3):
        g.masked(1, depth, type_=t)
    else:
        g.const(t, g.choices.pick((0, 1, 1, 2, 3, 14, 15, 16, 17, 65535, 65536, -1, 1 << 48)))
    g.emit("memory.grow", memory, pops=1, push=(t,))


def table_set(g: BodyGenerator, depth: int) -> None:
    """Set an element."""
    tables = [n for n, table in enumerate(g.plan.tables) if table.size]
    if tables:
        table = g.choices.pick(tables)
        element, size, index = g.plan.tables[table]
        g.masked((1 << size.bit_length() >> 1) - 1, depth, type_=index)
        g.expr(element, depth)
        g.emit("table.set", table, pops=2)


def table_bulk(g: BodyGenerator, depth: int) -> None:
    """Fill, copy or grow a table."""
    if not g.plan.tables:
        return
    table = g.choices.below(len(g.plan.tables))
    element, size, index = g.plan.tables[table]
    kind = g.choices.below(3)
    if kind == 0:
        g.masked((1 << (size // 2).bit_length() >> 1) - 1, depth, type_=index)
        g.expr(element, depth)
        _extent(g, size, (), index, depth)
        g.emit("table.fill", table, pops=3)
    elif kind == 1:
        other = g.choices.pick([n for n, t in enumerate(g.plan.tables) if t.element is element])
        source = g.plan.tables[other].indices
        _extent(g, size, (index, source), _length(index, source), depth)
        g.emit("table.copy", (table, other), pops=3)
    else:
        g.expr(element, depth)
        if g.choices.chance(1, 2):
            g.masked(3, depth, type_=index)
        else:
            g.const(index, g.choices.pick((0, 1, 2, 5, -1, 10_000_000)))
        g.emit("table.grow", table, pops=2, push=(index,))


def elements(g: BodyGenerator, depth: int) -> None:
    """Initialise a table from a segment, or drop one."""
    pairs = [(e, t) for e, (etype, _) in enumerate(g.plan.elems)
             for t, table in enumerate(g.plan.tables) if etype is table.element]
    if not pairs:
        return
    segment, number = g.choices.pick(pairs)
    if g.choices.chance(1, 4):
        g.emit("elem.drop", segment)
        return
    g.masked(3, depth, 120, g.plan.tables[number].indices)
    _extent(g, g.plan.elems[segment][1], (_I32,), _I32, depth)
    g.emit("table.init", (segment, number), pops=3)

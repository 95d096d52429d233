"""Generates bulk operations on memory and tables: overlapping, at the edges, and beyond them."""

from __future__ import annotations

from ...compiler.wasm.opcodes import BY_NAME
from ...ir.module import PAGE_SIZE
from ...ir.types import Type
from .body_generator import BodyGenerator

_I32 = Type.I32


def _extent(g: BodyGenerator, limit: int, offsets: int, depth: int) -> None:
    """Push places (as many as ``offsets``) and a length, mostly within ``limit``."""
    kind = g.choices.below(24)
    mask = max((1 << (limit // 2).bit_length() >> 1) - 1, 0)
    for _ in range(offsets):
        if kind == 23:
            g.i32(g.choices.pick((limit, limit - 1, limit + 1, -1, 0)))
        elif kind > 14:
            g.i32(g.choices.below(min(limit // 2, 64) + 1))
        else:
            g.masked(min(mask, 0x3FFF), depth, wild=120)
    if kind >= 22:
        g.i32(g.choices.pick((0, 1, 2, limit, -1)))
    elif kind > 14:
        g.i32(g.choices.below(min(limit // 2, 300) + 1))
    else:
        g.masked(min(mask, 0xFF), depth, wild=120)


def memory_bulk(g: BodyGenerator, depth: int) -> None:
    """Fill, copy or initialise memory, or drop a data segment."""
    if g.plan.pages is None:
        return
    limit = g.plan.pages * PAGE_SIZE
    kind = g.choices.below(4 if g.plan.data else 2)
    if kind == 0:
        _extent(g, limit, 2, depth)  # the byte to fill with is any value, so a place will do
        g.emit_row(BY_NAME["memory.fill"], 0)
    elif kind == 1:
        _extent(g, limit, 2, depth)
        g.emit_row(BY_NAME["memory.copy"], (0, 0))
    else:
        segment = g.choices.below(len(g.plan.data))
        if kind == 2:
            g.masked(0xFFF, depth, wild=120)
            _extent(g, g.plan.data[segment], 1, depth)
            g.emit_row(BY_NAME["memory.init"], (segment, 0))
        else:
            g.emit_row(BY_NAME["data.drop"], segment)


def memory_grow(g: BodyGenerator, depth: int) -> None:
    """Grow memory: a little, to the limit, or beyond."""
    if g.plan.pages is None:
        return
    if g.choices.chance(1, 3):
        g.masked(1, depth)
    else:
        g.i32(g.choices.pick((0, 1, 1, 2, 3, 14, 15, 16, 17, 65535, 65536, -1)))
    g.emit_row(BY_NAME["memory.grow"], 0)


def table_set(g: BodyGenerator, depth: int) -> None:
    """Set an element."""
    tables = [n for n, (_, size) in enumerate(g.plan.tables) if size]
    if tables:
        table = g.choices.pick(tables)
        element, size = g.plan.tables[table]
        g.masked((1 << size.bit_length() >> 1) - 1, depth)
        g.expr(element, depth)
        g.emit("table.set", table, pops=2)


def table_bulk(g: BodyGenerator, depth: int) -> None:
    """Fill, copy or grow a table."""
    if not g.plan.tables:
        return
    table = g.choices.below(len(g.plan.tables))
    element, size = g.plan.tables[table]
    kind = g.choices.below(3)
    if kind == 0:
        g.masked((1 << (size // 2).bit_length() >> 1) - 1, depth)
        g.expr(element, depth)
        _extent(g, size, 0, depth)
        g.emit("table.fill", table, pops=3)
    elif kind == 1:
        others = [n for n, (t, _) in enumerate(g.plan.tables) if t is element]
        _extent(g, size, 2, depth)
        g.emit("table.copy", (table, g.choices.pick(others)), pops=3)
    else:
        if g.choices.chance(1, 2):
            g.expr(element, depth)
            g.masked(3, depth)
        else:
            g.expr(element, depth)
            g.i32(g.choices.pick((0, 1, 2, 5, -1, 10_000_000)))
        g.emit("table.grow", table, pops=2, push=(_I32,))


def elements(g: BodyGenerator, depth: int) -> None:
    """Initialise a table from a segment, or drop one."""
    pairs = [(e, t) for e, (etype, _) in enumerate(g.plan.elems)
             for t, (ttype, _) in enumerate(g.plan.tables) if etype is ttype]
    if not pairs:
        return
    segment, table = g.choices.pick(pairs)
    if g.choices.chance(1, 4):
        g.emit("elem.drop", segment)
        return
    g.masked(3, depth, wild=120)
    _extent(g, g.plan.elems[segment][1], 1, depth)
    g.emit("table.init", (segment, table), pops=3)

"""Ways to make a value: instructions, loads, calls, constructs with a result."""

from __future__ import annotations

from ...compiler.wasm.types import ValueType, is_defaultable, lower_type
from ...ir import ops as ir
from ...ir.types import Type
from .body_generator import BodyGenerator, Production
from .choices import WeightedTable
from .generator_rows import LOADS, NUMERIC, PURE, immediate
from .object_generator import READS, convert_any, objects, question

_DIVISIONS = (ir.IDIV_S, ir.IDIV_U, ir.IREM_S, ir.IREM_U)
_TRUNCATIONS = (ir.TRUNC_S, ir.TRUNC_U)


def _leaf(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    g.leaf(type_)


def _pure(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    row = g.choices.pick(PURE[type_])
    assert row.params is not None
    if row.ir in _TRUNCATIONS and not g.choices.chance(1, 24):
        g.masked(0x7FFF, depth)
        g.emit(f"{row.params[0].value}.convert_i32_s", pops=1, push=row.params)
    else:
        g.operands(row.params, depth)
        if row.ir in _DIVISIONS and not g.choices.chance(1, 24):
            g.const(type_, 1)
            g.emit(f"{type_.value}.or", pops=2, push=(type_,))
    g.emit_row(row, immediate(g.choices, row))


def _load(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    if not g.plan.memories:
        g.leaf(type_)
        return
    row, memory = g.choices.pick(LOADS[type_]), g.memory()
    g.access(row, g.address(memory, row.width, depth), memory, depth)


def _select(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    g.operands((type_, type_, Type.I32), depth)
    if type_ not in NUMERIC or g.choices.chance(1, 3):
        g.emit("select t", (type_,), pops=3, push=(type_,))
    else:
        g.emit("select", pops=3, push=(type_,))


def _tee(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    g.operands((type_,), depth)
    local = g.local_of(type_)
    if is_defaultable(type_) or g.choices.chance(1, 2):
        g.emit("local.tee", local, pops=1, push=(type_,))
    else:
        g.emit("local.set", local, pops=1)
        g.emit("local.get", local, push=(type_,))


def _nested(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    name = g.choices.pick(("block", "if", "loop"))
    params = [g.choices.pick(NUMERIC) for _ in range(g.choices.below(8) // 5)]
    g.operands(params, depth)
    if name == "if":
        g.expr(Type.I32, depth)
    g.open(name, params, (type_,))

    def fill() -> None:
        g.expr(type_, depth)
        if name == "if":
            g.orelse(params)
            g.floor = g.frames[-1].base
            g.expr(type_, depth)

    g.nested(fill)


def _call(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    callees = [n for n in g.plan.callees if g.plan.functions[n].results == (type_,)]
    if not callees:
        g.leaf(type_)
        return
    callee = g.choices.pick(callees)
    params = g.plan.functions[callee].params
    g.operands(params, depth - 1)
    g.emit("call", callee, pops=len(params), push=(type_,))


def _size(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    tables = [n for n, table in enumerate(g.plan.tables) if table.indices is type_]
    memories = [n for n, memory in enumerate(g.plan.memories) if memory.address is type_]
    if tables and (not memories or g.choices.chance(1, 2)):
        g.emit("table.size", g.choices.pick(tables), push=(type_,))
    elif memories:
        g.emit("memory.size", g.choices.pick(memories), push=(type_,))
    else:
        g.leaf(type_)


def _is_null(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    g.operands((g.choices.pick((Type.FUNCREF, Type.EXTERNREF)),), depth)
    g.emit("ref.is_null", pops=1, push=(Type.I32,))


def _table_get(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    tables = [n for n, (t, size, _) in enumerate(g.plan.tables) if t is type_ and size]
    if not tables:
        g.leaf(type_)
        return
    table = g.choices.pick(tables)
    _, size, index = g.plan.tables[table]
    g.masked((1 << (size.bit_length() - 1)) - 1, depth, type_=index)
    g.emit("table.get", table, pops=1, push=(type_,))


_COMMON: list[tuple[int, Production]] = [(6, _leaf), (2, _select), (2, _tee), (2, _nested),
                                         (2, _call)]
_NUMBER: list[tuple[int, Production]] = [*_COMMON, (24, _pure), (6, _load), *READS]
#: Those of references to functions of some type, and of references of the inside.
_TYPED: WeightedTable[Production] = WeightedTable([*_COMMON, (2, _table_get)])
_INSIDE: WeightedTable[Production] = WeightedTable([*_COMMON, (12, objects), *READS])
_PRODUCTIONS: dict[ValueType, WeightedTable[Production]] = {
    Type.I32: WeightedTable([*_NUMBER, (1, _size), (1, _is_null), (2, question)]),
    Type.I64: WeightedTable([*_NUMBER, (1, _size)]),
    Type.F32: WeightedTable(_NUMBER),
    Type.F64: WeightedTable(_NUMBER),
    Type.V128: WeightedTable(_NUMBER),
    Type.FUNCREF: WeightedTable([*_COMMON, (4, _table_get), *READS]),
    Type.EXTERNREF: WeightedTable([*_COMMON, (4, _table_get), (1, convert_any), *READS]),
}


def productions(type_: ValueType) -> WeightedTable[Production]:
    """What makes values of a type."""
    if type_ in _PRODUCTIONS:
        return _PRODUCTIONS[type_]
    return _INSIDE if lower_type(type_) is Type.ANYREF else _TYPED

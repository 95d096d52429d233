"""Generates statements on references: calls through them, and what becomes of null."""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.wasm.types import FuncType, RefType, ValueType, define, heap_type, ref_type
from .body_generator import BodyGenerator, Statement


def _non_null(type_: ValueType) -> ValueType:
    return ref_type(False, heap_type(type_))


def _reference(g: BodyGenerator) -> ValueType:
    """A type of references, of which values may be null."""
    return g.choices.pick(g.plan.refs)


def _callee(g: BodyGenerator, type_: FuncType, depth: int) -> None:
    """Push a reference to a function of a type, which is null at times."""
    nullable = define(type_).ref(True)
    wild = g.choices.chance(1, 12)
    g.expr(nullable if wild else _non_null(nullable), depth)


def _call_ref(g: BodyGenerator, depth: int) -> None:
    if not g.plan.callees:
        return
    type_ = g.plan.functions[g.choices.pick(g.plan.callees)]
    g.operands(type_.params, depth - 1)
    _callee(g, type_, depth - 1)
    g.emit("call_ref", g.plan.type_index(type_), pops=1 + len(type_.params), push=type_.results)


def _return_call_ref(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    fitting = [n for n in g.plan.callees if g.plan.functions[n].results == g.frames[0].ends]
    if not fitting:
        return
    type_ = g.plan.functions[g.choices.pick(fitting)]
    g.operands(type_.params, depth - 1)
    _callee(g, type_, depth - 1)
    g.emit("return_call_ref", g.plan.type_index(type_))
    g.kill()


def _as_non_null(g: BodyGenerator, depth: int) -> None:
    """Trap on null, which the reference seldom is."""
    type_ = _reference(g)
    if isinstance(type_, RefType) or g.choices.chance(1, 6):
        g.operands((type_,), depth)
        g.emit("ref.as_non_null", pops=1, push=(_non_null(type_),))
        g.dispose()


def _br_on_null(g: BodyGenerator, depth: int) -> None:
    labels = [n for n, frame in enumerate(reversed(g.frames)) if not frame.loop]
    label = g.choices.pick(labels)
    types = g.frames[-1 - label].labels
    type_ = _reference(g)
    g.operands((*types, type_), depth)
    g.emit("br_on_null", label, pops=1 + len(types), push=(*types, _non_null(type_)))
    g.dispose()


def _br_on_non_null(g: BodyGenerator, depth: int) -> None:
    """A block of its own, which a reference leaves if it is not null."""
    type_ = _reference(g)
    result = type_ if g.choices.chance(1, 2) else _non_null(type_)
    g.open("block", (), (result,))

    def fill() -> None:
        g.expr(type_, depth - 1)
        g.emit("br_on_non_null", 0, pops=1)
        g.expr(result, 1)

    g.nested(fill)
    g.dispose()


#: Statements with their weights.
REFERENCES: Sequence[tuple[int, Statement]] = (
    (2, _call_ref), (1, _return_call_ref), (1, _as_non_null), (1, _br_on_null),
    (1, _br_on_non_null),
)

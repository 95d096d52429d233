"""Generates statements that throw and catch exceptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...compiler.wasm.module import Catch
from ...compiler.wasm.opcodes import BY_NAME
from ...compiler.wasm.types import Heap, ValueType, ref_type
from ...ir.types import Type
from .body_generator import BodyGenerator, Statement
from .generator_plan import Frame

_I32, _EXNREF = Type.I32, Type.EXNREF
_CAUGHT = ref_type(False, Heap.EXN)

#: Fills a construct with statements.
Fill = Callable[[BodyGenerator, int], None]


def throw(g: BodyGenerator, depth: int) -> None:
    """Throw if a condition holds, or at times in any case."""
    if not g.plan.tags:
        return
    if len(g.frames) > 2 and g.choices.chance(1, 12):
        _throw(g, depth)
        return
    g.masked(7, depth, wild=8)
    g.emit("i32.eqz", pops=1, push=(_I32,))
    g.open("if", (), ())
    g.nested(lambda: _throw(g, depth - 1))


def _throw(g: BodyGenerator, depth: int) -> None:
    tag = g.choices.below(len(g.plan.tags))
    g.operands(g.plan.tags[tag], depth)
    g.emit("throw", tag)
    g.kill()


def throw_ref(g: BodyGenerator, depth: int) -> None:
    """Throw an exception that was caught before, if there is one; null seldom."""
    if not g.plan.tags:
        return
    local = g.local_of(_EXNREF)
    if not g.choices.chance(1, 12):
        g.emit("local.get", local, push=(_EXNREF,))
        g.emit("ref.is_null", pops=1, push=(_I32,))
        g.emit("i32.eqz", pops=1, push=(_I32,))
        g.open("if", (), ())
        g.nested(lambda: _throw_ref(g, local))
    elif len(g.frames) > 1:
        _throw_ref(g, local)


def _throw_ref(g: BodyGenerator, local: int) -> None:
    g.emit("local.get", local, push=(_EXNREF,))
    g.emit("throw_ref")
    g.kill()


def make_try_table(fill: Fill) -> Statement:
    """The statement that catches what its own statements throw."""
    def try_table(g: BodyGenerator, depth: int) -> None:
        if not g.plan.tags:
            return
        clause, carried = _clause(g, 0)
        g.open("block", (), carried)

        def inside() -> None:
            extra = [found for _ in range(g.choices.below(3))
                     if (found := _other_clause(g)) is not None]
            clauses = [*extra, clause] if g.choices.chance(1, 2) else [clause, *extra]
            _open_try_table(g, tuple(clauses), depth)
            g.nested(lambda: fill(g, depth - 1))

        g.nested(inside)
        if clause.ref and g.choices.chance(1, 2):
            g.emit("local.set", g.local_of(_EXNREF), pops=1)
    return try_table


def _clause(g: BodyGenerator, label: int) -> tuple[Catch, tuple[ValueType, ...]]:
    """A clause, and the types of what its label takes."""
    ref = g.choices.chance(1, 2)
    tag = None if g.choices.chance(1, 3) else g.choices.below(len(g.plan.tags))
    types: tuple[ValueType, ...] = () if tag is None else g.plan.tags[tag]
    if ref:
        types = (*types, _EXNREF)
    return Catch(tag, ref, label), types


def _other_clause(g: BodyGenerator) -> Catch | None:
    """A clause for one of the labels that are there, if one has the right types."""
    clause, types = _clause(g, 0)
    fitting = [n for n, frame in enumerate(reversed(g.frames))
               if _takes(frame, types) and (not frame.loop or g.choices.chance(1, 16))]
    return clause._replace(label=g.choices.pick(fitting)) if fitting else None


def _takes(frame: Frame, types: Sequence[ValueType]) -> bool:
    return tuple(frame.labels) == tuple(types)


def _open_try_table(g: BodyGenerator, clauses: tuple[Catch, ...], depth: int) -> None:
    params = [_I32] if g.choices.chance(1, 6) else []
    results = [Type.I64] if g.choices.chance(1, 4) else []
    g.operands(params, depth)
    type_ = g.block_type(params, results)
    g.raw(BY_NAME["try_table"], (type_, clauses))
    g.pop(len(params))
    g.frames.append(Frame(tuple(results), tuple(results), len(g.stack)))
    g.stack.extend(params)


#: Statements with their weights, but for the one that :func:`make_try_table` makes.
THROWS: Sequence[tuple[int, Statement]] = ((2, throw), (3, throw_ref))

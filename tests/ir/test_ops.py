"""Everything that is derived from the table of ops covers all of it."""

from __future__ import annotations

import pytest

from swarmc.ir.builder import BY_SIGNATURE, RESULT_TYPE
from swarmc.ir.machine import HANDLERS
from swarmc.ir.ops import CONST, OPERAND_CLASSES, OPS, Attr, Effect, Op
from swarmc.ir.semantics import EVALUABLE
from swarmc.ir.state_ops import STATE_HANDLERS
from swarmc.ir.text import Cursor, format_attr, parse_attr
from swarmc.ir.types import EntityId, Shape, Trap, Type

ROWS = pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)


def test_the_interpreter_runs_every_op_in_one_way() -> None:
    ways = [EVALUABLE, {CONST}, set(STATE_HANDLERS), set(HANDLERS)]
    assert set().union(*ways) == set(OPS.values())
    assert sum(len(way) for way in ways) == len(OPS)


@ROWS
def test_rows_are_consistent(op: Op) -> None:
    assert OPS[op.name] is op
    assert op.doc
    spelled = [name for name in (*op.operands, *op.results) if name != "..."]
    assert all(name == "T" or name in OPERAND_CLASSES or Type(name) for name in spelled)
    assert all(name not in OPERAND_CLASSES for name in op.results)
    # A controlling type that shows nowhere would be noise; "T" without one would mean nothing.
    assert ("T" in spelled) == bool(op.types)
    assert op.is_terminator == bool(op.effect & Effect.TERMINATOR)
    assert op.edges == 0 or op.is_terminator
    assert not op.commutes or op.operands in (("T", "T"), ("v128", "v128"))
    assert (Attr.SHAPE in op.attrs) == bool(op.shapes)


@ROWS
def test_the_builder_knows_every_result(op: Op) -> None:
    assert (op in RESULT_TYPE) == (len(op.results) == 1 and op not in BY_SIGNATURE)
    assert (op in BY_SIGNATURE) == (op.results == ("...",))
    assert len(op.results) <= 1


@ROWS
def test_every_immediate_has_a_text_form(op: Op) -> None:
    examples = (EntityId(1, 2), Trap.INTEGER_OVERFLOW, True, 8, Shape.F32X4, bytes(range(16)))
    type_ = op.types[0] if op.types else None
    for kind in op.attrs:
        read = []
        for example in examples:
            try:
                cursor = Cursor(format_attr(kind, example, type_), 1)
                read.append(parse_attr(cursor, kind, type_) == example)
            except Exception:
                read.append(False)
        assert any(read), kind


def test_effects_of_calls_and_fuel() -> None:
    for op in OPS.values():
        if "call" in op.name:
            assert op.effect & Effect.CALL, op
        if op.name.startswith(("charge", "fuel")):
            assert op.effect & Effect.FUEL, op

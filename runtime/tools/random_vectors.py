"""Random forms of the ops on vectors: what suits their shape."""

from __future__ import annotations

import random
from typing import Any

from ...ir import ops as o
from ...ir.ops import Attr, Op
from ...ir.types import Shape, Type
from ...ir.vector_semantics import VECTOR_OPS

VECTORS = sorted(VECTOR_OPS, key=lambda op: op.name)


def vector_form(choose: random.Random, op: Op) -> tuple[Type | None, tuple[Any, ...]]:
    """A controlling type and immediates for an op on vectors."""
    shape = choose.choice(op.shapes) if op.shapes else Shape.I8X16
    forms: dict[Attr, Any] = {
        Attr.SHAPE: shape, Attr.LANE: choose.randrange(shape.lanes),
        Attr.SIGNED: shape.bits < 32 and choose.random() < 0.5, Attr.HIGH: choose.random() < 0.5,
        Attr.LANES: bytes(choose.choices(range(32), k=16)),
    }
    return shape.lane if op.types else None, tuple([forms[kind] for kind in op.attrs])


def canonical_form(op: Op, type_: Type, attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What fixes the NaNs of an op's result: the op, its controlling type and immediates."""
    if type_ is not Type.V128:
        return o.CANON, type_, ()
    shape = {o.VDEMOTE: Shape.F32X4, o.VPROMOTE: Shape.F64X2}.get(op) or attrs[0]
    return o.VCANON, None, (shape,)

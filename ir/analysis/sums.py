"""A value as another value plus a constant."""

from __future__ import annotations

from .. import ops as o
from ..function import Inst, Value

#: Additions of constants that are followed; constant folding leaves one.
_LONGEST_SUM = 8


def split_sum(value: Value) -> tuple[Value | None, int]:
    """A root and a displacement whose sum, modulo 2^N, is the value; no root stands for 0."""
    displacement = 0
    root: Value | None = value
    inst = value.definition
    for _ in range(_LONGEST_SUM):
        if type(inst) is not Inst or inst.op is not o.IADD:
            break
        base, step = inst.args
        amount = step.definition
        if type(amount) is not Inst or amount.op is not o.CONST:
            break
        displacement += amount.attrs[0]
        root, inst = base, base.definition
    if type(inst) is Inst and inst.op is o.CONST:
        displacement += inst.attrs[0]
        root = None
    return root, displacement & ((1 << value.type.bits) - 1)

"""Constants by their values' definitions."""

from __future__ import annotations

from .. import ops as o
from ..function import Inst, Value


def constant_of(value: Value) -> int | None:
    """The bits of a constant; None for what is none."""
    inst = value.definition
    if type(inst) is Inst and inst.op is o.CONST:
        bits: int = inst.attrs[0]
        return bits
    return None


def signed(bits: int, width: int) -> int:
    """Bits as a signed number."""
    bits &= (1 << width) - 1
    return bits - (1 << width) if bits >> width - 1 else bits

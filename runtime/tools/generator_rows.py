"""The opcode table as the generator draws from it: rows by what they give, and immediates."""

from __future__ import annotations

from typing import Any

from ...compiler.wasm.opcodes import OPCODES, Imm, Opcode
from ...compiler.wasm.types import ValueType
from ...ir.types import Type
from .choices import Choices

#: All types but references.
NUMERIC = (Type.I32, Type.I64, Type.F32, Type.F64, Type.V128)


def _by_result(*kinds: Imm) -> dict[ValueType, tuple[Opcode, ...]]:
    """Rows with operands and one result whose types are static, by the result's type."""
    return {
        t: tuple(row for row in OPCODES
                 if row.imm in kinds and row.results == (t,) and row.params
                 and all(p in NUMERIC for p in row.params))
        for t in NUMERIC
    }


PURE = _by_result(Imm.NONE, Imm.LANE, Imm.LANES)
LOADS = _by_result(Imm.MEMARG, Imm.MEMARG_LANE)
STORES = tuple(row for row in OPCODES if row.imm in (Imm.MEMARG, Imm.MEMARG_LANE)
               and row.results == () and row.params is not None and row.params[-1] in NUMERIC)
#: Addresses and offsets that are far out, by the type of addresses.
FAR = {Type.I32: (0x80000000, 0xFFFFFFFF),
       Type.I64: (0x80000000, 0xFFFFFFFF, 1 << 32, 1 << 48, 1 << 63, (1 << 64) - 8, (1 << 64) - 1)}


def immediate(choices: Choices, row: Opcode) -> Any:
    """The immediate of a row of :data:`PURE`."""
    if row.imm is Imm.LANES:
        return bytes(choices.below(32) for _ in range(16))
    return _lane(choices, row) if row.imm is Imm.LANE else None


def memarg(choices: Choices, row: Opcode, offset: int, memory: int) -> tuple[int, ...]:
    """The immediate of a load or store."""
    natural = row.width.bit_length() - 1
    align = natural - choices.below(natural + 1)
    lane = (_lane(choices, row),) if row.imm is Imm.MEMARG_LANE else ()
    return align, offset, memory, *lane


def _lane(choices: Choices, row: Opcode) -> int:
    assert row.shape is not None
    return choices.below(row.shape.lanes)

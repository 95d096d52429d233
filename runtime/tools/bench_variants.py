"""Builds of swarmc for measuring: without fuel, without bounds checks, to see what each costs.

The checks are taken out of the optimised IR just before it becomes machine code, so that all else
stays as it is. Such a build is for code that is known to be right: nothing stops an agent.
"""

from __future__ import annotations

from ...ir import module as ir
from ...ir import ops as o
from ...ir.function import Function, Inst
from ...ir.ops import Op
from ...ir.types import Type

#: What meters: charges, and tests of what is left.
METERING = frozenset({o.CHARGE, o.CHARGE_BY, o.FUEL_CHECK, o.FUEL_COVERS})
#: What keeps loads and stores within the memory.
BOUNDS = frozenset({o.BOUNDS_CHECK})


def take_out(program: ir.Module, ops: frozenset[Op]) -> None:
    """Remove instructions of some of these ops; a test whether fuel suffices says that it does."""
    for function in program.functions.values():
        _take_out(function, ops)


def _take_out(function: Function, ops: frozenset[Op]) -> None:
    for block in function.blocks:
        kept = []
        for inst in block.insts:
            if inst.op not in ops:
                kept.append(inst)
            elif inst.results:
                assert inst.op is o.FUEL_COVERS
                always = Inst(o.CONST, Type.I32, [], (1,))
                always.results = inst.results
                always.result.definition = always
                kept.append(always)
        block.insts = kept

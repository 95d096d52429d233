"""Align accesses: loads and stores say by how much their address is aligned for certain.

Before::

    %1 = const.i32 value=3
    %2 = ishl.i32 %0, %1
    %3 = load.i32 mem=0.0 offset=4 width=4 signed=false align=1 %2

after::

    %3 = load.i32 mem=0.0 offset=4 width=4 signed=false align=4 %2

The alignment that a WebAssembly instruction states is a hint which may lie, so the frontend says
1. Targets on which a misaligned access is dear, or not allowed, test an address whose alignment is
not proven. See :mod:`..analysis.alignment` for what is proven.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import ops as o
from ..analysis.alignment import Alignment, trailing_zeros
from ..module import Module
from ..types import EntityId

_ACCESSES = frozenset({o.LOAD, o.STORE})


def align_accesses(module: Module, roots: Iterable[EntityId] | None = None) -> bool:
    """Set the alignment of every access of a program.

    Args:
        roots: the functions that may be called from outside, besides the start functions; None:
            all exports.
    """
    alignment = Alignment(module, roots)
    changed = False
    for function in module.functions.values():
        known = alignment.solve(function)
        for inst in function.insts():
            if inst.op in _ACCESSES:
                *attrs, before = inst.attrs
                zeros = min(known.get(inst.args[0], 0), trailing_zeros(attrs[1]))
                align = max(before, 1 << zeros)
                if align != before:
                    inst.attrs = (*attrs, align)
                    changed = True
    return changed

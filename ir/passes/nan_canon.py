"""NaN canonicalisation: only where the bits of a NaN can be seen.

Before::

    %2 = fmul.f64 %0, %1
    %3 = canon.f64 %2
    %4 = fadd.f64 %3, %0
    %5 = canon.f64 %4
    store.f64 mem=0.0 offset=0 width=8 align=1 %6, %5

after::

    %2 = fmul.f64 %0, %1
    %3 = canon.f64 %2
    %4 = fadd.f64 %2, %0
    %5 = canon.f64 %4
    store.f64 mem=0.0 offset=0 width=8 align=1 %6, %5

Arithmetic, comparisons and truncations ask only whether an operand is a NaN, and ``canon`` does not
change that. Stores, calls, returns and bit casts see the bits; ``select``, ``fabs``, ``fneg``,
``fcopysign`` and block parameters hand them on, so they see what their result's users see. That is
a backward flow, solved optimistically. Every operand that is not seen bit by bit is taken from
before its ``canon``; canonicalisations that lost all users are left to ``dead-code``, and those of
what cannot be a wrong NaN to ``fold-constants``. Lanes of vectors keep theirs (``vcanon``).
"""

from __future__ import annotations

from .. import ops as o
from ..analysis.cfg import incoming_edges
from ..function import Block, Function, Inst, Value
from ..module import Module
from ..ops import Op
from .rewrite import reachable_order

#: Ops that look at float operands but not at the bits of a NaN.
_BLIND: frozenset[Op] = frozenset({
    o.FADD, o.FSUB, o.FMUL, o.FDIV, o.FMIN, o.FMAX, o.FSQRT, o.FCEIL, o.FFLOOR, o.FTRUNC,
    o.FNEAREST, o.FMA, o.PROMOTE, o.DEMOTE, o.CANON, o.FEQ, o.FNE, o.FLT, o.FGT, o.FLE, o.FGE,
    o.TRUNC_S, o.TRUNC_U, o.TRUNC_SAT_S, o.TRUNC_SAT_U,
})
#: Ops that hand the bits of these operands on to their result.
_TRANSPARENT: dict[Op, slice] = {
    o.SELECT: slice(1, 3),
    o.FABS: slice(0, 1),
    o.FNEG: slice(0, 1),
    o.FCOPYSIGN: slice(0, 1),  # the other operand's sign is seen, a NaN's too
}

def nan_canon(function: Function, module: Module) -> bool:
    """Remove the canonicalisations of one function that nothing sees."""
    if not any(inst.op is o.CANON for block in function.blocks for inst in block.insts):
        return False
    order = reachable_order(function)
    seen = _seen_values(function)
    changed = False
    for block in order:
        for inst in block.insts:
            if inst.op in _BLIND:
                if inst.op is not o.CANON:
                    changed |= _take_raw(inst.args, range(len(inst.args)))
            elif inst.op in _TRANSPARENT:
                if inst.results[0] not in seen:
                    places = range(len(inst.args))[_TRANSPARENT[inst.op]]
                    changed |= _take_raw(inst.args, places)
            for edge in inst.edges:
                places = range(len(edge.args))
                unseen = [i for i in places if edge.block.params[i] not in seen]
                changed |= _take_raw(edge.args, unseen)
    return changed


def _take_raw(args: list[Value], places: range | list[int]) -> bool:
    """Replace canonicalised operands in these places by what they were made from."""
    changed = False
    for i in places:
        inst = args[i].definition
        if type(inst) is Inst and inst.op is o.CANON:
            args[i] = inst.args[0]
            changed = True
    return changed


def _seen_values(function: Function) -> set[Value]:
    """Floats whose bits are seen should they be a NaN."""
    work: list[Value] = []
    for block in function.blocks:
        for inst in block.insts:
            op = inst.op
            if op is o.FCOPYSIGN:
                work.append(inst.args[1])
            elif op not in _BLIND and op not in _TRANSPARENT:
                work += [value for value in inst.args if value.type.is_float]
    seen: set[Value] = set()
    incoming = incoming_edges(function)
    while work:
        value = work.pop()
        if value in seen:
            continue
        seen.add(value)
        definition = value.definition
        if type(definition) is Inst:
            if definition.op in _TRANSPARENT:
                work += definition.args[_TRANSPARENT[definition.op]]
        elif type(definition) is Block:
            i = definition.params.index(value)
            work += [edge.args[i] for _, edge in incoming[definition] if i < len(edge.args)]
    return seen

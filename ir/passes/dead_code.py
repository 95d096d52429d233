"""Dead code: instructions without effect whose results nothing uses, and unused parameters.

Before::

    block1(%2: i32, %3: i32):
        %4 = iadd.i32 %3, %2
        %5 = load.i32 mem=0.0 offset=8 width=4 signed=false align=1 %2
        br_if %2, block1(%2, %4), block2

after::

    block1(%2: i32):
        br_if %2, block1(%2), block2

Reads count as without effect: their checks are separate instructions. A parameter is alive only
if something other than itself and other dead values needs it.
"""

from __future__ import annotations

from .. import ops as o
from ..analysis.cfg import incoming_edges
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import Effect, Op
from .rewrite import reachable_order, remove_params

#: Ops that go when their result is unused.
REMOVABLE: frozenset[Op] = frozenset(
    op for op in o.OPS.values() if op.effect in (Effect.NONE, Effect.READ)
)


def dead_code(function: Function, module: Module) -> bool:
    """Remove the dead code of one function."""
    before = len(function.blocks)
    order = reachable_order(function)
    incoming = incoming_edges(function) if _has_params(order) else {}
    live = _live_values(order, incoming)
    changed = len(order) != before
    for block in order:
        changed |= _sweep(block, live)
    for block in order[1:]:
        keep = [param in live for param in block.params]
        if not all(keep) and _pin_results(block, keep, incoming[block]):
            remove_params(block, keep, [edge.args for _, edge in incoming[block]])
            changed = True
    return changed


def _has_params(order: list[Block]) -> bool:
    return any(block.params for block in order[1:])


def _sweep(block: Block, live: set[Value]) -> bool:
    removable = REMOVABLE
    insts = block.insts
    kept = [inst for inst in insts if inst.op not in removable or inst.results[0] in live]
    if len(kept) == len(insts):
        return False
    block.insts = kept
    return True


def _pin_results(block: Block, keep: list[bool], edges: list[tuple[Block, Edge]]) -> bool:
    """Keep parameters that take results which a terminator appends; whether others go."""
    passed = min((len(edge.args) for _, edge in edges), default=0)
    for i in range(passed, len(keep)):
        keep[i] = True
    return not all(keep)


def _live_values(
    order: list[Block], incoming: dict[Block, list[tuple[Block, Edge]]]
) -> set[Value]:
    """Values that an effect or a branch needs, directly or through others.

    Uses come before definitions in a backward walk over reverse postorder, but for the arguments
    of retreating edges; those are followed through a worklist.
    """
    live: set[Value] = set()
    removable = REMOVABLE
    for block in reversed(order):
        for inst in reversed(block.insts):
            if inst.op not in removable or inst.results[0] in live:
                live.update(inst.args)
        if block.params:
            work = [
                edge.args[i]
                for i, param in enumerate(block.params) if param in live
                for _, edge in incoming.get(block, ()) if i < len(edge.args)
            ]
            _mark(work, live, incoming)
    return live


def _mark(
    work: list[Value], live: set[Value], incoming: dict[Block, list[tuple[Block, Edge]]]
) -> None:
    """Mark values and, through their definitions, all that they need."""
    while work:
        value = work.pop()
        if value in live:
            continue
        live.add(value)
        definition = value.definition
        if type(definition) is Inst:
            if definition.op in REMOVABLE:
                work.extend(definition.args)
        elif type(definition) is Block:
            i = definition.params.index(value)
            for _, edge in incoming.get(definition, ()):
                if i < len(edge.args):
                    work.append(edge.args[i])

"""Loop versioning: one test before counted loops, then a copy of them without checks.

Before::

    block1(%2: i32):
        fuel_check
        charge amount=9
        bounds_check mem=0.0 offset=0 width=4 %2
        store.i32 mem=0.0 offset=0 width=4 align=1 %2, %0
        %3 = iadd.i32 %2, 4
        %4 = ine.i32 %3, %1
        br_if %4, block1(%3), block2

after::

    block3(%5: i32):
        ... how often the loop goes round: %6; whether %1 - %5 is a multiple of 4: %7
        ... whether its last address lies in the memory: %8
        %9 = imul.i64 %6, 9
        %10 = fuel_covers %9
        br_if (%7 & %8 & %10), block4(%5, %6, extend_u(%5)), block1(%5)
    block1(%2: i32): ... as before
    block4(%11: i32, %12: i64, %13: i64):
        charge amount=9
        store.i32 mem=0.0 offset=0 width=4 align=1 %13, %0
        %14 = iadd.i32 %11, 4
        %15 = iadd.i64 %13, 4
        %16 = isub.i64 %12, 1
        %17 = ine.i64 %16, 0
        br_if %17, block4(%14, %16, %15), block2

Only what the test proves is left out of the copy: the fuel checks, as the fuel covers the longest
way through the loop as often as it can go round; and the bounds checks of addresses that grow by a
constant, as first and last lie in bounds. All else that may trap stays, with all charges, so every
trap keeps its place and its fuel. Addresses of the copy are 64 bits wide and the count is its
only way to end, so LLVM sees that neither wraps around, and can vectorise it.

A counted loop with counted loops in it, that go round as often each time, is copied whole, with
one test for all (:mod:`..analysis.nests`): there is no way from the copy of an inner loop to the
checked one then, which would keep LLVM from holding in registers what the outer loop stores again
and again. For that it has to know, too, that nothing else reads it; so the test asks whether what
is stored lies apart from the rest, and ``apart`` says so. In the loops as they were, the inner ones
are versioned by themselves, for when the test fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops as o
from ..analysis.dominators import DominatorTree
from ..analysis.loops import Loop, natural_loops
from ..analysis.nests import Nest, find_nest
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import Effect
from .loop_copy import copy_nest
from .loop_test import Address, LoopTest
from .rewrite import reachable_order

#: Loops larger than this are not copied: their checks weigh little.
_MOST_BLOCKS = 24
_MOST_INSTS = 256
_MOST_COST = 1 << 16

_NOT_COPIED = frozenset({o.CHARGE_BY, *(op for op in o.OPS.values() if op.effect & Effect.CALL)})
_ACCESSES = frozenset({o.LOAD, o.STORE})
_IN_ADDRESSES = _ACCESSES | {o.BOUNDS_CHECK, o.IADD}


def version_loops(function: Function, module: Module) -> bool:
    """Copy the counted loops of one function: pairs of one in the other, then the innermost."""
    before = len(function.blocks)
    order = reachable_order(function)
    changed = len(order) != before
    if not _goes_back(order):
        return changed
    loops = _loops(function, order)
    nests = [loop for loop in loops if loop.inner]
    if nests and _carry_out(function, module, _plans(function, nests)):
        changed = True
        loops = _loops(function, reachable_order(function))
    innermost = [loop for loop in loops if not loop.inner]
    return _carry_out(function, module, _plans(function, innermost)) or changed


def _goes_back(order: list[Block]) -> bool:
    """Whether there are any loops."""
    seen = set()
    for block in order:
        seen.add(block)
        for edge in block.insts[-1].edges:
            if edge.block in seen:
                return True
    return False


def _loops(function: Function, order: list[Block]) -> list[Loop]:
    """The loops that may be copied, by their size and place."""
    done = _behind_tests(order)
    tree = DominatorTree(function, order)
    return [loop for loop in natural_loops(function, tree, _MOST_BLOCKS)
            if loop.header not in done]


def _behind_tests(order: list[Block]) -> set[Block]:
    """Headers of the loops that an earlier run of the pass has tested or made."""
    return {edge.block for block in order if block.insts[-1].op is o.BR_IF
            and any(inst.op is o.FUEL_COVERS for inst in block.insts)
            for edge in block.insts[-1].edges}


@dataclass(slots=True)
class _Plan:
    """Loops that can be copied.

    Attributes:
        exits: edges that leave them.
        used_outside: values, constants apart, that other blocks use: they come out as parameters
            of one block.
        outside: what those blocks use instead.
    """

    nest: Nest
    exits: list[Edge]
    used_outside: dict[Value, None]
    outside: dict[Value, Value]

    @property
    def loop(self) -> Loop:
        return self.nest.outer.loop


def _plans(function: Function, loops: list[Loop]) -> list[_Plan]:
    return [plan for loop in loops if (plan := _plan(function, loop)) is not None]


def _plan(function: Function, loop: Loop) -> _Plan | None:
    """Whether and how a loop can be copied, with those in it."""
    insts = [inst for block in loop.blocks for inst in block.insts]
    if loop.header is function.blocks[0] or len(insts) > _MOST_INSTS:
        return None
    if any(inst.op in _NOT_COPIED for inst in insts):
        return None
    if not any(inst.op is o.FUEL_CHECK for inst in insts):
        return None  # a copy
    nest = find_nest(loop)
    if nest is None or any(member.cost > _MOST_COST for member in nest.members):
        return None
    inside = set(loop.blocks)
    exits = [edge for block in loop.blocks for edge in block.insts[-1].edges
             if edge.block not in inside]
    return _Plan(nest, exits, {}, {})


def _carry_out(function: Function, module: Module, plans: list[_Plan]) -> bool:
    """Version what is planned; whether that is anything."""
    if not plans:
        return False
    _find_uses_outside(function, plans)
    plans = [plan for plan in plans if not plan.used_outside or len(plan.exits) == 1]
    region = _next_region(function)
    entries: dict[Block, Block] = {}
    for plan in plans:
        test = _version(function, module, plan, region)
        entries[plan.loop.header] = test.block
        region = test.next_region
    _enter_through(function, plans, entries)
    _rename_outside(function, plans)
    return bool(plans)


def _find_uses_outside(function: Function, plans: list[_Plan]) -> None:
    """Note for each plan which of the loop's values other blocks use."""
    owner = {value: plan for plan in plans for value in plan.nest.defined
             if not _is_constant(value)}
    home = {block: plan for plan in plans for block in plan.loop.blocks}
    inside = owner.keys()
    for block in function.blocks:
        here = home.get(block)
        for inst in block.insts:
            if not inside.isdisjoint(inst.args):
                for value in inst.args:
                    _note_use(value, here, owner, inst.op in _IN_ADDRESSES)
        for edge in block.insts[-1].edges:
            for value in edge.args:
                _note_use(value, here, owner, False)


def _note_use(value: Value, here: _Plan | None, owner: dict[Value, _Plan], address: bool) -> None:
    plan = owner.get(value)
    while plan is not None and plan is not here:
        plan.used_outside[value] = None
        # The test of another loop looks at what an address is the sum of.
        total = value.definition
        if (not address or type(total) is not Inst or total.op is not o.IADD
                or not _is_constant(total.args[1])):
            break
        value = total.args[0]
        plan = owner.get(value)


def _is_constant(value: Value) -> bool:
    inst = value.definition
    return type(inst) is Inst and inst.op is o.CONST


def _version(function: Function, module: Module, plan: _Plan, region: int) -> LoopTest:
    """Write a block that tests, then goes to the copy or to the loop."""
    loop, nest, entry = plan.loop, plan.nest, Block()
    _hoist_constants(nest, entry)
    test = LoopTest(module, nest, entry, region)
    counts = test.counts()
    test.covers(counts)
    addresses = _addresses(test, nest)
    test.bounds(counts)
    if len(nest.members) > 1 or test.accumulates:
        test.apart()
    if plan.used_outside:
        _lead_out(function, plan)
    copied = copy_nest(function, nest, addresses, counts)
    copied.args = [*entry.params, *copied.args]
    test.branch(copied, Edge(loop.header, list(entry.params)))
    function.blocks.append(entry)
    return test


def _hoist_constants(nest: Nest, entry: Block) -> None:
    """Move constants to where the loops and what follows can share them with the copy."""
    for block in nest.outer.loop.blocks:
        constants = [inst for inst in block.insts if inst.op is o.CONST]
        if constants:
            entry.insts += constants
            block.insts = [inst for inst in block.insts if inst.op is not o.CONST]
            nest.forget([inst.result for inst in constants])


def _addresses(test: LoopTest, nest: Nest) -> dict[Inst, Address]:
    """The address of every access and check that the test proves to be in bounds."""
    found: dict[Inst, Address] = {}
    for block in nest.outer.loop.blocks:
        member = nest.member_of(block)
        for inst in block.insts:
            if inst.op in _ACCESSES or inst.op is o.BOUNDS_CHECK:
                address = test.address(member, inst)
                if address is not None:
                    found[inst] = address
    return found


def _next_region(function: Function) -> int:
    """A number such that no region has it or a greater one."""
    taken = [sum(inst.attrs) for inst in function.insts() if inst.op is o.APART]
    return max(taken, default=1)


def _lead_out(function: Function, plan: _Plan) -> None:
    """Put a block on the only way out, whose parameters are what other blocks use."""
    (edge,) = plan.exits
    out = Block()
    inside = [value for value in edge.args if value in plan.nest.defined]
    for value in dict.fromkeys([*plan.used_outside, *inside]):
        plan.outside[value] = out.add_param(value.type)
    args = [plan.outside.get(value, value) for value in edge.args]
    out.insts.append(Inst(o.JUMP, None, [], edges=[Edge(edge.block, args)]))
    edge.block, edge.args = out, list(plan.outside)
    function.blocks.append(out)


def _enter_through(function: Function, plans: list[_Plan], entries: dict[Block, Block]) -> None:
    """Lead the ways into loops to their tests: for all loops at once, as there may be thousands."""
    inside = {block: plan.loop.header for plan in plans for block in plan.loop.blocks}
    for block in function.blocks:
        for edge in block.insts[-1].edges:
            entry = entries.get(edge.block)
            if entry is not None and entry is not block and inside.get(block) is not edge.block:
                edge.block = entry


def _rename_outside(function: Function, plans: list[_Plan]) -> None:
    """Let other blocks use what comes out of a loop instead of the loop's own values."""
    renames = {old: (new, plan) for plan in plans for old, new in plan.outside.items()}
    if not renames:
        return
    moved = renames.keys()
    home = {block: plan for plan in plans for block in plan.loop.blocks}
    for block in function.blocks:
        here = home.get(block)
        for values in _operands(block):
            if not moved.isdisjoint(values):
                for place, value in enumerate(values):
                    found = renames.get(value)
                    if found is not None and found[1] is not here:
                        values[place] = found[0]


def _operands(block: Block) -> list[list[Value]]:
    """What its instructions use, and what its edges pass."""
    found = [inst.args for inst in block.insts if inst.args]
    found += [edge.args for edge in block.insts[-1].edges]
    return found

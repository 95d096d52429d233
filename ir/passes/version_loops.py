"""Loop versioning: one test before a counted loop, then a copy of it without checks.

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
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops as o
from ..analysis.dominators import DominatorTree
from ..analysis.induction import Induction
from ..analysis.loops import Loop, innermost_loops
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import Effect
from ..types import Type
from .loop_test import Address, LoopTest
from .rewrite import reachable_order

#: Loops larger than this are not copied: their checks weigh little.
_MOST_BLOCKS = 24
_MOST_INSTS = 256
_MOST_COST = 1 << 16

_ACCESSES = frozenset({o.LOAD, o.STORE})
_IN_ADDRESSES = _ACCESSES | {o.BOUNDS_CHECK, o.IADD}


def version_loops(function: Function, module: Module) -> bool:
    """Copy the counted innermost loops of one function."""
    before = len(function.blocks)
    order = reachable_order(function)
    changed = len(order) != before
    if not any(inst.op is o.FUEL_CHECK for block in order[1:] for inst in block.insts):
        return changed
    tree = DominatorTree(function, order)
    done = _behind_tests(order)
    plans = [plan for loop in innermost_loops(function, tree, _MOST_BLOCKS)
             if loop.header not in done and (plan := _plan(function, loop)) is not None]
    if not plans:
        return changed
    _find_uses_outside(function, plans)
    plans = [plan for plan in plans if not plan.used_outside or len(plan.exits) == 1]
    entries = {plan.loop.header: _version(function, module, plan) for plan in plans}
    _enter_through(function, plans, entries)
    _rename_outside(function, plans)
    return changed or bool(plans)


def _behind_tests(order: list[Block]) -> set[Block]:
    """Headers of the loops that an earlier run of the pass has tested or made."""
    return {successor for block in order if any(inst.op is o.FUEL_COVERS for inst in block.insts)
            for successor in block.successors}


@dataclass(slots=True)
class _Plan:
    """A loop that can be copied.

    Attributes:
        cost: most fuel that one time round takes.
        exits: edges that leave it.
        used_outside: values, constants apart, that other blocks use: they come out as parameters
            of one block.
        outside: what those blocks use instead.
    """

    loop: Loop
    induction: Induction
    cost: int
    exits: list[Edge]
    used_outside: dict[Value, None]
    outside: dict[Value, Value]


def _plan(function: Function, loop: Loop) -> _Plan | None:
    """Whether and how a loop can be copied."""
    insts = [inst for block in loop.blocks for inst in block.insts]
    if loop.header is function.blocks[0] or len(insts) > _MOST_INSTS:
        return None
    if any(inst.op is o.CHARGE_BY or inst.op.effect & Effect.CALL for inst in insts):
        return None
    if not any(inst.op is o.FUEL_CHECK or inst.op is o.BOUNDS_CHECK for inst in insts):
        return None
    induction = Induction(loop)
    if induction.condition() is None:
        return None
    cost = _longest_way(loop)
    if cost > _MOST_COST:
        return None
    inside = set(loop.blocks)
    exits = [edge for block in loop.blocks for edge in block.insts[-1].edges
             if edge.block not in inside]
    return _Plan(loop, induction, cost, exits, {}, {})


def _longest_way(loop: Loop) -> int:
    """Most fuel that is charged from the header on to any block of the loop."""
    total: dict[Block, int] = dict.fromkeys(loop.blocks, 0)
    for block in loop.blocks:  # in reverse postorder: without the way back there is no circle
        total[block] += sum(inst.attrs[0] for inst in block.insts if inst.op is o.CHARGE)
        for successor in block.successors:
            if successor in total and successor is not loop.header:
                total[successor] = max(total[successor], total[block])
    return max(total.values())


def _find_uses_outside(function: Function, plans: list[_Plan]) -> None:
    """Note for each plan which of the loop's values other blocks use."""
    owner = {value: plan for plan in plans for value in plan.induction.defined
             if not _is_constant(value)}
    home = {block: plan for plan in plans for block in plan.loop.blocks}
    for block in function.blocks:
        here = home.get(block)
        for inst in block.insts:
            for values in (inst.args, *[edge.args for edge in inst.edges]):
                for value in values:
                    plan = owner.get(value)
                    while plan is not None and plan is not here:
                        plan.used_outside[value] = None
                        # The test of another loop looks at what an address is the sum of.
                        total = value.definition
                        if (values is not inst.args or inst.op not in _IN_ADDRESSES
                                or type(total) is not Inst or total.op is not o.IADD
                                or not _is_constant(total.args[1])):
                            break
                        value = total.args[0]
                        plan = owner.get(value)


def _is_constant(value: Value) -> bool:
    inst = value.definition
    return type(inst) is Inst and inst.op is o.CONST


def _version(function: Function, module: Module, plan: _Plan) -> Block:
    """A block that tests, then goes to the copy or to the loop."""
    loop, entry = plan.loop, Block()
    _hoist_constants(plan, entry)
    test = LoopTest(module, plan.induction, entry)
    count = test.count()
    test.covers(count, plan.cost)
    addresses = _addresses(test, plan, count)
    if plan.used_outside:
        _lead_out(function, plan)
    copy = _copy(function, plan, addresses)
    moving = list(dict.fromkeys(address for address in addresses.values() if address.step))
    copied = Edge(copy, [*entry.params, count, *[address.first for address in moving]])
    test.branch(copied, Edge(loop.header, list(entry.params)))
    function.blocks.append(entry)
    return entry


def _hoist_constants(plan: _Plan, entry: Block) -> None:
    """Move constants to where the loop and what follows can share them with the copy."""
    for block in plan.loop.blocks:
        constants = [inst for inst in block.insts if inst.op is o.CONST]
        if constants:
            entry.insts += constants
            block.insts = [inst for inst in block.insts if inst.op is not o.CONST]
            plan.induction.defined.difference_update([inst.result for inst in constants])


def _addresses(test: LoopTest, plan: _Plan, count: Value) -> dict[Inst, Address]:
    """The address of every access and check that the test proves to be in bounds."""
    found: dict[Inst, Address] = {}
    for block in plan.loop.blocks:
        for inst in block.insts:
            if inst.op in _ACCESSES or inst.op is o.BOUNDS_CHECK:
                address = test.address(inst)
                if address is not None:
                    found[inst] = address
    test.bounds(count)
    return found


def _lead_out(function: Function, plan: _Plan) -> None:
    """Put a block on the only way out, whose parameters are what other blocks use."""
    (edge,) = plan.exits
    out = Block()
    inside = [value for value in edge.args if value in plan.induction.defined]
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


def _copy(function: Function, plan: _Plan, addresses: dict[Inst, Address]) -> Block:
    """Copy the blocks of a loop without what is proven; its header."""
    loop = plan.loop
    blocks = {block: Block() for block in loop.blocks}
    values: dict[Value, Value] = {}
    for block, copy in blocks.items():
        for param in block.params:
            values[param] = copy.add_param(param.type)
    header = blocks[loop.header]
    left = header.add_param(Type.I64)
    moving = list(dict.fromkeys(address for address in addresses.values() if address.step))
    current = {address: header.add_param(Type.I64) for address in moving}
    for block, copy in blocks.items():
        for inst in block.insts[:-1]:
            if inst.op is o.FUEL_CHECK or (inst.op is o.BOUNDS_CHECK and inst in addresses):
                continue
            copied = _copy_inst(inst, values)
            if inst in addresses:
                address = addresses[inst]
                copied.args[0] = current.get(address, address.first)
                offset = inst.attrs[1] + address.displacement_of(inst)
                copied.attrs = (inst.attrs[0], offset, *inst.attrs[2:])
            copy.insts.append(copied)
        terminator = _copy_inst(block.insts[-1], values)
        terminator.edges = [
            Edge(blocks.get(edge.block, edge.block), [values.get(v, v) for v in edge.args])
            for edge in block.insts[-1].edges
        ]
        copy.insts.append(terminator)
    _count_down(blocks[loop.latch], header, left, current)
    function.blocks.extend(blocks.values())
    return header


def _copy_inst(inst: Inst, values: dict[Value, Value]) -> Inst:
    """A copy with its own results; operands are renamed."""
    copied = Inst(inst.op, inst.type, [values.get(v, v) for v in inst.args], inst.attrs,
                  loc=inst.loc, prepaid=inst.prepaid)
    copied.results = tuple([Value(value.type, copied) for value in inst.results])
    values.update(zip(inst.results, copied.results, strict=True))
    return copied


def _count_down(latch: Block, header: Block, left: Value, current: dict[Address, Value]) -> None:
    """Repeat the copy until the count is used up, with the addresses moved on."""
    terminator = latch.insts.pop()

    def constant(amount: int) -> Value:
        return _append(latch, o.CONST, Type.I64, [], (amount & (1 << 64) - 1,))

    fewer = _append(latch, o.ISUB, Type.I64, [left, constant(1)], ())
    moved = []
    for address, value in current.items():
        amount = address.moved
        if amount is None:
            assert isinstance(address.step, int), "the others are known now"
            amount = constant(address.step)
        moved.append(_append(latch, o.IADD, Type.I64, [value, amount], ()))
    more = _append(latch, o.INE, Type.I64, [fewer, constant(0)], ())
    again, out = terminator.edges
    if again.block is not header:
        again, out = out, again
    again.args += [fewer, *moved]
    latch.insts.append(Inst(o.BR_IF, None, [more], edges=[again, out], loc=terminator.loc))


def _append(block: Block, op: o.Op, type_: Type, args: list[Value],
            attrs: tuple[int, ...]) -> Value:
    inst = Inst(op, type_, args, attrs)
    inst.results = (Value(Type.I32 if op is o.INE else type_, inst),)
    block.insts.append(inst)
    return inst.result


def _rename_outside(function: Function, plans: list[_Plan]) -> None:
    """Let other blocks use what comes out of a loop instead of the loop's own values."""
    renames = {old: (new, plan) for plan in plans for old, new in plan.outside.items()}
    if not renames:
        return
    home = {block: plan for plan in plans for block in plan.loop.blocks}
    for block in function.blocks:
        here = home.get(block)
        for inst in block.insts:
            for values in (inst.args, *[edge.args for edge in inst.edges]):
                for place, value in enumerate(values):
                    found = renames.get(value)
                    if found is not None and found[1] is not here:
                        values[place] = found[0]

"""The copy of counted loops in which nothing is tested that the test before them proves."""

from __future__ import annotations

from .. import ops as o
from ..analysis.nests import Counted, Nest
from ..builder import make
from ..function import Block, Edge, Function, Inst, Value
from ..types import Type
from .loop_test import Address


def copy_nest(
    function: Function, nest: Nest, addresses: dict[Inst, Address], counts: dict[Counted, Value]
) -> Edge:
    """Copy the blocks of a nest.

    Returns:
        An edge to the copy, with what it takes besides the parameters of the outer loop's header.
    """
    return _Copy(nest, addresses, counts).write(function)


class _Copy:
    """A copy on its way.

    Args:
        addresses: of the accesses and checks that are proven. counts: rounds of each loop.
    """

    def __init__(
        self, nest: Nest, addresses: dict[Inst, Address], counts: dict[Counted, Value]
    ) -> None:
        self._nest = nest
        self._addresses = addresses
        self._distinct = list(dict.fromkeys(addresses.values()))
        self._counts = counts
        self._blocks = {block: Block() for block in nest.outer.loop.blocks}
        self._values: dict[Value, Value] = {}
        for block, copy in self._blocks.items():
            for param in block.params:
                self._values[param] = copy.add_param(param.type)
        self._left: dict[Counted, Value] = {}
        self._moving: dict[Counted, dict[Address, Value]] = {}  # parameters of a loop's header
        self._current: dict[Counted, dict[Address, Value]] = {}  # all addresses, in a loop
        self._places: dict[Address, Value] = {}  # where an inner loop begins, if found out there
        for member in nest.members:
            self._enter(member)

    def write(self, function: Function) -> Edge:
        for block, copy in self._blocks.items():
            self._copy_block(block, copy)
        for member in self._nest.members:
            self._count_down(member)
        function.blocks.extend(self._blocks.values())
        outer = self._nest.outer
        moving = [address.first for address in self._moving[outer]]
        return Edge(self._blocks[outer.loop.header], [self._counts[outer], *moving])

    def _enter(self, member: Counted) -> None:
        """Give the copy of a loop's header parameters for its rounds and addresses."""
        header = self._blocks[member.loop.header]
        self._left[member] = header.add_param(Type.I64)
        self._moving[member] = {address: header.add_param(Type.I64)
                                for address in self._distinct if member in address.steps}
        around = self._current.get(self._nest.outer)
        if around is None:
            around = {address: address.first for address in self._distinct
                      if address.range is None}
        self._current[member] = around | self._moving[member]

    def _copy_block(self, block: Block, copy: Block) -> None:
        current = self._current[self._nest.member_of(block)]
        for inst in block.insts[:-1]:
            address = self._addresses.get(inst)
            if inst.op is o.FUEL_CHECK or (inst.op is o.BOUNDS_CHECK and address is not None):
                continue
            copied = self._copy_inst(inst)
            if address is not None:
                copied.args[0] = current[address]
                offset = inst.attrs[1] + address.displacement_of(inst)
                copied.attrs = (inst.attrs[0], offset, *inst.attrs[2:])
                copied.region = address.region
            copy.insts.append(copied)
        for member in self._nest.members:
            if member.entry in block.insts[-1].edges:
                self._find_places(member, copy)
        terminator = self._copy_inst(block.insts[-1])
        terminator.edges = [self._copy_edge(edge) for edge in block.insts[-1].edges]
        copy.insts.append(terminator)

    def _find_places(self, member: Counted, block: Block) -> None:
        """Compute where an inner loop begins whose addresses are only known when it is entered."""
        known: dict[Value, Value] = {}
        for address in self._distinct:
            if address.inner is member:
                place = self._when_entered(member, address.root, block, known)
                if address.lowest:
                    amount = make(o.CONST, Type.I32, [], (address.lowest & (1 << 32) - 1,))
                    place = _append(block, make(o.IADD, Type.I32, [place, _append(block, amount)]))
                place = _append(block, make(o.EXTEND_U, None, [place]))
                self._places[address] = place
                self._current[member].setdefault(address, place)

    def _when_entered(
        self, member: Counted, value: Value, block: Block, known: dict[Value, Value]
    ) -> Value:
        """What a value of an inner loop is in its first round, in the copy."""
        inst = value.definition
        if inst is member.loop.header and member.entry is not None:
            value = member.entry.args[member.loop.header.params.index(value)]
        elif type(inst) is Inst and value in member.induction.defined:
            if value not in known:
                args = [self._when_entered(member, arg, block, known) for arg in inst.args]
                known[value] = _append(block, make(inst.op, inst.type, args, inst.attrs))
            return known[value]
        return self._values.get(value, value)

    def _copy_inst(self, inst: Inst) -> Inst:
        """A copy with its own results; operands are renamed."""
        values = self._values
        copied = Inst(inst.op, inst.type, [values.get(v, v) for v in inst.args], inst.attrs,
                      loc=inst.loc, prepaid=inst.prepaid)
        copied.results = tuple([Value(value.type, copied) for value in inst.results])
        values.update(zip(inst.results, copied.results, strict=True))
        return copied

    def _copy_edge(self, edge: Edge) -> Edge:
        """An edge inside the copy, or out of it; one into an inner loop passes on more."""
        args = [self._values.get(value, value) for value in edge.args]
        for member in self._nest.members:
            if edge is member.entry:
                places = self._current[self._nest.outer] | self._places
                moving = [places[address] for address in self._moving[member]]
                args += [self._counts[member], *moving]
        return Edge(self._blocks.get(edge.block, edge.block), args)

    def _count_down(self, member: Counted) -> None:
        """Repeat a loop until its count is used up, with the addresses moved on."""
        header, latch = (self._blocks[b] for b in (member.loop.header, member.loop.latch))
        terminator = latch.insts.pop()
        fewer = _emit(latch, o.ISUB, self._left[member], _constant(latch, 1))
        moved = []
        for address, value in self._moving[member].items():
            amount = address.moved.get(member)
            if amount is None:
                step = address.steps[member]
                assert isinstance(step, int), "the others are known now"
                amount = _constant(latch, step)
            moved.append(_emit(latch, o.IADD, value, amount))
        more = _emit(latch, o.INE, fewer, _constant(latch, 0))
        again, out = terminator.edges
        if again.block is not header:
            again, out = out, again
        again.args += [fewer, *moved]
        latch.insts.append(Inst(o.BR_IF, None, [more], edges=[again, out], loc=terminator.loc))


def _constant(block: Block, number: int) -> Value:
    return _append(block, make(o.CONST, Type.I64, [], (number & (1 << 64) - 1,)))


def _emit(block: Block, op: o.Op, first: Value, second: Value) -> Value:
    return _append(block, make(op, Type.I64, [first, second]))


def _append(block: Block, inst: Inst) -> Value:
    block.insts.append(inst)
    return inst.result

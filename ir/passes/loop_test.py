"""The test before counted loops: how often they go round, and whether all of that is safe."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

from .. import ops as o
from ..analysis.induction import Multiple, Step
from ..analysis.nests import Counted, Nest
from ..analysis.sums import split_sum
from ..builder import make
from ..function import Block, Edge, Inst, Value
from ..module import PAGE_SIZE, Module
from ..ops import Op
from ..types import EntityId, Type

I32, I64 = Type.I32, Type.I64

#: A loop goes round at most so often, so that no product in the test leaves 64 bits.
_MOST_ROUNDS = 1 << 32
_MOST_STEP = 1 << 31
_MOST_SPREAD = 1 << 31
#: What inner loops take in a round of the outer one, at most, for the same reason.
_MOST_INNER_COST = 1 << 30
#: So many pairs of accesses are tested for being apart.
_MOST_PAIRS = 8
#: Accesses that begin less than so far apart, at one value plus constants, are taken to overlap.
_NEAR = 64

_SIGNED = frozenset({o.ILT_S, o.ILE_S, o.IGT_S, o.IGE_S})
_INCLUSIVE = frozenset({o.ILE_S, o.ILE_U, o.IGE_S, o.IGE_U})


@dataclass(eq=False, slots=True)
class Address:
    """Accesses whose addresses are one value plus constants, and move on together.

    Attributes:
        memory: the memory they go to.
        root: the value, inside the nest.
        steps: by how many bytes each loop moves it on, the outer one first.
        moved: those steps as i64, that are only known when the nest is entered.
        lowest: the least of the constants. highest: the end of what is accessed, as a constant.
        stored: whether there is a store among them.
        region: their number in ``apart``; 0 if they are in none.
        inner: the inner loop they are in, if it is not known by how much the outer one moves them.
        range: bounds of the root when that is entered; None of others.
        ends: the least and the greatest of ``root + lowest`` when the loop is entered, as i64;
            known after :meth:`LoopTest.bounds`.
    """

    memory: EntityId
    root: Value
    steps: dict[Counted, Step]
    lowest: int
    highest: int
    stored: bool = False
    region: int = 0
    inner: Counted | None = None
    range: tuple[int, int] | None = None
    moved: dict[Counted, Value] = field(default_factory=dict)
    ends: tuple[Value, Value] | None = None
    ways: dict[bool, Value] = field(default_factory=dict)  # how far the loops move it up, and down

    @property
    def first(self) -> Value:
        """``root + lowest`` when the nest is entered, as an i64, if there is no range."""
        assert self.ends is not None and self.range is None, "it is not known"
        return self.ends[0]

    def displacement_of(self, inst: Inst) -> int:
        """What an access of these adds to ``root + lowest``, besides its offset."""
        return _displacement(inst) - self.lowest


class LoopTest:
    """Writes the test into a block with the parameters of the outer loop's header.

    Attributes:
        block: where it is written to.
        next_region: the least number for a region of memory that is not taken.
    """

    __slots__ = ("_addresses", "_conditions", "_constants", "_first", "_growths", "_module",
                 "_nest", "block", "next_region")

    def __init__(self, module: Module, nest: Nest, block: Block, next_region: int) -> None:
        self.block = block
        self.next_region = next_region
        self._module = module
        self._nest = nest
        self._first = {param: block.add_param(param.type)
                       for param in nest.outer.loop.header.params}
        self._conditions: list[Value] = []
        self._growths: dict[Multiple, Value] = {}
        self._constants: dict[tuple[Type, int], Value] = {}
        self._addresses: dict[tuple[EntityId, Value], Address] = {}

    def counts(self) -> dict[Counted, Value]:
        """How often each loop goes round when it is entered, as i64 of at least 1."""
        return {member: self._count(member) for member in self._nest.members}

    def covers(self, counts: dict[Counted, Value]) -> None:
        """The fuel lasts for so many rounds."""
        outer, *inner = self._nest.members
        price: Value | None = None
        for member in inner:
            cost = self._binary(o.IMUL, counts[member], member.cost)
            price = cost if price is None else self._emit(o.IADD, I64, [price, cost])
        if price is None:
            total = self._binary(o.IMUL, counts[outer], outer.cost)
        else:
            self._require(self._binary(o.ILE_U, price, _MOST_INNER_COST))
            price = self._binary(o.IADD, price, outer.cost)
            total = self._emit(o.IMUL, I64, [counts[outer], price])
        self._require(self._emit(o.FUEL_COVERS, None, [total]))

    def address(self, member: Counted, inst: Inst) -> Address | None:
        """Include an access or check of a loop in the test; None if its address moves otherwise."""
        root, _ = split_sum(inst.args[0])
        if root is None:
            return None
        between = inner = None
        steps = self._nest.step(member, root)
        if steps is None:
            between, inner = self._nest.range(member, root), member
            step = member.induction.delta(root)
            steps = {member: step} if step else {}
            if between is None:
                return None
        if any(root.type is I64 if isinstance(step, Multiple) else abs(step) >= _MOST_STEP
               for step in steps.values()):
            return None
        memory, offset, width = inst.attrs[:3]
        low = _displacement(inst)
        high = low + offset + width
        address = self._addresses.get((memory, root))
        if address is None:
            address = Address(memory, root, steps, low, high, inner=inner, range=between)
        elif address.steps != steps or address.inner is not inner:
            return None  # a value of the outer loop that an inner one takes for its own
        lowest, highest = min(address.lowest, low), max(address.highest, high)
        if highest - lowest >= _MOST_SPREAD:
            return None
        self._addresses[memory, root] = address
        address.lowest, address.highest = lowest, highest
        address.stored |= inst.op is o.STORE
        return address

    def bounds(self, counts: dict[Counted, Value]) -> None:
        """All the addresses lie in bounds, from the first round to the last."""
        rounds: dict[Counted, Value] = {}
        for address in self._addresses.values():
            least, most = self._ends(address)
            room = self._room(address)
            self._require(self._emit(o.ILE_U, I64, [most, room]))
            for member, step in address.steps.items():
                if isinstance(step, Multiple):
                    size = self._emit(o.EXTEND_S, None, [self._growth(step)])
                    address.moved[member] = size
                else:
                    size = self._const(I64, abs(step))
                if member not in rounds:
                    rounds[member] = self._binary(o.ISUB, counts[member], 1)
                way = self._emit(o.IMUL, I64, [rounds[member], size])
                up = isinstance(step, Multiple) or step > 0
                if up in address.ways:  # two of less than 2^63
                    way = self._emit(o.IADD, I64, [address.ways[up], way])
                address.ways[up] = way
            for up, way in address.ways.items():
                left = self._emit(o.ISUB, I64, [room, most]) if up else least
                self._require(self._emit(o.ILE_U, I64, [way, left]))

    @property
    def accumulates(self) -> bool:
        """Whether there is a store that goes to the same place in every round."""
        return any(address.stored and not address.steps for address in self._addresses.values())

    def apart(self) -> None:
        """What is stored lies apart from what else is accessed, and that is declared."""
        regions: list[list[Address]] = []
        for address in self._addresses.values():
            for region in regions:
                if self._near(address, region[0]):
                    region.append(address)
                    break
            else:
                regions.append([address])
        pairs = [(a, b) for n, region in enumerate(regions) for other in regions[n + 1 :]
                 for a, b in product(region, other)
                 if (a.stored or b.stored) and a.memory == b.memory]
        if not 0 < len(pairs) <= _MOST_PAIRS:
            return
        for number, region in enumerate(regions, self.next_region):
            for address in region:
                address.region = number
        ranges = {a: self._range(a) for a in dict.fromkeys([a for pair in pairs for a in pair])}
        for a, b in pairs:
            ways = [self._emit(o.ILE_U, I64, [ranges[x][1], ranges[y][0]])
                    for x, y in ((a, b), (b, a))]
            self._require(self._emit(o.IOR, I32, ways))
        self.block.insts.append(Inst(o.APART, None, [], (self.next_region, len(regions))))
        self.next_region += len(regions)

    def _near(self, a: Address, b: Address) -> bool:
        """Whether two start from one value, so close together that they most likely overlap."""
        if a.range is not None or b.range is not None:
            return False
        (root, c), (other, d) = (split_sum(self.first(x.root)) for x in (a, b))
        if root is None or root is not other or a.memory != b.memory:
            return False
        apart = (d + b.lowest - c - a.lowest) % (1 << a.root.type.bits)
        return min(apart, (1 << a.root.type.bits) - apart) < _NEAR

    def _ends(self, address: Address) -> tuple[Value, Value]:
        """The least and the greatest first address of an inner loop's rounds, as i64."""
        if address.range is not None:
            least, most = (end + address.lowest for end in address.range)
            if least < 0:
                self._require(self._const(I32, 0))  # it may wrap around
            address.ends = self._const(I64, max(least, 0)), self._const(I64, max(most, 0))
        else:
            first = self.first(address.root)
            if address.lowest:
                first = self._binary(o.IADD, first, address.lowest)
            if first.type is I32:
                first = self._emit(o.EXTEND_U, None, [first])
            address.ends = first, first
        return address.ends

    def _range(self, address: Address) -> tuple[Value, Value]:
        """First byte and end of what is accessed."""
        assert address.ends is not None, "the bounds are tested before"
        start, end = address.ends
        up, down = address.ways.get(True), address.ways.get(False)
        if down is not None:
            start = self._emit(o.ISUB, I64, [start, down])
        if up is not None:
            end = self._emit(o.IADD, I64, [end, up])
        return start, self._binary(o.IADD, end, address.highest - address.lowest)

    def branch(self, passed: Edge, failed: Edge) -> None:
        """End the block: go on by what the test says."""
        result = self._conditions[0]
        for condition in self._conditions[1:]:
            result = self._emit(o.IAND, I32, [result, condition])
        self.block.insts.append(Inst(o.BR_IF, None, [result], edges=[passed, failed]))

    def first(self, value: Value) -> Value:
        """What a value of the nest is in the first round, or one from outside."""
        found = self._first.get(value)
        if found is None and value not in self._nest.defined:
            return value
        if found is None:
            inst = value.definition
            if type(inst) is Inst:
                args = [self.first(arg) for arg in inst.args]
                found = self._emit(inst.op, inst.type, args, *inst.attrs)
            else:
                found = self.first(self._passed(value))
            self._first[value] = found
        return found

    def _passed(self, param: Value) -> Value:
        """What an inner loop is entered with."""
        member = next(m for m in self._nest.members if m.loop.header is param.definition)
        assert member.entry is not None, "the parameters of the outer loop are known"
        return member.entry.args[member.loop.header.params.index(param)]

    def _count(self, member: Counted) -> Value:
        condition = member.condition
        step = member.induction.delta(condition.value)
        assert step, "a condition's value changes"
        start, limit = self.first(condition.value), condition.limit
        limit = self._const(start.type, 0) if limit is None else self.first(limit)
        grows = isinstance(step, Multiple) or step > 0
        if condition.op is o.INE:
            way = self._emit(o.ISUB, start.type, [limit, start] if grows else [start, limit])
            before = self._until_equal(way, step)
        else:
            before = self._until_beyond(condition.op, start, limit, step)
        return self._binary(o.IADD, before, 1)

    def _until_equal(self, way: Value, step: Step) -> Value:
        """Rounds, as an i64, before a value that moves by a constant has gone the whole way."""
        type_ = way.type
        size = self._growth(step) if isinstance(step, Multiple) else abs(step)
        if size != 1:
            if isinstance(size, int):
                size = self._const(type_, size)
            rest = self._emit(o.IREM_U, type_, [way, size])
            self._require(self._emit(o.IEQZ, type_, [rest]))
            way = self._emit(o.IDIV_U, type_, [way, size])
        if type_ is I32:
            return self._emit(o.EXTEND_U, None, [way])
        self._require(self._binary(o.ILT_U, way, _MOST_ROUNDS))
        return way

    def _until_beyond(self, op: Op, start: Value, limit: Value, step: Step) -> Value:
        """Rounds, as an i64, while an i32 that moves towards the limit has not reached it.

        The value may lie behind the limit then, by less than its step, but may not wrap around.
        """
        signed = op in _SIGNED
        least, most = (-(1 << 31), (1 << 31) - 1) if signed else (0, (1 << 32) - 1)
        start, limit = (self._emit(o.EXTEND_S if signed else o.EXTEND_U, None, [value])
                        for value in (start, limit))
        grows = isinstance(step, Multiple) or step > 0
        if op in _INCLUSIVE:
            limit = self._binary(o.IADD, limit, 1 if grows else -1)
        way = self._emit(o.ISUB, I64, [limit, start] if grows else [start, limit])
        if isinstance(step, Multiple):
            size = self._emit(o.EXTEND_S, None, [self._growth(step)])
            less = self._binary(o.ISUB, size, 1)
            furthest = self._emit(o.IADD, I64, [limit, less])
        else:
            size, less = self._const(I64, abs(step)), self._const(I64, abs(step) - 1)
            furthest = self._emit(o.IADD if grows else o.ISUB, I64, [limit, less])
        self._require(self._binary(o.ILE_S, furthest, most) if grows
                      else self._binary(o.IGE_S, furthest, least))
        rounded = self._emit(o.IADD, I64, [way, less])
        rounds = self._emit(o.IDIV_U, I64, [rounded, size])
        return self._emit(o.SELECT, I64,
                          [self._binary(o.IGT_S, way, 0), rounds, self._const(I64, 0)])

    def _growth(self, step: Multiple) -> Value:
        """A step that is known now, as an i32: greater than 0, or the test fails."""
        found = self._growths.get(step)
        if found is None:
            amount = self.first(step.value)
            if step.factor != 1:
                amount = self._binary(o.IMUL, amount, step.factor)
            positive = self._binary(o.IGT_S, amount, 0)
            self._require(positive)
            # The test divides by it even if it has failed.
            found = self._emit(o.SELECT, I32, [positive, amount, self._const(I32, 1)])
            self._growths[step] = found
        return found

    def _room(self, address: Address) -> Value:
        """The last place, as an i64, at which what lies behind ``first`` is in bounds."""
        memory = self._module.memories[address.memory]
        extent = address.highest - address.lowest
        minimum = memory.minimum * PAGE_SIZE
        if memory.minimum == memory.maximum and extent <= minimum:
            return self._const(I64, minimum - extent)
        pages = self._emit(o.MEMORY_SIZE, memory.index_type, [], address.memory)
        if pages.type is I32:
            pages = self._emit(o.EXTEND_U, None, [pages])
        size = self._binary(o.ISHL, pages, PAGE_SIZE.bit_length() - 1)
        if extent > minimum:
            self._require(self._binary(o.IGE_U, size, extent))
        return self._binary(o.ISUB, size, extent)

    def _require(self, condition: Value) -> None:
        self._conditions.append(condition)

    def _const(self, type_: Type, number: int) -> Value:
        bits = number & (1 << type_.bits) - 1
        found = self._constants.get((type_, bits))
        if found is None:
            found = self._constants[type_, bits] = self._emit(o.CONST, type_, [], bits)
        return found

    def _binary(self, op: Op, value: Value, number: int) -> Value:
        """An op with a constant as its second operand."""
        return self._emit(op, value.type, [value, self._const(value.type, number)])

    def _emit(self, op: Op, type_: Type | None, args: list[Value], *attrs: Any) -> Value:
        inst = make(op, type_, args, attrs)
        self.block.insts.append(inst)
        return inst.result


def _displacement(inst: Inst) -> int:
    """The constant in the address of an access, as a signed number."""
    address = inst.args[0]
    _, bits = split_sum(address)
    width = address.type.bits
    return bits - (1 << width) if bits >> width - 1 else bits

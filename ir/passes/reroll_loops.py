"""Rerolling: a loop whose body does one thing several times over does it once, and goes round more.

Compilers to WebAssembly unroll loops, by 2, 3 or 4, and do not vectorise them, because the plain
instruction set has no vectors. LLVM does not take them back, and a body that steps over three
elements at once is hard to vectorise::

    block3(%c: i64, %a: i64, %b: i64):              block3(%c: i64, %a: i64, %b: i64):
        charge amount=25                                %0 = load.f32 ... offset=0 %a
        %0 = load.f32 ... offset=0 %a                   %1 = fmul.f32 %0, %x
        %1 = fmul.f32 %0, %x                            store.f32 ... offset=0 %b, %1
        store.f32 ... offset=0 %b, %1          ->       %4 = isub.i64 %c, 1
        %2 = load.f32 ... offset=4 %a                   %5 = iadd.i64 %a, 4
        %3 = fmul.f32 %2, %x                            %6 = iadd.i64 %b, 4
        store.f32 ... offset=4 %b, %3                   %7 = ine.i64 %4, 0
        %4 = isub.i64 %c, 1                             br_if %7, block3(%4, %5, %6), block4
        %5 = iadd.i64 %a, 8
        ...

The loops are those that :mod:`.version_loops` made: one block, counted down, without checks, of
which nothing is used behind but what the way out passes on. The
accesses must be the same ones over and over, in the same order, each time further by an equal part
of what the address moves on in a round; what is stored must be computed alike. Every access happens
in its old order, so it does not matter what overlaps. Nothing in such a loop can trap, so all its
fuel is charged before it. An address that moves down begins further up instead, at the offset of
the last copy, because it must not fall below 0 in the last round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import ops as o
from ..analysis.cfg import predecessors
from ..analysis.constants import constant_of
from ..analysis.induction import Induction
from ..analysis.loops import Loop
from ..analysis.sums import split_sum
from ..builder import make
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import Effect
from ..types import Type

_ACCESSES = frozenset({o.LOAD, o.STORE})
_OFFSET = 1  # place of an access's offset among its immediates


def reroll_loops(function: Function, module: Module) -> bool:
    """Reroll the counted loops of one function."""
    loops = [block for block in function.blocks if block in block.successors]
    found = [loop for block in loops if (loop := _read(block)) is not None]
    if not found:
        return False
    preds = predecessors(function)
    outside = _seen_outside(function, {loop.block for loop in found})
    changed = False
    for loop in found:
        if loop.block in outside:
            continue
        entries = [block for block in preds[loop.block] if block is not loop.block]
        edges = [edge for block in entries for edge in block.insts[-1].edges
                 if edge.block is loop.block]
        if len(edges) != 1:
            continue
        bodies = (_Body(loop, copies) for copies in loop.candidates())
        body = next((body for body in bodies if body.repeats()), None)
        if body is not None:
            _reroll(function, loop, body, edges[0])
            changed = True
    return changed


def _seen_outside(function: Function, loops: set[Block]) -> set[Block]:
    """Those of the loops whose values other blocks use by themselves, not as what goes out.

    In the copy of a nest that may be: the last round's values are to be found there.
    """
    home = {value: block for block in loops
            for value in (*block.params, *[v for inst in block.insts for v in inst.results])}
    found: set[Block] = set()
    for block in function.blocks:
        for inst in block.insts:
            for values in (inst.args, *[edge.args for edge in inst.edges]):
                for value in values:
                    owner = home.get(value)
                    if owner is not None and owner is not block:
                        found.add(owner)
    return found


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop of one block that may be rerolled.

    Attributes:
        left: the parameter that is counted down to 0.
        again, out: the edges back and out.
        steps: what is added to each parameter, signed, if that is a constant.
        accesses: loads and stores, in order. charge: fuel of a round.
    """

    block: Block
    left: Value
    again: Edge
    out: Edge
    steps: dict[Value, int]
    accesses: list[Inst]
    charge: int

    def candidates(self) -> list[int]:
        """How many copies the body may consist of, most first."""
        count = math.gcd(len(self.accesses), sum(i.op is o.STORE for i in self.accesses))
        return [n for n in range(count, 1, -1) if count % n == 0]


def _read(block: Block) -> _Loop | None:
    """A loop that is counted down and whose accesses move on by constants; None for others."""
    terminator = block.insts[-1]
    if terminator.op is not o.BR_IF:
        return None
    again, out = terminator.edges
    if again.block is not block or out.block is block:
        return None
    accesses, charge = [], 0
    for inst in block.insts[:-1]:
        if inst.op in _ACCESSES:
            accesses.append(inst)
        elif inst.op is o.CHARGE:
            charge += inst.attrs[0]
        elif inst.op.effect is not Effect.NONE:
            return None
    induction = Induction(Loop(block, block, (block,)))
    deltas = {param: induction.delta(param) for param in block.params}
    steps = {param: delta for param, delta in deltas.items() if isinstance(delta, int)}
    left = _counted(terminator.args[0], again, block)
    if left is None or left.type is not Type.I64 or steps.get(left) != -1:
        return None
    return _Loop(block, left, again, out, steps, accesses, charge)


def _counted(condition: Value, again: Edge, block: Block) -> Value | None:
    """The parameter that the loop counts down until it is 0."""
    inst = condition.definition
    if type(inst) is not Inst or inst.op is not o.INE or constant_of(inst.args[1]) != 0:
        return None
    for param, passed in zip(block.params, again.args, strict=True):
        if passed is inst.args[0]:
            return param
    return None


class _Body:
    """A body looked at as so many copies of one thing.

    Args:
        copies: how many; the accesses are divided evenly.
    """

    def __init__(self, loop: _Loop, copies: int) -> None:
        self.loop = loop
        self.copies = copies
        size = len(loop.accesses) // copies
        self.first = loop.accesses[:size]
        self._others = [loop.accesses[n * size : (n + 1) * size] for n in range(1, copies)]
        self._defined = {loop.block, *loop.block.insts}
        self._alike: dict[tuple[Value, Value], bool] = {}

    def repeats(self) -> bool:
        """Whether every copy does what the first does, one step further."""
        for number, copy in enumerate(self._others, start=1):
            self._alike = {}
            for first, other in zip(self.first, copy, strict=True):
                if not self._same_access(first, other, number):
                    return False
                if first.op is o.LOAD:
                    self._alike[first.result, other.result] = True
        if not any(self.loop.steps.get(inst.args[0]) for inst in self.first):
            return False
        needed = self.needed()
        if sum(inst.op in _ACCESSES for inst in needed) != len(self.first):
            return False  # the first copy looks at what a later one loads
        down = self.shifts()
        if any(value in down for inst in needed for value in inst.args[inst.op in _ACCESSES :]):
            return False
        if any(passed in self.loop.out.args and param in down for param, passed in zip(
                self.loop.block.params, self.loop.again.args, strict=True)):
            return False
        return all(self.leaves(value) is not None for value in self.loop.out.args)

    def needed(self) -> list[Inst]:
        """The first copy: its accesses and what they depend on, in order."""
        return _needed(self.loop.block, self.first)

    def shifts(self) -> dict[Value, int]:
        """By how much addresses that move down have to begin further up."""
        parts = {inst.args[0]: self.part(inst.args[0]) for inst in self.first}
        return {base: -part * (self.copies - 1) for base, part in parts.items()
                if part is not None and part < 0}

    def alignments(self) -> list[int]:
        """What all copies of each access of the first are aligned to."""
        copies = zip(self.first, *self._others, strict=True)
        return [min(inst.attrs[-1] for inst in same) for same in copies]

    def leaves(self, value: Value) -> Value | None:
        """What goes out for a value: itself, if it does not change, or a parameter, for its next.

        None if it is something else.
        """
        if not self._inside(value):
            return value
        for param, passed in zip(self.loop.block.params, self.loop.again.args, strict=True):
            if passed is value and self.part(param) is not None:
                return param
        return None

    def part(self, param: Value) -> int | None:
        """What is added to a parameter for each copy; None if a round is not a multiple of it."""
        step = self.loop.steps.get(param)
        if step is None or step % self.copies:
            return None
        return step // self.copies

    def _inside(self, value: Value) -> bool:
        return value.definition in self._defined

    def _same_access(self, first: Inst, other: Inst, number: int) -> bool:
        if first.op is not other.op or first.type is not other.type:
            return False
        if first.region != other.region:
            return False
        base, offset = first.args[0], first.attrs[_OFFSET]
        part = self.part(base) if self._inside(base) else 0
        if other.args[0] is not base or part is None:
            return False
        if other.attrs[_OFFSET] - offset != number * part:
            return False
        others = (*other.attrs[:_OFFSET], *other.attrs[_OFFSET + 1 : -1])
        if others != (*first.attrs[:_OFFSET], *first.attrs[_OFFSET + 1 : -1]):
            return False  # all but the alignment
        return first.op is o.LOAD or self._same(first.args[1], other.args[1], number)

    def _same(self, first: Value, other: Value, number: int) -> bool:
        """Whether a value is in a later copy what another is in the first."""
        known = self._alike.get((first, other))
        if known is None:
            known = self._alike[first, other] = self._compare(first, other, number)
        return known

    def _compare(self, first: Value, other: Value, number: int) -> bool:
        if not self._inside(first) or not self._inside(other):
            return first is other or (
                constant_of(first) is not None and constant_of(first) == constant_of(other)
                and first.type is other.type
            )  # fmt: skip
        if self._moved(first, other, number):
            return True
        a, b = first.definition, other.definition
        if type(a) is not Inst or type(b) is not Inst or a.op is not b.op:
            return False
        if a.op in _ACCESSES or a.type is not b.type or a.attrs != b.attrs:
            return False
        if a.op is not o.CONST and not a.args:
            return False
        pairs = list(zip(a.args, b.args, strict=True))
        if all(self._same(x, y, number) for x, y in pairs):
            return True
        swapped = a.op.commutes and len(a.args) == 2
        return swapped and self._same(a.args[0], b.args[1], number) and self._same(
            a.args[1], b.args[0], number)

    def _moved(self, first: Value, other: Value, number: int) -> bool:
        """Whether both are the same parameter plus a constant, which is further by a part each."""
        (root, a), (other_root, b) = split_sum(first), split_sum(other)
        if root is None or root is not other_root or root.definition is not self.loop.block:
            return False
        part = self.part(root)
        return part is not None and (b - a - number * part) % (1 << first.type.bits) == 0


def _reroll(function: Function, loop: _Loop, body: _Body, entry: Edge) -> None:
    """Keep the first copy, and go round as often as there were copies."""
    block = loop.block
    kept = body.needed()
    shifts = body.shifts()
    for inst, align in zip(body.first, body.alignments(), strict=True):
        memory, offset, *rest = inst.attrs[:-1]
        inst.attrs = (memory, offset - shifts.get(inst.args[0], 0), *rest, align)
    out = [body.leaves(value) for value in loop.out.args]
    used = {value for inst in kept for value in inst.args} | {value for value in out if value}
    block.insts = kept
    following = {}
    for param in block.params:
        part = body.part(param)
        if param is loop.left:
            following[param] = _add(block, param, -1)
        elif param in used and part:
            following[param] = _add(block, param, part)
        else:
            following[param] = param
    _before(function, loop, body.copies, shifts, entry)
    zero = _emit(block, make(o.CONST, Type.I64, [], (0,)))
    more = _emit(block, make(o.INE, Type.I64, [following[loop.left], zero]))
    loop.again.args = [following[param] for param in block.params]
    loop.out.args = [following.get(value, value) for value in out if value is not None]
    block.insts.append(Inst(o.BR_IF, None, [more], edges=[loop.again, loop.out]))


def _needed(block: Block, roots: Sequence[Inst]) -> list[Inst]:
    """Instructions of a block that some of its accesses depend on, and these, in order."""
    inside, wanted = set(block.insts), set[Inst]()
    work = list(roots)
    while work:
        inst = work.pop()
        if inst not in wanted:
            wanted.add(inst)
            for value in inst.args:
                definition = value.definition
                if type(definition) is Inst and definition in inside:
                    work.append(definition)
    return [inst for inst in block.insts if inst in wanted]


def _before(
    function: Function, loop: _Loop, copies: int, shifts: dict[Value, int], entry: Edge
) -> None:
    """A block before the loop that multiplies the rounds, and charges for all of them."""
    before = Block()
    args = [before.add_param(param.type) for param in loop.block.params]
    for number, param in enumerate(loop.block.params):
        if param in shifts:
            args[number] = _add(before, args[number], shifts[param])
    place = loop.block.params.index(loop.left)
    rounds = args[place]
    if loop.charge:
        price = _emit(before, make(o.CONST, Type.I64, [], (loop.charge,)))
        total = _emit(before, make(o.IMUL, Type.I64, [rounds, price]))
        before.insts.append(make(o.CHARGE_BY, Type.I64, [total]))
    factor = _emit(before, make(o.CONST, Type.I64, [], (copies,)))
    args[place] = _emit(before, make(o.IMUL, Type.I64, [rounds, factor]))
    before.insts.append(Inst(o.JUMP, None, [], edges=[Edge(loop.block, args)]))
    entry.block = before
    function.blocks.append(before)


def _add(block: Block, value: Value, amount: int) -> Value:
    bits = amount & (1 << value.type.bits) - 1
    number = _emit(block, make(o.CONST, value.type, [], (bits,)))
    return _emit(block, make(o.IADD, value.type, [value, number]))


def _emit(block: Block, inst: Inst) -> Value:
    block.insts.append(inst)
    return inst.result

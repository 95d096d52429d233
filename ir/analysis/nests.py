"""Loops whose rounds can be counted, and pairs of them, one in the other."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops as o
from ..function import Block, Edge, Inst, Value
from ..types import Type
from .induction import Condition, Induction, Multiple, Step
from .loops import Loop
from .ranges import lower_bound, upper_bound
from .sums import split_sum

_ADDRESSED = frozenset({o.LOAD, o.STORE, o.BOUNDS_CHECK})


@dataclass(frozen=True, eq=False, slots=True)
class Counted:
    """A loop that goes round a number of times that is known when its nest is entered.

    Attributes:
        induction: how its values change from round to round.
        condition: what it goes round on.
        cost: most fuel that a round charges, with one round of each loop inside.
        entry: the only edge into it, of a loop in another.
        outer: how its values change, in its first round, from round to round of the outer loop.
    """

    loop: Loop
    induction: Induction
    condition: Condition
    cost: int
    entry: Edge | None = None
    outer: Induction | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Nest:
    """A counted loop, with counted loops in it or without; nothing in these is a loop.

    Attributes:
        members: the outer loop, and the inner ones.
    """

    members: tuple[Counted, ...]

    @property
    def outer(self) -> Counted:
        return self.members[0]

    @property
    def defined(self) -> set[Value]:
        """What is computed in it."""
        return self.outer.induction.defined

    def member_of(self, block: Block) -> Counted:
        """The innermost loop of a block."""
        return next((m for m in self.members[1:] if block in m.loop.blocks), self.outer)

    def forget(self, values: list[Value]) -> None:
        """Values that have been moved out of it."""
        for member in self.members:
            member.induction.defined.difference_update(values)
            if member.outer is not None:
                member.outer.defined.difference_update(values)

    def step(self, member: Counted, value: Value) -> dict[Counted, Step] | None:
        """By how much a value of a loop changes from round to round of it, and of the outer one.

        Loops that do not change it are left out; None if one changes it otherwise.
        """
        steps = [(member, member.induction.delta(value))]
        if member.outer is not None:
            steps.insert(0, (self.outer, member.outer.delta(value)))
        if any(step is None or not self._known(step) for _, step in steps):
            return None
        return {loop: step for loop, step in steps if step}

    def range(self, member: Counted, value: Value) -> tuple[int, int] | None:
        """Bounds of a value of an inner loop in its first round, whatever the outer loop does.

        It is an i32 that the inner loop changes by a constant; None if nothing is known of it.
        """
        if (member is self.outer or value.type is not Type.I32
                or not isinstance(member.induction.delta(value), int)):
            return None
        least, most = self._first_range(member, value, {})
        return None if most == (1 << 32) - 1 else (least, most)

    def _first_range(
        self, member: Counted, value: Value, found: dict[Value, tuple[int, int]]
    ) -> tuple[int, int]:
        if value not in found:
            inst, passed = value.definition, value
            if type(inst) is Inst and inst.op is o.IADD and value in member.induction.defined:
                (a, b), (c, d) = (self._first_range(member, arg, found) for arg in inst.args)
                found[value] = (a + c, b + d) if b + d < 1 << 32 else (0, (1 << 32) - 1)
                return found[value]
            if inst is member.loop.header and member.entry is not None:
                passed = member.entry.args[member.loop.header.params.index(value)]
            found[value] = lower_bound(passed), upper_bound(passed)
        return found[value]

    def _known(self, step: Step) -> bool:
        """Whether the same amount is added in every round of the nest."""
        return not isinstance(step, Multiple) or step.value not in self.defined


def find_nest(loop: Loop) -> Nest | None:
    """A loop and those inside of it, if all of them can be counted."""
    outer = _counted(loop)
    if outer is None:
        return None
    members = [outer]
    for inside in loop.inner:
        member = None if inside.inner else _counted(inside, loop)
        if member is None:
            return None
        members.append(member)
    nest = Nest(tuple(members))
    inner = members[1:]
    return nest if all(_same_count(nest, m) and _addresses_known(nest, m) for m in inner) else None


def _counted(loop: Loop, around: Loop | None = None) -> Counted | None:
    induction = Induction(loop)
    condition = induction.condition()
    if condition is None:
        return None
    entry = outer = None
    if around is not None:
        entries = loop.entries(around.blocks)
        if len(entries) != 1:
            return None
        (entry,) = entries
        outer = Induction(around, (loop, entry))
    return Counted(loop, induction, condition, _longest_way(loop), entry, outer)


def _same_count(nest: Nest, member: Counted) -> bool:
    """Whether an inner loop goes round as often in every round of the outer one."""
    condition, outer = member.condition, member.outer
    assert outer is not None
    if nest.step(member, condition.value) is None:
        return False
    start = outer.delta(condition.value)
    limit = 0 if condition.limit is None else outer.delta(condition.limit)
    if condition.op is o.INE:  # which depends on nothing but how far they are apart
        return start == limit
    return start == limit == 0


def _addresses_known(nest: Nest, member: Counted) -> bool:
    """Whether an inner loop has no address that is known in it, but not from outside."""
    for block in member.loop.blocks:
        for inst in block.insts:
            if inst.op in _ADDRESSED:
                root, _ = split_sum(inst.args[0])
                if (root is not None and member.induction.delta(root) is not None
                        and nest.step(member, root) is None
                        and nest.range(member, root) is None):
                    return False
    return True


def _longest_way(loop: Loop) -> int:
    """Most fuel that is charged from the header on to any block of the loop."""
    total: dict[Block, int] = dict.fromkeys(loop.blocks, 0)
    seen = set()
    for block in loop.blocks:  # in reverse postorder: without the ways back there is no circle
        seen.add(block)
        total[block] += sum(inst.attrs[0] for inst in block.insts if inst.op is o.CHARGE)
        for successor in block.successors:
            if successor in total and successor not in seen:
                total[successor] = max(total[successor], total[block])
    return max(total.values())

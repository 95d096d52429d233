"""Values that a loop changes by the same amount each time round, and how often it goes round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .. import ops as o
from ..function import Edge, Inst, Value
from ..ops import Op
from ..types import Type
from .constants import constant_of, signed
from .loops import Loop

#: How many definitions are followed from a value to the loop's parameters.
_DEPTH = 12

_COMPARISONS: dict[Op, tuple[Op, Op]] = {  # op -> its negation, and itself with operands swapped
    o.INE: (o.IEQ, o.INE),
    o.IEQ: (o.INE, o.IEQ),
    o.ILT_S: (o.IGE_S, o.IGT_S),
    o.ILT_U: (o.IGE_U, o.IGT_U),
    o.ILE_S: (o.IGT_S, o.IGE_S),
    o.ILE_U: (o.IGT_U, o.IGE_U),
    o.IGT_S: (o.ILE_S, o.ILT_S),
    o.IGT_U: (o.ILE_U, o.ILT_U),
    o.IGE_S: (o.ILT_S, o.ILE_S),
    o.IGE_U: (o.ILT_U, o.ILE_U),
}
#: Comparisons that a value which shrinks or grows ends some time.
_TOWARDS = (frozenset({o.IGT_S, o.IGT_U, o.IGE_S, o.IGE_U}),
            frozenset({o.ILT_S, o.ILT_U, o.ILE_S, o.ILE_U}))


@dataclass(frozen=True, slots=True)
class Multiple:
    """An amount that is only known when the loop is entered: ``value * factor``.

    The factor is not 0.
    """

    value: Value
    factor: int


#: By how much a value changes each time round, modulo 2^N; a number is signed.
Step: TypeAlias = int | Multiple


@dataclass(frozen=True, slots=True)
class Condition:
    """The loop goes round again while ``op`` holds between the value and the limit.

    The op is ``ine``, or of i32 values and such that the value moves towards the limit; one whose
    step is only known later is taken to grow.

    Attributes:
        value: changes by a fixed amount. limit: does not change; None stands for 0.
    """

    op: Op
    value: Value
    limit: Value | None


class Induction:
    """What is known of the values of a loop that is about to be entered or repeated.

    Args:
        entered: a loop inside, and the only edge into it. Values of that are what they are in its
            first round.
    """

    __slots__ = ("_deltas", "defined", "loop")

    def __init__(self, loop: Loop, entered: tuple[Loop, Edge] | None = None) -> None:
        self.loop = loop
        self.defined: set[Value] = set()
        for block in loop.blocks:
            self.defined.update(block.params)
            for inst in block.insts:
                self.defined.update(inst.results)
        self._deltas: dict[Value, Step | None] = {}
        (back,) = [edge for edge in loop.latch.insts[-1].edges if edge.block is loop.header]
        for param, passed in zip(loop.header.params, back.args, strict=True):
            self._deltas[param] = self._step(param, passed)
        if entered is not None:
            inner, edge = entered
            passed_in = [self.delta(value) for value in edge.args]
            self._deltas.update(zip(inner.header.params, passed_in, strict=True))

    def delta(self, value: Value, depth: int = _DEPTH) -> Step | None:
        """By how much a value changes each time round.

        0 if it does not change; None if that is not known.
        """
        if value not in self.defined:
            return 0
        if value in self._deltas:
            return self._deltas[value]
        found = None
        inst = value.definition
        if type(inst) is Inst and depth:
            found = self._rule(inst, depth - 1)
        if type(found) is int:
            found = signed(found, value.type.bits)
        self._deltas[value] = found
        return found

    def _rule(self, inst: Inst, depth: int) -> Step | None:
        op = inst.op
        if op is o.CONST:
            return 0
        if op in (o.IADD, o.ISUB):
            a, b = (self.delta(arg, depth) for arg in inst.args)
            return _add(a, b if op is o.IADD else _times(b, -1))
        if op in (o.IMUL, o.ISHL):
            factor = constant_of(inst.args[1])
            if factor is None:
                return None
            if op is o.ISHL:
                factor = 1 << factor % inst.args[0].type.bits
            return _times(self.delta(inst.args[0], depth), factor)
        return None

    def _step(self, param: Value, passed: Value) -> Step | None:
        """What is added to a parameter before it is passed back."""
        if passed is param:
            return 0
        inst = passed.definition
        if type(inst) is not Inst or inst.op not in (o.IADD, o.ISUB):
            return None
        first, second = inst.args
        if second is param and inst.op is o.IADD:
            first, second = second, first
        if first is not param:
            return None
        amount = constant_of(second)
        if amount is None:
            if second in self.defined or inst.op is o.ISUB or second.type is not Type.I32:
                return None
            return Multiple(second, 1)
        return signed(amount if inst.op is o.IADD else -amount, param.type.bits)

    def condition(self) -> Condition | None:
        """What the latch repeats the loop on; None if that is no count, or one of 64 bits that
        does not end at equality."""
        terminator = self.loop.latch.insts[-1]
        if terminator.op is not o.BR_IF:
            return None
        stays = [edge.block is self.loop.header for edge in terminator.edges]
        if stays[0] == stays[1] or terminator.edges[stays.index(False)].block in self.loop.blocks:
            return None
        op, value, limit = self._comparison(terminator.args[0])
        if not stays[0]:
            op = _COMPARISONS[op][0]
        if limit is not None and not self.delta(value):
            op, value, limit = _COMPARISONS[op][1], limit, value
        step = self.delta(value)
        if not step or (limit is not None and self.delta(limit) != 0):
            return None
        grows = isinstance(step, Multiple) or step > 0
        if op is not o.INE and (value.type is not Type.I32 or op not in _TOWARDS[grows]):
            return None
        return Condition(op, value, limit)

    def _comparison(self, value: Value) -> tuple[Op, Value, Value | None]:
        """A condition as a comparison with a limit; what is not 0 is true."""
        inst = value.definition
        if type(inst) is Inst and value in self.defined:
            if inst.op is o.IEQZ:
                return o.IEQ, inst.args[0], None
            if inst.op in _COMPARISONS:
                return inst.op, inst.args[0], inst.args[1]
        return o.INE, value, None


def _add(a: Step | None, b: Step | None) -> Step | None:
    if a is None or b is None:
        return None
    if a == 0 or b == 0:
        return b if a == 0 else a
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, Multiple) and isinstance(b, Multiple) and a.value is b.value:
        factor = a.factor + b.factor
        return Multiple(a.value, factor) if factor else 0
    return None


def _times(step: Step | None, factor: int) -> Step | None:
    if isinstance(step, Multiple):
        return Multiple(step.value, step.factor * factor) if factor else 0
    return None if step is None else step * factor

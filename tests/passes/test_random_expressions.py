"""Single rules of passes, met often: short functions made of what the rules look for."""

from __future__ import annotations

import random

import pytest

from swarmc.ir import ops as o
from swarmc.ir.builder import Builder
from swarmc.ir.function import Edge, Function, Inst, Value
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import Memory, Module
from swarmc.ir.ops import NUMS, Op
from swarmc.ir.passes.dead_code import dead_code
from swarmc.ir.passes.fold_constants import fold_constants
from swarmc.ir.passes.nan_canon import nan_canon
from swarmc.ir.passes.redundant_checks import redundant_checks
from swarmc.ir.passes.value_numbering import value_numbering
from swarmc.ir.printer import print_function
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.random_function import CONSTS, NAN_ANY, PURE
from swarmc.runtime.tools.random_vectors import VECTORS, canonical_form, vector_form

I32, I64, F32, F64 = NUMS
V128 = Type.V128
PARAMS = (*NUMS * 2, V128, V128)
ID = EntityId(0, 0)
WRONG_NAN = {F32: 0xFFA12345, F64: 0xFFF4123456789ABC}
FLOAT_OPS = [op for op in PURE if op in NAN_ANY or op in (
    o.FABS, o.FNEG, o.FCOPYSIGN, o.FCOPYSIGN, o.SELECT, o.SELECT, o.FLT, o.BITCAST, o.FNEG)]


class Expressions:
    """A function of one block: parameters and constants of every type, then random ops.

    Args:
        ops: what to choose from.
        wrong_nans: give NaNs whose bits are open bits that nobody wants.
    """

    def __init__(self, seed: int, ops: list[Op], count: int) -> None:
        self.choose = random.Random(seed)
        self.function = Function(ID, 0, FuncType(PARAMS, ()))
        self.builder = Builder(self.function)
        self.values = list(self.builder.entry().params)
        types = (*NUMS, V128) if VECTORS[0] in ops else NUMS
        for _ in range(count):
            if self.choose.random() < 0.3:
                type_ = self.choose.choice(types)
                bits = self.choose.choice(CONSTS[type_])
                self.values.append(self.builder.value(o.CONST, type_, (), bits))
            else:
                self.add(self.choose.choice(ops))

    def pick(self, type_: Type) -> Value:
        values = [value for value in self.values if value.type is type_]
        return values[-1 - min(self.choose.randrange(len(values)) for _ in range(2))]

    def add(self, op: Op) -> None:
        type_: Type | None = None
        attrs: tuple[object, ...] = ()
        if op in VECTORS:
            type_, attrs = vector_form(self.choose, op)
        elif op.types:
            type_ = self.choose.choice([t for t in op.types if t in NUMS])
        equal = {I32: F32, F32: I32, I64: F64, F64: I64}
        classes = {"T": type_, "int": self.choose.choice((I32, I64)),
                   "float": self.choose.choice((F32, F64)), "scalar": equal[type_ or I32]}
        types = [classes.get(spelled) or Type(spelled) for spelled in op.operands]
        args = [self.pick(operand) for operand in types]
        if self.choose.random() < 0.1 and len(set(types)) == 1:
            args = [args[0]] * len(args)
        value = self.builder.value(op, type_, args, *attrs)
        if op in NAN_ANY:
            canon, form, canon_attrs = canonical_form(op, value.type, attrs)
            value = self.builder.value(canon, form, [value], *canon_attrs)
        self.values.append(value)

    def module(self, results: int) -> Module:
        """The program, whose only function returns the last values."""
        shown = self.values[-results:]
        self.builder.inst(o.RETURN, None, shown)
        self.function.type = FuncType(PARAMS, tuple(value.type for value in shown))
        module = Module(types=[self.function.type], functions={ID: self.function})
        verify(module)
        return module


def outcomes(module: Module, seed: int) -> list[object]:
    choose = random.Random(seed)
    params = module.functions[ID].type.params
    agent = Interpreter(module)
    return [agent.invoke(ID, [choose.choice(CONSTS[type_]) for type_ in params])
            for _ in range(12)]


def with_wrong_nans(function: Function) -> None:
    for block in function.blocks:
        old, block.insts = block.insts, []
        builder = Builder(function)
        builder.position_at(block)
        for inst in old:
            block.insts.append(inst)
            if inst.op in NAN_ANY:
                _replace_nan(builder, inst)


def _replace_nan(builder: Builder, inst: Inst) -> None:
    value, type_ = inst.result, inst.result.type
    inst.results = (Value(type_, inst),)
    is_nan = builder.value(o.FNE, type_, [inst.result, inst.result])
    wrong = builder.value(o.CONST, type_, (), WRONG_NAN[type_])
    select = builder.inst(o.SELECT, type_, [is_nan, wrong, inst.result])
    select.results, value.definition = (value,), select


@pytest.mark.parametrize("ops", [PURE, VECTORS], ids=["scalars", "vectors"])
@pytest.mark.parametrize("batch", range(10))
def test_folding_and_numbering(batch: int, ops: list[Op]) -> None:
    for seed in range(batch * 40, batch * 40 + 40):
        expected = outcomes(Expressions(seed, ops, 60).module(60), seed)
        module = Expressions(seed, ops, 60).module(60)
        for run in (fold_constants, value_numbering, fold_constants):
            run(module.functions[ID], module)
            verify(module)
        assert outcomes(module, seed) == expected, print_function(module.functions[ID])


@pytest.mark.parametrize("batch", range(10))
def test_canonicalisation(batch: int) -> None:
    removed = 0
    for seed in range(batch * 40, batch * 40 + 40):
        expected = outcomes(Expressions(seed, FLOAT_OPS, 30).module(3), seed)
        module = Expressions(seed, FLOAT_OPS, 30).module(3)
        function = module.functions[ID]
        dead_code(function, module)
        before = len(function.blocks[0].insts)
        nan_canon(function, module)
        dead_code(function, module)
        removed += before - len(function.blocks[0].insts)
        text = print_function(function)
        with_wrong_nans(function)
        verify(module)
        assert outcomes(module, seed) == expected, text
    assert removed > 20


class Checks:
    """A function of checks: related addresses around both ends of memory, conditions, branches."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.function = Function(ID, 0, FuncType((I32, I32), ()))
        self.builder = Builder(self.function)
        self.builder.loc = 0
        self.values = list(self.builder.entry().params)
        self.conditions = list(self.values)
        self.statements(3)
        self.builder.inst(o.RETURN)

    def statements(self, depth: int) -> None:
        known = len(self.values), len(self.conditions)
        for _ in range(self.choose.randrange(3, 12)):
            self.builder.loc += 1
            if depth and self.choose.random() < 0.15:
                self.branch(depth - 1)
            else:
                self.choose.choice((self.add, self.mask, self.check, self.check, self.check,
                                    self.condition, self.trap_if))()
        del self.values[known[0]:], self.conditions[known[1]:]

    def operation(self, op: Op, value: Value, bits: int) -> Value:
        const = self.builder.value(o.CONST, I32, (), bits)
        return self.builder.value(op, I32, [value, const])

    def add(self) -> None:
        step = self.choose.choice((4, 8, 12, 2**32 - 4, 2**32 - 8))
        self.values.append(self.operation(o.IADD, self.choose.choice(self.values), step))

    def mask(self) -> None:
        bits = self.choose.choice((15, 0xFFFC, 0x1FFFC))
        self.values.append(self.operation(o.IAND, self.choose.choice(self.values), bits))

    def check(self) -> None:
        offset, width = self.choose.choice((0, 0, 4, 8)), self.choose.choice((1, 4, 8))
        self.builder.inst(o.BOUNDS_CHECK, None, [self.choose.choice(self.values)], ID, offset,
                          width)

    def condition(self) -> None:
        kind = self.choose.randrange(4)
        a, b = self.choose.choice(self.conditions), self.choose.choice(self.conditions)
        if kind == 0:
            value = self.builder.value(o.IEQZ, I32, [a])
        elif kind == 1:
            value = self.operation(o.IAND, a, self.choose.choice((1, 4)))
        else:
            value = self.builder.value(o.IAND if kind == 2 else o.IOR, I32, [a, b])
        self.conditions.append(value)

    def trap_if(self) -> None:
        self.builder.inst(o.TRAP_IF, None, [self.conditions[-1]], Trap.UNREACHABLE)

    def branch(self, depth: int) -> None:
        condition = self.choose.choice(self.conditions[-3:])
        arms = [self.builder.block() for _ in range(self.choose.choice((1, 2)))]
        join = self.builder.block()
        edges = [Edge(arms[0]), Edge(arms[-1] if len(arms) == 2 else join)]
        self.choose.shuffle(edges)
        self.builder.inst(o.BR_IF, None, [condition], edges=edges)
        for arm in arms:
            self.builder.position_at(arm)
            self.statements(depth)
            self.builder.inst(o.JUMP, edges=(Edge(join),))
        self.builder.position_at(join)

    def module(self) -> Module:
        module = Module(types=[self.function.type], functions={ID: self.function})
        module.memories[ID] = Memory(ID, 1, None)
        return module


ADDRESSES = [base + step & 0xFFFFFFFF for base in (0, 65536, 4) for step in range(-24, 25, 4)]


@pytest.mark.parametrize("batch", range(10))
def test_redundant_checks(batch: int) -> None:
    removed = 0
    for seed in range(batch * 40, batch * 40 + 40):
        module = Checks(seed).module()
        verify(module)
        agent = Interpreter(module)
        choose = random.Random(seed)
        calls = [(address, choose.choice((0, 1, 4, 5, address))) for address in ADDRESSES]
        expected = [agent.invoke(ID, args) for args in calls]
        function = module.functions[ID]
        before = sum(1 for _ in function.insts())
        redundant_checks(function, module)
        verify(module)
        removed += before - sum(1 for _ in function.insts())
        agent = Interpreter(module)
        assert [agent.invoke(ID, args) for args in calls] == expected, print_function(function)
    assert removed > 100

"""No value leaves its bounds, and the bounds that matter are found."""

from __future__ import annotations

import random

import pytest

from swarmc.ir import ops as o
from swarmc.ir.analysis.ranges import lower_bound, upper_bound
from swarmc.ir.builder import make
from swarmc.ir.function import Value
from swarmc.ir.ops import Op
from swarmc.ir.passes.rewrite import new_const
from swarmc.ir.semantics import evaluate
from swarmc.ir.types import EntityId, Type

I32, I64 = Type.I32, Type.I64
BINARY = (o.IADD, o.ISUB, o.IMUL, o.IAND, o.IOR, o.IXOR, o.ISHL, o.ISHR_U, o.ISHR_S, o.IDIV_U,
          o.IREM_U, o.IREM_S, o.IROTL, o.IGT_U)
UNARY = (o.ICLZ, o.IPOPCNT, o.IEQZ, o.SEXT8)
NUMBERS = (0, 1, 2, 3, 7, 8, 31, 255, 256, 4095, 65535, 1 << 31, (1 << 32) - 1)


def const(type_: Type, bits: int) -> Value:
    return new_const(type_, bits).result


@pytest.mark.parametrize("seed", range(40))
def test_no_value_leaves_its_bounds(seed: int) -> None:
    choose = random.Random(seed)
    values: dict[Value, int] = {}

    def add(value: Value, bits: int) -> None:
        values[value] = bits
        assert lower_bound(value) <= bits <= upper_bound(value)

    def pick(type_: Type) -> Value:
        return choose.choice([value for value in values if value.type is type_])

    for type_ in (I32, I64):
        for _ in range(5):
            bits = choose.choice(NUMBERS)
            add(const(type_, bits), bits)
        add(Value(type_), choose.getrandbits(type_.bits))
    for _ in range(200):
        op: Op = choose.choice((*BINARY, *BINARY, *UNARY, o.SELECT, o.WRAP, o.EXTEND_U, o.EXTEND_S))
        type_ = choose.choice((I32, I64))
        operands = [type_ if spelled == "T" else Type(spelled) for spelled in op.operands]
        args = [pick(operand) for operand in operands]
        if op is o.SELECT and choose.random() < 0.5:  # as a minimum is written, or nearly
            compare = choose.choice((o.ILT_U, o.ILE_U, o.ILT_S, o.IGT_U))
            least = make(compare, type_, choose.choice((args[1:], args[:0:-1])))
            numbers = [values[arg] for arg in least.args]
            add(least.result, evaluate(compare, type_, (type_, type_), *numbers))
            args[0] = least.result
        controlling = type_ if op.types else None
        inst = make(op, controlling, args)
        try:
            bits = evaluate(op, controlling, tuple(operands), *[values[arg] for arg in args])
        except ArithmeticError:
            continue
        add(inst.result, bits)


def value(op: Op, type_: Type | None, *args: Value) -> Value:
    return make(op, type_, list(args)).result


def test_bounds_that_matter() -> None:
    x = Value(I32)
    assert upper_bound(x) == 0xFFFFFFFF
    masked = value(o.IAND, I32, x, const(I32, 255))
    assert upper_bound(masked) == 255
    scaled = value(o.ISHL, I32, masked, const(I32, 2))
    assert upper_bound(scaled) == 1020
    assert upper_bound(value(o.IADD, I32, scaled, const(I32, 1024))) == 2044
    assert upper_bound(value(o.IADD, I32, x, const(I32, 1))) == 0xFFFFFFFF
    almost = value(o.IREM_U, I32, x, const(I32, 0xFFFFFFFF))
    assert upper_bound(value(o.IADD, I32, almost, masked)) == 0xFFFFFFFF
    assert upper_bound(value(o.ISHR_U, I32, x, const(I32, 24))) == 255
    assert upper_bound(value(o.IREM_U, I32, x, const(I32, 10))) == 9
    assert upper_bound(value(o.EXTEND_U, None, x)) == 0xFFFFFFFF
    assert upper_bound(value(o.IEQZ, I32, x)) == 1
    byte = make(o.LOAD, I32, [x], (EntityId(0, 0), 0, 1, False, 1)).result
    assert upper_bound(byte) == 255
    signed = make(o.LOAD, I32, [x], (EntityId(0, 0), 0, 1, True, 1)).result
    assert upper_bound(signed) == 0xFFFFFFFF


def test_deep_expressions_do_not_take_long() -> None:
    x = value(o.IAND, I32, Value(I32), const(I32, 255))
    for _ in range(10_000):
        x = value(o.IADD, I32, x, x)
    assert upper_bound(x) == 0xFFFFFFFF
    least = value(o.SELECT, I32, value(o.ILT_U, I32, x, const(I32, 7)), x, const(I32, 7))
    assert upper_bound(least) == 7
    row = value(o.IADD, I32, value(o.ISHL, I32, least, const(I32, 9)), const(I32, 4096))
    assert (lower_bound(row), upper_bound(row)) == (4096, 4096 + 7 * 512)
    assert lower_bound(value(o.IADD, I32, x, const(I32, 4096))) == 0

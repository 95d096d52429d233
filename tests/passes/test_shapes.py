"""Passes stay fast on functions of extreme shapes, which somebody's compiler will emit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarmc.compiler.pipeline import optimise
from swarmc.ir import ops as o
from swarmc.ir.builder import Builder
from swarmc.ir.function import Edge, Function, Value
from swarmc.ir.module import Export, Memory, Module
from swarmc.ir.types import EntityId, FuncType, Type
from swarmc.ir.verifier import verify

I32 = Type.I32
ID = EntityId(0, 0)


def early_exits(builder: Builder, x: Value, count: int) -> Value:
    end = builder.block(I32)
    for number in range(count):
        onwards = builder.block()
        step = builder.value(o.CONST, I32, (), number % 1024)
        x = builder.value(o.IADD, I32, [x, step])
        builder.inst(o.BOUNDS_CHECK, None, [x], ID, number % 8, 4)
        builder.inst(o.BR_IF, None, [x], edges=[Edge(end, [x]), Edge(onwards)])
        builder.position_at(onwards)
        builder.inst(o.CHARGE, None, (), 2)
    builder.inst(o.JUMP, edges=[Edge(end, [x])])
    builder.position_at(end)
    return end.params[0]


def wide_table(builder: Builder, x: Value, count: int) -> Value:
    end = builder.block(I32)
    targets = [builder.block(I32) for _ in range(count)]
    builder.inst(o.BR_TABLE, None, [x], edges=[Edge(target, [x]) for target in targets])
    for number, target in enumerate(targets):
        builder.position_at(target)
        if number % 2:
            builder.inst(o.CHARGE, None, (), 2)
        builder.inst(o.JUMP, edges=[Edge(end, [*target.params])])
    builder.position_at(end)
    return end.params[0]


def nested_loops(builder: Builder, x: Value, count: int) -> Value:
    headers = []
    for _ in range(count):
        header = builder.block(I32)
        builder.inst(o.JUMP, edges=[Edge(header, [x])])
        builder.position_at(header)
        builder.inst(o.FUEL_CHECK)
        builder.inst(o.CHARGE, None, (), 1)
        (x,) = header.params
        headers.append(header)
    for header in reversed(headers):
        after = builder.block()
        builder.inst(o.BR_IF, None, [x], edges=[Edge(header, [x]), Edge(after)])
        builder.position_at(after)
        builder.inst(o.CHARGE, None, (), 1)
    return x


@pytest.mark.parametrize("shape", [early_exits, wide_table, nested_loops])
def test_no_pass_is_quadratic(shape: Callable[[Builder, Value, int], Value]) -> None:
    type_ = FuncType((I32,), (I32,))
    function = Function(ID, 0, type_)
    module = Module(types=[type_], functions={ID: function}, exports=[Export("f", "func", ID)])
    module.memories[ID] = Memory(ID, 1, None)
    builder = Builder(function, module)
    (x,) = builder.entry().params
    builder.inst(o.FUEL_CHECK)
    builder.inst(o.CHARGE, None, (), 1)
    result = shape(builder, x, 20_000)
    builder.inst(o.RETURN, None, [result])
    optimise(module)
    verify(module)

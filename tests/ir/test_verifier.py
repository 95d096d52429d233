"""The verifier on IR that no text can spell, and on large functions."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from swarmc.errors import IRError
from swarmc.ir import ops as o
from swarmc.ir.builder import Builder, make, set_results
from swarmc.ir.function import Block, Edge, Function, Inst, Value
from swarmc.ir.module import Module
from swarmc.ir.parser import parse_module
from swarmc.ir.printer import print_module
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify, verify_function

ID = EntityId(0, 0)


def sample() -> Module:
    return parse_module("""
        memory 0.0 min=1
        function 0.0 (i32) -> (i32) "f" {
        block0(%0: i32):
            %1 = const.i32 value=1
            %2 = iadd.i32 %0, %1
            br_if %2, block1(%2), block2
        block1(%3: i32):
            return %3
        block2:
            charge amount=2
            return %1
        }""")


def broken(change: Callable[[Function], None]) -> str:
    """What the verifier says after a change to the sample."""
    module = sample()
    verify(module)
    change(module.functions[ID])
    with pytest.raises(IRError) as caught:
        verify(module)
    assert caught.value.function == "0.0 f"
    return caught.value.message


def test_operand_of_another_function() -> None:
    def change(function: Function) -> None:
        function.blocks[0].insts[1].args[0] = sample().functions[ID].blocks[0].params[0]

    assert broken(change) == (
        "block0: %2 = iadd.i32 %?, %1: an operand is not defined in the function")


def test_edge_argument_of_another_function() -> None:
    def change(function: Function) -> None:
        function.blocks[0].terminator.edges[0].args[0] = Value(Type.I32)

    assert broken(change) == (
        "block0: br_if %2, block1(%?), block2: an operand is not defined in the function")


def test_edge_out_of_the_function() -> None:
    def change(function: Function) -> None:
        function.blocks[0].terminator.edges[1].block = Block()

    assert broken(change) == (
        "block0: br_if %2, block1(%2), block?: an edge leads out of the function")


def test_block_in_the_function_twice() -> None:
    assert broken(lambda function: function.blocks.append(function.blocks[1])) == (
        "a block stands twice in the function")


def test_instruction_in_the_function_twice() -> None:
    def change(function: Function) -> None:
        function.blocks[2].insts.insert(0, function.blocks[0].insts[1])

    assert "a result is defined elsewhere, too" in broken(change)


def test_value_that_does_not_know_its_definition() -> None:
    def inst(function: Function) -> None:
        function.blocks[0].insts[0].results[0].definition = None

    def param(function: Function) -> None:
        function.blocks[1].params[0].definition = function.blocks[0]

    assert "a result is defined elsewhere, too" in broken(inst)
    assert "a parameter is defined elsewhere, too" in broken(param)


def test_results_that_the_row_does_not_say() -> None:
    def more(function: Function) -> None:
        set_results(function.blocks[2].insts[0], [Type.I32])

    def other(function: Function) -> None:
        function.blocks[0].insts[1].results[0].type = Type.I64

    assert broken(more).endswith("charge amount=2: results are (i32), not ()")
    assert "iadd.i32 %0, %1: results are (i64), not (i32)" in broken(other)


@pytest.mark.parametrize(("attrs", "message"), [
    ((), "it has 0 immediates, not 1"),
    ((-1,), "amount=-1 is wrong"),
    (("2",), "amount=2 is wrong"),
])
def test_immediates(attrs: tuple[object, ...], message: str) -> None:
    def change(function: Function) -> None:
        function.blocks[2].insts[0].attrs = attrs

    assert broken(change).endswith(message)


def test_constant_that_is_no_bit_pattern() -> None:
    def change(function: Function) -> None:
        function.blocks[0].insts[0].attrs = (1 << 32,)

    assert "value=4294967296 is wrong" in broken(change)


def test_controlling_type_where_there_is_none() -> None:
    def change(function: Function) -> None:
        function.blocks[2].insts[0].type = Type.I32

    assert broken(change).endswith("charge has no form for i32")


def test_negative_prepaid() -> None:
    def change(function: Function) -> None:
        function.blocks[2].insts[0].prepaid = -1

    assert broken(change).endswith("prepaid fuel is negative")


def test_signature_and_type_of_the_function() -> None:
    def sig(function: Function) -> None:
        function.sig = 5

    def type_(function: Function) -> None:
        function.type = FuncType((), ())

    assert broken(sig) == "there is no type 5"
    assert broken(type_) == "its type is () -> (), but type 0 is (i32) -> (i32)"


def test_entities_filed_under_another_id() -> None:
    module = sample()
    module.memories[EntityId(0, 1)] = module.memories[ID]
    with pytest.raises(IRError, match=r"memories: 0\.0 is filed under 0\.1"):
        verify(module)


def test_builder_and_make_give_the_same_instruction() -> None:
    module = parse_module('host 0.1 (i32) -> (i64, f32) "a" "b"')
    type_ = FuncType((Type.I32,), (Type.F32,))
    function = Function(ID, module.intern(type_), type_)
    module.functions[ID] = function
    builder = Builder(function, module)
    (x,) = builder.entry().params
    builder.loc, builder.prepaid = 0x10, 2
    builder.inst(o.TRAP_IF, None, [x], Trap.HOST)
    builder.prepaid = 0
    sum_ = builder.value(o.IADD, Type.I32, [x, x])
    call = builder.inst(o.CALL, None, [sum_], EntityId(0, 1))
    builder.inst(o.RETURN, None, call.results[1:])
    verify(module)
    assert [value.type for value in call.results] == [Type.I64, Type.F32]
    assert make(o.IADD, Type.I32, [x, x]).result.type is Type.I32
    assert make(o.IEQZ, Type.I64, [x]).result.type is Type.I32
    assert make(o.CHARGE, None, [], (3,)).results == ()
    assert print_module(module).splitlines()[-6:] == [
        "block0(%0: i32):",
        "    trap_if trap=host %0 !prepaid=2 @0x10",
        "    %1 = iadd.i32 %0, %0 @0x10",
        "    %2, %3 = call func=0.1 %1 @0x10",
        "    return %3 @0x10",
        "}",
    ]


def test_large_functions_are_verified_in_seconds() -> None:
    """50,000 instructions in 5,000 blocks, each of which may leave early."""
    type_ = FuncType((Type.I32,), (Type.I32,))
    module = Module()
    function = Function(ID, module.intern(type_), type_)
    module.functions[ID] = function
    builder = Builder(function)
    (x,) = builder.entry().params
    leave = Block()
    leave.add_param(Type.I32)
    leave.insts.append(Inst(o.RETURN, None, [leave.params[0]]))
    for _ in range(5000):
        y = x
        for _ in range(9):
            y = builder.value(o.IADD, Type.I32, [y, x])
        following = builder.block()
        builder.inst(o.BR_IF, None, [y], edges=[Edge(leave, [y]), Edge(following)])
        builder.position_at(following)
    builder.inst(o.RETURN, None, [x])
    function.blocks.append(leave)
    start = time.perf_counter()
    verify_function(function, module)
    assert time.perf_counter() - start < 10

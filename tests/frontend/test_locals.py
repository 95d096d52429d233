"""Locals become SSA values with no more block parameters than their values need."""

from __future__ import annotations

from swarmc.ir.function import Function

from .oracle import function_of


def translated(code: str, locals_: str = "i32 i32") -> Function:
    return function_of(f"(module (func (param i32) (result i32) (local {locals_}) {code}))")


def params(function: Function) -> list[int]:
    """Number of parameters of each block but the entry."""
    return [len(block.params) for block in function.blocks[1:]]


def test_a_construct_without_branches_leaves_no_block() -> None:
    function = translated("(block (block (block i32.const 1 local.set 1))) local.get 1")
    assert len(function.blocks) == 1


def test_what_a_loop_does_not_assign_is_no_parameter() -> None:
    function = translated("i32.const 3 local.set 1 (loop local.get 1 local.set 2 local.get 0 "
                          "br_if 0) local.get 1")
    assert params(function) == [0, 0]


def test_a_local_that_is_written_before_it_is_read_in_a_loop_is_no_parameter() -> None:
    function = translated("(loop local.get 0 local.set 1 local.get 1 br_if 0) local.get 1")
    assert params(function) == [0, 0]


def test_a_local_carried_by_a_loop_is_one_parameter() -> None:
    function = translated("(loop local.get 1 i32.const 1 i32.add local.set 1 local.get 0 br_if 0) "
                          "local.get 1")
    assert params(function) == [1, 0]


def test_a_local_that_is_not_read_after_a_merge_is_no_parameter() -> None:
    function = translated("(if (local.get 0) (then i32.const 1 local.set 1) "
                          "(else i32.const 2 local.set 1)) i32.const 3")
    assert params(function) == [0, 0, 0]


def test_values_that_agree_are_no_parameter() -> None:
    function = translated("(if (local.get 0) (then local.get 0 local.set 1) "
                          "(else local.get 0 local.set 1)) local.get 1")
    assert params(function) == [0, 0, 0]
    assert function.blocks[-1].terminator.args == function.blocks[0].params


def test_values_that_differ_are_one_parameter() -> None:
    function = translated("(if (local.get 0) (then i32.const 5 local.set 1)) local.get 1")
    assert params(function) == [0, 1]


def test_the_result_of_a_block_with_one_way_out_is_no_parameter() -> None:
    function = translated("(block (result i32) local.get 0 br 0)")
    assert params(function) == [0]


def test_zeros_are_made_once_for_each_type() -> None:
    function = translated("local.get 1 local.get 2 i32.add local.get 3 i32.wrap_i64 i32.add",
                          "i32 i32 i64")
    constants = [inst.type for inst in function.insts() if inst.op.name == "const"]
    assert len(constants) == 2
    assert len(set(constants)) == 2


def test_a_parameter_first_read_behind_the_loop_gets_all_arguments() -> None:
    """The header's parameter appears when its edges exist already."""
    function = translated("(block (loop (br_if 1 (i32.eqz (local.get 0))) (local.set 1 (i32.const "
                          "7)) (local.set 0 (i32.const 0)) (br 0))) local.get 1")
    header = function.blocks[1]
    edges = [edge for block in function.blocks for edge in block.terminator.edges
             if edge.block is header]
    assert len(header.params) == 2
    assert [len(edge.args) for edge in edges] == [2, 2]

"""Fuel is charged and checked where wasmtime does it: every budget ends in the same way."""

from __future__ import annotations

import pytest

from swarmc.ir import ops as o
from swarmc.ir.module import Module
from swarmc.ir.ops import Op
from swarmc.ir.types import EntityId

from .oracle import Pair, function_of, ir_of

_MORE = ('(memory (export "m") 1 200) (data $d "abcdefghijkl") (table $t 20 200 funcref) '
         "(table $x 20 200 externref) (elem $e func 0 0 0 0 0 0) (func)")
_SPIN = "local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0"

CODE = {
    "empty": "",
    "free instructions": "nop (block (loop)) i32.const 1 drop return",
    "loop without back edge": "i32.const 1 drop (loop) i32.const 2 drop",
    "loop": f"(loop {_SPIN})",
    "call": "i32.const 1 drop call 0 i32.const 1 drop call 0",
    "if": "(if (i32.const 1) (then call 0)) (if (i32.const 0) (then call 0) (else nop))",
    "memory.fill": "i32.const 0 i32.const 7 local.get 0 memory.fill i32.const 1 drop",
    "memory.copy": "i32.const 0 i32.const 7 local.get 0 memory.copy i32.const 1 drop",
    "memory.init": "i32.const 0 i32.const 7 local.get 0 memory.init $d i32.const 1 drop",
    "table.fill": "i32.const 0 ref.null func local.get 0 table.fill $t",
    "table.copy": "i32.const 0 i32.const 3 local.get 0 table.copy $t $t",
    "table.init": "i32.const 0 i32.const 3 local.get 0 table.init $t $e",
    "table.fill externref": "i32.const 0 ref.null extern local.get 0 table.fill $x",
    "memory.grow": "local.get 0 memory.grow drop i32.const 1 drop",
    "memory.grow fails": "local.get 0 i32.const 1000 i32.mul memory.grow drop call 0",
    "table.grow": "ref.null func local.get 0 table.grow $t drop",
    "table.grow fails": "ref.null func i32.const -1 table.grow $t drop call 0",
    "data.drop, elem.drop": "data.drop $d elem.drop $e",
    "fill of 128": "i32.const 0 i32.const 7 i32.const 128 memory.fill",
    "fill of 129": "i32.const 0 i32.const 7 i32.const 129 memory.fill",
    "fill of 10, then a loop": "i32.const 0 i32.const 7 i32.const 10 memory.fill (loop)",
    "fill of a sum": "i32.const 0 i32.const 7 i32.const 5 i32.const 5 i32.add memory.fill",
    "growth by 128, by 129": "i32.const 128 memory.grow drop i32.const 129 memory.grow drop",
    "small constant in a local": "i32.const 9 local.set 1 local.get 1 memory.grow drop",
    "initial value of a local": "local.get 1 memory.grow drop (loop local.get 1 memory.grow drop)",
    "small constant through a block": "(block (result i32) i32.const 9) memory.grow drop",
    "small constant by a branch": "(block (result i32) i32.const 9 br 0) memory.grow drop",
    "small constant into a block": "i32.const 9 (block (param i32) memory.grow drop)",
    "small constant into a loop": "i32.const 9 (loop (param i32) memory.grow drop)",
    "small constant into an if": "i32.const 9 local.get 0 (if (param i32) (then memory.grow drop) "
                                 "(else drop))",
    "small constant from before a loop": "i32.const 9 local.set 1 (loop local.get 1 memory.grow "
                                         "drop)",
    "small constant from before two loops": "i32.const 9 local.set 1 (loop (loop local.get 1 "
                                            "memory.grow drop i32.const 8 local.set 1))",
    "small constant across a loop": f"i32.const 9 local.set 1 (loop local.get 1 drop {_SPIN}) "
                                    "local.get 1 memory.grow drop",
    "small constant across an if": "i32.const 9 local.set 1 (if (local.get 0) (then nop)) "
                                   "local.get 1 memory.grow drop",
    "two small constants joined": "i32.const 9 local.set 1 (if (local.get 0) (then i32.const 9 "
                                  "local.set 1)) local.get 1 memory.grow drop",
}


@pytest.mark.parametrize("name", CODE)
def test_every_budget(name: str) -> None:
    pair = Pair(f'(module {_MORE} (func (export "f") (param i32) (local i32) {CODE[name]}))')
    pair.sweep("f", 4)


def charges(code: str) -> list[list[int]]:
    """Amounts charged in each block of a function."""
    function = function_of(f"(module (memory 1) (func (param i32) {code}))")
    return [[inst.attrs[0] for inst in block.insts if inst.op is o.CHARGE]
            for block in function.blocks]


def test_a_region_is_charged_at_once() -> None:
    assert charges("local.get 0 i32.const 1 i32.add drop nop") == [[1, 3]]


def test_nothing_is_charged_for_nothing() -> None:
    assert charges("(block (block nop)) return") == [[1]]


def test_a_region_ends_with_a_call() -> None:
    assert charges("local.get 0 call 0 local.get 0 call 0") == [[1, 2, 2]]


def test_a_region_ends_at_a_loop() -> None:
    assert charges("i32.const 1 drop (loop local.get 0 br_if 0)") == [[1, 1], [2], []]


def test_a_region_ends_after_a_bulk_operation() -> None:
    fill = "local.get 0 local.get 0 local.get 0 memory.fill"
    assert charges(f"{fill} {fill} i32.const 1 drop") == [[1, 4, 4, 1]]


def test_a_small_constant_length_is_part_of_the_charge() -> None:
    assert charges("local.get 0 local.get 0 i32.const 10 memory.fill") == [[1, 14]]


def prepaid(program: Module, op: Op) -> list[int]:
    return [inst.prepaid for inst in program.functions[EntityId(0, 0)].insts() if inst.op is op]


def test_prepaid_is_what_was_charged_for_later_instructions() -> None:
    program = ir_of("""(module (memory 1) (func (param i32)
        (drop (i32.load (local.get 0)))
        (i32.store (local.get 0) (i32.const 1))
        (drop (i32.div_s (local.get 0) (local.get 0)))))""")
    assert prepaid(program, o.BOUNDS_CHECK) == [6, 3]
    assert prepaid(program, o.TRAP_IF) == [0, 0]
    assert prepaid(program, o.FUEL_CHECK) == [0]


@pytest.mark.parametrize(("argument", "used"), [
    (65536, 3),  # entry, local.get, load
    (0, 7),  # and three i32.const, memory.fill
])
def test_fuel_used_up_to_a_trap(argument: int, used: int) -> None:
    pair = Pair("""(module (memory (export "m") 1) (func (export "f") (param i32) (result i32)
        (drop (i32.load8_u (local.get 0)))
        (i32.const 65500) (i32.const 0) (i32.const 100) (memory.fill) (i32.const 1)))""")
    outcome = pair.call("f", argument)
    assert outcome.trap is not None
    # The length of the fill that failed, 100, is part of the charge but was not used.
    assert outcome.fuel_used == used

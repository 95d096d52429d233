"""Counted loops behave the same with and without the copy, at every edge of every count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

import pytest

from swarmc.ir import ops as o
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Outcome
from swarmc.ir.module import Module
from swarmc.ir.parser import parse_module
from swarmc.ir.passes.manager import PASSES
from swarmc.ir.types import EntityId
from swarmc.ir.verifier import verify

RUN = EntityId(0, 0)
PAGE = 65536
EDGES = {
    "i32": (0, 1, 2, 3, 7, 8, 100, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 8,
            (1 << 32) - 1),
    "i64": (0, 1, 8, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
}
OPS = ("ine", "ilt_u", "ilt_s", "ile_u", "ile_s", "igt_u", "igt_s", "ige_u", "ige_s")

COUNTED = """\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 ({t}, {t}) -> ({t}, i32) {{
block0(%start: {t}, %limit: {t}):
    %zero = const.i32 value=0
    jump block1(%start, %zero)
block1(%i: {t}, %rounds: i32):
    fuel_check @0x10
    charge amount=5
    %step = const.{t} value={step}
    %next = iadd.{t} %i, %step
    %one = const.i32 value=1
    %more = iadd.i32 %rounds, %one
    %again = {op}.{t} {compared}
    br_if %again, {edges}
block2:
    return %next, %more
}}
"""

ACCESSES = """\
memory 0.0 min={minimum} max=2
export "run" func 0.0
function 0.0 (i32, i32) -> (i32) {{
block0(%start: i32, %rounds: i32):
    %zero = const.i32 value=0
    jump block1(%start, %rounds, %zero)
block1(%i: i32, %left: i32, %sum: i32):
    fuel_check @0x10
    charge amount=9
    %far = const.i32 value={far}
    %a = iadd.i32 %i, %far
    bounds_check mem=0.0 offset={offset} width=4 %i !prepaid=6 @0x11
    %x = load.i32 mem=0.0 offset={offset} width=4 signed=false align=1 %i @0x11
    bounds_check mem=0.0 offset=0 width=1 %a !prepaid=3 @0x12
    %y = load.i32 mem=0.0 offset=0 width=1 signed=false align=1 %a @0x12
    %s = iadd.i32 %sum, %x
    %t = ixor.i32 %s, %y
    store.i32 mem=0.0 offset=0 width=1 align=1 %a, %t @0x13
    %step = const.i32 value={step}
    %next = iadd.i32 %i, %step
    %one = const.i32 value=1
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%next, %fewer, %t), block2
block2:
    return %t
}}
"""


def outcomes(module: Module, args: tuple[int, ...], fuel: int) -> tuple[Outcome, bytes]:
    agent = Interpreter(module)
    memory = agent.state.memories[EntityId(0, 0)]
    memory[:] = random.Random(1).randbytes(len(memory))
    return agent.invoke(RUN, args, fuel), bytes(memory)


def fast_rounds(module: Module, args: tuple[int, ...], fuel: int) -> bool:
    """Whether a call takes the copy: without fuel checks elsewhere it cannot run out there."""
    for block in module.functions[RUN].blocks:
        if any(inst.op is o.FUEL_CHECK for inst in block.insts):
            block.insts = [inst for inst in block.insts if inst.op is not o.CHARGE]
    return outcomes(module, args, fuel)[0].fuel_used > 0


def versioned(text: str) -> Module:
    module = parse_module(text)
    for function in module.functions.values():
        PASSES["fold-constants"](function, module)
        PASSES["version-loops"](function, module)
    verify(module)
    return module


def loops() -> Iterator[tuple[str, str]]:
    """Every comparison with every step, both ways round, of the value before and after."""
    for type_, op, step, swapped, value, ways in product(
            ("i32", "i64"), OPS, (1, 3, 4, -1, -4), (False, True), ("%i", "%next"),
            ("block1(%next, %more), block2", "block2, block1(%next, %more)")):
        compared = f"%limit, {value}" if swapped else f"{value}, %limit"
        bits = step & (1 << int(type_[1:])) - 1
        yield type_, COUNTED.format(t=type_, op=op, step=bits, compared=compared, edges=ways)


def test_counts_are_exact_at_their_edges() -> None:
    choose = random.Random(7)
    taken = 0
    for type_, text in loops():
        plain, fast, marked = parse_module(text), versioned(text), versioned(text)
        for _ in range(6):
            start = choose.choice(EDGES[type_])
            args = (start, choose.choice((*EDGES[type_], start, start ^ 8, start + 12))
                    & (1 << int(type_[1:])) - 1)
            for fuel in (choose.randrange(1, 60), 500):
                expected = outcomes(plain, args, fuel)
                assert outcomes(fast, args, fuel) == expected, (text, args, fuel)
                taken += expected[0].trap is None and fast_rounds(marked, args, fuel)
    assert taken > 500  # of about 4,300 calls, many of which run out of fuel


@pytest.mark.parametrize("step", [4, 1, 0, -1, -12])
def test_addresses_are_in_bounds_to_the_last_byte(step: int) -> None:
    choose = random.Random(step)
    taken = 0
    for minimum, offset, far in product((1, 2), (0, 5, PAGE), (0, 8, (1 << 32) - 3)):
        text = ACCESSES.format(minimum=minimum, offset=offset, far=far,
                               step=step & (1 << 32) - 1)
        plain, fast, marked = parse_module(text), versioned(text), versioned(text)
        for _ in range(12):
            rounds = choose.choice((1, 2, 3, 10))
            edge = choose.choice((0, 3, minimum * PAGE - offset - 4, minimum * PAGE - far,
                                  -offset, (1 << 32) - far))
            start = edge + choose.randrange(-3, 4) - choose.choice((0, step * (rounds - 1)))
            args = (start & (1 << 32) - 1, rounds)
            fuel = choose.choice((1000, 9 * rounds, 9 * rounds + 1, 20))
            expected = outcomes(plain, args, fuel)
            assert outcomes(fast, args, fuel) == expected, (text, args, fuel)
            taken += expected[0].trap is None and fast_rounds(marked, args, fuel)
    assert taken > 10


def test_steps_that_are_arguments() -> None:
    choose = random.Random(9)
    steps = (0, 1, 3, 8, 40_000, (1 << 31) - 1, 1 << 31, (1 << 32) - 4, (1 << 32) - 1)
    taken = 0
    for op, value, factor in product(OPS[:5], ("%i", "%next"), ("%step", "%twice")):
        text = COUNTED.format(t="i32", op=op, step=0, compared=f"{value}, %limit",
                              edges="block1(%next, %more), block2")
        text = text.replace("(i32, i32) ->", "(i32, i32, i32) ->")
        text = text.replace("%limit: i32):", """%limit: i32, %step: i32):
    %two = const.i32 value=2
    %twice = iadd.i32 %step, %step""").replace("    %step = const.i32 value=0\n", """\
    %other = imul.i32 %i, %two
    bounds_check mem=0.0 offset=0 width=2 %other !prepaid=4 @0x11
    store.i32 mem=0.0 offset=0 width=2 align=1 %other, %rounds @0x11
""").replace("iadd.i32 %i, %step", f"iadd.i32 {factor}, %i")
        plain, fast, marked = parse_module(text), versioned(text), versioned(text)
        for _ in range(60):
            step = choose.choice(steps)
            start = choose.choice((0, 1, 5, PAGE // 2 - 2, PAGE // 2 - 1))
            limit = (start + step * choose.randrange(6) * choose.choice((1, 2))) & (1 << 32) - 1
            args = (start, limit, step)
            fuel = choose.choice((21, 1000))
            expected = outcomes(plain, args, fuel)
            assert outcomes(fast, args, fuel) == expected, (text, args, fuel)
            taken += expected[0].trap is None and fast_rounds(marked, args, fuel)
    assert taken > 50


def test_an_address_that_another_loop_computed() -> None:
    module = versioned("""\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32) -> () {
block0(%start: i32, %rounds: i32):
    %one = const.i32 value=1
    %four = const.i32 value=4
    jump block1(%start, %rounds)
block1(%i: i32, %left: i32):
    fuel_check @0x10
    charge amount=5
    %a = iadd.i32 %i, %four
    bounds_check mem=0.0 offset=0 width=4 %i !prepaid=3 @0x11
    store.i32 mem=0.0 offset=0 width=4 align=1 %i, %left @0x11
    %next = iadd.i32 %i, %one
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%next, %fewer), block2
block2:
    jump block3(%rounds)
block3(%more: i32):
    fuel_check @0x20
    charge amount=5
    bounds_check mem=0.0 offset=0 width=4 %a !prepaid=3 @0x21
    store.i32 mem=0.0 offset=0 width=4 align=1 %a, %more @0x21
    %less = isub.i32 %more, %one
    br_if %less, block3(%less), block4
block4:
    return
}
""")
    for args in ((0, 5), (100, 1), (65_520, 9), (65_532, 1)):
        assert outcomes(module, args, 1000)[0].fuel_used > 0

"""A counted loop in a counted loop behaves the same with and without the copy of both."""

from __future__ import annotations

import random
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

#: Adds rows of words at %from to those at %row.
ROWS = """\
memory 0.0 min={pages} max=2
export "run" func 0.0
function 0.0 (i32, i32, i32, i32, i32) -> (i32) {{
block0(%start: i32, %source: i32, %rows: i32, %width: i32, %step: i32):
    %zero = const.i32 value=0
    jump block1(%start, %source, %rows, %zero)
block1(%row: i32, %from: i32, %left: i32, %sum: i32):
    fuel_check @0x10
    charge amount=5
    bounds_check mem=0.0 offset=4 width=2 %row !prepaid=2 @0x11
    %head = load.i32 mem=0.0 offset=4 width=2 signed=false align=1 %row @0x11
    %first = ixor.i32 %sum, %head
    %end = iadd.i32 %row, %width
    jump block2(%row, %from, %first, %zero)
block2(%at: i32, %in: i32, %s: i32, %j: i32):
    fuel_check @0x20
    charge amount=9
    bounds_check mem=0.0 offset=0 width=4 %in !prepaid=7 @0x21
    %x = load.i32 mem=0.0 offset=0 width=4 signed=false align=1 %in @0x21
    bounds_check mem=0.0 offset={offset} width=4 %at !prepaid=5 @0x22
    %y = load.i32 mem=0.0 offset={offset} width=4 signed=false align=1 %at @0x22
    %z = iadd.i32 %x, %y
    store.i32 mem=0.0 offset={offset} width=4 align=1 %at, %z @0x22
    %t = ixor.i32 %s, %z
    %unit = const.i32 value={unit}
    %on = iadd.i32 %at, %unit
    %jj = iadd.i32 %j, %unit
    %four = const.i32 value=4
    %next = iadd.i32 %in, %four
    %more = {condition}
    br_if %more, block2(%on, %next, %t, %jj), block3
block3:
    charge amount=4
    %apart = const.i32 value={apart}
    %below = iadd.i32 %row, {step}
    %other = iadd.i32 %from, %apart
    %one = const.i32 value=1
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%below, %other, %fewer, %t), block4
block4:
    return %t
}}
"""


def outcomes(module: Module, args: tuple[int, ...], fuel: int) -> tuple[Outcome, bytes, bool]:
    """What a call gives, what memory is then, and whether the copy of both loops ran."""
    agent = Interpreter(module)
    memory = agent.state.memories[EntityId(0, 0)]
    memory[:] = random.Random(1).randbytes(len(memory))
    outcome = agent.invoke(RUN, args, fuel)
    return outcome, bytes(memory), bool(agent.state.regions)


def versioned(text: str) -> Module:
    module = parse_module(text)
    for function in module.functions.values():
        PASSES["fold-constants"](function, module)
        PASSES["version-loops"](function, module)
    verify(module)
    return module


@pytest.mark.parametrize(("unit", "condition"), [
    (4, "ine.i32 %on, %end"), (-4, "ine.i32 %on, %end"), (4, "ine.i32 %jj, %width"),
    (4, "ilt_u.i32 %jj, %width"), (8, "ile_s.i32 %jj, %width"),
])  # fmt: skip
def test_rows(unit: int, condition: str) -> None:
    choose = random.Random(unit)
    taken = 0
    for pages, offset, apart, step in product(
            (1, 2), (0, 12), (0, 16, -16), ("%step", "%apart")):
        text = ROWS.format(pages=pages, offset=offset, apart=apart & (1 << 32) - 1, step=step,
                           unit=unit & (1 << 32) - 1, condition=condition)
        plain, fast = parse_module(text), versioned(text)
        assert any(inst.op is o.APART for inst in fast.functions[RUN].insts())
        for _ in range(24):
            rows, width = choose.choice((1, 2, 3)), unit * choose.choice((1, 2, 4))
            stride = choose.choice((4, 16, 100, 0, -16))
            moves = (rows - 1) * (stride if step == "%step" else apart)
            end = pages * PAGE - offset - 4
            start = choose.choice((0, 200, end - moves, end - moves - width + unit, -moves))
            source = choose.choice((0, 2000, start, start + 16, start + width, PAGE - 40))
            args = tuple(n & (1 << 32) - 1 for n in (
                start + choose.choice((-1, 0, 0, 0, 4)), source, rows, width, stride))
            price = rows * (9 + 9 * (width // unit + 1))
            fuel = choose.choice((price, price // 2, 10_000, 10_000))
            expected = outcomes(plain, args, fuel)
            found = outcomes(fast, args, fuel)
            assert found[:2] == expected[:2], (text, args, fuel)
            taken += found[2]
    assert taken > 20  # of 576


def test_what_overlaps_goes_the_other_way() -> None:
    text = ROWS.format(pages=1, offset=0, apart=16, step="%apart", unit=4,
                       condition="ine.i32 %on, %end")
    module = versioned(text)
    for source, copied in ((100, True), (48, True), (44, False), (8, False), (0, False)):
        assert outcomes(module, (0, source, 3, 16, 0), 1000)[2] is copied, source


def test_a_region_that_does_not_keep_to_itself_is_an_error_of_the_ir() -> None:
    text = """\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32) -> () {
block0(%a: i32, %b: i32):
    apart region=1 count=2
    store.i32 mem=0.0 offset=0 width=4 align=1 %a, %b !region=1 @0x11
    %x = load.i32 mem=0.0 offset=0 width=4 signed=false align=1 %b !region=2 @0x12
    return
}
"""
    module = parse_module(text)
    verify(module)
    assert outcomes(module, (0, 4), 1000)[0].trap is None
    with pytest.raises(Exception, match="region 2 overlaps another at 3"):
        outcomes(module, (0, 3), 1000)


def test_inner_loops_whose_addresses_are_only_known_inside_keep_their_own_test() -> None:
    text = ROWS.format(pages=1, offset=0, apart=16, step="%apart", unit=4,
                       condition="ine.i32 %jj, %width")
    text = text.replace("jump block2(%row, %from,", "%where = imul.i32 %from, %left\n"
                        "    jump block2(%row, %where,")
    module = versioned(text)
    insts = list(module.functions[RUN].insts())
    assert not any(inst.op is o.APART for inst in insts)
    assert sum(inst.op is o.FUEL_COVERS for inst in insts) == 1

@pytest.mark.parametrize(("shift", "base", "unit", "displacement", "proven"), [
    (6, 4096, 4, 0, True), (6, 4096, -4, 0, True), (6, 0, 4, 0, True), (6, 0, -4, 0, False),
    (6, 4096, 4, -8, True), (6, 4, 4, -8, False), (6, PAGE - 5 * 64 - 16, 4, 0, True),
    (6, PAGE - 5 * 64 - 12, 4, 0, False), (16, 0, 4, 0, False),
])  # fmt: skip
def test_rows_that_are_chosen_among_a_few(
    shift: int, base: int, unit: int, displacement: int, proven: bool
) -> None:
    """Row ``min(source + left, 5)`` from ``base`` on is added, whatever that is in each round."""
    text = ROWS.format(pages=1, offset=0, apart=1, step="%step", unit=unit & (1 << 32) - 1,
                       condition="ine.i32 %jj, %width")
    text = text.replace("jump block2(%row, %from,", f"""%wanted = iadd.i32 %from, %left
    %five = const.i32 value=5
    %less = ilt_u.i32 %wanted, %five
    %chosen = select.i32 %less, %wanted, %five
    %shift = const.i32 value={shift}
    %far = ishl.i32 %chosen, %shift
    %base = const.i32 value={base}
    %place = iadd.i32 %far, %base
    jump block2(%row, %place,""").replace("iadd.i32 %in, %four", "iadd.i32 %in, %unit")
    if displacement:
        text = text.replace("    bounds_check mem=0.0 offset=0 width=4 %in", f"""\
    %back = const.i32 value={displacement & (1 << 32) - 1}
    %near = iadd.i32 %in, %back
    bounds_check mem=0.0 offset=0 width=4 %near""")
        text = text.replace("signed=false align=1 %in", "signed=false align=1 %near")
    plain, fast = parse_module(text), versioned(text)
    taken = 0
    for source, rows, start in product((0, 3, 100, (1 << 32) - 2), (1, 4), (1024, 40_000)):
        args = (start, source, rows, unit * 4 & (1 << 32) - 1, 64)
        for fuel in (10_000, 100):
            expected, found = outcomes(plain, args, fuel), outcomes(fast, args, fuel)
            assert found[:2] == expected[:2], (text, args, fuel)
            taken += found[2]
    assert (taken > 8) is proven


#: Fills rows, two words a round, as a compiler unrolls it; what is summed is of the last round.
UNROLLED = """\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32, i32) -> (i32) {{
block0(%start: i32, %rows: i32, %width: i32):
    %zero = const.i32 value=0
    jump block1(%start, %rows, %zero)
block1(%row: i32, %left: i32, %sum: i32):
    fuel_check @0x10
    charge amount=5
    jump block2(%row, %zero)
block2(%at: i32, %j: i32):
    fuel_check @0x20
    charge amount=9
    bounds_check mem=0.0 offset=0 width=8 %at !prepaid=7 @0x21
    store.i32 mem=0.0 offset=0 width=4 align=1 %at, %width @0x21
    store.i32 mem=0.0 offset=4 width=4 align=1 %at, %width @0x22
    %eight = const.i32 value=8
    %on = iadd.i32 %at, %eight
    %two = const.i32 value=2
    %jj = iadd.i32 %j, %two
    %more = ine.i32 %jj, %width
    br_if %more, block2(%on, %jj), block3
block3:
    charge amount=4
    %pitch = const.i32 value=64
    %total = iadd.i32 %sum, {seen}
    %below = iadd.i32 %row, %pitch
    %one = const.i32 value=1
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%below, %fewer, %total), block4
block4:
    return %total
}}
"""


@pytest.mark.parametrize("seen", ["%at", "%on", "%j", "%jj", "%width"])
def test_rolled_up_loops_whose_last_round_is_looked_at(seen: str) -> None:
    text = UNROLLED.format(seen=seen)
    plain, fast = parse_module(text), versioned(text)
    rerolled = PASSES["reroll-loops"](fast.functions[RUN], fast)
    assert rerolled or seen != "%width"
    verify(fast)
    for args in ((0, 3, 8), (64, 1, 2), (1000, 4, 16), (65_400, 2, 8)):
        expected, found = outcomes(plain, args, 10_000), outcomes(fast, args, 10_000)
        assert found[:2] == expected[:2]


def test_places_that_depend_on_each_other_are_computed_once() -> None:
    sums = "\n".join(
        f"%v{n} = iadd.i32 %v{n - 1}, %v{n - 2}\n"
        f"bounds_check mem=0.0 offset=0 width=1 %v{n} !prepaid=1 @0x30\n"
        f"store.i32 mem=0.0 offset=0 width=1 align=1 %v{n}, %j @0x30"
        for n in range(2, 40)
    )
    module = versioned(f"""\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32) -> () {{
block0(%start: i32, %rows: i32):
    %zero = const.i32 value=0
    jump block1(%start, %rows)
block1(%row: i32, %left: i32):
    fuel_check @0x10
    charge amount=5
    bounds_check mem=0.0 offset=0 width=1 %row !prepaid=2 @0x11
    %p = load.i32 mem=0.0 offset=0 width=1 signed=false align=1 %row @0x11
    jump block2(%zero)
block2(%j: i32):
    fuel_check @0x20
    charge amount=99
    %v0 = iadd.i32 %p, %j
    %v1 = iadd.i32 %v0, %p
    {sums}
    %one = const.i32 value=1
    %next = iadd.i32 %j, %one
    %four = const.i32 value=4
    %more = ine.i32 %next, %four
    br_if %more, block2(%next), block3
block3:
    charge amount=4
    %below = iadd.i32 %row, %one
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%below, %fewer), block4
block4:
    return
}}
""")
    assert sum(1 for _ in module.functions[RUN].insts()) < 1000


#: Adds words of an array to one that lies at %sum.
SUM = """\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32, i32) -> () {
block0(%sum: i32, %start: i32, %rounds: i32):
    jump block1(%start, %rounds)
block1(%at: i32, %left: i32):
    fuel_check @0x10
    charge amount=9
    bounds_check mem=0.0 offset=0 width=4 %at !prepaid=7 @0x11
    %x = load.i32 mem=0.0 offset=0 width=4 signed=false align=1 %at @0x11
    bounds_check mem=0.0 offset=0 width=4 %sum !prepaid=4 @0x12
    %y = load.i32 mem=0.0 offset=0 width=4 signed=false align=1 %sum @0x12
    %z = iadd.i32 %x, %y
    store.i32 mem=0.0 offset=0 width=4 align=1 %sum, %z @0x12
    %four = const.i32 value=4
    %next = iadd.i32 %at, %four
    %one = const.i32 value=1
    %fewer = isub.i32 %left, %one
    br_if %fewer, block1(%next, %fewer), block2
block2:
    return
}
"""


@pytest.mark.parametrize(("place", "apart"), [
    (0, True), (96, True), (97, False), (100, False), (116, False), (119, False), (120, True),
])  # fmt: skip
def test_a_sum_in_memory(place: int, apart: bool) -> None:
    plain, fast = parse_module(SUM), versioned(SUM)
    expected, found = (outcomes(module, (place, 100, 5), 1000) for module in (plain, fast))
    assert found[:2] == expected[:2]
    assert found[2] is apart

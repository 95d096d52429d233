"""Unrolled loops do the same when they are rerolled; those that only look unrolled are not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Outcome
from swarmc.ir.module import Module
from swarmc.ir.parser import parse_module
from swarmc.ir.passes.manager import PASSES
from swarmc.ir.types import EntityId
from swarmc.ir.verifier import verify

RUN = EntityId(0, 0)
HEAD = """\
memory 0.0 min=1 max=1
export "run" func 0.0
function 0.0 (i32, i32, i32) -> (i32) {
block0(%from: i32, %to: i32, %rounds: i32):
    %c0 = const.i32 value=0
    %c1 = const.i32 value=1
    jump block1(%from, %to, %rounds, %c0)
block1(%a: i32, %b: i32, %left: i32, %k: i32):
    fuel_check @0x10
"""


@dataclass
class Unrolled:
    """A loop that does one thing ``copies`` times, with elements of some width.

    ``flaw`` is what is wrong with one of the copies, if anything: then it must not be rerolled.
    """

    copies: int
    width: int
    down: bool
    counted: bool  # whether what is stored depends on a counter
    flaw: str
    choose: random.Random

    def text(self) -> str:
        width, lines = self.width, []
        flawed = self.choose.randrange(self.copies)
        operation = self.choose.choice(("iadd", "ixor", "imul", "isub"))
        for n in range(self.copies):
            place = (self.copies - 1 - n if self.down else n) * width
            flaw = self.flaw if n == flawed else ""
            far = 200 + place + (width if flaw == "further" else 0)
            other = "ior" if flaw == "operation" else operation
            lines += [
                f"%l{n} = load.i32 mem=0.0 offset={far} width={width} signed=false align=1 %a",
                f"%m{n} = load.i32 mem=0.0 offset={400 + place} width={width} signed=false"
                " align=1 %b",
                f"%n{n} = const.i32 value={n}", f"%k{n} = iadd.i32 %k, %n{n}",
                f"%s{n} = {other}.i32 %l{n}, %m{n}",
                f"%t{n} = ixor.i32 %s{n}, {f'%k{n}' if self.counted else '%from'}",
            ]  # fmt: skip
            value = "%l0" if flaw == "value" else f"%t{n}"
            lines.append(f"store.i32 mem=0.0 offset={place} width={width} align=1 %b, {value}")
        step = (self.copies * width) * (-1 if self.down else 1) & 0xFFFF_FFFF
        lines = [f"charge amount={7 * self.copies + 2}", *(self._checked(line) for line in lines)]
        return HEAD + "\n".join(f"    {line}" for line in lines) + f"""
    %step = const.i32 value={step}
    %copies = const.i32 value={self.copies}
    %na = iadd.i32 %a, %step
    %nb = iadd.i32 %b, %step
    %nk = iadd.i32 %k, %copies
    %fewer = isub.i32 %left, %c1
    br_if %fewer, block1(%na, %nb, %fewer, %nk), block2
block2:
    return %nk
}}
"""

    @staticmethod
    def _checked(line: str) -> str:
        """An access with its check before it."""
        if " mem=" not in line:
            return line
        words = line.replace(",", "").split()
        place = next(word for word in words if word in ("%a", "%b"))
        offset = next(word for word in words if word.startswith("offset="))
        width = next(word for word in words if word.startswith("width="))
        return f"bounds_check mem=0.0 {offset} {width} {place} @0x20\n    {line}"


def outcome(module: Module, args: tuple[int, ...]) -> tuple[Outcome, bytes]:
    agent = Interpreter(module)
    memory = agent.state.memories[EntityId(0, 0)]
    memory[:] = random.Random(5).randbytes(len(memory))
    return agent.invoke(RUN, args, 100_000), bytes(memory)


def rerolled(text: str) -> tuple[Module, bool]:
    module = parse_module(text)
    changed = False
    for function in module.functions.values():
        for name in ("fold-constants", "value-numbering", "redundant-checks", "dead-code",
                     "version-loops"):  # fmt: skip
            PASSES[name](function, module)
        changed = PASSES["reroll-loops"](function, module)
    verify(module)
    return module, changed


def same(text: str, module: Module, choose: random.Random) -> None:
    for _ in range(6):
        start, to = choose.choice((0, 1, 500, 30_000, 65_000)), choose.randrange(0, 1200)
        args = start, to, choose.choice((1, 2, 3, 10, 40))
        assert outcome(parse_module(text), args) == outcome(module, args), text


@pytest.mark.parametrize("copies", [2, 3, 4, 6])
@pytest.mark.parametrize("flaw", ["", "further", "operation", "value"])
def test_unrolled_loops(copies: int, flaw: str) -> None:
    choose = random.Random(f"{copies} {flaw}")
    for _ in range(12):
        loop = Unrolled(copies, choose.choice((1, 2, 4)), choose.random() < 0.4,
                        choose.random() < 0.5, flaw, choose)  # fmt: skip
        text = loop.text()
        module, changed = rerolled(text)
        # Six copies of which one is flawed can still be two or three of something.
        assert changed == (not flaw) or copies == 6, text
        same(text, module, choose)


def test_overlapping_arrays_are_copied_in_order() -> None:
    loop = Unrolled(4, 4, False, True, "", random.Random(3))
    text = loop.text()
    module, changed = rerolled(text)
    assert changed
    for distance in (0, 4, 8, 12, 16, 200, 204, 396, 400, 404):
        args = 1000, 1000 + distance - 200, 20
        assert outcome(parse_module(text), args) == outcome(module, args)

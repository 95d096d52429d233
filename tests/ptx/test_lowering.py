"""LLVM's two lowerings of the same functions agree: as PTX in the stand-in, and for the host."""

from __future__ import annotations

import itertools

import pytest

from swarmc.targets.ptx.isa import TABLE
from swarmc.targets.ptx.module import Instruction
from swarmc.targets.ptx.parser import parse
from swarmc.targets.ptx.rows import Row

from .llvm_functions import texts
from .nvptx import WIDTHS, Pair, Shape, shapes, to_ptx, wrapped
from .test_rows import edges

TEXTS = texts()

#: What the back end does not write for functions like these. Tests show it by the manual alone.
NOT_WRITTEN = {
    "add.sat.s32", "sub.sat.s32", "mad.wide.type", "bfind{.shiftamt}.type", "bfi.type",
    "mad.part.cc.type", "madc.part{.cc}.type", "testp.op.type",
    "set.cmp{.bool}.dtype.type", "slct.type.s32", "slct.type.f32", "cnot.type", "lop3.b32",
}  # fmt: skip


def operands(type_: str) -> list[int]:
    if type_ in ("float", "double"):
        return edges(f"f{WIDTHS[type_]}")
    if WIDTHS[type_] <= 64:
        return edges("pred" if type_ == "i1" else f"u{WIDTHS[type_]}")
    words = [0, 1, 0x80FF7F0180FF7F01, 0x7FFF8000FFFF0001, 0x123456789ABCDEF0, (1 << 64) - 1]
    return [low | high << 64 for low, high in itertools.product(words, words[::2])]


def rows_for(shape: Shape) -> list[tuple[int, ...]]:
    lists = [operands(type_) for type_ in shape.params]
    if len(lists) > 2:
        lists = [values[:: max(1, len(values) // 6)] + values[-1:] for values in lists]
    return list(itertools.product(*lists))


def rows_of(ptx: str) -> set[Row]:
    """Rows of the instructions in a text."""
    return {
        TABLE.find(statement.opcode)[0]
        for function in parse(ptx).functions.values()
        for statement in function.body or ()
        if isinstance(statement, Instruction)
    }


@pytest.mark.parametrize("cpu", ["sm_75", "sm_90", "sm_100"])
@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("name", TEXTS)
def test_both_lowerings_agree(name: str, level: int, cpu: str) -> None:
    pair = Pair(TEXTS[name], cpu, level)
    try:
        for shape in shapes(TEXTS[name]):
            rows = rows_for(shape)
            for row, device, host in zip(
                rows, pair.device(shape, rows), pair.host(shape, rows), strict=True
            ):
                shown = ", ".join(f"{x:#x}" for x in row)
                assert device == host, f"{shape.name} {shown}: {device:#x}, the host {host:#x}"
    finally:
        pair.close()


def test_every_row_but_these_was_met() -> None:
    # By itself, so that it holds whichever tests run: only the texts matter.
    met = {
        row for text in TEXTS.values() for cpu in ("sm_75", "sm_80", "sm_100") for level in (0, 3)
        for row in rows_of(to_ptx(wrapped(text, device=True), cpu, level))
    }  # fmt: skip
    assert {row.pattern for row in TABLE.rows if row not in met} == NOT_WRITTEN

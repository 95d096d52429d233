"""Where bytes of many agents lie: numbers, arrays and compiled code agree, and nothing overlaps."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import ArgumentError
from swarmc.targets.addressing import (
    DEFAULT_INTERLEAVED,
    GROUP,
    Cells,
    MemoryLayout,
    Placement,
    parse_layout,
)

LAYOUTS = list(MemoryLayout)


_LINE = re.compile(
    r"(%\S+) = (?:(trunc|sext) i(32|64) (\S+) to i(32|64)"
    r"|(add|mul|and|shl)( nsw)? i(32|64) (\S+), (\S+))"
)

reproducible = settings(derandomize=True, database=None, deadline=None)


def signed(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def evaluate(lines: list[str], result: str, **known: int) -> int:
    """What straight-line LLVM IR computes, of numbers of 32 and 64 bits."""
    values = {f"%{name}": value for name, value in known.items()}
    operations = {
        "add": int.__add__, "mul": int.__mul__, "and": int.__and__, "shl": int.__lshift__,
    }  # fmt: skip

    def operand(text: str) -> int:
        return values[text] if text in values else int(text)

    for line in lines:
        match = _LINE.fullmatch(line)
        assert match, line
        name, _, _, source, to, operation, exact, bits, left, right = match.groups()
        if source:
            values[name] = signed(operand(source), int(to))
            continue
        found = operations[operation](operand(left), operand(right))
        values[name] = signed(found, int(bits))
        assert not exact or values[name] == found
    return operand(result)


class Text:
    """Collects lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def assign(self, expression: str) -> str:
        self.lines.append(f"%x{len(self.lines)} = {expression}")
        return f"%x{len(self.lines) - 1}"


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("size", [64, 192, 1 << 16])
def test_every_byte_has_a_place_of_its_own(layout: MemoryLayout, size: int) -> None:
    for cells in (layout.memory_cells, layout.state_cells):
        place = Placement(size, cells)
        slots = np.arange(70)
        addresses = np.unique(np.concatenate([np.arange(64), np.arange(size - 64, size)]))
        places = (place.base(slots)[:, None] + cells.spread(addresses)).ravel()
        assert len(np.unique(places)) == len(places)
        assert places.min() == 0 and places.max() < place.extent(70)


def test_the_definition() -> None:
    for cell in (4, 8, 16):
        place = Placement(1024, Cells(cell))
        for slot, a in ((0, 0), (3, 5), (31, 1023), (32, 17), (69, 600)):
            group, lane = divmod(slot, 32)
            expected = group * 32 * 1024 + a // cell * 32 * cell + lane * cell + a % cell
            assert place.offset(slot, a) == expected


@reproducible
@given(st.sampled_from(LAYOUTS), st.integers(0, 2**40), st.integers(0, 10**6),
       st.integers(1, 2**20))
def test_code_computes_what_the_host_does(
    layout: MemoryLayout, address: int, slot: int, units: int
) -> None:
    for cells in (layout.memory_cells, layout.state_cells):
        place = Placement(64 * units, cells)
        text = Text()
        offset = cells.spread_text(text.assign, "%a", aligned=False)
        assert evaluate(text.lines, offset, a=address) == cells.spread(address)
        aligned = address // (cells.size or 1) * (cells.size or 1)
        text = Text()
        offset = cells.spread_text(text.assign, "%a", aligned=True)
        assert evaluate(text.lines, offset, a=aligned) == cells.spread(aligned)
        text = Text()
        base = place.base_text(text.assign, "%slot")
        assert evaluate(text.lines, base, slot=slot) == place.base(slot)
        (from_array,) = place.offset(np.array([slot]), address)
        assert from_array == place.offset(slot, address)


@reproducible
@given(st.sampled_from(LAYOUTS), st.integers(0, 95), st.integers(0, 1000), st.integers(0, 100))
def test_rows_are_the_bytes_in_their_order(
    layout: MemoryLayout, slot: int, address: int, length: int
) -> None:
    place = Placement(2048, layout.memory_cells)
    found = [
        rows.offset + row * rows.pitch + byte
        for rows in place.rows(slot, address, length)
        for row in range(rows.count)
        for byte in range(rows.width)
    ]
    assert found == [place.offset(slot, address + n) for n in range(length)]
    assert len(list(place.rows(slot, address, length))) <= 3


def test_pieces() -> None:
    assert [Cells(4).piece(width) for width in (1, 2, 4, 8, 16)] == [1, 2, 4, 4, 4]
    assert [Cells(16).piece(width) for width in (1, 8, 16)] == [1, 8, 16]
    assert Cells(0).piece(16) == 16
    assert Cells(8).word_step == 8 * GROUP and Cells(0).word_step == 8


def test_names() -> None:
    assert parse_layout("interleaved") is DEFAULT_INTERLEAVED
    assert [parse_layout(str(layout)) for layout in LAYOUTS] == LAYOUTS
    with pytest.raises(ArgumentError, match=r"no layout 'interleaved:5'.*interleaved:16"):
        parse_layout("interleaved:5")

"""Rows of the table of instructions, and finding the row of an opcode."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .integers import Compute
from .module import Instruction
from .writer import Fields

if TYPE_CHECKING:
    from .body import BodyWriter

Perform = Callable[["BodyWriter", Fields, Instruction], None]

_PART = re.compile(r"(\{?)\.([\w:]+)\}?")


@dataclass(frozen=True, slots=True)
class Place:
    """An operand: its name, its type or the field that holds it, and what may differ.

    ``wider``: a register with more bits will do. ``double``: it has twice the type's bits.
    """

    name: str
    type: str
    wider: bool
    double: bool

    def type_in(self, fields: Fields) -> str:
        """The type, where the opcode's fields are these."""
        type_ = fields.get(self.type, self.type)
        return f"{type_[0]}{2 * int(type_[1:])}" if self.double else type_


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One form of an instruction.

    Attributes:
        pattern: the opcode as the manual writes it; ``{.x}`` may be missing. A part that is the
            name of a field stands for its values, any other for itself.
        section: of the PTX ISA.
        places: operands, the destination first. None: ``perform`` reads them by itself.
        counts: numbers of operands that there may be.
        fields: values of each field. fixed: fields that the pattern does not show.
        compute: takes the sources and returns the destination's value.
        perform: writes everything.
    """

    pattern: str
    section: str
    places: tuple[Place, ...] | None
    counts: tuple[int, ...]
    fields: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, str]
    compute: Compute | None
    perform: Perform | None
    regex: re.Pattern[str] = field(repr=False)

    def match(self, opcode: str) -> Fields | None:
        """Values of all fields if the row is that of the opcode; optional ones may be empty."""
        found = self.regex.fullmatch(opcode)
        if not found:
            return None
        return {**self.fixed, **{name: value or "" for name, value in found.groupdict().items()}}

    @property
    def words(self) -> set[str]:
        """Everything that may stand between the dots of an opcode of this row."""
        words = set().union(*self.fields.values())
        return words | {part[2] for part in _PART.finditer(self.pattern)} - self.fields.keys()


def computed(
    pattern: str, section: str, places: str, compute: Compute,
    fixed: Mapping[str, str] | None = None, **fields: str,
) -> Row:
    """A row that computes a value.

    Args:
        places: ``d:type a:type``; ``>`` after a type allows wider registers, ``*2`` doubles it.
        fields: values, separated by blanks.
    """
    parsed = tuple(map(_place, places.split()))
    return Row(
        pattern, section, parsed, (len(parsed),), _split(fields), fixed or {},
        compute, None, _regex(pattern, fields),
    )  # fmt: skip


def performed(
    pattern: str, section: str, counts: tuple[int, ...], perform: Perform,
    fixed: Mapping[str, str] | None = None, **fields: str,
) -> Row:
    """A row that does more than compute a value."""
    return Row(
        pattern, section, None, counts, _split(fields), fixed or {}, None, perform,
        _regex(pattern, fields),
    )  # fmt: skip


def _split(fields: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values.split()) for name, values in fields.items()}


def _place(text: str) -> Place:
    name, _, type_ = text.partition(":")
    wider, double = type_.endswith(">"), type_.endswith("*2")
    return Place(name, type_.removesuffix(">").removesuffix("*2"), wider, double)


def _regex(pattern: str, fields: Mapping[str, str]) -> re.Pattern[str]:
    name, _, _ = pattern.partition("{")[0].partition(".")
    text = re.escape(name)
    for part in _PART.finditer(pattern):
        brace, word = part.groups()
        values = "|".join(map(re.escape, fields[word].split())) if word in fields else word
        group = f"(?P<{word.replace(':', '_')}>{values})"
        text += rf"(?:\.{group})?" if brace else rf"\.{group}" if word in fields else rf"\.{word}"
    return re.compile(text)


class UnknownOpcodeError(Exception):
    """No row is that of the opcode; the text says why."""


class Table:
    """All rows, by the names of the instructions."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self._known: dict[str, tuple[Row, Fields]] = {}
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            name = re.split(r"[.{]", row.pattern, maxsplit=1)[0]
            self._by_name.setdefault(name, []).append(row)

    def find(self, opcode: str) -> tuple[Row, Fields]:
        """The row of an opcode, and the values of its fields.

        Raises:
            UnknownOpcodeError: there is none.
        """
        known = self._known.get(opcode)
        if known is None:
            known = self._known[opcode] = self._find(opcode)
        return known

    def _find(self, opcode: str) -> tuple[Row, Fields]:
        name, *parts = opcode.split(".")
        rows = self._by_name.get(name)
        if rows is None:
            raise UnknownOpcodeError(f"unknown instruction {name}")
        for row in rows:
            fields = row.match(opcode)
            if fields is not None:
                return row, fields
        words = set().union(*(row.words for row in rows))
        strange = [f".{part}" for part in parts if part not in words]
        if strange:
            raise UnknownOpcodeError(f"{name} is not known with {' and '.join(strange)}")
        forms = ", ".join(row.pattern for row in rows)
        raise UnknownOpcodeError(f"{opcode} is none of the known forms: {forms}")

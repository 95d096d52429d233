"""Several relocatable ELF objects as one, so that a loader keeps all of it near together.

A loader takes a range of addresses for each object. Those of one program refer to each other by
distances of 32 bits, which is too little where the ranges lie far apart. Nothing here depends on
the processor: sections are put beside each other, not joined, so no relocation changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ...errors import TargetError
from .elf import (
    HEADER,
    IDENT,
    RELOCATABLE,
    SECTION,
    SYMBOL,
    ElfObject,
    Flag,
    Row,
    SectionType,
    Table,
    Where,
    string_at,
)

_SECTION_SYMBOL = 3
_FILE_SYMBOL = 4
_STRONG_BINDING = 1

#: Bytes of room for each section and for each relocation, besides what LLVM reserves. For every
#: function outside that a section calls it writes an address into a table of data, without having
#: reserved anything, and stops the process where there is no room. The rest is caution.
_ROOM, _ROOM_FOR_ADDRESS = 64, 8

#: The symbol table, its names and the sections' names come first, after the empty section.
_SYMBOL_TABLE, _STRINGS, _OWN_SECTIONS = 1, 2, 4

_ALIGNMENT = 16
_LOCAL_NAME = b"local.%08d\0"


class _Rank(IntEnum):
    """Which of several symbols of one name counts: the highest."""

    WEAK_REFERENCE = 0
    REFERENCE = 1
    WEAK = 2
    COMMON = 3
    STRONG = 4


def merge_objects(objects: Sequence[bytes]) -> bytes:
    """One object with all sections and symbols that are needed for execution.

    Raises:
        TargetError: they are not relocatable ELF objects of 64 bits for one machine, or two of
            them define one symbol.
    """
    read = [ElfObject(data, number) for number, data in enumerate(objects)]
    machines = {int(one.header["machine"]) for one in read}
    if len(machines) != 1:
        raise TargetError(f"cannot load objects for different machines: {sorted(machines)}")
    merged = _Merged()
    for one in read:
        merged.add_sections(one)
    symbols = _merge_symbols(read)
    for one in read:
        merged.add_relocations(one)
    merged.add_room()
    header = read[0].header
    return merged.finish(int(header["machine"]), int(header["flags"]), symbols)


class _Merged:
    """Sections of the merged object, in the making."""

    def __init__(self) -> None:
        self._rows = [_section() for _ in range(_OWN_SECTIONS)]
        self._parts: list[bytes] = []
        self._size = HEADER.itemsize
        self._names = _Strings()
        self._relocations = 0

    def add_sections(self, one: ElfObject) -> None:
        """Add what gets memory; section groups need nothing but that weak symbols are merged."""
        loaded = one.sections["flags"] & Flag.ALLOC != 0
        indices = np.flatnonzero(loaded & (one.sections["type"] != SectionType.RELA))
        one.section_numbers[indices] = np.arange(len(indices)) + len(self._rows)
        for index in indices:
            section = one.sections[index]
            row = section.copy()
            ordered = int(section["flags"]) & Flag.LINK_ORDER
            row["link"] = one.section_numbers[int(section["link"])] if ordered else 0
            row["info"] = 0
            empty = section["type"] == SectionType.NO_BITS
            self._rows.append(row)
            self._place(row, one.section_name(section), None if empty else one.content(section))

    def add_relocations(self, one: ElfObject) -> None:
        """Add what is to be done to the object's sections."""
        kinds = one.sections["type"]
        for section in one.sections[(kinds == SectionType.RELA) | (kinds == SectionType.REL)]:
            target = one.section_numbers[int(section["info"])]
            if not target:
                continue
            if section["type"] == SectionType.REL:
                raise one.error("has relocations without addends")
            table = one.relocations(section)
            old = table["symbol"]
            if len(old) and int(old.max()) >= len(one.symbols):
                raise one.error("has a relocation to a symbol that there is not")
            new = one.symbol_numbers[old]
            if ((new == 0) & (old != 0)).any():
                raise one.error("refers to a section that takes no memory")
            table["symbol"] = new
            self._relocations += len(table)
            row = section.copy()
            row["link"], row["info"] = _SYMBOL_TABLE, target
            self._rows.append(row)
            self._place(row, one.section_name(section), table.tobytes())

    def add_room(self) -> None:
        """Add sections that room is reserved for, and that nothing refers to."""
        size = _ROOM * len(self._rows) + _ROOM_FOR_ADDRESS * self._relocations
        for flags in (Flag.CODE, 0, Flag.WRITE):
            row = _section(type=SectionType.NO_BITS, flags=Flag.ALLOC | flags, size=size, align=1)
            self._rows.append(row)
            self._place(row, b".room", None)

    def finish(self, machine: int, flags: int, symbols: _Symbols) -> bytes:
        """The whole object."""
        table = self._rows[_SYMBOL_TABLE]
        table["type"], table["link"], table["info"] = SectionType.SYMBOLS, _STRINGS, symbols.locals
        table["align"], table["entry_size"] = 8, SYMBOL.itemsize
        self._place(table, b".symtab", symbols.table.tobytes())
        names = (b".strtab", symbols.strings), (b".shstrtab", b"")
        for row, (name, text) in zip(self._rows[_STRINGS:_OWN_SECTIONS], names, strict=True):
            row["type"], row["align"] = SectionType.STRINGS, 1
            self._place(row, name, text or self._names.text(name))
        header = np.zeros((), HEADER)
        header["ident"], header["type"], header["machine"] = IDENT + b"\1", RELOCATABLE, machine
        header["version"], header["flags"], header["size"] = 1, flags, HEADER.itemsize
        header["sections"], header["section_size"] = self._size, SECTION.itemsize
        header["section_count"], header["names"] = len(self._rows), _OWN_SECTIONS - 1
        return b"".join((header.tobytes(), *self._parts, np.array(self._rows, SECTION).tobytes()))

    def _place(self, row: Row, name: bytes, content: bytes | None) -> None:
        """Say where a section's name and content are; None: it has none."""
        if len(self._rows) >= Where.FIRST_SPECIAL:
            raise TargetError("cannot load a program with so many sections of code and data")
        row["name"], row["offset"] = self._names.add(name), self._size
        row["flags"] = int(row["flags"]) & ~int(Flag.GROUP)
        if content is not None:
            row["size"] = len(content)
            self._parts += (content, bytes(-len(content) % _ALIGNMENT))
            self._size += len(content) + -len(content) % _ALIGNMENT


class _Strings:
    """Names, each once."""

    def __init__(self) -> None:
        self._offsets = {b"": 0}
        self._text = bytearray(1)

    def add(self, name: bytes) -> int:
        """Where the name is."""
        offset = self._offsets.setdefault(name, len(self._text))
        if offset == len(self._text):
            self._text += name + b"\0"
        return offset

    def append(self, text: bytes) -> int:
        """Add ended names as they are; where they begin."""
        offset = len(self._text)
        self._text += text
        return offset

    def text(self, *more: bytes) -> bytes:
        """All names, and ``more``."""
        for name in more:
            self.add(name)
        return bytes(self._text)


@dataclass(frozen=True, slots=True)
class _Symbols:
    """The symbols of the merged object; the first ``locals`` are known to it alone."""

    table: Table
    locals: int
    strings: bytes


def _merge_symbols(objects: Sequence[ElfObject]) -> _Symbols:
    strings = _Strings()
    tables: list[Table] = [np.zeros(1, SYMBOL)]
    count = 1
    for one in objects:
        table = _local_symbols(one, count, strings, rename=len(objects) > 1)
        tables.append(table)
        count += len(table)
    shared = _global_symbols(objects, count, strings)
    return _Symbols(np.concatenate((*tables, shared)), count, strings.text())


def _local_symbols(one: ElfObject, first: int, strings: _Strings, rename: bool) -> Table:
    """An object's own symbols, numbered from ``first``.

    LLVM looks symbols up by their names alone, whether they are local or not: those of several
    objects get names that are different.
    """
    own = one.symbols[: one.locals]
    where = one.new_sections(own)
    kept = np.flatnonzero((where != 0) & (own["info"] & 15 != _FILE_SYMBOL))
    one.symbol_numbers[kept] = np.arange(len(kept)) + first
    table = own[kept]
    table["section"] = where[kept]
    if rename:
        width = len(_LOCAL_NAME % 0)
        names = b"".join([_LOCAL_NAME % (first + i) for i in range(len(kept))])
        offsets = strings.append(names) + width * np.arange(len(kept))
    else:
        offsets = strings.append(one.strings) + table["name"]
    table["name"] = np.where(table["info"] & 15 == _SECTION_SYMBOL, 0, offsets)
    return table


def _global_symbols(objects: Sequence[ElfObject], first: int, strings: _Strings) -> Table:
    """Symbols that objects share, numbered from ``first``."""
    found: dict[bytes, Row] = {}
    numbers: dict[bytes, int] = {}
    for one in objects:
        where = one.new_sections(one.symbols)
        for index in range(one.locals, len(one.symbols)):
            symbol = one.symbols[index]
            symbol["section"] = where[index]
            name = string_at(one.strings, int(symbol["name"]))
            found[name] = _chosen(name, found[name], symbol) if name in found else symbol
            one.symbol_numbers[index] = numbers.setdefault(name, first + len(numbers))
    for name, symbol in found.items():
        symbol["name"] = strings.add(name)
    return np.array(list(found.values()), SYMBOL)


def _chosen(name: bytes, one: Row, other: Row) -> Row:
    """Which of two symbols of one name counts."""
    ranks = _rank(one), _rank(other)
    if ranks == (_Rank.STRONG, _Rank.STRONG):
        raise TargetError(f"the machine code defines {name.decode(errors='replace')} twice")
    if ranks == (_Rank.COMMON, _Rank.COMMON):  # the value is the alignment
        for field in ("value", "size"):
            one[field] = max(one[field], other[field])
    return one if ranks[0] >= ranks[1] else other


def _rank(symbol: Row) -> _Rank:
    strong = symbol["info"] >> 4 == _STRONG_BINDING
    if symbol["section"] == Where.UNDEFINED:
        return _Rank.REFERENCE if strong else _Rank.WEAK_REFERENCE
    if symbol["section"] == Where.COMMON:
        return _Rank.COMMON
    return _Rank.STRONG if strong else _Rank.WEAK


def _section(**fields: int) -> Row:
    row = np.zeros(1, SECTION)[0]
    for name, value in fields.items():
        row[name] = value
    return row

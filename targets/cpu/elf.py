"""The form of relocatable ELF objects: tables of sections, symbols and relocations."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TargetError

Table = NDArray[np.void]
Row = Any  # one entry of a table, which NumPy gives as a number, a record or an array

HEADER = np.dtype(
    [("ident", "V16"), ("type", "<u2"), ("machine", "<u2"), ("version", "<u4"), ("entry", "<u8"),
     ("segments", "<u8"), ("sections", "<u8"), ("flags", "<u4"), ("size", "<u2"),
     ("segment_size", "<u2"), ("segment_count", "<u2"), ("section_size", "<u2"),
     ("section_count", "<u2"), ("names", "<u2")]
)  # fmt: skip
SECTION = np.dtype(
    [("name", "<u4"), ("type", "<u4"), ("flags", "<i8"), ("address", "<u8"), ("offset", "<u8"),
     ("size", "<u8"), ("link", "<u4"), ("info", "<u4"), ("align", "<u8"), ("entry_size", "<u8")]
)  # fmt: skip
SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
     ("size", "<u8")]
)  # fmt: skip
RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

IDENT = b"\x7fELF\x02\x01"  # 64 bits, little-endian
RELOCATABLE = 1


class SectionType(IntEnum):
    """Of a section."""

    SYMBOLS = 2
    STRINGS = 3
    RELA = 4
    NO_BITS = 8
    REL = 9
    MORE_INDICES = 18


class Flag(IntEnum):
    """Of a section."""

    WRITE = 1
    ALLOC = 2
    CODE = 4
    LINK_ORDER = 0x80
    GROUP = 0x200


class Where(IntEnum):
    """What a symbol may have for its section's number."""

    UNDEFINED = 0
    FIRST_SPECIAL = 0xFF00
    ABSOLUTE = 0xFFF1
    COMMON = 0xFFF2


class ElfObject:
    """One object, and which numbers its sections and symbols have in the merged one.

    Args:
        number: which of several it is, for messages.

    Attributes:
        section_numbers: 0 for those that are left out. symbol_numbers: likewise.

    Raises:
        TargetError: it is no such object, or one that contradicts itself.
    """

    def __init__(self, data: bytes, number: int) -> None:
        self._number = number
        self.data = data
        if len(data) < HEADER.itemsize or not data.startswith(IDENT):
            raise self.error("is no ELF object of 64 bits, little-endian")
        self.header = np.frombuffer(data, HEADER, 1)[0]
        if self.header["type"] != RELOCATABLE or not self.header["section_count"]:
            raise self.error("is not relocatable")
        count = int(self.header["section_count"])
        self.sections = self._table(SECTION, int(self.header["sections"]), count)
        types = self.sections["type"]
        if (types == SectionType.MORE_INDICES).any():
            raise self.error("has too many sections")
        tables = np.flatnonzero(types == SectionType.SYMBOLS)
        if len(tables) != 1:
            raise self.error(f"has {len(tables)} symbol tables")
        table = self.sections[tables[0]]
        linked = np.isin(types, (SectionType.RELA, SectionType.REL))
        links = (*self.sections["link"], *self.sections["info"][linked], self.header["names"])
        if max(links) >= count:
            raise self.error("has a link to a section that there is not")
        self.symbols = self._table(
            SYMBOL, int(table["offset"]), int(table["size"]) // SYMBOL.itemsize
        )
        self.locals = int(table["info"])
        self.strings = self.content(self.sections[int(table["link"])])
        self._section_names = self.content(self.sections[int(self.header["names"])])
        self.section_numbers = np.zeros(count, np.uint32)
        self._check()
        self.symbol_numbers = np.zeros(len(self.symbols), np.uint32)

    def _check(self) -> None:
        """Refuse numbers of symbols, of their sections and of their names that there are not."""
        where = self.symbols["section"]
        special = np.isin(where, (Where.ABSOLUTE, Where.COMMON))
        if (where[~special] >= len(self.sections)).any():
            raise self.error("has a symbol in a section that there is not")
        if not 0 < self.locals <= len(self.symbols):
            raise self.error("has another number of symbols than it says")
        for table, text in (
            (self.symbols, self.strings), (self.sections, self._section_names),
        ):  # fmt: skip
            if not text.endswith(b"\0") or (table["name"] >= len(text)).any():
                raise self.error("has names where there are none")

    def error(self, what: str) -> TargetError:
        """What to raise about the object."""
        return TargetError(f"cannot load object {self._number}: it {what}")

    def content(self, section: Row) -> bytes:
        """Bytes of a section in the file."""
        begin, size = int(section["offset"]), int(section["size"])
        if begin + size > len(self.data):
            raise self.error("ends too soon")
        return self.data[begin : begin + size]

    def new_sections(self, symbols: Table) -> NDArray[np.uint16]:
        """Numbers of symbols' sections in the merged object."""
        where = symbols["section"]
        special = where >= Where.FIRST_SPECIAL
        numbers = self.section_numbers[np.where(special, 0, where)]
        return np.where(special, where, numbers).astype(np.uint16)

    def section_name(self, section: Row) -> bytes:
        """What a section is called."""
        return string_at(self._section_names, int(section["name"]))

    def relocations(self, section: Row) -> Table:
        """The table of a section of relocations."""
        count = int(section["size"]) // RELOCATION.itemsize
        return self._table(RELOCATION, int(section["offset"]), count)

    def _table(self, kind: np.dtype[np.void], offset: int, count: int) -> Table:
        if offset + count * kind.itemsize > len(self.data):
            raise self.error("ends too soon")
        return np.frombuffer(self.data, kind, count, offset).copy()


def string_at(text: bytes, offset: int) -> bytes:
    """The name that begins there."""
    return text[offset : text.index(b"\0", offset)]

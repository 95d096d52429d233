"""What machine code for GPUs says of its functions: registers and frames, from its ELF sections."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import TargetError

_SYMBOLS = 2  # SHT_SYMTAB
_SECTION_SIZE = 64
_SYMBOL_SIZE = 24

# Records of .nv.info: format, attribute, size of what follows (in that format).
_SIZED = 4
_REGISTERS = 0x2F
_FRAME = 0x11


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """Registers that a function takes, and bytes of its frame on the stack."""

    registers: int
    frame: int


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    kind: int
    offset: int
    size: int
    link: int


def read_functions(cubin: bytes) -> dict[str, FunctionInfo]:
    """Functions of a cubin, by name.

    Raises:
        TargetError: it is none.
    """
    try:
        return _read(cubin)
    except (struct.error, IndexError, StopIteration, ValueError) as error:
        raise TargetError(f"the assembler wrote a file that cannot be read: {error}") from error


def symbol_word(cubin: bytes, name: str) -> int:
    """The 32-bit constant of that name.

    Raises:
        TargetError: there is none.
    """
    try:
        sections = _sections(cubin)
        symbols = next(section for section in sections if section.kind == _SYMBOLS)
        names = sections[symbols.link].offset
        for place in range(symbols.offset, symbols.offset + symbols.size, _SYMBOL_SIZE):
            start, section, value = struct.unpack_from("<I2xHQ", cubin, place)
            if _text(cubin, names + start) == name:
                found: int = struct.unpack_from("<I", cubin, sections[section].offset + value)[0]
                return found
    except (struct.error, IndexError, StopIteration, ValueError) as error:
        raise TargetError(f"machine code that cannot be read: {error}") from error
    raise TargetError(f"the machine code has no constant {name}")


def _read(cubin: bytes) -> dict[str, FunctionInfo]:
    sections = _sections(cubin)
    info = next(section for section in sections if section.name == ".nv.info")
    symbols = next(section for section in sections if section.kind == _SYMBOLS)
    names = sections[symbols.link].offset
    found: dict[str, dict[int, int]] = {}
    for attribute, symbol, value in _records(cubin, info):
        (start,) = struct.unpack_from("<I", cubin, symbols.offset + _SYMBOL_SIZE * symbol)
        found.setdefault(_text(cubin, names + start), {})[attribute] = value
    return {
        name: FunctionInfo(values[_REGISTERS], values.get(_FRAME, 0))
        for name, values in found.items() if _REGISTERS in values
    }  # fmt: skip


def _sections(cubin: bytes) -> list[_Section]:
    (table,) = struct.unpack_from("<Q", cubin, 40)
    count, strings = struct.unpack_from("<HH", cubin, 60)
    raw = [
        struct.unpack_from("<IIQQQQII", cubin, table + _SECTION_SIZE * n) for n in range(count)
    ]
    names = raw[strings][4]
    return [_Section(_text(cubin, names + s[0]), s[1], s[4], s[5], s[6]) for s in raw]


def _records(cubin: bytes, info: _Section) -> Iterator[tuple[int, int, int]]:
    """(attribute, symbol, value) of the records that are about one function."""
    place, end = info.offset, info.offset + info.size
    while place < end:
        form, attribute, size = struct.unpack_from("<BBH", cubin, place)
        place += 4
        if form == _SIZED:
            if attribute in (_REGISTERS, _FRAME):
                symbol, value = struct.unpack_from("<II", cubin, place)
                yield attribute, symbol, value
            place += size


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()

"""Damages modules: cuts them off, changes bytes, spells numbers wrong, mixes up sections.

Damage inside a section or a function body keeps their sizes right, so that what is read behind it
is still what it was, and many damaged modules are valid.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from ...compiler.wasm.reader import Reader
from .leb128 import u, vector

_Item = TypeVar("_Item")

_HEADER = 8
_CODE = 10
#: What decoders have a branch for: types, opcodes, flags, limits of LEB128.
_TELLING = bytes((
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x08, 0x0B, 0x10, 0x1F, 0x20, 0x3F, 0x40, 0x41, 0x4E,
    0x5E, 0x5F, 0x60, 0x63, 0x64, 0x69, 0x6E, 0x6F, 0x70, 0x7B, 0x7C, 0x7F, 0x80, 0x81, 0xBF, 0xC0,
    0xD0, 0xD2, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF,
))
#: Instructions and pieces of them that are rare in programs.
_SNIPPETS = (
    b"\x00", b"\x0b", b"\x05", b"\x02\x40", b"\x03\x7f", b"\x0c\x00", b"\x0e\x00\x00",
    b"\x1c\x01\x7f", b"\x20\x00", b"\x23\x00", b"\x28\x42\x01\x00", b"\x28\x3f\x00",
    b"\x36\x80\x01\x00", b"\x3f\x00", b"\x40\x01", b"\x41\x00", b"\x42\x00", b"\x1a", b"\x6a",
    b"\xd0\x70", b"\xd2\x00", b"\xfc\x08\x00\x00", b"\xfc\x0a\x00\x00", b"\xfc\x0b\x00",
    b"\xfc\x11\x00", b"\xfd\x0c" + bytes(16), b"\xfd\x54\x00\x00\x00", b"\xfd\x80\x02", b"\xff",
)


def truncations(data: bytes) -> Iterator[bytes]:
    """A module cut off before each byte."""
    return (data[:length] for length in range(len(data)))


def respellings(byte: int) -> list[bytes]:
    """Other spellings of a number of one byte in LEB128, right and wrong, and of others."""
    more = byte & 0x7F | 0x80
    sign = 0x7F if byte & 0x40 else 0
    return [
        bytes((more, 0)), bytes((more, sign)), bytes((more, 0x80, 0x80, 0x80, 0)),
        bytes((more, 0x80, 0x80, 0x80, 0x10)), bytes((more, 0x80, 0x80, 0x80, 0x80, 0)),
        bytes((more, *[0x80] * 8, 0)), bytes((more, *[0x80] * 8, 2)), bytes((more, *[0x80] * 9, 0)),
        b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x1f", b"\xff\xff\xff\xff\x07",
        b"\x80\x80\x80\x80\x78", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x7f",
    ]


@dataclass(frozen=True, slots=True)
class Parts:
    """A module taken apart: sections as (id, contents), function bodies apart from theirs.

    A module whose sections cannot be told apart is one section, with no id.
    """

    sections: tuple[tuple[int, bytes], ...]
    bodies: tuple[bytes, ...] = ()

    def join(self) -> bytes:
        """The module, with sizes and the number of bodies as they must be."""
        out = [b"\0asm\1\0\0\0"]
        for id_, content in self.sections:
            payload = vector([u(len(body)) + body for body in self.bodies]) \
                if id_ == _CODE and not content else content
            out += (bytes((id_,)), u(len(payload)), payload)
        return b"".join(out)

    def pieces(self) -> list[tuple[str, int, bytes]]:
        """What can be changed by itself: kind, number, contents."""
        found = [("section", n, content) for n, (_, content) in enumerate(self.sections) if content]
        return found + [("body", n, body) for n, body in enumerate(self.bodies) if body]

    def changed(self, kind: str, number: int, content: bytes) -> Parts:
        """With other contents of one piece."""
        if kind == "body":
            return replace(self, bodies=_with(self.bodies, number, content))
        id_, _ = self.sections[number]
        return replace(self, sections=_with(self.sections, number, (id_, content)))


def _with(items: tuple[_Item, ...], number: int, item: _Item) -> tuple[_Item, ...]:
    return (*items[:number], item, *items[number + 1 :])


def take_apart(data: bytes) -> Parts:
    """The parts of a well-formed module."""
    reader = Reader(data, _HEADER)
    sections, bodies = [], []
    while reader.pos < len(data):
        id_ = reader.byte()
        content = reader.bytes()
        if id_ == _CODE:
            inner = Reader(content)
            bodies = [inner.bytes() for _ in range(inner.count())]
            content = b""
        sections.append((id_, content))
    return Parts(tuple(sections), tuple(bodies))


def respelt(parts: Parts) -> Iterator[bytes]:
    """For each byte of each piece, the module with the byte spelt as a longer number."""
    for kind, number, content in parts.pieces():
        for place, byte in enumerate(content):
            for spelling in respellings(byte):
                changed = content[:place] + spelling + content[place + 1 :]
                yield parts.changed(kind, number, changed).join()


def miscounted(parts: Parts) -> Iterator[bytes]:
    """The module with another count at the beginning of each piece."""
    for kind, number, content in parts.pieces():
        reader = Reader(content)
        count = reader.u32() if content[0] < 0x80 else 0
        for other in (0, 1, count + 1, 2 * count + 1, len(content), 2**16, 2**31, 2**32 - 1):
            if other != count:
                yield parts.changed(kind, number, u(other) + content[reader.pos :]).join()


def mutate(parts: Parts, others: list[Parts], rng: random.Random) -> bytes:
    """A module damaged in one place, or in a few."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        kind = rng.randrange(16)
        if kind == 0:
            parts = _reordered(parts, rng)
        elif kind == 1 and parts.bodies:
            bodies = rng.choice(others).bodies or parts.bodies
            parts = parts.changed("body", rng.randrange(len(parts.bodies)), rng.choice(bodies))
        else:
            pieces = parts.pieces()
            wanted = "section" if kind < 7 else "body"
            pieces = [piece for piece in pieces if piece[0] == wanted] or pieces
            if not pieces:
                break
            what, number, content = rng.choice(pieces)
            parts = parts.changed(what, number, _scratched(content, rng))
    data = parts.join()
    return data if rng.randrange(4) else _scratched(data, rng, _HEADER)


def _reordered(parts: Parts, rng: random.Random) -> Parts:
    """A section left out, repeated, moved, or under another id."""
    if not parts.sections:
        return parts
    sections = list(parts.sections)
    at = rng.randrange(len(sections))
    section = sections[at]
    match rng.randrange(4):
        case 0:
            del sections[at]
        case 1:
            sections.insert(rng.randrange(len(sections) + 1), section)
        case 2:
            del sections[at]
            sections.insert(rng.randrange(len(sections) + 1), section)
        case _:
            sections[at] = (rng.randrange(16), section[1])
    return replace(parts, sections=tuple(sections))


def _scratched(data: bytes, rng: random.Random, first: int = 0) -> bytes:
    """One change of bytes."""
    if len(data) <= first:
        return data + bytes((rng.choice(_TELLING),))
    out = bytearray(data)
    at = rng.randrange(first, len(out))
    match rng.randrange(9):
        case 0:
            out[at] = rng.randrange(256)
        case 1 | 2:
            out[at] = rng.choice(_TELLING)
        case 3:
            out[at] ^= 1 << rng.randrange(8)
        case 4:
            del out[at : at + rng.choice((1, 1, 2, 5))]
        case 5:
            out.insert(at, rng.choice(_TELLING))
        case 6:
            start = rng.randrange(len(out))
            out[at:at] = out[start : start + rng.randrange(8)]
        case 7:
            out[at : at + 1] = rng.choice(respellings(out[at]))
        case _:
            out[at:at] = rng.choice(_SNIPPETS)
    return bytes(out)

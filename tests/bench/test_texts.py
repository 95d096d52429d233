"""LZ4 blocks unpack to their text, and the tokeniser counts what is in a text."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from .machines import Machine

Make = Callable[[str], Machine]

LAST_LITERALS = 5
MATCHES_END_BEFORE = 12


def unpack(block: bytes) -> tuple[bytes, int]:
    """The text of an LZ4 block, and the start of its last match; -1: it has none."""
    out, at, last = bytearray(), 0, -1

    def length(four_bits: int) -> int:
        nonlocal at
        total, more = four_bits, 255 if four_bits == 15 else 0
        while more == 255:
            more = block[at]
            at += 1
            total += more
        return total

    while True:
        token = block[at]
        at += 1
        count = length(token >> 4)
        out += block[at : at + count]
        at += count
        if at == len(block):
            return bytes(out), last
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        assert 0 < offset <= len(out)
        last = len(out)
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


TEXTS = {
    "empty": b"",
    "short": b"swarm",
    "one match": b"swarm, swarm, swarm!",
    "run": b"a" * 4096,
    "two": b"ab" * 300 + b"x",
    "random": random.Random(1).randbytes(1000),
    "long literals": random.Random(2).randbytes(300) + b"the same words " * 40 + b"end",
    "words": " ".join(random.Random(3).choices(["agent", "swarm", "fuel", "trap"], k=600)).encode(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_lz4(machine: Make, name: str) -> None:
    text = TEXTS[name]
    guest = machine("lz4")
    guest.write(guest.call("buffer"), text)
    size = guest.call("compress", len(text))
    block = guest.read(guest.call("compressed"), size)
    found, last_match = unpack(block)
    assert found == text
    assert last_match <= len(text) - MATCHES_END_BEFORE or last_match == -1
    if name in ("run", "two", "words"):
        assert size < len(text) / 2


def test_tokeniser(machine: Make) -> None:
    guest = machine("tokeniser")
    text = b'if (x_1 >= 10) { y == x_1*2.5 ; s+="two words"; } // x_1 again 10 10 \n\t "open'
    tokens = re.findall(rb'[A-Za-z_]\w*|\d[\d.]*|"[^"]*"?|[^\s]=|[^\s]', text)
    assert b'"two words"' in tokens and b'"open' in tokens and b">=" in tokens
    guest.write(guest.call("buffer"), text)
    assert guest.call("tokenise", len(text)) == len(tokens)
    for token, count in Counter(tokens).items():
        assert guest.call("count_at", text.index(token), len(token)) == count, token


def test_tokeniser_with_a_full_table(machine: Make) -> None:
    guest = machine("tokeniser")
    words = [f"w{n}" for n in range(1500)]
    text = " ".join(words).encode()[:8192]
    guest.write(guest.call("buffer"), text)
    expected = Counter(text.split())
    assert len(expected) > 1024
    assert guest.call("tokenise", len(text)) == expected.total()
    for token, count in expected.items():
        start = f" {text.decode()} ".index(f" {token.decode()} ")
        assert guest.call("count_at", start, len(token)) == count

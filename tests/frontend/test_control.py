"""Control flow, compared with wasmtime, and at sizes that no recursion or quadratic step survives.

Budgets are swept too: a module must run out of fuel at the same place as in wasmtime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.ir.function import Function
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import Module
from swarmc.ir.types import EntityId
from swarmc.ir.verifier import verify

from .generate import Program
from .oracle import Pair
from .shapes import CONTROL, Shape

F = EntityId(0, 0)


@pytest.mark.parametrize("shape", CONTROL, ids=lambda shape: shape.name)
def test_every_budget(shape: Shape) -> None:
    pair = Pair(shape.wat)
    for args in shape.calls:
        pair.sweep("f", *args)


@pytest.mark.parametrize("batch", range(10))
def test_random_programs(batch: int) -> None:
    for seed in range(30 * batch, 30 * batch + 30):
        pair = Pair(Program(seed).text())
        for args in ((0, 0), (3, 2), (0xFFFFFFFF, 5)):
            for fuel in (3000, 2000 - seed % 7 * 250, 1 + seed % 97):
                pair.call("f", *args, fuel=fuel)


# Large functions, as bytes: the text format's tools do not nest that deep.


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def binary(code: bytes, count: int) -> bytes:
    """A module whose export ``f`` takes one number and has ``count`` locals."""
    def section(number: int, content: bytes) -> bytes:
        return bytes([number]) + leb(len(content)) + content

    body = leb(1) + leb(count) + b"\x7f" + code + b"\x0b"
    return (b"\0asm\1\0\0\0" + section(1, b"\1\x60\1\x7f\1\x7f") + section(3, b"\1\0")
            + section(7, b"\1\1f\0\0") + section(10, b"\1" + leb(len(body)) + body))


BLOCK, LOOP, IF, END, ADD, DROP = b"\x02\x40", b"\x03\x40", b"\x04\x40", b"\x0b", b"\x6a", b"\x1a"


def get(local: int) -> bytes:
    return b"\x20" + leb(local)


def put(local: int) -> bytes:
    return b"\x21" + leb(local)


def one() -> bytes:
    return b"\x41\1"


def br_if(label: int) -> bytes:
    return b"\x0d" + leb(label)


def br_table(labels: range, default: int) -> bytes:
    return b"\x0e" + leb(len(labels)) + b"".join(map(leb, labels)) + leb(default)


def increment(local: int) -> bytes:
    return get(local) + one() + ADD + put(local)


def repeat(count: int, code: Callable[[int], bytes]) -> bytes:
    return b"".join(map(code, range(count)))


class Large(NamedTuple):
    """A function of one parameter, what it gives, and the size that its IR should have."""

    code: bytes
    locals: int
    argument: int
    result: int
    blocks: int
    params: int


#: Functions of a size, which is even.
LARGE: dict[str, Callable[[int], Large]] = {
    "nested blocks": lambda n: Large(
        BLOCK * n + get(0) + br_if(n - 1) + increment(1) + END * n + get(1),
        1, 0, 1, 3, 2),
    "a branch out of each of the nested blocks": lambda n: Large(
        BLOCK * n + repeat(n, lambda _: get(0) + br_if(0) + increment(1) + END) + get(1),
        1, 0, n, 2 * n + 1, n + 1),
    "nested loops": lambda n: Large(
        LOOP * n + increment(1) + END * n + get(1),
        1, 0, 1, n + 1, n + 1),
    "nested ifs": lambda n: Large(
        (get(0) + IF) * n + increment(1) + END * n + get(1),
        1, 1, 1, 2 * n + 1, n + 1),
    "a chain of ifs": lambda n: Large(
        repeat(n, lambda i: get(0) + IF + increment(1 + i % 2) + END) + get(1) + get(2) + ADD,
        2, 1, n, 2 * n + 1, n + 1),
    "a chain of loops": lambda n: Large(
        repeat(n, lambda _: LOOP + increment(1) + get(2) + br_if(0) + END) + get(1),
        2, 0, n, 2 * n + 1, n + 1),
    "branches to one label": lambda n: Large(
        BLOCK + repeat(n, lambda i: get(0) + br_if(0) + increment(1 + i % 2)) + END + get(1)
        + get(2) + ADD,
        2, 0, n, n + 2, 3),
    "a switch with fallthrough": lambda n: Large(
        BLOCK * (n + 1) + get(0) + br_table(range(n), n)
        + repeat(n, lambda i: END + increment(1 + i % 2)) + END + get(1) + get(2) + ADD,
        2, 0, n, n + 2, 2 * n),
    "locals far behind": lambda n: Large(
        BLOCK + repeat(n, lambda i: one() + put(1 + i)) + repeat(n, lambda _: get(0) + br_if(0))
        + repeat(n, lambda i: get(1 + i) + DROP) + END + get(n),
        n, 1, 1, n + 2, 1),
    "code that cannot be reached": lambda n: Large(
        get(0) + b"\x0f" + BLOCK * n + (get(0) + IF) * 9 + b"\x05" + END * (n + 9) + get(0),
        1, 3, 3, 1, 1),
}


def translated(large: Large) -> Module:
    module = decode(binary(large.code, large.locals))
    validate(module)
    return translate(module, known_host=lambda *_: False)


def assert_size(function: Function, large: Large) -> None:
    assert len(function.blocks) == large.blocks
    assert sum(len(block.params) for block in function.blocks) == large.params


@pytest.mark.parametrize("name", LARGE)
def test_large_function_computes(name: str) -> None:
    large = LARGE[name](300)
    program = translated(large)
    verify(program)
    assert Interpreter(program).invoke(F, [large.argument]).results == (large.result,)
    assert_size(program.functions[F], large)


@pytest.mark.parametrize("name", LARGE)
def test_very_large_function(name: str) -> None:
    """Were a step quadratic, this would take hours."""
    large = LARGE[name](5_000 if name == "locals far behind" else 50_000)
    assert_size(translated(large).functions[F], large)


def test_large_branch_tables() -> None:
    code = BLOCK * 1000 + repeat(400, lambda _: BLOCK + get(0) + br_table(range(1, 1000), 0) + END
                                 + increment(1)) + END * 1000 + get(1)
    large = Large(code, 1, 5000, 400, 1400, 1 + 999)
    program = translated(large)
    verify(program)
    assert Interpreter(program).invoke(F, [large.argument]).results == (large.result,)
    assert_size(program.functions[F], large)

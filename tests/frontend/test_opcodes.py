"""Every instruction of the opcode table does in the IR what it does in wasmtime."""

from __future__ import annotations

import itertools
import struct

import pytest
import wasmtime

from swarmc.compiler.frontend.rules import NAN_ANY, PLANS, make_plans
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import OPCODES, Imm, Opcode
from swarmc.ir.ops import OPS
from swarmc.ir.types import Type

from .oracle import Pair
from .shapes import SHAPES, Shape

EDGES = {
    Type.I32: [0, 1, 2, 31, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF],
    Type.I64: [0, 1, 63, 0x80, 0x8000, 0x80000000, (1 << 53) + 1, 0x7FFFFFFFFFFFFFFF, 1 << 63,
               (1 << 64) - 1],
    Type.F32: [0, 0x80000000, 1, 0x3F800000, 0xBF7FFFFF, 0xBF800000, 0x40200000, 0x7F800000,
               0xFF800000, 0x7FC00000, 0xFFC00001, 0x7FA00001],
    Type.F64: [0, 1 << 63, 1, 0x3FF0000000000000, 0xBFEFFFFFFFFFFFFF, 0xBFF0000000000000,
               0x4004000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
               0xFFF8000000000001, 0x7FF4000000000001],
}  # fmt: skip


def _around(type_: Type, value: float) -> list[int]:
    """Bit patterns of a float, its neighbours, and the same negated."""
    code, word, sign = ("<f", "<I", 1 << 31) if type_ is Type.F32 else ("<d", "<Q", 1 << 63)
    (pattern,) = struct.unpack(word, struct.pack(code, value))
    near = [pattern - 1, pattern, pattern + 1]
    return near + [number | sign for number in near]


#: Where conversions to integers begin to overflow.
LIMITS = {
    Type.F32: [number for power in (31, 32, 63, 64) for number in _around(Type.F32, 2.0**power)],
    Type.F64: [number for value in (2.0**31 - 1, 2.0**31, 2.0**31 + 1, 2.0**32 - 1, 2.0**32,
                                    2.0**63, 2.0**64) for number in _around(Type.F64, value)],
}

ARITHMETIC = [row for row in OPCODES if row.imm is Imm.NONE and row.params and row.results]
ACCESSES = [row for row in OPCODES if row.imm is Imm.MEMARG]


def _name(row: Opcode) -> str:
    return row.name


def _only(types: tuple[Type, ...] | None) -> Type:
    assert types is not None
    (type_,) = types
    return type_


@pytest.mark.parametrize("row", ARITHMETIC, ids=_name)
def test_arithmetic(row: Opcode) -> None:
    assert row.params is not None
    operands = " ".join(f"({t.value}.load (i32.const {8 * place}))"
                        for place, t in enumerate(row.params))
    store = f"{_only(row.results).value}.store"
    pair = Pair(f'(module (memory (export "m") 1) (func (export "f") '
                f"({store} (i32.const 64) ({row.name} {operands}))))")
    choices = [EDGES[t] for t in row.params]
    if row.results and row.params[0].is_float and row.results[0].is_int and len(row.params) == 1:
        choices = [EDGES[row.params[0]] + LIMITS[row.params[0]]]
    for values in itertools.product(*choices):
        pair.write(0, b"".join(value.to_bytes(8, "little") for value in values))
        pair.call("f")


@pytest.mark.parametrize("offset", [0, 3, 65535, 0xFFFFFFFF])
@pytest.mark.parametrize("row", ACCESSES, ids=_name)
def test_memory_access(row: Opcode, offset: int) -> None:
    assert row.type is not None
    t, size = row.type.value, row.type.bits // 8
    if row.results == ():
        code = f"({row.name} offset={offset} (local.get 0) ({t}.load (i32.const 64)))"
    else:
        code = f"({t}.store (i32.const 64) ({row.name} offset={offset} (local.get 0)))"
    pair = Pair(f'(module (memory (export "m") 1) (func (export "f") (param i32) {code}))')
    last = 65536 - row.width
    for address in (0, 1, 7, last, last + 1, last - offset, last - offset + 1, 65535, 65536,
                    0x7FFFFFFF, 0xFFFFFFFF):
        if address >= 0:
            pair.write(0, bytes(range(0x7A, 0xBA)))
            pair.write(64, EDGES[row.type][-1].to_bytes(size, "little"))
            pair.write(65520, bytes(range(0xEF, 0xFF)))
            pair.call("f", address)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shape(shape: Shape) -> None:
    pair = Pair(shape.wat)
    for args in shape.calls:
        pair.call("f", *args)


def test_every_row_is_tested() -> None:
    """The modules above use every instruction that the other tests leave out."""
    used = set(ARITHMETIC) | set(ACCESSES)
    for shape in SHAPES:
        for func in decode(bytes(wasmtime.wat2wasm(shape.wat))).funcs:
            used.update(func.body.ops)
    assert [row.name for row in OPCODES if row not in used] == []


def test_every_row_has_a_plan() -> None:
    assert set(PLANS) == set(OPCODES)


def test_a_row_without_a_plan_is_refused() -> None:
    row = Opcode("i32.conjure", None, 0xFF, Imm.NONE, (), (Type.I32,), "mvp", 0)
    with pytest.raises(NotImplementedError, match=r"i32\.conjure: the opcode table names no IR op"):
        make_plans([*OPCODES, row])


def test_nan_any_agrees_with_the_op_table() -> None:
    assert {op for op in OPS.values() if "NaN any" in op.doc} == NAN_ANY

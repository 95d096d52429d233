"""Every instruction of the opcode table does in the IR what it does in wasmtime."""

from __future__ import annotations

import itertools
import struct

import pytest
import wasmtime

from swarmc.compiler.frontend.rules import NAN_ANY, PLANS, make_plans
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import OPCODES, Imm, Opcode
from swarmc.compiler.wasm.types import ValueType, lower_type
from swarmc.ir.ops import OPS
from swarmc.ir.types import Shape as Lanes
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

#: Edges of the lanes of vectors.
LANES = {
    Lanes.I8X16: [0, 1, 2, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x0F, 0x10, 0x55],
    Lanes.I16X8: [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xFF7F, 0xFFFF],
    Lanes.I32X4: [0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF7FFF, 0xFFFFFFFF],
    Lanes.I64X2: EDGES[Type.I64],
    Lanes.F32X4: [*EDGES[Type.F32], 0x4F000000, 0xCF000001, 0x4F800000],
    Lanes.F64X2: [*EDGES[Type.F64], 0x41E0000000000000, 0xC1E0000000200000, 0x41EFFFFFFFE00000,
                  0x36A0000000000000],
}


def _vectors(lanes: Lanes) -> list[int]:
    """Vectors such that in some pair of them an edge of a lane meets any other."""
    edges = LANES[lanes]
    return [sum(edges[(first + place) % len(edges)] << place * lanes.bits
                for place in range(lanes.lanes)) for first in range(len(edges))]


def _choices(row: Opcode) -> list[list[int]]:
    """Values to try for each operand; vectors have the lanes that the name names last."""
    assert row.params is not None
    named = [lanes for lanes in Lanes if lanes.value in row.name]
    last = max(named, key=lambda lanes: row.name.rindex(lanes.value), default=Lanes.I16X8)
    vectors = _vectors(last)
    if len(row.params) == 3:
        vectors = vectors[:6]
    return [vectors if t is Type.V128 else EDGES[lower_type(t)] for t in row.params]


def _immediates(row: Opcode) -> list[str]:
    """Spellings of the immediates to try."""
    if row.imm is Imm.LANE:
        assert row.shape is not None
        return [f" {lane}" for lane in range(row.shape.lanes)]
    if row.imm is Imm.LANES:
        return [" 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", " 31 0 16 15 1 30 2 29 3 3 3 7 19 23 9 8"]
    return [""]


ARITHMETIC = [row for row in OPCODES
              if row.imm in (Imm.NONE, Imm.LANE, Imm.LANES) and row.params and row.results
              and not any(type_.is_ref for type_ in (*row.params, *row.results))]
ACCESSES = [row for row in OPCODES if row.imm in (Imm.MEMARG, Imm.MEMARG_LANE)]


def _name(row: Opcode) -> str:
    return row.name


def _only(types: tuple[ValueType, ...] | None) -> Type:
    assert types is not None
    (type_,) = types
    return lower_type(type_)


@pytest.mark.parametrize("row", ARITHMETIC, ids=_name)
def test_arithmetic(row: Opcode) -> None:
    assert row.params is not None
    operands = " ".join(f"({t.value}.load (i32.const {16 * place}))"
                        for place, t in enumerate(row.params))
    store = f"{_only(row.results).value}.store"
    code = "".join(f"({store} (i32.const {64 + 16 * place}) ({row.name}{immediate} {operands}))"
                   for place, immediate in enumerate(_immediates(row)))
    pair = Pair(f'(module (memory (export "m") 1) (func (export "f") {code}))')
    choices = _choices(row)
    if row.results and row.params[0].is_float and row.results[0].is_int and len(row.params) == 1:
        operand = lower_type(row.params[0])
        choices = [EDGES[operand] + LIMITS[operand]]
    for values in itertools.product(*choices):
        pair.write(0, b"".join(value.to_bytes(16, "little") for value in values))
        pair.call("f")


@pytest.mark.parametrize("offset", [0, 3, 65535, 0xFFFFFFFF])
@pytest.mark.parametrize("row", ACCESSES, ids=_name)
def test_memory_access(row: Opcode, offset: int) -> None:
    assert row.type is not None
    t, size = row.type.value, row.type.bits // 8
    lane = "" if row.imm is Imm.MEMARG else f" {row.shape.lanes - 1}" if row.shape else ""
    vector = f" ({t}.load (i32.const 64))" if lane else ""
    if row.results == ():
        code = f"({row.name} offset={offset}{lane} (local.get 0) ({t}.load (i32.const 64)))"
    else:
        load = f"({row.name} offset={offset}{lane} (local.get 0){vector})"
        code = f"({t}.store (i32.const 64) {load})"
    pair = Pair(f'(module (memory (export "m") 1) (func (export "f") (param i32) {code}))')
    written = EDGES[row.type][-1] if row.type in EDGES else _vectors(Lanes.I8X16)[4]
    last = 65536 - row.width
    for address in (0, 1, 7, last, last + 1, last - offset, last - offset + 1, 65535, 65536,
                    0x7FFFFFFF, 0xFFFFFFFF):
        if address >= 0:
            pair.write(0, bytes(range(0x7A, 0xBA)))
            pair.write(64, written.to_bytes(size, "little"))
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

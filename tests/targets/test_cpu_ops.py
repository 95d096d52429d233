"""Every pure op compiled for the CPU computes what ir.semantics says, on edge values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmc.ir import ops
from swarmc.ir.builder import Builder
from swarmc.ir.function import Function
from swarmc.ir.module import Export, Module
from swarmc.ir.ops import OPERAND_CLASSES, OPS, REFS, Attr, Op
from swarmc.ir.semantics import evaluate, result_type, to_float, to_signed
from swarmc.ir.types import EntityId, FuncType, Shape, Type
from swarmc.ir.vector_semantics import VECTOR_OPS
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.random_vectors import canonical_form
from swarmc.targets.base import Dispatch, Strings
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions

EDGES = {
    Type.I32: [0, 1, 2, 31, 33, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
               0xDEADBEEF],
    Type.I64: [0, 1, 63, 65, 0x80, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 53,
               (1 << 53) + 1, 0x7FFFFFFFFFFFFFFF, 1 << 63, (1 << 64) - 1, 0x0123456789ABCDEF],
    Type.F32: [0, 0x80000000, 1, 0x80000001, 0x007FFFFF, 0x3F800000, 0xBF800000, 0x3F000000,
               0x3FC00000, 0x40200000, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x5F000000, 0x7F7FFFFF,
               0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7FA00001, 0x4B000001],
    Type.F64: [0, 1 << 63, 1, 0x000FFFFFFFFFFFFF, 0x3FF0000000000000, 0xBFF0000000000000,
               0x3FE0000000000000, 0x3FF8000000000000, 0x41DFFFFFFFC00000, 0x41E0000000000000,
               0xC1E0000000000000, 0x43E0000000000000, 0x36A0000000000000, 0x47EFFFFFF0000000,
               0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
               0xFFF8000000000000, 0x7FF4000000000001],
    Type.V128: [
        0, (1 << 128) - 1, int.from_bytes(bytes(range(16)), "little"),
        0x80FF7F01_00FE8002_7F80817E_0F10FF55,
        0x8000_7FFF_0001_FFFF_8001_7FFE_00FF_8000, 0x8000_7FFF_7FFF_8000_0100_FF00_4000_C000,
        0x80000000_7FFFFFFF_FFFFFFFF_00010000,
        0x8000000000000000_7FFFFFFFFFFFFFFF, 0x8000000000000001_00000000FFFFFFFF,
        *[sum(lane << 32 * i for i, lane in enumerate(lanes)) for lanes in (
            (0x00000000, 0x80000000, 0x3F800000, 0xBF800000),
            (0x7FC00000, 0xFFC00000, 0x7FA00001, 0xFF812345),
            (0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x00000001),
            (0x3F000000, 0x40200000, 0xBFC00000, 0x4B000001),
            (0x4F000000, 0xCF000000, 0x4F800000, 0x4EFFFFFF))],
        *[low | high << 64 for low, high in (
            (0, 1 << 63), (0x3FF8000000000000, 0xBFE0000000000000),
            (0x7FF8000000000000, 0xFFF4000000000001), (0x7FF0000000000000, 0xFFF0000000000000),
            (0x41DFFFFFFFC00000, 0xC1E0000000200000), (0x41F0000000000000, 1),
            (0x47EFFFFFF0000000, 0x36A0000000000001))],
    ],
}  # fmt: skip
EDGES |= dict.fromkeys(REFS, EDGES[Type.I64])

SCALARS = (Type.I32, Type.I64, Type.F32, Type.F64, *REFS)


@dataclass
class Case:
    op: Op
    type: Type | None
    operands: tuple[Type, ...]
    attrs: tuple[Any, ...] = ()


def _cases() -> list[Case]:
    """Every pure op at every combination of scalar types that its row allows."""
    cases = []
    for op in OPS.values():
        if not op.pure or op in (ops.CONST, ops.REF_FUNC, ops.HAS_TYPE, ops.IS_SUBTYPE,
                                 ops.REF_IS_NULL):
            continue
        if op in VECTOR_OPS:
            cases += [_vector_case(op, attrs) for attrs in _forms(op)]
            continue
        types: list[Type | None] = [t for t in op.types if t in SCALARS]
        for type_ in types or [None]:
            classes = OPERAND_CLASSES | ({"T": (type_,)} if type_ is not None else {})
            choices = [classes[o] if o in classes else (Type(o),) for o in op.operands]
            for operands in itertools.product(*choices):
                if op is ops.BITCAST and (type_ is None or type_.bits != operands[0].bits):
                    continue
                cases.append(Case(op, type_, operands))
    return cases


def _forms(op: Op) -> list[tuple[Any, ...]]:
    """Immediates of an op on vectors: all of them, but for shuffles."""
    forms: list[tuple[Any, ...]] = []
    for shape in op.shapes or [Shape.I8X16]:
        choices: dict[Attr, Sequence[Any]] = {
            Attr.SHAPE: [shape], Attr.LANE: range(shape.lanes), Attr.HIGH: (False, True),
            Attr.SIGNED: (False, True) if shape.bits < 32 else (False,),
            Attr.LANES: [bytes(range(8, 24)), bytes(range(31, -1, -2)), bytes([17] * 16)],
        }
        forms += itertools.product(*[choices[kind] for kind in op.attrs])
    return forms


def _vector_case(op: Op, attrs: tuple[Any, ...]) -> Case:
    type_ = attrs[0].lane if op.types else None
    operands = [type_ or Type.I32 if name == "T" else Type(name) for name in op.operands]
    return Case(op, type_, tuple(operands), attrs)


def _defined(case: Case, bits: tuple[int, ...]) -> bool:
    """Whether the op's precondition holds."""
    op, type_ = case.op, case.type
    if op in (ops.IDIV_S, ops.IDIV_U, ops.IREM_S, ops.IREM_U):
        assert type_ is not None
        a, b = (to_signed(x, type_.bits) for x in bits)
        return b != 0 and not (op is ops.IDIV_S and b == -1 and a == -(1 << (type_.bits - 1)))
    if op in (ops.TRUNC_S, ops.TRUNC_U):
        assert type_ is not None
        value = to_float(case.operands[0], bits[0])
        if value != value or abs(value) == float("inf"):
            return False
        low, high = (-(1 << (type_.bits - 1)), (1 << (type_.bits - 1)) - 1)
        if op is ops.TRUNC_U:
            low, high = 0, (1 << type_.bits) - 1
        return low <= int(value) <= high
    return True


def _slots(types: tuple[Type, ...], bits: tuple[int, ...]) -> list[int]:
    """Argument slots: a vector takes two."""
    slots = []
    for type_, number in zip(types, bits, strict=True):
        slots += [number & (1 << 64) - 1, number >> 64] if type_ is Type.V128 else [number]
    return slots


def _observed(builder: Builder, case: Case) -> None:
    """The op's result, made canonical where its NaN may be any."""
    op = case.op
    value = builder.value(op, case.type, builder.function.blocks[0].params, *case.attrs)
    if "NaN any" in op.doc:
        canon, type_, attrs = canonical_form(op, value.type, case.attrs)
        value = builder.value(canon, type_, [value], *attrs)
    builder.inst(ops.RETURN, None, [value])


def test_pure_ops() -> None:
    cases = _cases()
    module = Module()
    for number, case in enumerate(cases):
        type_ = FuncType(case.operands, (result_type(case.op, case.type),))
        id_ = EntityId(0, number)
        function = Function(id_, module.intern(type_), type_)
        module.functions[id_] = function
        module.exports.append(Export(str(number), "func", id_))
        builder = Builder(function)
        builder.entry()
        _observed(builder, case)
    verify(module)
    rows = [
        (number, bits)
        for number, case in enumerate(cases)
        for bits in itertools.product(*[EDGES[t] for t in case.operands])
        if _defined(case, bits)
    ]
    target = CpuTarget()
    kernel = target.load(target.compile(module, CompileOptions()), [])
    slices = kernel.allocate(len(rows), 0)
    count = len(rows)
    args = np.zeros((count, 6), np.uint64)
    for row, (number, bits) in enumerate(rows):
        slots = _slots(cases[number].operands, bits)
        args[row, : len(slots)] = slots
    none = Strings(np.zeros(0, np.uint8), np.zeros((count, 2), np.int64))
    entries = np.array([number for number, _ in rows], np.int32)
    order = np.arange(count)
    outcome = kernel.dispatch(slices, Dispatch(order, order, entries, args, none, none, none))
    assert not outcome.status.any()
    wrong = []
    for (number, bits), slots in zip(rows, outcome.results.tolist(), strict=True):
        case = cases[number]
        expected = evaluate(case.op, case.type, case.operands, *bits, attrs=case.attrs)
        wide = result_type(case.op, case.type) is Type.V128
        got = slots[0] | slots[1] << 64 if wide else slots[0]
        if got != expected:
            shown = ", ".join(hex(number) for number in bits)
            wrong.append(f"{case.op.name} {case.type} {case.attrs} {shown}: "
                         f"{got:#x}, not {expected:#x}")
    assert not wrong, "\n".join(wrong[:20])
    assert len(cases) > 300 and count > 50_000

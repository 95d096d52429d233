"""Every pure op compiled for the CPU computes what ir.semantics says, on edge values."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from swarmc.ir import ops
from swarmc.ir.builder import Builder
from swarmc.ir.function import Function
from swarmc.ir.module import Export, Module
from swarmc.ir.ops import OPERAND_CLASSES, OPS, Op
from swarmc.ir.semantics import evaluate, result_type, to_float, to_signed
from swarmc.ir.types import EntityId, FuncType, Type
from swarmc.ir.verifier import verify
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
}  # fmt: skip

SCALARS = (Type.I32, Type.I64, Type.F32, Type.F64)


@dataclass
class Case:
    op: Op
    type: Type | None
    operands: tuple[Type, ...]


def _cases() -> list[Case]:
    """Every pure op at every combination of scalar types that its row allows."""
    cases = []
    for op in OPS.values():
        if not op.pure or op in (ops.CONST, ops.REF_FUNC, ops.HAS_TYPE, ops.REF_IS_NULL):
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


def _observed(builder: Builder, case: Case) -> None:
    """The op's result, made canonical where its NaN may be any."""
    value = builder.value(case.op, case.type, builder.function.blocks[0].params)
    if "NaN any" in case.op.doc:
        value = builder.value(ops.CANON, value.type, [value])
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
    args = np.zeros((count, 3), np.uint64)
    for row, (_, bits) in enumerate(rows):
        args[row, : len(bits)] = bits
    none = Strings(np.zeros(0, np.uint8), np.zeros((count, 2), np.int64))
    entries = np.array([number for number, _ in rows], np.int32)
    order = np.arange(count)
    outcome = kernel.dispatch(slices, Dispatch(order, order, entries, args, none, none, none))
    assert not outcome.status.any()
    wrong = []
    for (number, bits), got in zip(rows, outcome.results[:, 0].tolist(), strict=True):
        case = cases[number]
        expected = evaluate(case.op, case.type, case.operands, *bits)
        if got != expected:
            wrong.append(f"{case.op.name} {case.type} {bits}: {got:#x}, not {expected:#x}")
    assert not wrong, "\n".join(wrong[:20])
    assert len(cases) > 100 and count > 10_000

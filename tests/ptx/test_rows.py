"""Every row of the table of instructions, in all its forms, against the manual's words."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence

import pytest

from swarmc.targets.ptx.code import PtxCode
from swarmc.targets.ptx.isa import TABLE
from swarmc.targets.ptx.rows import Row

from . import reference as r
from .run import HEAD, evaluate, evaluator

REFERENCES: dict[str, r.Reference] = {
    "add.type": r.wrapped(operator.add),
    "add.sat.s32": r.saturated(operator.add),
    "add.type x2": r.packed(operator.add),
    "min.type x2": r.packed(min),
    "max.type x2": r.packed(max),
    "sub.type": r.wrapped(operator.sub),
    "sub.sat.s32": r.saturated(operator.sub),
    "mul.part.type": r.product,
    "mul.wide.type": r.wide_product,
    "mad.part.type": r.product_sum,
    "mad.wide.type": r.wide_product_sum,
    "div.type": r.quotient,
    "rem.type": r.remainder,
    "abs.type s": r.wrapped(abs),
    "neg.type s": r.wrapped(operator.neg),
    "min.type": r.wrapped(min),
    "max.type": r.wrapped(max),
    "popc.type": lambda f, a: a.bit_count(),
    "clz.type": r.leading_zeros,
    "bfind{.shiftamt}.type": r.find_bit,
    "brev.type": r.reverse,
    "bfe.type": r.extract_field,
    "bfi.type": r.insert_field,
    "testp.op.type": r.test_property,
    "copysign.type": r.copy_sign,
    "add.rn.type": r.rounded(operator.add),
    "sub.rn.type": r.rounded(operator.sub),
    "mul.rn.type": r.rounded(operator.mul),
    "div.rn.type": r.rounded(operator.truediv),
    "add.rn.f32x2": r.packed_floats(r.rounded(operator.add)),
    "sub.rn.f32x2": r.packed_floats(r.rounded(operator.sub)),
    "mul.rn.f32x2": r.packed_floats(r.rounded(operator.mul)),
    "fma.rn.f32x2": r.packed_floats(r.fused),
    "fma.rn.type": r.fused,
    "abs.type f": r.sign_changed(lambda a, sign: a & ~sign),
    "neg.type f": r.sign_changed(lambda a, sign: a ^ sign),
    "min.type f": r.extreme(True),
    "min.NaN.f32": r.extreme(True),
    "max.type f": r.extreme(False),
    "max.NaN.f32": r.extreme(False),
    "rcp.rn.type": r.rounded(lambda a: 1 / a),
    "sqrt.rn.type": r.rounded(r.square_root),
    "selp.type": lambda f, a, b, c: a if c else b,
    "slct.type.s32": lambda f, a, b, c: b if c >> 31 else a,
    "slct.type.f32": lambda f, a, b, c: a if r.to_float({"type": "f32"}, c) >= 0 else b,
    "and.type": lambda f, a, b: a & b,
    "or.type": lambda f, a, b: a | b,
    "xor.type": lambda f, a, b: a ^ b,
    "not.type": lambda f, a: ~a % (1 << r.bits_of(f["type"])),
    "cnot.type": lambda f, a: int(a == 0),
    "lop3.b32": r.lookup,
    "shf.direction.mode.b32": r.funnel,
    "shl.type": r.shift_left,
    "shr.type": r.shift_right,
    "prmt.b32{.mode}": r.permute,
    "cvt{.sat}.dtype.atype": r.int_to_int,
    "cvt.rn.dtype.atype": r.int_to_float,
    "cvt.round.dtype.atype": r.float_to_int,
    "cvt.f64.f32": r.widen_float,
    "cvt.rn.f32.f64": r.narrow_float,
    "cvt.round.f32.f32": r.round_float,
    "cvt.round.f64.f64": r.round_float,
}

#: Rows that other tests of this folder show, because they do more than compute a value.
ELSEWHERE = {
    "test_control.py": {
        "setp.cmp{.bool}.type", "set.cmp{.bool}.dtype.type", "bra{.uni}", "brx.idx{.uni}",
        "ret{.uni}", "exit", "trap", "add.cc.type", "addc{.cc}.type", "sub.cc.type",
        "subc{.cc}.type", "mad.part.cc.type", "madc.part{.cc}.type",
    },
    "test_memory.py": {
        "mov.type", "ld{.weak}{.space}{.vec}.type", "ld.global.nc{.vec}.type",
        "ld.strong{.scope}{.space}{.vec}.type", "st{.weak}{.space}{.vec}.type",
        "st.strong{.scope}{.space}{.vec}.type", "cvta{.to}.space.u64",
    },
}  # fmt: skip

_FLOATS = {
    32: [0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x3F800000, 0xBF800000, 0x3FC00000, 0x40200000,
         0x3EFFFFFF, 0x4EFFFFFF, 0x4F000000, 0xCF000000, 0xCF000001, 0x4F7FFFFF, 0x4F800000,
         0x5F000000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001,
         0x42FE0000, 0x437F8000],
    64: [0, 1 << 63, 1, 0x000FFFFFFFFFFFFF, 1 << 52, 0x3FF0000000000000, 0xBFF8000000000000,
         0x4004000000000000, 0x3FDFFFFFFFFFFFFF, 0x41DFFFFFFFC00000, 0x41E0000000000000,
         0xC1E0000000200000, 0x41EFFFFFFFE00000, 0x43E0000000000000, 0x43F0000000000000,
         0x47EFFFFFEFFFFFFF, 0x47EFFFFFF0000000, 0x36A0000000000001, 0x7FEFFFFFFFFFFFFF,
         0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000123,
         0x7FF0000000000001],
}  # fmt: skip


def edges(type_: str) -> list[int]:
    """Operands worth trying."""
    if type_ == "pred":
        return [0, 1]
    if type_ == "f32x2":
        values = _FLOATS[32]
        return [low | high << 32 for low, high in zip(values, values[::-1], strict=True)]
    n = r.bits_of(type_)
    if type_.startswith("f"):
        return _FLOATS[n]
    top = 1 << (n - 1)
    found = {0, 1, 2, 3, 5, 7, n - 1, n, n + 1, 2 * n, 0x7F, 0x80, 0xFF, top - 1, top, top + 1,
             2 * top - 2, 2 * top - 1, 0x1234567890ABCDEF % (2 * top), 0x5A5A5A5A5A5A5A5A % top}
    return sorted(value % (2 * top) for value in found)


def key_of(row: Row) -> str:
    """Integer and float rows may have the same pattern."""
    types = row.fields.get("type", ())
    kinds = {type_[0] for type_ in types}
    for suffix in (" f", " s"):
        if row.pattern + suffix in REFERENCES and kinds == {suffix[1]}:
            return row.pattern + suffix
    return f"{row.pattern} x2" if "s16x2" in types else row.pattern


def forms(row: Row) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every opcode of a row, with its fields."""
    optional = {name for name in row.fields if f"{{.{name}}}" in row.pattern}
    choices = [(*values, "") if name in optional else values for name, values in row.fields.items()]
    for picked in itertools.product(*choices):
        fields = dict(zip(row.fields, picked, strict=True))
        opcode = row.pattern.replace("{", "").replace("}", "")
        parts = opcode.split(".")
        opcode = ".".join(x for x in (fields.get(part, part) for part in parts) if x)
        yield opcode, {**row.fixed, **fields}


def operand_rows(types: Sequence[str]) -> list[tuple[int, ...]]:
    """Rows of operands: all combinations, of fewer values where there are many operands."""
    lists = [edges(type_) for type_ in types]
    if len(lists) > 2:
        lists = [values[:: max(1, len(values) // 7)] + values[-1:] for values in lists]
    return list(itertools.product(*lists))


def computed_rows() -> list[Row]:
    return [row for row in TABLE.rows if row.compute is not None and "cc" not in row.fixed
            and "uses" not in row.fixed]  # fmt: skip


@pytest.mark.parametrize("row", computed_rows(), ids=lambda row: key_of(row))
def test_row(row: Row) -> None:
    assert row.places is not None
    cases = []
    text = HEAD
    for number, (opcode, fields) in enumerate(forms(row)):
        types = [place.type_in(fields) for place in row.places]
        widths = [r.bits_of(type_) for type_ in types]
        tables = [0x96, 0xE8, 0xFF, 0x01] if row.pattern == "lop3.b32" else [None]
        for table in tables:
            sources = widths[1:] if table is None else widths[1:-1]
            letters = ", ".join(f"%{x}" for x in "abcdef"[: len(sources)])
            last = "" if table is None else f", {table}"
            name = f"k{number}_{table or 0}"
            text += evaluator(name, f"{opcode} %y, {letters}{last};", sources, widths[0])
            cases.append((name, opcode, fields, types, table))
    code = PtxCode(text, {})
    try:
        for case in cases:
            check(code, row, *case)
    finally:
        code.close()


def check(
    code: PtxCode, row: Row, name: str, opcode: str, fields: Mapping[str, str],
    types: Sequence[str], table: int | None,
) -> None:
    """Every result of one form."""
    rule = REFERENCES[key_of(row)]
    sources = types[1:] if table is None else types[1:-1]
    if row.fixed.get("type") == "f32x2":
        sources = ["f32x2"] * len(sources)
    rows = operand_rows(sources)
    results = evaluate(code, name, rows, r.bits_of(types[0]))
    extra = () if table is None else (table,)
    for operands, result in zip(rows, results, strict=True):
        expected = rule(fields, *operands, *extra)
        shown = ", ".join(f"{x:#x}" for x in operands)
        assert result == expected, f"{opcode} {shown}: {result:#x}, not {expected:#x}"


def test_every_row_has_a_test() -> None:
    elsewhere = set().union(*ELSEWHERE.values())
    assert {row.pattern for row in TABLE.rows if row not in computed_rows()} == elsewhere
    assert {key_of(row) for row in computed_rows()} == set(REFERENCES)
    keys = [(row.pattern, row.section, *sorted(row.fields.get("type", ()))) for row in TABLE.rows]
    assert len(set(keys)) == len(keys)

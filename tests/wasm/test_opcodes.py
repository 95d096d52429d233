"""The table of instructions is complete and agrees with the table of IR ops."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from swarmc.compiler.wasm.opcodes import (
    AFTER_FB,
    AFTER_FC,
    AFTER_FD,
    BY_NAME,
    OPCODES,
    PLAIN,
    Imm,
    Opcode,
    unsupported_proposal,
)
from swarmc.ir.ops import OPERAND_CLASSES, Attr
from swarmc.ir.types import Type
from swarmc.runtime.tools import opcodes_doc

_ROOT = Path(__file__).resolve().parents[2]
_ONE_TO_ONE = [row for row in OPCODES if row.ir is not None]


def test_counts_of_instructions_by_proposal() -> None:
    assert Counter(row.proposal for row in OPCODES) == {
        "mvp": 172, "sign-extension": 5, "nontrapping-float-to-int": 8, "bulk-memory": 7,
        "reference-types": 9, "simd": 236, "relaxed-simd": 20, "tail-call": 2,
        "function-references": 5, "exception-handling": 3, "gc": 32}


def test_decode_tables_hold_each_row_once() -> None:
    rows = [row for row in (*PLAIN, *AFTER_FB, *AFTER_FC, *AFTER_FD) if row is not None]
    assert sorted(rows, key=lambda row: row.index) == OPCODES
    assert [row.index for row in OPCODES] == list(range(len(OPCODES)))
    assert {row.name: row for row in OPCODES} == BY_NAME


@pytest.mark.parametrize("row", _ONE_TO_ONE, ids=lambda row: row.name)
def test_ir_op_has_the_types_of_the_instruction(row: Opcode) -> None:
    op = row.ir
    assert op is not None
    lane = {Imm.LANE: [Attr.LANE], Imm.LANES: [Attr.LANES]}.get(row.imm, [])
    assert len(op.attrs) == len(row.attrs) + len(lane)
    assert set(lane) <= set(op.attrs)
    assert not op.shapes or (row.shape in op.shapes and row.attrs[0] is row.shape)
    assert (row.type is None) == (not op.types)
    assert row.type is None or row.type in op.types
    if row.params is not None:
        assert len(op.operands) == len(row.params)
        for operand, param in zip(op.operands, row.params, strict=True):
            allowed = (row.type,) if operand == "T" else OPERAND_CLASSES.get(operand)
            assert param in (allowed or (Type(operand),))
    assert row.results is not None
    assert [Type(result) if result != "T" else row.type for result in op.results] == \
        list(row.results)


@pytest.mark.parametrize("row", [row for row in OPCODES
                                 if row.imm in (Imm.MEMARG, Imm.MEMARG_LANE)],
                         ids=lambda row: row.name)
def test_width_of_an_access_is_in_its_name(row: Opcode) -> None:
    assert row.type is not None
    bits = re.search(r"(load|store)(\d+)(?:x(\d+))?", row.name)
    assert row.width == (int(bits[2]) * int(bits[3] or 1) if bits else row.type.bits) // 8
    assert row.signed == row.name.endswith("_s")
    assert (row.shape is None) == (row.name.partition(".")[2] in ("load", "store")
                                   or row.type is not Type.V128)


@pytest.mark.parametrize("row", [row for row in OPCODES if row.shape and row.ir],
                         ids=lambda row: row.name)
def test_shape_of_a_vector_instruction_is_in_its_name(row: Opcode) -> None:
    """It comes first, but where a conversion has its operand's, as the IR has it."""
    assert row.shape is not None
    first, _, name = row.name.partition(".")
    if "trunc_" in name:
        assert row.shape.value in name
    else:
        assert row.shape.value == first


def test_free_instructions_are_those_of_wasmtime() -> None:
    assert {row.name for row in OPCODES if row.fuel == 0} == {
        "nop", "drop", "block", "loop", "else", "end", "return", "unreachable"}
    assert {row.fuel for row in OPCODES} == {0, 1}


def test_unsupported_opcodes_are_not_in_the_table() -> None:
    for first in range(256):
        if PLAIN[first] is not None:
            assert unsupported_proposal(first) is None
    for code in range(len(AFTER_FC)):
        assert unsupported_proposal(0xFC, code) is None
    for code in range(len(AFTER_FD)):
        assert unsupported_proposal(0xFD, code) is None


def test_opcodes_page_is_up_to_date() -> None:
    page = (_ROOT / "docs" / "opcodes.md").read_text(encoding="utf-8")
    assert page == opcodes_doc.render()

"""Validation rules of calls: direct, through a table and through a reference; tail calls."""

from __future__ import annotations

from ...errors import ValidationError
from ...ir.types import Type
from .memory_rules import Rule
from .opcodes import Opcode
from .operands import Operands, mismatch
from .types import FuncType, matches, ref_type


def _call(v: Operands, row: Opcode, imm: int) -> None:
    params, results = v.func_type(imm)
    v.pop_all(params)
    v.push_all(results)


def _callee_in_table(v: Operands, imm: tuple[int, int]) -> FuncType:
    """Type that an indirect call names; its index is popped."""
    type_index, table = imm
    if not matches(v.table(table), Type.FUNCREF):
        raise mismatch("a table of funcref", v.table(table))
    type_ = v.type_at(type_index)
    v.pop(v.table_index(table))
    return type_


def _call_indirect(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    params, results = _callee_in_table(v, imm)
    v.pop_all(params)
    v.push_all(results)


def _leave_to(v: Operands, callee: FuncType) -> None:
    """A tail call: what the callee returns, the function must return."""
    results = v.blocks[0][2]
    v.pop_all(callee.params)
    if len(callee.results) != len(results):
        raise ValidationError("type mismatch: the callee of a tail call has other results")
    v.push_all(callee.results)
    v.pop_all(results)
    v.set_unreachable()


def _return_call(v: Operands, row: Opcode, imm: int) -> None:
    _leave_to(v, v.func_type(imm))


def _return_call_indirect(v: Operands, row: Opcode, imm: tuple[int, int]) -> None:
    _leave_to(v, _callee_in_table(v, imm))


def _callee_on_stack(v: Operands, type_index: int) -> FuncType:
    """Type that a call through a reference names; the reference is popped."""
    type_ = v.type_at(type_index)
    v.pop(ref_type(True, v.defined(type_index)))
    return type_


def _call_ref(v: Operands, row: Opcode, imm: int) -> None:
    params, results = _callee_on_stack(v, imm)
    v.pop_all(params)
    v.push_all(results)


def _return_call_ref(v: Operands, row: Opcode, imm: int) -> None:
    _leave_to(v, _callee_on_stack(v, imm))


BY_NAME: dict[str, Rule] = {
    "call": _call, "call_indirect": _call_indirect, "call_ref": _call_ref,
    "return_call": _return_call, "return_call_indirect": _return_call_indirect,
    "return_call_ref": _return_call_ref,
}

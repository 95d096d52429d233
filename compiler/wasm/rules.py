"""Validation rules: one for each row whose types depend on context, one for each immediate.

Everything else is checked by the row's own operand and result types. Importing this module fails
when a row of the table lacks its rule.
"""

from __future__ import annotations

from typing import Any

from ...errors import SwarmcError, ValidationError
from ...ir.types import Type
from . import call_rules, exception_rules, memory_rules, object_rules, reference_rules
from .memory_rules import Rule
from .module import Body
from .opcodes import BY_NAME, OPCODES, Imm, Opcode
from .operands import (
    UNKNOWN,
    Context,
    LocalRuns,
    Operands,
    Types,
    mismatch,
)
from .types import FuncType, all_match

_IF, _ELSE = BY_NAME["if"], BY_NAME["else"]
_NUMERIC = (Type.I32, Type.I64, Type.F32, Type.F64, Type.V128)


def check_body(context: Context, locals_: LocalRuns, params: int, results: Types,
               body: Body) -> None:
    """Check the instructions of a body, the last of which is the ``end`` that closes it.

    Args:
        locals_: types of the parameters and locals, as runs of (count, type).
        params: how many of the runs are parameters.

    Raises:
        ValidationError: with the offset of the instruction.
    """
    operands = Operands(context, locals_, params, results)
    stack, local_types = operands.stack, operands.locals
    listed = len(local_types) if operands.unset is None else 0
    rules, local_get = _RULE_OF, BY_NAME["local.get"]
    offset = 0
    try:
        for row, imm, offset in zip(body.ops, body.imms, body.offsets, strict=True):  # noqa: B007
            if row is local_get and imm < listed:
                stack.append(local_types[imm])
                continue
            rule = rules[row.index]
            if rule is not None:
                rule(operands, row, imm)
                continue
            types: Any = row.params  # not None, or there would be a rule
            arity = len(types)
            if arity == 2 and stack[-1] is types[1] and stack[-2] is types[0]:
                del stack[-2:]
            elif arity == 1 and stack[-1] is types[0]:
                stack.pop()
            elif arity:
                operands.pop_all(types)
            stack += row.results  # type: ignore[arg-type]  # nor are these None
    except SwarmcError as error:
        error.offset = offset
        raise


# Immediates of rows that are otherwise checked by their own types.

def _lanes(v: Operands, row: Opcode, imm: bytes) -> None:
    if max(imm) >= 32:
        raise ValidationError(f"invalid lane index {max(imm)}")


def _elem(v: Operands, row: Opcode, imm: int) -> None:
    v.elem(imm)




_IMMEDIATES: dict[Imm, Rule | None] = {
    **dict.fromkeys((Imm.NONE, Imm.I32, Imm.I64, Imm.F32, Imm.F64, Imm.V128)),
    Imm.LANE: memory_rules.check_lane,
    Imm.LANES: _lanes,
    Imm.DATA: memory_rules.check_data,
    Imm.ELEM: _elem,
}


# Rows whose types depend on context.

def _unreachable(v: Operands, row: Opcode, imm: None) -> None:
    v.set_unreachable()


def _block(v: Operands, row: Opcode, imm: FuncType | int) -> None:
    if row is _IF:
        v.pop(Type.I32)
    params, results = v.type_at(imm) if isinstance(imm, int) else imm
    v.pop_all(params)
    v.enter(row, params, results)


def _else(v: Operands, row: Opcode, imm: None) -> None:
    _, params, results, _ = v.leave()
    v.enter(_ELSE, params, results)


def _end(v: Operands, row: Opcode, imm: None) -> None:
    opened, params, results, _ = v.leave()
    if opened is _IF and not all_match(params, results):
        raise ValidationError("type mismatch: if without else must give back what it takes")
    v.push_all(results)


def _br(v: Operands, row: Opcode, imm: int) -> None:
    v.pop_all(v.label_types(imm))
    v.set_unreachable()


def _br_if(v: Operands, row: Opcode, imm: int) -> None:
    v.pop(Type.I32)
    types = v.label_types(imm)
    if types:
        v.pop_all(types)
        v.push_all(types)


def _br_table(v: Operands, row: Opcode, imm: tuple[tuple[int, ...], int]) -> None:
    v.pop(Type.I32)
    labels, default = imm
    arity = len(v.label_types(default))
    checked: set[int] = set()  # labels share few types: none is checked twice
    for label in (*dict.fromkeys(labels), default):
        types = v.label_types(label)
        if len(types) != arity:
            raise ValidationError("type mismatch: labels with different numbers of operands")
        if id(types) not in checked:
            checked.add(id(types))
            v.check_top(types)
    v.set_unreachable()


def _return(v: Operands, row: Opcode, imm: None) -> None:
    v.pop_all(v.blocks[0][2])
    v.set_unreachable()


def _drop(v: Operands, row: Opcode, imm: None) -> None:
    v.pop_any()


def _select(v: Operands, row: Opcode, imm: None) -> None:
    v.pop(Type.I32)
    second, first = v.pop_any(), v.pop_any()
    for entry in (first, second):
        if entry is not UNKNOWN and entry not in _NUMERIC:
            raise mismatch("a number", entry)
    if first is not second and first is not UNKNOWN and second is not UNKNOWN:
        raise mismatch(first.value, second)
    v.stack.append(second if first is UNKNOWN else first)


def _select_typed(v: Operands, row: Opcode, imm: Types) -> None:
    if len(imm) != 1:
        raise ValidationError(f"invalid result arity {len(imm)}")
    v.pop_all((*imm, *imm, Type.I32))
    v.push_all(imm)


def _local_get(v: Operands, row: Opcode, imm: int) -> None:
    v.stack.append(v.local(imm))
    if v.unset is not None and imm in v.unset:
        raise ValidationError(f"uninitialized local {imm}")


def _local_set(v: Operands, row: Opcode, imm: int) -> None:
    v.pop(v.local(imm))
    v.set_local(imm)


def _local_tee(v: Operands, row: Opcode, imm: int) -> None:
    type_ = v.local(imm)
    v.pop(type_)
    v.set_local(imm)
    v.stack.append(type_)


def _global_get(v: Operands, row: Opcode, imm: int) -> None:
    v.stack.append(v.global_(imm).type)


def _global_set(v: Operands, row: Opcode, imm: int) -> None:
    global_ = v.global_(imm)
    if not global_.mutable:
        # Each version of the specification has words of its own.
        later = v.context.features.later
        raise ValidationError("immutable global" if later else "global is immutable")
    v.pop(global_.type)


_BY_NAME: dict[str, Rule] = {
    "unreachable": _unreachable, "block": _block, "loop": _block, "if": _block, "else": _else,
    "end": _end, "br": _br, "br_if": _br_if, "br_table": _br_table, "return": _return,
    "drop": _drop, "select": _select,
    "select t": _select_typed, "local.get": _local_get, "local.set": _local_set,
    "local.tee": _local_tee, "global.get": _global_get, "global.set": _global_set,
    **call_rules.BY_NAME, **exception_rules.BY_NAME, **memory_rules.BY_NAME,
    **reference_rules.BY_NAME, **object_rules.BY_NAME,
}
_CONTEXTUAL = {BY_NAME[name]: rule for name, rule in _BY_NAME.items()}


def _checked(check: Rule, params: Types, results: Types) -> Rule:
    def rule(v: Operands, row: Opcode, imm: Any) -> None:
        check(v, row, imm)
        v.pop_all(params)
        v.stack += results
    return rule


def _rule_of(row: Opcode) -> Rule | None:
    """The rule of a row, None if its own types say everything."""
    rule = _CONTEXTUAL.get(row) or memory_rules.BY_IMMEDIATE.get(row.imm)
    if rule is not None:
        return rule
    if row.params is None or row.results is None:
        raise NotImplementedError(f"{row.name}: its types depend on context, and no rule says how")
    check = _IMMEDIATES[row.imm]
    return check and _checked(check, row.params, row.results)


_RULE_OF = [_rule_of(row) for row in OPCODES]

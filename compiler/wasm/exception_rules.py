"""Validation rules of exceptions: ``throw``, ``throw_ref`` and ``try_table``."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ValidationError
from .memory_rules import Rule
from .module import Catch
from .opcodes import Opcode
from .operands import Entry, Operands, Types, mismatch
from .types import FuncType, Heap, matches, ref_type

#: What ``throw_ref`` takes, and what a clause gives that catches the reference, too.
NULLABLE_EXCEPTION = ref_type(True, Heap.EXN)
CAUGHT = ref_type(False, Heap.EXN)


def throw(v: Operands, row: Opcode, imm: int) -> None:
    types = v.tag(imm)
    found = v.stack[max(v.blocks[-1][3] + 1, len(v.stack) - len(types)):]
    try:
        v.pop_all(types)
    except ValidationError as error:  # in the suite's words
        raise ValidationError(f"type mismatch: instruction requires {_listed(types)} but stack "
                              f"has {_listed(found)}") from error
    v.set_unreachable()


def _listed(entries: Iterable[Entry]) -> str:
    return f"[{' '.join(entry.value for entry in entries)}]"


def throw_ref(v: Operands, row: Opcode, imm: None) -> None:
    v.pop(NULLABLE_EXCEPTION)
    v.set_unreachable()


def try_table(v: Operands, row: Opcode, imm: tuple[FuncType | int, tuple[Catch, ...]]) -> None:
    type_, catches = imm
    params, results = v.type_at(type_) if isinstance(type_, int) else type_
    v.pop_all(params)
    for clause in catches:  # whose labels are outside
        carried = () if clause.tag is None else v.tag(clause.tag)
        if clause.ref:
            carried = (*carried, CAUGHT)
        _branch(carried, v.label_types(clause.label))
    v.enter(row, params, results)


def _branch(carried: Types, wanted: Types) -> None:
    if len(carried) != len(wanted):
        raise ValidationError(f"type mismatch: a clause gives {len(carried)} values where its "
                              f"label takes {len(wanted)}")
    for found, expected in zip(carried, wanted, strict=True):
        if not matches(found, expected):
            raise mismatch(expected.value, found)


BY_NAME: dict[str, Rule] = {"throw": throw, "throw_ref": throw_ref, "try_table": try_table}

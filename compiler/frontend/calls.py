"""Calls. A region of fuel ends with them: the callee must find all charged that came before."""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.builder import set_results
from ...ir.function import Value
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType, Trap, Type
from ..wasm.opcodes import Opcode
from . import exceptions, storage
from .emitter import Emitter


def call(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    env = em.env
    type_ = env.types[env.function_types[imm]]
    _call(em, o.CALL, em.pop_many(len(type_.params)), env.functions[imm], type_, loc)


def call_indirect(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args, sig = _from_table(em, imm, loc)
    _call(em, o.CALL_REF, args, sig, em.env.types[imm[0]], loc)


def call_ref(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args, sig = _from_stack(em, imm, loc)
    _call(em, o.CALL_REF, args, sig, em.env.types[imm], loc)


def return_call(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    env = em.env
    args = em.pop_many(len(env.types[env.function_types[imm]].params))
    em.terminate(o.RETURN_CALL, args, loc, attrs=(env.functions[imm],))


def return_call_indirect(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args, sig = _from_table(em, imm, loc)
    em.terminate(o.RETURN_CALL_REF, args, loc, attrs=(sig,))


def return_call_ref(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args, sig = _from_stack(em, imm, loc)
    em.terminate(o.RETURN_CALL_REF, args, loc, attrs=(sig,))


def _call(em: Emitter, op: Op, args: list[Value], attr: EntityId | int, type_: FuncType,
          loc: int) -> None:
    if em.catching is not None and attr not in em.env.hosts:
        exceptions.try_call(em, _WITH_HANDLER[op], args, attr, type_, loc)
        return
    inst = em.emit(op, None, args, (attr,), loc)
    if type_.results:
        set_results(inst, type_.results)
        em.stack.extend(inst.results)
    em.end_region()


_WITH_HANDLER = {o.CALL: o.TRY_CALL, o.CALL_REF: o.TRY_CALL_REF}


def _from_table(em: Emitter, imm: tuple[int, int], loc: int) -> tuple[list[Value], int]:
    """The checked callee of an indirect call with its arguments, and its signature."""
    type_index, table_index = imm
    type_, sig = em.env.types[type_index], em.env.sigs[type_index]
    table = em.env.tables[table_index]
    index = em.stack.pop()
    args = em.pop_many(len(type_.params))
    storage.check_index(em, index, table.id, Trap.UNDEFINED_ELEMENT, loc)
    callee = em.value(o.TABLE_GET, table.type, [index], (table.id,), loc)
    is_null = em.value(o.REF_IS_NULL, None, [callee], (), loc)
    em.trap_if(is_null, Trap.UNINITIALIZED_ELEMENT, loc)
    fits = em.value(o.HAS_TYPE, None, [callee], (sig,), loc)
    differs = em.value(o.IEQZ, Type.I32, [fits], (), loc)
    em.trap_if(differs, Trap.INDIRECT_CALL_TYPE_MISMATCH, loc)
    return [callee, *args], sig


def _from_stack(em: Emitter, type_index: int, loc: int) -> tuple[list[Value], int]:
    """The checked callee of a call through a reference, with its arguments; its signature."""
    callee = em.stack.pop()
    args = em.pop_many(len(em.env.types[type_index].params))
    is_null = em.value(o.REF_IS_NULL, None, [callee], (), loc)
    em.trap_if(is_null, Trap.NULL_FUNCTION_REFERENCE, loc)
    return [callee, *args], em.env.sigs[type_index]

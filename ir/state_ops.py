"""The interpreter's handlers of ops that read or write an agent's state."""

from __future__ import annotations

from collections.abc import Callable

from . import ops as o
from .function import Inst, Value
from .ops import Op
from .semantics import mask, to_signed
from .state import AgentState, Trapped
from .types import Trap

Env = dict[Value, int]
StateHandler = Callable[[AgentState, Env, Inst], None]


def _mask(inst: Inst) -> int:
    assert inst.type is not None
    return mask(inst.type)


# References and globals.


def _ref_func(state: AgentState, env: Env, inst: Inst) -> None:
    env[inst.result] = state.handle(inst.attrs[0])


def _has_type(state: AgentState, env: Env, inst: Inst) -> None:
    function = state.referenced(env[inst.args[0]])
    module = state.module
    env[inst.result] = int(module.is_subtype(module.sig_of(function), inst.attrs[0]))


def _is_subtype(state: AgentState, env: Env, inst: Inst) -> None:
    number = env[inst.args[0]]
    env[inst.result] = int(state.module.is_object_subtype(number, inst.attrs[0]))


def _global_get(state: AgentState, env: Env, inst: Inst) -> None:
    env[inst.result] = state.globals[inst.attrs[0]]


def _global_set(state: AgentState, env: Env, inst: Inst) -> None:
    state.globals[inst.attrs[0]] = env[inst.args[0]]


# Linear memory.


def _bounds_check(state: AgentState, env: Env, inst: Inst) -> None:
    id_, offset, width = inst.attrs
    if env[inst.args[0]] + offset + width > len(state.memories[id_]):
        raise Trapped(Trap.MEMORY_OUT_OF_BOUNDS)


def _address(env: Env, inst: Inst, align: int) -> int:
    """Effective address of a load or store."""
    address: int = env[inst.args[0]] + inst.attrs[1]
    if address % align:
        raise ValueError(f"address {address} is not aligned to {align}")
    return address


def _load(state: AgentState, env: Env, inst: Inst) -> None:
    id_, _, width, signed, align = inst.attrs
    address = _address(env, inst, align)
    if inst.region:
        state.keep_apart(inst.region, id_, address, width, stored=False)
    bits = state.load(id_, address, width)
    env[inst.result] = to_signed(bits, 8 * width) & _mask(inst) if signed else bits


def _store(state: AgentState, env: Env, inst: Inst) -> None:
    id_, _, width, align = inst.attrs
    address = _address(env, inst, align)
    if inst.region:
        state.keep_apart(inst.region, id_, address, width, stored=True)
    state.store(id_, address, width, env[inst.args[1]])


def _apart(state: AgentState, env: Env, inst: Inst) -> None:
    state.regions.clear()


def _memory_size(state: AgentState, env: Env, inst: Inst) -> None:
    env[inst.result] = state.memory_size(inst.attrs[0])


def _memory_grow(state: AgentState, env: Env, inst: Inst) -> None:
    env[inst.result] = state.memory_grow(inst.attrs[0], env[inst.args[0]]) & _mask(inst)


def _memory_fill(state: AgentState, env: Env, inst: Inst) -> None:
    to, value, count = (env[arg] for arg in inst.args)
    state.memory_fill(inst.attrs[0], to, value & 0xFF, count)


def _bulk(method: Callable[..., None]) -> StateHandler:
    """An op whose immediates and operands are a method's arguments."""
    def handler(state: AgentState, env: Env, inst: Inst) -> None:
        method(state, *inst.attrs, *[env[value] for value in inst.args])
    return handler


def _data_drop(state: AgentState, env: Env, inst: Inst) -> None:
    state.data[inst.attrs[0]] = b""


# Tables.


def _element(state: AgentState, env: Env, inst: Inst) -> tuple[list[int], int]:
    """The table that an unchecked access names, and the place in it."""
    table, index = state.tables[inst.attrs[0]], env[inst.args[0]]
    if index >= len(table):
        raise IndexError(f"element {index} outside the table")
    return table, index


def _table_get(state: AgentState, env: Env, inst: Inst) -> None:
    table, index = _element(state, env, inst)
    env[inst.result] = table[index]


def _table_set(state: AgentState, env: Env, inst: Inst) -> None:
    table, index = _element(state, env, inst)
    table[index] = env[inst.args[1]]


def _table_size(state: AgentState, env: Env, inst: Inst) -> None:
    env[inst.result] = len(state.tables[inst.attrs[0]])


def _table_grow(state: AgentState, env: Env, inst: Inst) -> None:
    value, count = (env[arg] for arg in inst.args)
    env[inst.result] = state.table_grow(inst.attrs[0], value, count) & _mask(inst)


def _elem_drop(state: AgentState, env: Env, inst: Inst) -> None:
    state.elems[inst.attrs[0]] = ()


STATE_HANDLERS: dict[Op, StateHandler] = {
    o.REF_FUNC: _ref_func,
    o.HAS_TYPE: _has_type,
    o.IS_SUBTYPE: _is_subtype,
    o.GLOBAL_GET: _global_get,
    o.GLOBAL_SET: _global_set,
    o.BOUNDS_CHECK: _bounds_check,
    o.LOAD: _load,
    o.STORE: _store,
    o.APART: _apart,
    o.MEMORY_SIZE: _memory_size,
    o.MEMORY_GROW: _memory_grow,
    o.MEMORY_FILL: _memory_fill,
    o.MEMORY_COPY: _bulk(AgentState.memory_copy),
    o.MEMORY_INIT: _bulk(AgentState.memory_init),
    o.DATA_DROP: _data_drop,
    o.TABLE_GET: _table_get,
    o.TABLE_SET: _table_set,
    o.TABLE_SIZE: _table_size,
    o.TABLE_GROW: _table_grow,
    o.TABLE_FILL: _bulk(AgentState.table_fill),
    o.TABLE_COPY: _bulk(AgentState.table_copy),
    o.TABLE_INIT: _bulk(AgentState.table_init),
    o.ELEM_DROP: _elem_drop,
}

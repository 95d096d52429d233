"""Instructions on linear memories and tables: bounds checks, bulk operations, growth."""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.function import Block, Edge, Inst, Value
from ...ir.ops import Op
from ...ir.types import EntityId, Trap, Type
from ..wasm.opcodes import Opcode
from .emitter import Emitter
from .ssa import Node

# Linear memory. The alignment in the immediate is a hint that may lie; 1 is always true.


def load(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _, offset, index = imm
    memory = em.env.memories[index].id
    width = row.width
    address = em.stack.pop()
    em.emit_trapping(o.BOUNDS_CHECK, None, [address], (memory, offset, width), loc)
    attrs = (memory, offset, width, row.signed, 1)
    em.stack.append(em.value(o.LOAD, row.type, [address], attrs, loc))


def store(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _, offset, index = imm
    memory = em.env.memories[index].id
    width = row.width
    value = em.stack.pop()
    address = em.stack.pop()
    em.emit_trapping(o.BOUNDS_CHECK, None, [address], (memory, offset, width), loc)
    em.emit(o.STORE, row.type, [address, value], (memory, offset, width, 1), loc)


def memory_size(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    memory = em.env.memories[imm]
    em.stack.append(em.value(o.MEMORY_SIZE, memory.index_type, [], (memory.id,), loc))


def memory_grow(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    delta = em.stack.pop()
    old = em.value(o.MEMORY_GROW, delta.type, [delta], (em.env.memories[imm].id,), loc)
    em.stack.append(old)
    _charge_growth(em, old, delta, loc)


# Bulk operations and growth cost one unit more a byte, element or page. wasmtime 50 charges it
# after they succeeded, and checks the fuel at once; after growth that failed it does neither. A
# small constant however ("small" measured: 128 yes, 129 no) it adds to the instruction's own
# cost: it is charged even if growth fails, and there is no check.

UNCHECKED_LENGTH = 128


def _small_constant(em: Emitter, value: Value) -> int | None:
    """The value, if wasmtime sees a small constant there when it translates.

    It does not see what a local was before a loop that is still open: another value might
    reach the loop's header yet.
    """
    made = value.definition
    if not isinstance(made, Inst) or made.op is not o.CONST:
        return None
    bits: int = made.attrs[0]
    return bits if bits <= UNCHECKED_LENGTH and made.loc >= em.frames[-1].loop_start else None


def _charge_by(em: Emitter, amount: Value, loc: int) -> None:
    em.end_region()
    em.emit(o.CHARGE_BY, amount.type, [amount], (), loc)
    em.fuel_check(loc)


def charge_length(em: Emitter, length: Value, loc: int) -> None:
    """Charge the length of a bulk operation, which has been executed."""
    static = _small_constant(em, length)
    if static is not None:
        em.cost += static
    else:
        _charge_by(em, length, loc)


def _charge_growth(em: Emitter, old: Value, delta: Value, loc: int) -> None:
    static = _small_constant(em, delta)
    if static is not None:
        em.cost += static
        return
    failed = em.const(old.type, (1 << old.type.bits) - 1, loc)
    succeeded = em.value(o.INE, old.type, [old, failed], (), loc)
    node = em.node
    grown, after = Node(Block(), node, loc), Node(Block(), node, loc)
    edges = Edge(grown.block), Edge(after.block)
    em.terminate(o.BR_IF, [succeeded], loc, edges)
    em.begin_block(grown)
    _charge_by(em, delta, loc)
    em.terminate(o.JUMP, [], loc, (Edge(after.block),))
    em.begin_block(after)


def _bulk(em: Emitter, op: Op, attrs: tuple[EntityId, ...], loc: int) -> None:
    args = em.pop_many(3)
    em.emit_trapping(op, args[2].type if op.types else None, args, attrs, loc)
    charge_length(em, args[2], loc)


def memory_fill(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _bulk(em, o.MEMORY_FILL, (em.env.memories[imm].id,), loc)


def memory_copy(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    to, source = imm
    memories = em.env.memories
    _bulk(em, o.MEMORY_COPY, (memories[to].id, memories[source].id), loc)


def memory_init(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    segment, to = imm
    _bulk(em, o.MEMORY_INIT, (em.env.memories[to].id, em.env.data[segment]), loc)


def data_drop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.emit(o.DATA_DROP, None, [], (em.env.data[imm],), loc)


def table_fill(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    _bulk(em, o.TABLE_FILL, (em.env.tables[imm].id,), loc)


def table_copy(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    to, source = imm
    _bulk(em, o.TABLE_COPY, (em.env.tables[to].id, em.env.tables[source].id), loc)


def table_init(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    segment, to = imm
    _bulk(em, o.TABLE_INIT, (em.env.tables[to].id, em.env.elems[segment]), loc)


def elem_drop(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.emit(o.ELEM_DROP, None, [], (em.env.elems[imm],), loc)
    if imm in em.env.elements:
        _, length = em.env.elements[imm]
        em.emit(o.GLOBAL_SET, Type.I64, [em.const(Type.I64, 0, loc)], (length,), loc)


# Tables.


def check_index(em: Emitter, index: Value, table: EntityId, trap: Trap, loc: int) -> None:
    """Trap unless an index lies in a table."""
    size = em.value(o.TABLE_SIZE, index.type, [], (table,), loc)
    em.trap_if(em.value(o.IGE_U, index.type, [index, size], (), loc), trap, loc)


def table_get(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    table = em.env.tables[imm]
    index = em.stack.pop()
    check_index(em, index, table.id, Trap.TABLE_OUT_OF_BOUNDS, loc)
    em.stack.append(em.value(o.TABLE_GET, table.type, [index], (table.id,), loc))


def table_set(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    table = em.env.tables[imm]
    args = em.pop_many(2)
    check_index(em, args[0], table.id, Trap.TABLE_OUT_OF_BOUNDS, loc)
    em.emit(o.TABLE_SET, table.type, args, (table.id,), loc)


def table_size(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    table = em.env.tables[imm]
    em.stack.append(em.value(o.TABLE_SIZE, table.index_type, [], (table.id,), loc))


def table_grow(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    args = em.pop_many(2)
    delta = args[1]
    old = em.value(o.TABLE_GROW, delta.type, args, (em.env.tables[imm].id,), loc)
    em.stack.append(old)
    _charge_growth(em, old, delta, loc)

"""How ops on memories, tables, globals and references are written in LLVM IR.

Metadata: ``!1`` empty (for ``!invariant.load``), ``!2`` the alias class of an agent's state,
``!3`` that of linear memory. The two never overlap, so a store to memory does not make LLVM
reload a global or a size.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir import ops
from ...ir.function import Inst, Value
from ...ir.ops import Op
from ...ir.types import EntityId, Trap, Type
from ..layout import Shared, TableSlot
from .access import function_record
from .emit import MEMORY, STATE, Emitter, FunctionEmitter
from .types import LLVM_TYPES

# Linear memory.


def memory_bytes(e: FunctionEmitter, id_: EntityId) -> str:
    """Current size of a memory in bytes, as i64."""
    slot = e.memory(id_)
    if slot.fixed:
        return str(slot.minimum)
    return e.assign(f"load i64, ptr {e.abi.state(e, slot.size)}, align 8, {STATE}")


def _bounds_check(e: FunctionEmitter, inst: Inst) -> None:
    id_, offset, width = inst.attrs
    slot, extent, address = e.memory(id_), offset + width, inst.args[0]
    if (slot.fixed and extent > slot.minimum) or extent >> 64:
        e.trap_if("true", Trap.MEMORY_OUT_OF_BOUNDS, inst)
        return
    if slot.fixed:
        last = slot.minimum - extent
        if address.type is Type.I32 and last >= 0xFFFFFFFF:
            return
        outside = e.assign(f"icmp ugt {e.operand(address)}, {last}")
    elif extent <= slot.minimum:  # then size - extent cannot wrap
        limit = e.assign(f"sub nuw i64 {memory_bytes(e, id_)}, {extent}")
        outside = e.assign(f"icmp ugt i64 {e.wide(address)}, {limit}")
    elif address.type is Type.I32:
        end = e.assign(f"add nuw i64 {e.wide(address)}, {extent}")
        outside = e.assign(f"icmp ugt i64 {end}, {memory_bytes(e, id_)}")
    else:
        size = memory_bytes(e, id_)
        small = e.assign(f"icmp ult i64 {size}, {extent}")
        limit = e.assign(f"sub i64 {size}, {extent}")
        beyond = e.assign(f"icmp ugt i64 {e.name(address)}, {limit}")
        outside = e.assign(f"or i1 {small}, {beyond}")
    e.trap_if(outside, Trap.MEMORY_OUT_OF_BOUNDS, inst)


def _load(e: FunctionEmitter, inst: Inst) -> None:
    id_, offset, width, signed, align = inst.attrs
    assert inst.type is not None
    t, address = LLVM_TYPES[inst.type], e.wide(inst.args[0])
    narrow = t if width * 8 == inst.type.bits else f"i{width * 8}"
    e.access = e.regions[inst.region] if inst.region else MEMORY
    value = e.abi.memory.load(e, e.memory(id_), address, offset, narrow, align)
    e.access = MEMORY
    if narrow == t:
        e.names[inst.results[0]] = value
    else:
        e.define(inst, f"{'sext' if signed else 'zext'} {narrow} {value} to {t}")


def _store(e: FunctionEmitter, inst: Inst) -> None:
    id_, offset, width, align = inst.attrs
    address, value = inst.args
    assert inst.type is not None
    t, text = LLVM_TYPES[inst.type], e.name(value)
    if width * 8 != inst.type.bits:
        narrow = f"i{width * 8}"
        text = e.assign(f"trunc {t} {text} to {narrow}")
        t = narrow
    e.access = e.regions[inst.region] if inst.region else MEMORY
    e.abi.memory.store(e, e.memory(id_), e.wide(address), offset, t, text, align)
    e.access = MEMORY


def _apart(e: FunctionEmitter, inst: Inst) -> None:
    """Each region is a scope that accesses of the others do not alias.

    The declaration makes LLVM give copies of this code scopes of their own: what the regions are
    differs from one time to the next.
    """
    first, count = inst.attrs
    node = e.program.node
    domain = node("distinct !{%}")
    scopes = [node(f"distinct !{{%, {domain}}}") for _ in range(count)]
    for number, scope in enumerate(scopes):
        others = ", ".join([other for other in scopes if other is not scope])
        e.regions[first + number] = (
            f"{MEMORY}, !alias.scope {node(f'!{{{scope}}}')}, !noalias {node(f'!{{{others}}}')}"
        )
    name = e.program.intrinsic("void", "llvm.experimental.noalias.scope.decl", "metadata")
    for scope in scopes:
        e.line(f"call void {name}(metadata {node(f'!{{{scope}}}')})")


def _memory_size(e: FunctionEmitter, inst: Inst) -> None:
    pages = e.assign(f"lshr i64 {memory_bytes(e, inst.attrs[0])}, 16")
    _define_index(e, inst, pages)


def _memory_grow(e: FunctionEmitter, inst: Inst) -> None:
    slot = e.memory(inst.attrs[0])
    old = e.assign(
        f"call i64 @swarm_memory_grow(ptr {e.abi.state(e, slot.size)}, i64 {slot.reserve}, "
        f"i64 {e.wide(inst.args[0])})"
    )
    _define_index(e, inst, old)


def _define_index(e: FunctionEmitter, inst: Inst, wide: str) -> None:
    """Write an i64 as the result, which is i32 or i64 by the index type."""
    if inst.type is Type.I32:
        e.define(inst, f"trunc i64 {wide} to i32")
    else:
        e.names[inst.results[0]] = wide


def _check_range(
    e: FunctionEmitter, inst: Inst, start: str, count: str, size: str, code: Trap
) -> None:
    """Trap unless start + count <= size, without wrap-around."""
    small = e.assign(f"icmp ult i64 {size}, {count}")
    limit = e.assign(f"sub i64 {size}, {count}")
    beyond = e.assign(f"icmp ugt i64 {start}, {limit}")
    e.trap_if(e.assign(f"or i1 {small}, {beyond}"), code, inst)


def _memory_fill(e: FunctionEmitter, inst: Inst) -> None:
    to, value, count = inst.args
    id_ = inst.attrs[0]
    start, n = e.wide(to), e.wide(count)
    _check_range(e, inst, start, n, memory_bytes(e, id_), Trap.MEMORY_OUT_OF_BOUNDS)
    byte = e.assign(f"trunc i32 {e.name(value)} to i8")
    e.abi.memory.fill(e, e.memory(id_), start, byte, n)


def _memory_copy(e: FunctionEmitter, inst: Inst) -> None:
    to_id, from_id = inst.attrs
    to, source, n = (e.wide(value) for value in inst.args)
    _check_range(e, inst, source, n, memory_bytes(e, from_id), Trap.MEMORY_OUT_OF_BOUNDS)
    _check_range(e, inst, to, n, memory_bytes(e, to_id), Trap.MEMORY_OUT_OF_BOUNDS)
    e.abi.memory.copy(e, e.memory(to_id), to, e.memory(from_id), source, n)


def _memory_init(e: FunctionEmitter, inst: Inst) -> None:
    id_, segment = inst.attrs
    to, source, n = (e.wide(value) for value in inst.args)
    dropped = e.program.layout.dropped_data[segment]
    data, size = _segment(e, Shared.DATA, e.program.data_numbers[segment], dropped)
    _check_range(e, inst, source, n, size, Trap.MEMORY_OUT_OF_BOUNDS)
    _check_range(e, inst, to, n, memory_bytes(e, id_), Trap.MEMORY_OUT_OF_BOUNDS)
    start = e.assign(f"getelementptr i8, ptr {data}, i64 {source}")
    e.abi.memory.init(e, e.memory(id_), to, start, n)


def _segment(e: FunctionEmitter, field: Shared, number: int, dropped: int) -> tuple[str, str]:
    """Address and length of a passive segment; the length is 0 once it is dropped."""
    records = e.abi.shared(e, field)
    record = e.assign(f"getelementptr {{ ptr, i64 }}, ptr {records}, i64 {number}")
    data = e.assign(f"load ptr, ptr {record}, align 8, !invariant.load !1")
    length = e.assign(f"getelementptr i8, ptr {record}, i64 8")
    full = e.assign(f"load i64, ptr {length}, align 8, !invariant.load !1")
    flag = e.assign(f"load i8, ptr {e.abi.state(e, dropped)}, {STATE}")
    kept = e.assign(f"icmp eq i8 {flag}, 0")
    return data, e.assign(f"select i1 {kept}, i64 {full}, i64 0")


def _data_drop(e: FunctionEmitter, inst: Inst) -> None:
    offset = e.program.layout.dropped_data[inst.attrs[0]]
    e.line(f"store i8 1, ptr {e.abi.state(e, offset)}, {STATE}")


# Globals.


def _global_get(e: FunctionEmitter, inst: Inst) -> None:
    assert inst.type is not None
    offset = e.program.layout.globals[inst.attrs[0]]
    e.load_state(e.name(inst.results[0]), inst.type, offset)


def _global_set(e: FunctionEmitter, inst: Inst) -> None:
    offset, (value,) = e.program.layout.globals[inst.attrs[0]], inst.args
    e.store_state(e.operand(value), value.type, offset)


# References and tables.


def _ref_func(e: FunctionEmitter, inst: Inst) -> None:
    e.names[inst.results[0]] = str(e.program.numbers[inst.attrs[0]] + 1)


def _ref_is_null(e: FunctionEmitter, inst: Inst) -> None:
    condition = e.assign(f"icmp eq i64 {e.name(inst.args[0])}, 0")
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def _has_type(e: FunctionEmitter, inst: Inst) -> None:
    record = function_record(e, e.name(inst.args[0]))
    pointer = e.assign(f"getelementptr i8, ptr {record}, i64 8")
    sig = e.assign(f"load i64, ptr {pointer}, align 8, !invariant.load !1")
    condition = is_one_of(e, "i64", sig, e.program.module.subtypes(inst.attrs[0]))
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def _is_subtype(e: FunctionEmitter, inst: Inst) -> None:
    numbers = e.program.module.object_subtypes(inst.attrs[0])
    condition = is_one_of(e, "i32", e.name(inst.args[0]), numbers)
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def is_one_of(e: FunctionEmitter, type_: str, value: str, numbers: Sequence[int]) -> str:
    """An i1 that is true when an integer is one of the numbers, which ascend."""
    found: str | None = None
    for low, high in _runs(numbers):
        if low == high:
            inside = e.assign(f"icmp eq {type_} {value}, {low}")
        else:
            distance = e.assign(f"sub {type_} {value}, {low}")
            inside = e.assign(f"icmp ule {type_} {distance}, {high - low}")
        found = inside if found is None else e.assign(f"or i1 {found}, {inside}")
    assert found is not None, "a type is a subtype of itself"
    return found


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _table(e: FunctionEmitter, id_: EntityId) -> TableSlot:
    return e.program.layout.tables[id_]


def _elements(e: FunctionEmitter, slot: TableSlot) -> str:
    """Pointer to a table's first element."""
    if not slot.shared:
        return e.abi.state(e, slot.elements)
    tables = e.abi.shared(e, Shared.TABLES)
    pointer = e.assign(f"getelementptr ptr, ptr {tables}, i64 {slot.number}")
    return e.assign(f"load ptr, ptr {pointer}, align 8, !invariant.load !1")


def _element(e: FunctionEmitter, slot: TableSlot, index: Value) -> str:
    step = 8 if slot.shared else e.program.layout.memory_layout.state_cells.word_step
    return e.assign(
        f"getelementptr [{step} x i8], ptr {_elements(e, slot)}, i64 {e.wide(index)}"
    )


def _count(e: FunctionEmitter, slot: TableSlot) -> str:
    """Current number of elements, as i64."""
    if slot.capacity == slot.minimum:
        return str(slot.minimum)
    return e.assign(f"load i64, ptr {e.abi.state(e, slot.size)}, align 8, {STATE}")


def _table_get(e: FunctionEmitter, inst: Inst) -> None:
    slot = _table(e, inst.attrs[0])
    kind = "!invariant.load !1" if slot.shared else STATE
    e.define(inst, f"load i64, ptr {_element(e, slot, inst.args[0])}, align 8, {kind}")


def _table_set(e: FunctionEmitter, inst: Inst) -> None:
    index, value = inst.args
    pointer = _element(e, _table(e, inst.attrs[0]), index)
    e.line(f"store {e.operand(value)}, ptr {pointer}, align 8, {STATE}")


def _table_size(e: FunctionEmitter, inst: Inst) -> None:
    count = _count(e, _table(e, inst.attrs[0]))
    if count.isdigit():
        e.names[inst.results[0]] = count
    else:
        _define_index(e, inst, count)


def _table_grow(e: FunctionEmitter, inst: Inst) -> None:
    value, delta = inst.args
    slot = _table(e, inst.attrs[0])
    old = e.assign(
        f"call i64 @swarm_table_grow(ptr {e.abi.state(e, slot.size)}, "
        f"ptr {e.abi.state(e, slot.elements)}, i64 {slot.capacity}, {e.operand(value)}, "
        f"i64 {e.wide(delta)})"
    )
    _define_index(e, inst, old)


def _table_fill(e: FunctionEmitter, inst: Inst) -> None:
    start, value, count = inst.args
    slot = _table(e, inst.attrs[0])
    n = e.wide(count)
    _check_range(e, inst, e.wide(start), n, _count(e, slot), Trap.TABLE_OUT_OF_BOUNDS)
    pointer = _element(e, slot, start)
    e.line(f"call void @swarm_fill64(ptr {pointer}, {e.operand(value)}, i64 {n})")


def _table_copy(e: FunctionEmitter, inst: Inst) -> None:
    to, source, count = inst.args
    to_slot, from_slot = (_table(e, id_) for id_ in inst.attrs)
    n = e.wide(count)
    _check_range(e, inst, e.wide(source), n, _count(e, from_slot), Trap.TABLE_OUT_OF_BOUNDS)
    _check_range(e, inst, e.wide(to), n, _count(e, to_slot), Trap.TABLE_OUT_OF_BOUNDS)
    target, origin = _element(e, to_slot, to), _element(e, from_slot, source)
    e.abi.memory.move_words(e, target, origin, n, shared=from_slot.shared)


def _table_init(e: FunctionEmitter, inst: Inst) -> None:
    id_, segment = inst.attrs
    to, source, count = inst.args
    slot, n = _table(e, id_), e.wide(count)
    dropped = e.program.layout.dropped_elems[segment]
    items, size = _segment(e, Shared.ELEMS, e.program.elem_numbers[segment], dropped)
    _check_range(e, inst, e.wide(source), n, size, Trap.TABLE_OUT_OF_BOUNDS)
    _check_range(e, inst, e.wide(to), n, _count(e, slot), Trap.TABLE_OUT_OF_BOUNDS)
    start = e.assign(f"getelementptr i64, ptr {items}, i64 {e.wide(source)}")
    e.abi.memory.move_words(e, _element(e, slot, to), start, n, shared=True)


def _elem_drop(e: FunctionEmitter, inst: Inst) -> None:
    offset = e.program.layout.dropped_elems[inst.attrs[0]]
    e.line(f"store i8 1, ptr {e.abi.state(e, offset)}, {STATE}")


STATE_EMITTERS: dict[Op, Emitter] = {
    ops.BOUNDS_CHECK: _bounds_check,
    ops.LOAD: _load,
    ops.STORE: _store,
    ops.APART: _apart,
    ops.MEMORY_SIZE: _memory_size,
    ops.MEMORY_GROW: _memory_grow,
    ops.MEMORY_FILL: _memory_fill,
    ops.MEMORY_COPY: _memory_copy,
    ops.MEMORY_INIT: _memory_init,
    ops.DATA_DROP: _data_drop,
    ops.GLOBAL_GET: _global_get,
    ops.GLOBAL_SET: _global_set,
    ops.REF_FUNC: _ref_func,
    ops.REF_IS_NULL: _ref_is_null,
    ops.HAS_TYPE: _has_type,
    ops.IS_SUBTYPE: _is_subtype,
    ops.TABLE_GET: _table_get,
    ops.TABLE_SET: _table_set,
    ops.TABLE_SIZE: _table_size,
    ops.TABLE_GROW: _table_grow,
    ops.TABLE_FILL: _table_fill,
    ops.TABLE_COPY: _table_copy,
    ops.TABLE_INIT: _table_init,
    ops.ELEM_DROP: _elem_drop,
}

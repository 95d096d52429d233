"""Calls to functions of the host, and the wrappers through which the host calls entry points.

A host function is ``i64 f(ptr context, ptr slots)``: arguments lie in an array of 64-bit slots,
results replace them from slot 0 on, and the status word it returns is 0, or how the agent ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.function import Block, Function, Inst, Value
from ...ir.module import HostFunction, Module
from ...ir.ops import CALL, RETURN
from ...ir.types import EntityId, FuncType, Trap, Type
from ..layout import Status
from .convention import Convention
from .emit import FunctionEmitter
from .program_emitter import ProgramEmitter
from .types import LLVM_TYPES, call_slots

#: Of a status word: what a host function says of a trap, and what only its caller knows.
_SAID = 0xFFFFFF00_000000FF
_POSITION = 0xFF_FFFFFFFF & ~0xFF


def emit_host_call(e: FunctionEmitter, inst: Inst, host: HostFunction) -> None:
    """Call a host function in place; an import that nothing provides traps here."""
    if host.missing:
        e.trap_if("true", Trap.MISSING_IMPORT, inst)
        for value in inst.results:
            e.names[value] = "poison"  # never reached
        return
    slots = e.at_entry(f"alloca [{call_slots(host.type)} x i64], align 16")
    texts = [e.operand(value) for value in inst.args]
    _store_slots(e.line, e.assign, slots, host.type.params, texts)
    code = e.abi.host_code(e, e.program.host_numbers[host.id])
    returned = e.assign(f"call i64 {code}(ptr %ctx, ptr {slots})")
    status = e.assign(f"call i64 @swarm_poll(ptr %ctx, i64 {returned})")
    _leave_unless_zero(e, status, inst)
    for value, text in zip(
        inst.results, _load_slots(e.assign, slots, host.type.results), strict=True
    ):
        e.names[value] = text


def _leave_unless_zero(e: FunctionEmitter, status: str, inst: Inst) -> None:
    ended, go_on = e.fresh_label(), e.fresh_label()
    failed = e.assign(f"icmp ne i64 {status}, 0")
    e.line(f"br i1 {failed}, label %{ended}, label %{go_on}, !prof !0")
    low, is_exit, final = e.fresh(), e.fresh(), e.fresh()
    kept, placed = e.fresh(), e.fresh()
    e.cold += [
        f"{ended}:",
        f"{low} = and i64 {status}, 255",
        f"{is_exit} = icmp eq i64 {low}, {int(Status.EXITED)}",
        f"{kept} = and i64 {status}, {_SAID}",
        f"{placed} = or i64 {kept}, {e.status(0, inst.loc) & _POSITION}",
        f"{final} = select i1 {is_exit}, i64 {status}, i64 {placed}",
        f"call void @swarm_trap(ptr %ctx, i64 {final}, i64 {e.fuel})",
        "unreachable",
    ]
    e.start_block(go_on)


def host_thunk(host: HostFunction) -> Function:
    """A function that does nothing but call the host: what references to it point to."""
    function = Function(host.id, host.sig, host.type, units=0, name=host.name)
    block = Block()
    function.blocks.append(block)
    params = [block.add_param(type_) for type_ in host.type.params]
    call = Inst(CALL, None, list(params), (host.id,))
    call.results = tuple(Value(type_, call) for type_ in host.type.results)
    block.insts = [call, Inst(RETURN, None, list(call.results))]
    return function


def entry_wrapper(program: ProgramEmitter, number: int, id_: EntityId) -> str:
    """``i64 @swarm_entry.N(ptr ctx, ptr args, ptr results, i64 fuel, i32 depth)``."""
    module: Module = program.module
    sig = module.sig_of(id_)
    type_ = module.types[sig]
    e = FunctionEmitter(program, Function(id_, sig, type_))
    convention = program.convention_of(id_)
    values = _load_slots(e.assign, "%args", type_.params)
    operands = [f"{LLVM_TYPES[t]} {value}" for t, value in zip(type_.params, values, strict=True)]
    for moved, slot in convention.moved_params:
        e.store_state(operands[moved], type_.params[moved], e.transfer(slot))
    args = "".join(f", {operands[kept]}" for kept in convention.params)
    result = e.assign(
        f"call {program.calling} {convention.returned} {program.symbol(id_)}"
        f"(ptr %ctx, i64 %fuel, i32 %depth{args})"
    )
    _take_ending(e, convention, result, id_)
    if type_.results:
        found = {
            kept: f"{t} " + e.assign(f"extractvalue {convention.returned} {result}, {field}")
            for kept, t, field in convention.fields()
        }
        for moved, slot in convention.moved_results:
            name, t = e.fresh(), type_.results[moved]
            e.load_state(name, t, e.transfer(slot))
            found[moved] = f"{LLVM_TYPES[t]} {name}"
        ordered = [found[place] for place in range(len(type_.results))]
        _store_slots(e.line, e.assign, "%results", type_.results, ordered)
    head = (
        f"define internal i64 @swarm_entry.{number}"
        f"(ptr %ctx, ptr %args, ptr %results, i64 %fuel, i32 %depth) "
        f"{program.abi.attributes} {{"
    )
    return "\n".join([head, "entry:", *e.prologue(), *e.lines, f"ret i64 {e.fuel}", *e.cold, "}"])


def start_function(program: ProgramEmitter) -> str:
    """``i64 @swarm_start(ptr ctx, i64 fuel, i32 depth)``: all start functions, in order."""
    starts = program.module.starts
    e = FunctionEmitter(program, Function(EntityId(0, 0), 0, FuncType((), ())))
    for id_ in starts:
        convention = program.convention_of(id_)
        result = e.assign(
            f"call {program.calling} {convention.returned} {program.symbol(id_)}"
            f"(ptr %ctx, i64 {e.fuel}, i32 %depth)"
        )
        _take_ending(e, convention, result, id_)
    head = "define internal i64 @swarm_start(ptr %ctx, i64 %fuel, i32 %depth) {"
    return "\n".join([head, "entry:", *e.prologue(), *e.lines, f"ret i64 {e.fuel}", *e.cold, "}"])


def _take_ending(
    e: FunctionEmitter, convention: Convention, result: str, callee: EntityId
) -> None:
    """Take the fuel that a call left; an exception that it gave ends the agent."""
    returned = convention.returned
    e.fuel = e.assign(f"extractvalue {returned} {result}, 0") if convention.is_struct else result
    if e.program.throwing.may_throw(callee):
        e.end_uncaught(e.assign(f"extractvalue {returned} {result}, 1"))


_INT_OF = {Type.F32: "i32", Type.F64: "i64"}


def _store_slots(
    line: Callable[[str], None],
    assign: Callable[[str], str],
    slots: str,
    types: Sequence[Type],
    operands: Sequence[str],
) -> None:
    cursor = 0
    for type_, operand in zip(types, operands, strict=True):
        pointer = assign(f"getelementptr i64, ptr {slots}, i64 {cursor}")
        if type_ is Type.V128:
            line(f"store {operand}, ptr {pointer}, align 8")
            cursor += 2
            continue
        if type_ in _INT_OF:
            operand = f"{_INT_OF[type_]} " + assign(f"bitcast {operand} to {_INT_OF[type_]}")
        if type_.bits == 32:
            operand = "i64 " + assign(f"zext {operand} to i64")
        line(f"store {operand}, ptr {pointer}, align 8")
        cursor += 1


def _load_slots(assign: Callable[[str], str], slots: str, types: Sequence[Type]) -> list[str]:
    values = []
    cursor = 0
    for type_ in types:
        pointer = assign(f"getelementptr i64, ptr {slots}, i64 {cursor}")
        values.append(assign(f"load {LLVM_TYPES[type_]}, ptr {pointer}, align 8"))
        cursor += 2 if type_ is Type.V128 else 1
    return values

"""How calls and returns are written in LLVM IR."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UnsupportedFeatureError
from ...ir import ops
from ...ir.function import Inst, Value
from ...ir.ops import Op
from ...ir.types import FuncType
from .convention import Convention
from .emit import Emitter, FunctionEmitter
from .host_calls import emit_host_call
from .types import LLVM_TYPES


def _call(e: FunctionEmitter, inst: Inst) -> None:
    program = e.program
    host = program.module.host_functions.get(inst.attrs[0])
    if host is not None:
        emit_host_call(e, inst, host)
        return
    sig = program.module.types[program.module.sig_of(inst.attrs[0])]
    _call_through(e, inst, sig, program.symbol(inst.attrs[0]))


def _call_ref(e: FunctionEmitter, inst: Inst) -> None:
    sig = e.program.module.types[inst.attrs[0]]
    callee, extra = e.abi.function_of(e, inst.attrs[0], e.name(inst.args[0]))
    _call_through(e, inst, sig, callee, extra=extra)


def _return_call(e: FunctionEmitter, inst: Inst) -> None:
    program = e.program
    sig = program.module.types[program.module.sig_of(inst.attrs[0])]
    _call_through(e, inst, sig, program.symbol(inst.attrs[0]), _tail(e, inst))


def _return_call_ref(e: FunctionEmitter, inst: Inst) -> None:
    sig = e.program.module.types[inst.attrs[0]]
    callee, extra = e.abi.function_of(e, inst.attrs[0], e.name(inst.args[0]))
    _call_through(e, inst, sig, callee, _tail(e, inst), extra)


def _tail(e: FunctionEmitter, inst: Inst) -> str:
    if not e.abi.tail_calls:
        raise UnsupportedFeatureError(
            "tail calls cannot be compiled for GPUs yet",
            feature="tail-call",
            offset=inst.loc,
            function=e.function.name or None,
        )
    return "musttail "


def _call_through(
    e: FunctionEmitter, inst: Inst, sig: FuncType, callee: str, tail: str = "", extra: str = ""
) -> None:
    values = inst.args[len(inst.args) - len(sig.params) :]
    convention = e.program.convention(sig)
    _move_out(e, convention.moved_params, values)
    args = "".join(f", {e.operand(values[number])}" for number in convention.params) + extra
    # A tail call frees the caller's frame, so the callee starts from the caller's own depth.
    depth = "%depth.in" if tail else "%depth"
    result = e.assign(
        f"{tail}call {e.program.calling} {convention.returned} {callee}"
        f"(ptr %ctx, i64 {e.fuel}, i32 {depth}{args})"
    )
    if tail:
        e.line(f"ret {convention.returned} {result}")
    else:
        _take_results(e, inst.results, convention, result)


def _move_out(
    e: FunctionEmitter, moved: Sequence[tuple[int, int]], values: Sequence[Value]
) -> None:
    """Write values to the transfer area."""
    for number, slot in moved:
        e.store_state(e.operand(values[number]), values[number].type, e.transfer(slot))


def _take_results(
    e: FunctionEmitter, values: Sequence[Value], convention: Convention, result: str
) -> None:
    """Define what a call gave: the fuel that is left, and its results."""
    returned = convention.returned
    e.fuel = e.assign(f"extractvalue {returned} {result}, 0") if values else result
    for field, (number, type_) in enumerate(convention.results, 1):
        value = values[number]
        extract = f"extractvalue {returned} {result}, {field}"
        if type_ != LLVM_TYPES[value.type]:
            extract = f"bitcast {type_} {e.assign(extract)} to {LLVM_TYPES[value.type]}"
        e.line(f"{e.name(value)} = {extract}")
    for number, slot in convention.moved_results:
        e.load_state(e.name(values[number]), values[number].type, e.transfer(slot))


def _try_call(e: FunctionEmitter, inst: Inst) -> None:
    raise UnsupportedFeatureError(
        "calls that may throw cannot be compiled yet",
        feature="exception-handling",
        offset=inst.loc,
        function=e.function.name or None,
    )


def _return(e: FunctionEmitter, inst: Inst) -> None:
    convention = e.program.convention(e.function.type)
    _move_out(e, convention.moved_results, inst.args)
    if not inst.args:
        e.line(f"ret i64 {e.fuel}")
        return
    returned = convention.returned
    result = e.assign(f"insertvalue {returned} poison, i64 {e.fuel}, 0")
    for field, (number, type_) in enumerate(convention.results, 1):
        value = inst.args[number]
        operand = e.operand(value)
        if type_ != LLVM_TYPES[value.type]:
            operand = f"{type_} {e.assign(f'bitcast {operand} to {type_}')}"
        result = e.assign(f"insertvalue {returned} {result}, {operand}, {field}")
    e.line(f"ret {returned} {result}")


CALL_EMITTERS: dict[Op, Emitter] = {
    ops.CALL: _call,
    ops.CALL_REF: _call_ref,
    ops.RETURN_CALL: _return_call,
    ops.RETURN_CALL_REF: _return_call_ref,
    ops.TRY_CALL: _try_call,
    ops.TRY_CALL_REF: _try_call,
    ops.RETURN: _return,
}

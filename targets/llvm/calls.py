"""How calls, returns and exceptions are written in LLVM IR.

An exception that leaves a function is returned, as one more value; what calls such a function looks
whether there is one, and goes to its handler, or returns it in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...ir import ops
from ...ir.function import Inst, Value
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType, Type
from ..transfer import param_slots
from .convention import Convention, struct
from .emit import Emitter, FunctionEmitter
from .host_calls import emit_host_call
from .types import LLVM_TYPES

_NULL = "0"


@dataclass(frozen=True, slots=True)
class _Callee:
    """What is called.

    Attributes:
        code: its address. throws: whether it returns an exception. may_throw: not only null.
        extra: arguments that it takes besides, as text.
    """

    type: FuncType
    code: str
    throws: bool
    may_throw: bool
    extra: str = ""


def _function(e: FunctionEmitter, id_: EntityId) -> _Callee:
    program = e.program
    type_ = program.module.types[program.module.sig_of(id_)]
    throwing = program.throwing
    return _Callee(type_, program.symbol(id_), throwing.returns_exception(id_),
                   throwing.may_throw(id_))


def _referenced(e: FunctionEmitter, inst: Inst) -> _Callee:
    """The function that the first operand refers to."""
    sig, throwing = inst.attrs[0], e.program.throwing
    code, extra = e.abi.function_of(e, sig, e.name(inst.args[0]))
    return _Callee(e.program.module.types[sig], code, throwing.ref_returns_exception(sig),
                   throwing.ref_may_throw(sig), extra)


def _call(e: FunctionEmitter, inst: Inst) -> None:
    host = e.program.module.host_functions.get(inst.attrs[0])
    if host is not None:
        emit_host_call(e, inst, host)
    else:
        _plain_call(e, inst, _function(e, inst.attrs[0]))


def _call_ref(e: FunctionEmitter, inst: Inst) -> None:
    _plain_call(e, inst, _referenced(e, inst))


def _return_call(e: FunctionEmitter, inst: Inst) -> None:
    id_ = inst.attrs[0]
    if e.abi.tail_calls:
        _tail_call(e, inst, _function(e, id_))
    elif id_ == e.function.id:
        e.repeat(inst)
    else:
        _step(e, inst, str(e.program.numbers[id_] + 1), e.program.module.sig_of(id_))


def _return_call_ref(e: FunctionEmitter, inst: Inst) -> None:
    if e.abi.tail_calls:
        _tail_call(e, inst, _referenced(e, inst))
    else:
        _step(e, inst, e.name(inst.args[0]), inst.attrs[0])


def _try_call(e: FunctionEmitter, inst: Inst) -> None:
    _call_with_handler(e, inst, _function(e, inst.attrs[0]))


def _try_call_ref(e: FunctionEmitter, inst: Inst) -> None:
    _call_with_handler(e, inst, _referenced(e, inst))


def _plain_call(e: FunctionEmitter, inst: Inst, callee: _Callee) -> None:
    convention, result = _call_through(e, inst, callee, "%depth")
    exception = _take_results(e, inst.results, convention, result)
    if not callee.may_throw:
        return
    leave, go_on = e.fresh_label(), e.fresh_label()
    thrown = e.assign(f"icmp ne i64 {exception}, 0")
    e.line(f"br i1 {thrown}, label %{leave}, label %{go_on}, !prof !0")
    lines, operand = struct(e.convention, e.fuel, exception, (), _names(e))
    e.cold += [f"{leave}:", *lines, f"ret {operand}"]
    e.start_block(go_on)


def _call_with_handler(e: FunctionEmitter, inst: Inst, callee: _Callee) -> None:
    convention, result = _call_through(e, inst, callee, "%depth")
    values = [Value(type_) for type_ in callee.type.results]
    exception = _take_results(e, values, convention, result)
    caught = Value(Type.EXNREF)
    e.names[caught] = exception
    thrown = e.assign(f"icmp ne i64 {exception}, 0") if callee.may_throw else "false"
    handler, normal = e.edge(inst, 1, (caught,)), e.edge(inst, 0, values)
    e.line(f"br i1 {thrown}, label %{handler}, label %{normal}, !prof !0")


def _tail_call(e: FunctionEmitter, inst: Inst, callee: _Callee) -> None:
    # A tail call frees the caller's frame, so the callee starts from the caller's own depth.
    convention, result = _call_through(e, inst, callee, "%depth.in", "musttail ")
    e.line(f"ret {convention.returned} {result}")


def _step(e: FunctionEmitter, inst: Inst, reference: str, sig: int) -> None:
    """Leave the call of a function of some type to the trampoline; see :mod:`.trampolines`."""
    type_ = e.program.module.types[sig]
    values = inst.args[len(inst.args) - len(type_.params) :]
    _move_out(e, list(enumerate(param_slots(type_))), values)
    lines, operand = struct(e.convention, e.fuel, _NULL, (), _names(e), reference)
    e.lines += [*lines, f"ret {operand}"]


def _call_through(
    e: FunctionEmitter, inst: Inst, callee: _Callee, depth: str, tail: str = ""
) -> tuple[Convention, str]:
    """Write the call itself; how the callee returns, and what it returned."""
    values = inst.args[len(inst.args) - len(callee.type.params) :]
    convention = e.program.convention(callee.type, callee.throws)
    _move_out(e, convention.moved_params, values)
    args = "".join(f", {e.operand(values[number])}" for number in convention.params)
    result = e.assign(
        f"{tail}call {e.program.calling} {convention.returned} {callee.code}"
        f"(ptr %ctx, i64 {e.fuel}, i32 {depth}{args}{callee.extra})"
    )
    return convention, result


def _move_out(
    e: FunctionEmitter, moved: Sequence[tuple[int, int]], values: Sequence[Value]
) -> None:
    """Write values to the transfer area."""
    for number, slot in moved:
        e.store_state(e.operand(values[number]), values[number].type, e.transfer(slot))


def _take_results(
    e: FunctionEmitter, values: Sequence[Value], convention: Convention, result: str
) -> str:
    """Define what a call gave: the fuel that is left, and its results; the exception, or null."""
    returned, exception = convention.returned, _NULL
    e.fuel = e.assign(f"extractvalue {returned} {result}, 0") if convention.is_struct else result
    if convention.throws:
        exception = e.assign(f"extractvalue {returned} {result}, 1")
    for number, type_, field in convention.fields():
        value = values[number]
        extract = f"extractvalue {returned} {result}, {field}"
        if type_ != LLVM_TYPES[value.type]:
            extract = f"bitcast {type_} {e.assign(extract)} to {LLVM_TYPES[value.type]}"
        e.line(f"{e.name(value)} = {extract}")
    for number, slot in convention.moved_results:
        e.load_state(e.name(values[number]), values[number].type, e.transfer(slot))
    return exception


def _names(e: FunctionEmitter) -> Iterator[str]:
    while True:
        yield e.fresh()


def _return(e: FunctionEmitter, inst: Inst) -> None:
    convention = e.convention
    _move_out(e, convention.moved_results, inst.args)
    operands = []
    for number, type_, _ in convention.fields():
        value = inst.args[number]
        operand = e.operand(value)
        if type_ != LLVM_TYPES[value.type]:
            operand = f"{type_} {e.assign(f'bitcast {operand} to {type_}')}"
        operands.append(operand)
    lines, operand = struct(convention, e.fuel, _NULL, operands, _names(e))
    e.lines += [*lines, f"ret {operand}"]


def _throw(e: FunctionEmitter, inst: Inst) -> None:
    lines, operand = struct(e.convention, e.fuel, e.name(inst.args[0]), (), _names(e))
    e.lines += [*lines, f"ret {operand}"]


CALL_EMITTERS: dict[Op, Emitter] = {
    ops.CALL: _call,
    ops.CALL_REF: _call_ref,
    ops.RETURN_CALL: _return_call,
    ops.RETURN_CALL_REF: _return_call_ref,
    ops.TRY_CALL: _try_call,
    ops.TRY_CALL_REF: _try_call_ref,
    ops.RETURN: _return,
    ops.THROW: _throw,
}

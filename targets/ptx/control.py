"""Branches, calls and ends, and comparisons, which write predicates."""

from __future__ import annotations

from collections.abc import Sequence

from . import floats, integers
from .body import BodyWriter, memory_type
from .module import (
    Call,
    Function,
    Instruction,
    Operand,
    PredicatePair,
    PtxError,
    Register,
    Signature,
    Symbol,
)
from .records import Violation
from .writer import Fields


def compare_and_set(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``setp``: a second destination gets what the complement of the comparison gives."""
    destination, a, b, *rest = inst.operands
    result = comparison(w, f, a, b)
    first, second = destination, None
    if isinstance(destination, PredicatePair):
        first, second = destination.first, destination.second
        complement = w.assign(f"xor i1 {result}, true")
    w.set(first, _combined(w, f, result, rest), "pred")
    if second is not None:
        w.set(second, _combined(w, f, complement, rest), "pred")


def set_number(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``set``: all ones or 1.0 where the comparison holds."""
    destination, a, b, *rest = inst.operands
    result = _combined(w, f, comparison(w, f, a, b), rest)
    true = 0x3F800000 if f["dtype"] == "f32" else 0xFFFFFFFF
    w.set(destination, w.assign(f"select i1 {result}, i32 {true}, i32 0"), f["dtype"])


def comparison(w: BodyWriter, f: Fields, a: Operand, b: Operand) -> str:
    type_ = f["type"]
    compare = floats.compare if type_.startswith("f") else integers.compare
    return compare(w, f, w.source(a, type_), w.source(b, type_))


def _combined(w: BodyWriter, f: Fields, result: str, rest: Sequence[Operand]) -> str:
    if bool(f["bool"]) != (len(rest) == 1):
        raise w.error("a Boolean operation and a predicate go together")
    if not rest:
        return result
    return w.assign(f"{f['bool']} i1 {result}, {w.source(rest[0], 'pred')}")


# Branches.


def branch(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    (target,) = inst.operands
    if not isinstance(target, Symbol):
        raise w.error("a label must stand here")
    w.end(f"br label {label(w, target.name)}")


def branch_indexed(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``brx.idx``; an index beyond the list is undefined, so it ends the launch."""
    index, targets = inst.operands
    if not isinstance(targets, Symbol) or targets.name not in w.targets:
        raise w.error("the name of a .branchtargets must stand here")
    value = w.source(index, "u32")
    wrong = w.label()
    cases = " ".join(
        f"i32 {n}, label {label(w, name)}"
        for n, name in enumerate(w.targets[targets.name].labels)
    )
    w.end(f"switch i32 {value}, label %{wrong} [ {cases} ]")
    w.start(wrong)
    w.fail(Violation.BRANCH_INDEX, w.resize(value, 32, 64))


def label(w: BodyWriter, name: str) -> str:
    """LLVM's name of a label.

    Raises:
        PtxError: the function has no such label.
    """
    if name not in w.labels:
        raise w.error("the function has no such label", name)
    return f'%"L.{name}"'


# Ends.


def leave(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``ret``: of a kernel, it ends the thread."""
    returns = w.function.returns
    if w.local:
        w.line(f"call void @ptx_leave(ptr %thread, i64 {w.local})")
    if not returns:
        w.end("ret void")
        return
    t = memory_type(returns[0])
    pointer = w.scopes[0][returns[0].name].pointer
    w.end(f"ret {t} {w.assign(f'load {t}, ptr {pointer}')}")


def exit_thread(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    w.line("call void @ptx_exit(ptr %thread)")
    w.end("unreachable")


def trap(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``trap`` aborts the whole launch, which no agent may do."""
    w.fail(Violation.TRAP)


# Calls.


def call(w: BodyWriter, inst: Call) -> None:
    """A call of a function by name or by address."""
    expected = Signature(
        tuple([_shape(w, name) for name in inst.results]),
        tuple([_shape(w, name) for name in inst.args]),
    )
    if isinstance(inst.callee, Symbol):
        callee = _direct(w, inst, inst.callee.name, expected)
    else:
        callee = _indirect(w, inst, inst.callee, expected)
    args = "".join(f", {_value(w, name)}" for name in inst.args)
    if not inst.results:
        w.line(f"call fastcc void {callee}(ptr %thread{args})")
        return
    result = w.parameter(inst.results[0])
    t = memory_type(result.storage)
    value = w.assign(f"call fastcc {t} {callee}(ptr %thread{args})")
    w.line(f"store {t} {value}, ptr {result.pointer}")


def _shape(w: BodyWriter, name: str) -> tuple[int, int]:
    storage = w.parameter(name).storage
    return storage.size, storage.align


def _value(w: BodyWriter, name: str) -> str:
    parameter = w.parameter(name)
    t = memory_type(parameter.storage)
    return f"{t} {w.assign(f'load {t}, ptr {parameter.pointer}')}"


def _direct(w: BodyWriter, inst: Call, name: str, expected: Signature) -> str:
    function = w.program.module.functions.get(name)
    if function is None or function.kernel or inst.prototype is not None:
        raise w.error("nothing that can be called has this name", name)
    if function.signature != expected:
        raise w.error("the call does not fit the function", name)
    return symbol(function)


def _indirect(w: BodyWriter, inst: Call, callee: Register, expected: Signature) -> str:
    prototype = w.prototypes.get(inst.prototype or "")
    if prototype is None:
        raise w.error("a call through a register needs a prototype")
    if prototype.signature != expected:
        raise w.error("the call does not fit its prototype", prototype.name)
    address = w.source(callee, "u64")
    number = w.program.signature_number(expected)
    return w.assign(
        f"call ptr @ptx_callee(ptr %thread, i64 {address}, i64 {number}, i64 {w.line_number})"
    )


def symbol(function: Function) -> str:
    """LLVM's name of a translated function."""
    return f'@"fn.{function.name}"'


def check_labels(names: Sequence[tuple[str, int]]) -> set[str]:
    """The labels of a function.

    Raises:
        PtxError: one stands twice.
    """
    found: set[str] = set()
    for name, line in names:
        if name in found:
            raise PtxError("a second label of this name", line=line, text=name)
        found.add(name)
    return found

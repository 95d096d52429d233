"""Tail calls on a target that has none: functions step, and a trampoline makes the next call.

A function that ends with a call of another *steps*: what holds its code (``@f0.3.step``) writes the
arguments of that call to the transfer area and returns a reference to the function, or null where
it returns in earnest. Under its own name (``@f0.3``) it is called as ever: that calls the code once
and leaves what is to follow to a trampoline, a loop that calls one function after the other until
one gives null. So the stack holds one of them at a time. There is a trampoline for each way to
return; it finds the function as a call through a reference does, and calls it by ``@f0.3.tail``,
which takes the arguments from the transfer area.

A function that ends with a call of itself is a loop, and does not step for that.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from ...ir import ops
from ...ir.analysis.throwing import Throwing
from ...ir.function import Function
from ...ir.module import Module
from ...ir.types import EntityId
from ..transfer import param_slots
from .convention import Convention, by_value, struct
from .emit import FunctionEmitter
from .types import LLVM_TYPES

if TYPE_CHECKING:
    from .program_emitter import ProgramEmitter

_TAIL_CALLS = (ops.RETURN_CALL, ops.RETURN_CALL_REF)

#: How functions return, without regard to parameters.
_Kind = tuple[bool, tuple[str, ...]]


class Trampolines:
    """Which functions of a program step, and what trampolines call.

    Args:
        referenced: functions that references may point to.
        needed: whether the target has no tail calls itself.
    """

    def __init__(
        self, module: Module, throwing: Throwing, referenced: Set[EntityId], *, needed: bool
    ) -> None:
        self._throwing = throwing
        self._stepping: set[EntityId] = set()
        self._kinds: dict[_Kind, int] = {}
        self._callees: list[set[EntityId]] = []
        self._sigs: list[set[int]] = []  # of calls through references
        if needed:
            for function in module.functions.values():
                self._find(function)
        for sigs, callees in zip(self._sigs, self._callees, strict=True):
            types = {type_ for sig in sigs for type_ in module.subtypes(sig)}
            callees.update(id_ for id_ in referenced if module.sig_of(id_) in types)

    def steps(self, function: EntityId) -> bool:
        """Whether a function may leave it to a trampoline to go on."""
        return function in self._stepping

    def wrapper(self, program: ProgramEmitter, id_: EntityId) -> str:
        """A function that steps, under its own name."""
        body, stepping = program.body_of(id_)
        plain = program.convention_of(id_)
        types = program.module.types[program.module.sig_of(id_)].params
        arguments = "ptr %ctx, i64 %fuel, i32 %depth" + "".join(
            f", {LLVM_TYPES[type_]} %a{n}" for n, type_ in enumerate(types)
        )
        number = self._number(plain)
        lines, operand = _rebuilt(stepping, plain, "%step")
        return "\n".join([
            f"define {program.linkage} {program.calling} {plain.returned} {program.symbol(id_)}"
            f"({arguments}) {program.abi.attributes} {{",
            f"%step = call {program.calling} {stepping.returned} {body}({arguments})",
            f"%next = extractvalue {stepping.returned} %step, {stepping.first - 1}",
            "%more = icmp ne i64 %next, 0",
            "br i1 %more, label %go.on, label %done",
            "go.on:",
            f"%left = extractvalue {stepping.returned} %step, 0",
            f"%end = call {program.calling} {plain.returned} @swarm_trampoline.{number}"
            "(ptr %ctx, i64 %left, i32 %depth, i64 %next)",
            f"ret {plain.returned} %end",
            "done:",
            *lines,
            f"ret {operand}",
            "}",
        ])  # fmt: skip

    def text(self, program: ProgramEmitter) -> list[str]:
        """All trampolines, and what they call."""
        everything = sorted(set().union(*self._callees)) if self._callees else []
        text = [_from_area(program, id_) for id_ in everything]
        for (throws, results), number in self._kinds.items():
            plain = Convention(throws, (), tuple(enumerate(results)))
            text.append(_trampoline(program, number, plain, sorted(self._callees[number])))
        return text

    def _find(self, function: Function) -> None:
        """Note the tail calls of a function."""
        for block in function.blocks:
            last = block.terminator
            callee = last.attrs[0] if last.op in _TAIL_CALLS else None
            if callee is None or callee == function.id:
                continue
            self._stepping.add(function.id)
            throws = self._throwing.returns_exception(function.id)
            number = self._number(by_value(function.type, throws))
            if last.op is ops.RETURN_CALL:
                self._callees[number].add(callee)
            else:
                self._sigs[number].add(callee)

    def _number(self, convention: Convention) -> int:
        """Number of the trampoline for functions that return in some way."""
        kind = convention.throws, tuple(type_ for _, type_ in convention.results)
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._callees)
            self._callees.append(set())
            self._sigs.append(set())
        return number


def _trampoline(
    program: ProgramEmitter, number: int, plain: Convention, callees: Sequence[EntityId]
) -> str:
    stepping = replace(plain, steps=True)
    returned, calling = stepping.returned, program.calling
    lines, operand = _rebuilt(stepping, plain, "%step")
    return "\n".join([
        f"define internal {calling} {plain.returned} @swarm_trampoline.{number}"
        f"(ptr %ctx, i64 %fuel, i32 %depth, i64 %first) {program.abi.attributes} {{",
        "entry:",
        "br label %call",
        "call:",
        "%now = phi i64 [ %first, %entry ], [ %next, %stepped ]",
        "%fuel.now = phi i64 [ %fuel, %entry ], [ %left, %stepped ]",
        *_switch(program, returned, callees),
        f"%next = extractvalue {returned} %step, {stepping.first - 1}",
        f"%left = extractvalue {returned} %step, 0",
        "%more = icmp ne i64 %next, 0",
        "br i1 %more, label %call, label %done",
        "done:",
        *lines,
        f"ret {operand}",
        "}",
    ])  # fmt: skip


def _switch(program: ProgramEmitter, returned: str, callees: Sequence[EntityId]) -> list[str]:
    """A direct call of each function, so that the assembler sees the whole call graph."""
    cases = " ".join(f"i64 {program.numbers[id_] + 1}, label %f{n}"
                     for n, id_ in enumerate(callees))
    lines = [f"switch i64 %now, label %none [ {cases} ]", "none:", "unreachable"]
    for n, id_ in enumerate(callees):
        lines += [
            f"f{n}:",
            f"%r{n} = call {program.calling} {returned} {program.symbol(id_)}.tail"
            "(ptr %ctx, i64 %fuel.now, i32 %depth)",
            "br label %stepped",
        ]
    values = ", ".join(f"[ %r{n}, %f{n} ]" for n in range(len(callees)))
    step = f"phi {returned} {values}" if callees else f"freeze {returned} poison"
    return [*lines, "stepped:", f"%step = {step}"]


def _from_area(program: ProgramEmitter, id_: EntityId) -> str:
    """``@f0.3.tail``: call a function with the arguments in the transfer area, for one step."""
    module = program.module
    sig = module.sig_of(id_)
    type_ = module.types[sig]
    e = FunctionEmitter(program, Function(id_, sig, type_))
    body, convention = program.body_of(id_)
    args = ""
    for param, slot in zip(type_.params, param_slots(type_), strict=True):
        name = e.fresh()
        e.load_state(name, param, e.transfer(slot))
        args += f", {LLVM_TYPES[param]} {name}"
    step = e.assign(
        f"call {program.calling} {convention.returned} {body}"
        f"(ptr %ctx, i64 %fuel, i32 %depth{args})"
    )
    stepping = replace(convention, steps=True)
    operand = f"{stepping.returned} {step}"
    if not convention.steps:
        lines, operand = _rebuilt(convention, stepping, step)
        e.lines += lines
    return "\n".join([
        f"define internal {program.calling} {stepping.returned} {program.symbol(id_)}.tail"
        f"(ptr %ctx, i64 %fuel, i32 %depth) {program.abi.attributes} {{",
        "entry:", *e.prologue(), *e.lines, f"ret {operand}", "}",
    ])  # fmt: skip


def _rebuilt(have: Convention, want: Convention, value: str) -> tuple[list[str], str]:
    """The lines that turn what one convention returns into what another does, and the operand."""
    lines: list[str] = []

    def field(number: int) -> str:
        if not have.is_struct:
            return value
        name = f"%field{number}"
        lines.append(f"{name} = extractvalue {have.returned} {value}, {number}")
        return name

    fuel, exception = field(0), field(1) if have.throws else "0"
    operands = [f"{type_} {field(have.first + n)}" for n, (_, type_) in enumerate(have.results)]
    more, operand = struct(want, fuel, exception, operands,
                           (f"%result{n}" for n in itertools.count()))
    return [*lines, *more], operand

"""Translating a PTX module to LLVM IR for the host."""

from __future__ import annotations

from dataclasses import dataclass

from . import control
from .body import BodyWriter, Parameter, Program, memory_type
from .isa import TABLE
from .module import (
    BranchTargets,
    Call,
    Declaration,
    Function,
    Immediate,
    Instruction,
    Label,
    Prototype,
    PtxError,
    PtxModule,
    Scope,
    Statement,
    Symbol,
)
from .records import Launch, Violation
from .rows import Row, UnknownOpcodeError
from .support import DECLARATIONS
from .writer import Fields


@dataclass(frozen=True, slots=True)
class Translation:
    """LLVM IR of a module, and where its parts are.

    Attributes:
        text: defines ``@"kernel.NAME"`` of each kernel, and the tables ``@ptx_variables``
            (address of each variable) and ``@ptx_hosts`` (code of each external function),
            which whoever loads it fills. It calls :mod:`.support`.
        variables, hosts: names, in the order of the tables.
    """

    text: str
    variables: tuple[str, ...]
    hosts: tuple[str, ...]


def translate(module: PtxModule, triple: str, data_layout: str) -> Translation:
    """Translate a module.

    Raises:
        PtxError: it has something that the stand-in does not know.
    """
    program = Program.of(module)
    functions = module.functions.values()
    hosts = [f for f in functions if f.body is None]
    text = [f'target triple = "{triple}"', f'target datalayout = "{data_layout}"']
    text += [_host_wrapper(function, n) for n, function in enumerate(hosts)]
    text += [_function(program, function) for function in functions if function.body is not None]
    text.append(_code_table(program))
    text.append(f"@ptx_variables = global [{len(module.variables)} x i64] zeroinitializer")
    text.append(f"@ptx_hosts = global [{len(hosts)} x ptr] zeroinitializer")
    text += sorted(program.declarations | set(DECLARATIONS))
    text.append("!0 = !{}")
    return Translation(
        "\n\n".join(text) + "\n", tuple(module.variables), tuple(f.name for f in hosts)
    )


def _code_table(program: Program) -> str:
    """``@ptx_code``: code and signature of every function, by its number."""
    records = []
    for name in program.codes:
        function = program.module.functions[name]
        number = program.signature_number(function.signature)
        records.append(f"{{ ptr, i64 }} {{ ptr {control.symbol(function)}, i64 {number} }}")
    return (
        f"@ptx_code = constant [{len(records)} x {{ ptr, i64 }}] [{', '.join(records)}]\n"
        f"@ptx_code_count = constant i64 {len(records)}"
    )


def _result_type(function: Function) -> str:
    return memory_type(function.returns[0]) if function.returns else "void"


def _host_wrapper(function: Function, number: int) -> str:
    """A function of the host, in the form in which PTX functions are called.

    Raises:
        PtxError: it has parameters that no host function takes.
    """
    for storage in (*function.params, *function.returns):
        if storage.count is not None or storage.size not in (4, 8):
            raise PtxError("a host function cannot have this parameter", line=function.line,
                           text=storage.name)  # fmt: skip
    types = [memory_type(storage) for storage in function.params]
    params = "".join(f", {t} %p{n}" for n, t in enumerate(types))
    result = _result_type(function)
    call = f"call {result} %code({', '.join(f'{t} %p{n}' for n, t in enumerate(types))})"
    lines = [
        f"define internal fastcc {result} {control.symbol(function)}(ptr %thread{params}) {{",
        f"%code.p = getelementptr ptr, ptr @ptx_hosts, i64 {number}",
        "%code = load ptr, ptr %code.p",
        call if result == "void" else f"%result = {call}",
        "ret void" if result == "void" else f"ret {result} %result",
        "}",
    ]
    return "\n".join(lines)


def _function(program: Program, function: Function) -> str:
    w = BodyWriter(program, function)
    body = function.body
    assert body is not None
    w.line_number, w.text = function.line, function.name
    w.labels = control.check_labels([(s.name, s.line) for s in body if isinstance(s, Label)])
    w.line(f"call void @ptx_enter(ptr %thread, i64 {function.line})")
    _declare_parameters(w)
    for storage in function.depots:
        w.reserve(storage)
    for statement in body:
        _statement(w, statement)
    if w.open:
        w.line_number, w.text = function.end, "}"
        w.fail(Violation.RAN_OUT)
    params = "".join(f", {memory_type(p)} %p{n}" for n, p in enumerate(function.params))
    head = f"define internal fastcc {_result_type(function)} {control.symbol(function)}"
    if function.kernel:
        head, params = f'define void @"kernel.{function.name}"', ""
    lines = [f"{head}(ptr %thread{params}) nounwind {{", "entry:", *w.entry,
             "br label %body", "body:", *w.lines, "}"]  # fmt: skip
    return "\n".join(lines)


def _declare_parameters(w: BodyWriter) -> None:
    function = w.function
    if function.kernel:
        args = w.launch_field(Launch.ARGS)
        pointer = w.assign(f"inttoptr i64 {args} to ptr")
        for storage, offset in zip(function.params, argument_offsets(function), strict=True):
            where = w.assign(f"getelementptr i8, ptr {pointer}, i64 {offset}")
            w.scopes[0][storage.name] = Parameter(where, storage, writable=False)
        return
    taken = _taken(function)
    for n, storage in enumerate(function.params):
        local = storage.name in taken
        parameter = w.reserve_parameter(storage) if local else w.declare(storage, writable=False)
        w.line(f"store {memory_type(storage)} %p{n}, ptr {parameter.pointer}")
    for storage in function.returns:
        w.declare(storage)


def _taken(function: Function) -> set[str]:
    """Names of which the function takes the address."""
    return {
        operand.name
        for statement in function.body or ()
        if isinstance(statement, Instruction) and statement.opcode.startswith("mov.")
        for operand in statement.operands
        if isinstance(operand, Symbol)
    }


def argument_offsets(kernel: Function) -> list[int]:
    """Where each parameter of a kernel lies among its arguments."""
    offsets: list[int] = []
    cursor = 0
    for storage in kernel.params:
        cursor = -(-cursor // storage.align) * storage.align
        offsets.append(cursor)
        cursor += storage.size
    return offsets


def _statement(w: BodyWriter, statement: Statement) -> None:
    w.line_number = statement.line
    match statement:
        case Instruction() | Call():
            w.text = statement.text
            _guarded(w, statement)
        case Label(name):
            w.start(control.label(w, name).removeprefix("%"))
        case Declaration(storage):
            w.declare(storage)
        case Scope(opens):
            if opens:
                w.scopes.append({})
            else:
                w.scopes.pop()
        case BranchTargets() | Prototype():
            pass  # the writer has them already: they may stand behind their use


def _guarded(w: BodyWriter, inst: Instruction | Call) -> None:
    """An instruction that may depend on a predicate."""
    if inst.guard is None:
        _instruction(w, inst)
        return
    then, after = w.label(), w.label()
    w.end(f"br i1 {w.guard(inst.guard)}, label %{then}, label %{after}")
    w.start(then)
    _instruction(w, inst)
    w.start(after)


def _instruction(w: BodyWriter, inst: Instruction | Call) -> None:
    if isinstance(inst, Call):
        control.call(w, inst)
        return
    try:
        row, fields = TABLE.find(inst.opcode)
    except UnknownOpcodeError as error:
        raise w.error(str(error)) from None
    if len(inst.operands) not in row.counts:
        expected = " or ".join(map(str, row.counts))
        raise w.error(f"{len(inst.operands)} operands instead of {expected}")
    if row.perform is not None:
        row.perform(w, fields, inst)
    else:
        _compute(w, row, fields, inst)


def _compute(w: BodyWriter, row: Row, fields: Fields, inst: Instruction) -> None:
    places, operands = row.places, inst.operands
    assert places is not None and row.compute is not None
    values = []
    for place, operand in zip(places[1:], operands[1:], strict=True):
        if place.name == "t" and not isinstance(operand, Immediate):
            raise w.error("the last operand must be a constant")
        values.append(w.source(operand, place.type_in(fields), wider=place.wider))
    result = row.compute(w, fields, *values)
    w.set(operands[0], result, places[0].type_in(fields), wider=places[0].wider)

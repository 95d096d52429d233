"""Parsing PTX text: directives and the bodies of functions. Opcodes are judged by :mod:`.isa`."""

from __future__ import annotations

import re

from .module import (
    WIDTHS,
    BranchTargets,
    Call,
    Declaration,
    Function,
    Instruction,
    Label,
    Negated,
    Prototype,
    PtxError,
    PtxModule,
    Register,
    Scope,
    Space,
    Statement,
    Storage,
    Symbol,
    Variable,
    signature,
)
from .operands import OperandParser, parse_number, split_list
from .statements import Kind, statements
from .statements import Statement as Text

_NAME = r"[A-Za-z_$][\w$]*"
_VERSION = re.compile(r"\.version (\d+)\.(\d+)")
_TARGET = re.compile(r"\.target (sm_\d+[af]?)")
_HEADER = re.compile(
    rf"(?:\.(?:visible|extern|weak) )?\.(func|entry) ?(?:\(([^)]*)\) ?)?({_NAME}) ?"
    r"\(([^)]*)\) ?(.*)"
)
_PARAM = re.compile(
    r"\.param (?:\.align (\d+) )?\.(\w+) (?:\.ptr (?:\.(?:global|const|local) )?(?:\.align \d+ )?)?"
    rf"({_NAME})(?: ?\[(\d+)\])?"
)
_REGISTERS = re.compile(r"\.reg \.(\w+) (.*)")
_REGISTER = re.compile(r"(%[A-Za-z_$][\w$]*)(?:<(\d+)>)?")
_LOCAL = re.compile(rf"\.local (?:\.align (\d+) )?\.(\w+) ({_NAME}) ?\[(\d+)\]")
_VARIABLE = re.compile(
    rf"(?:\.(?:visible|extern|weak) )?\.(global|const) (?:\.align (\d+) )?\.(\w+) ({_NAME})"
    r" ?(?:\[(\d+)\])? ?(?:= ?(.*))?"
)
_GENERIC = re.compile(rf"generic\(({_NAME})\)|({_NAME})")
_INSTRUCTION = re.compile(r"(?:@(!?) ?(%[\w$]+) )?([a-z][\w.:]*) ?(.*)")
_CALL = re.compile(
    rf"(?:\(([^)]*)\) ?, ?)?(%?{_NAME})(?: ?, ?\(([^)]*)\))?(?: ?, ?({_NAME}))?"
)
_PROTOTYPE = re.compile(r"\.callprototype ?(?:\(([^)]*)\) ?)?_ ?\(([^)]*)\) ?(?:\.noreturn)?")
#: What may follow a header. None of it changes what a thread computes.
_HEADER_DIRECTIVES = re.compile(
    r"(?: ?\.noreturn| ?\.(?:maxntid|minnctapersm|maxnreg) \d+(?:, ?\d+)*)*"
)


def parse(text: str) -> PtxModule:
    """Parse a module.

    Raises:
        PtxError: the text has something that the stand-in does not know.
    """
    return _Parser().module(text)


class _Parser:
    def __init__(self) -> None:
        self._operands = OperandParser()
        self._version: tuple[int, int] | None = None
        self._target: str | None = None
        self._functions: dict[str, Function] = {}
        self._variables: dict[str, Variable] = {}

    def module(self, text: str) -> PtxModule:
        body: _Body | None = None
        last = Text(Kind.OPEN, "", 1)
        for statement in statements(text):
            last = statement
            if body is not None:
                if body.take(statement):
                    self._add(body.function())
                    body = None
            elif statement.kind is Kind.HEADER:
                header = _header(statement)
                if statement.declares:
                    self._functions.setdefault(header.name, header)
                else:
                    body = _Body(header, self._operands)
            elif statement.kind is Kind.DIRECTIVE:
                self._directive(statement)
            else:
                raise PtxError("this stands outside functions", line=statement.line,
                               text=statement.text)  # fmt: skip
        if body is not None:
            raise PtxError("the body of a function has no end", line=last.line)
        if self._version is None or self._target is None:
            raise PtxError("the module does not say its .version and .target", line=1)
        return PtxModule(self._version, self._target, self._functions, self._variables)

    def _add(self, function: Function) -> None:
        known = self._functions.get(function.name)
        if known is not None:
            if known.body is not None:
                raise PtxError("a second definition", line=function.line, text=function.name)
            if known.signature != function.signature:
                raise PtxError("it was declared otherwise", line=function.line, text=function.name)
        self._functions[function.name] = function

    def _directive(self, statement: Text) -> None:
        text, line = statement.text, statement.line
        version, target = _VERSION.fullmatch(text), _TARGET.fullmatch(text)
        variable = _VARIABLE.fullmatch(text)
        if version:
            self._version = (int(version[1]), int(version[2]))
        elif target:
            self._target = target[1]
        elif variable:
            self._add_variable(variable, line, extern=text.startswith(".extern"))
        elif text != ".address_size 64":
            raise PtxError("unknown directive", line=line, text=text)

    def _add_variable(self, match: re.Match[str], line: int, *, extern: bool) -> None:
        space, align, type_, name, count, initial = match.groups()
        if name in self._variables or extern:
            why = "variables of other modules are not known" if extern else "a second definition"
            raise PtxError(why, line=line, text=name)
        storage = _storage(name, type_, count, align, line)
        items = split_list(initial.strip("{} ")) if initial else []
        if len(items) > (storage.count or 1):
            raise PtxError("more initial values than elements", line=line, text=name)
        values = tuple([_initial(item, line) for item in items])
        self._variables[name] = Variable(Space(space), storage, values, line)


def _initial(text: str, line: int) -> int | Symbol:
    number = parse_number(text)
    if number is not None:
        return number.value
    match = _GENERIC.fullmatch(text)
    if not match:
        raise PtxError("unknown initial value", line=line, text=text)
    return Symbol(match[1] or match[2])


def _storage(name: str, type_: str, count: str | None, align: str | None, line: int) -> Storage:
    width = WIDTHS.get(type_, 0)
    if width < 8:
        raise PtxError("nothing can have this type", line=line, text=f".{type_}")
    return Storage(name, type_, int(count) if count else None, int(align or width // 8))


def _param(text: str, line: int) -> Storage:
    match = _PARAM.fullmatch(text)
    if not match:
        raise PtxError("unknown form of parameter", line=line, text=text)
    align, type_, name, count = match.groups()
    return _storage(name, type_, count, align, line)


def _params(text: str | None, line: int) -> tuple[Storage, ...]:
    return tuple([_param(part, line) for part in split_list(text or "")])


def _header(statement: Text) -> Function:
    line = statement.line
    match = _HEADER.fullmatch(statement.text)
    if not match or not _HEADER_DIRECTIVES.fullmatch(match[5]):
        raise PtxError("unknown form of function header", line=line, text=statement.text)
    kind, returns, name, params = match.group(1, 2, 3, 4)
    results = _params(returns, line)
    if len(results) > 1:
        raise PtxError("functions with several results are not known", line=line, text=name)
    return Function(
        name, kind == "entry", line, results, _params(params, line), {}, (), None
    )


class _Body:
    """The body of one function while it is read."""

    def __init__(self, header: Function, operands: OperandParser) -> None:
        self._header = header
        self._operands = operands
        self._registers: dict[str, tuple[str, int | None]] = {}
        self._depots: list[Storage] = []
        self._statements: list[Statement] = []
        self._depth = 0
        self._label = ""
        self._end = header.line

    def function(self) -> Function:
        header = self._header
        return Function(
            header.name, header.kernel, header.line, header.returns, header.params,
            self._registers, tuple(self._depots), tuple(self._statements), self._end,
        )  # fmt: skip

    def take(self, statement: Text) -> bool:
        """Add a statement; whether it ends the body."""
        line, self._end = statement.line, statement.line
        match statement.kind:
            case Kind.OPEN:
                self._depth += 1
                if self._depth > 1:
                    self._statements.append(Scope(True, line))
            case Kind.CLOSE:
                self._depth -= 1
                if self._depth == 0:
                    return True
                self._statements.append(Scope(False, line))
            case Kind.LABEL:
                self._label = statement.text
                self._statements.append(Label(statement.text, line))
            case Kind.DIRECTIVE:
                self._directive(statement.text, line)
            case Kind.INSTRUCTION:
                self._statements.append(self._instruction(statement.text, line))
            case Kind.HEADER:
                raise PtxError("a function inside a function", line=line, text=statement.text)
        return False

    def _directive(self, text: str, line: int) -> None:
        name = text.split(" ", 1)[0]
        if name == ".reg":
            self._declare_registers(text, line)
        elif name == ".param":
            self._statements.append(Declaration(_param(text, line), line))
        elif name == ".local":
            match = _LOCAL.fullmatch(text)
            if not match:
                raise PtxError("unknown form of local array", line=line, text=text)
            align, type_, array, count = match.groups()
            self._depots.append(_storage(array, type_, count, align, line))
        elif name == ".branchtargets":
            labels = tuple(split_list(text.removeprefix(name)))
            self._statements[-1] = BranchTargets(self._named(text, line), labels, line)
        elif name == ".callprototype":
            prototype = _PROTOTYPE.fullmatch(text)
            if not prototype:
                raise PtxError("unknown form of prototype", line=line, text=text)
            shape = signature(_params(prototype[1], line), _params(prototype[2], line))
            self._statements[-1] = Prototype(self._named(text, line), shape, line)
        elif text != '.pragma "nounroll"':  # which concerns nobody but ptxas
            raise PtxError("unknown directive", line=line, text=text)

    def _named(self, text: str, line: int) -> str:
        """Name of a directive that needs a label before it, which is no place to branch to."""
        if not self._statements or not isinstance(self._statements[-1], Label):
            raise PtxError("this directive needs a name", line=line, text=text)
        return self._label

    def _declare_registers(self, text: str, line: int) -> None:
        match = _REGISTERS.fullmatch(text)
        if not match or match[1] not in WIDTHS:
            raise PtxError("unknown form of register", line=line, text=text)
        for part in split_list(match[2]):
            register = _REGISTER.fullmatch(part)
            if not register or self._depth != 1:
                raise PtxError("unknown form of register", line=line, text=text)
            count = int(register[2]) if register[2] else None
            self._registers[register[1]] = (match[1], count)

    def _instruction(self, text: str, line: int) -> Instruction | Call:
        match = _INSTRUCTION.fullmatch(text)
        if not match:
            raise PtxError("this is no instruction", line=line, text=text)
        negated, predicate, opcode, rest = match.groups()
        guard: Register | Negated | None = None
        if predicate:
            guard = self._operands.register(predicate, line)
            guard = Negated(guard) if negated else guard
        if opcode in ("call", "call.uni"):
            return self._call(rest, text, line, guard)
        return Instruction(line, text, opcode, self._operands.parse_all(rest, line), guard)

    def _call(self, rest: str, text: str, line: int, guard: Register | Negated | None) -> Call:
        match = _CALL.fullmatch(rest)
        if not match:
            raise PtxError("unknown form of call", line=line, text=text)
        results, callee, args, prototype = match.groups()
        target = self._operands.parse(callee, line)
        assert isinstance(target, Register | Symbol)
        return Call(
            line, text, target, tuple(split_list(results or "")), tuple(split_list(args or "")),
            prototype, guard,
        )  # fmt: skip

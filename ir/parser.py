"""IR text to IR: the inverse of :mod:`~.printer`. The grammar is in docs/ir.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..errors import IRError
from .body_parser import BodyParser
from .function import Function
from .module import (
    DataSegment,
    ElemSegment,
    Export,
    FuncInit,
    Global,
    HostFunction,
    Memory,
    Module,
    Table,
    Tag,
)
from .text import Cursor, parse_const
from .types import EntityId, FuncType, Type


def parse_module(text: str) -> Module:
    """Read a whole program; it is not verified.

    Raises:
        IRError: the text is no IR; it names the line.
    """
    module = Module()
    _parse_into(module, text)
    return module


def parse_function(text: str, module: Module | None = None) -> Function:
    """Read the one function of a text, which may have header lines of its own.

    Args:
        module: the program that it joins; None: an empty one.
    """
    module = Module() if module is None else module
    functions = _parse_into(module, text)
    if len(functions) != 1:
        raise IRError(f"expected one function, found {len(functions)}")
    return functions[0]


def _parse_into(module: Module, text: str) -> list[Function]:
    """Add what the text says to a module; the functions that it added."""
    bodies: list[list[Cursor]] = []
    heads: list[Cursor] = []
    others: list[Cursor] = []
    lines = (Cursor(line, n) for n, line in enumerate(text.split("\n"), 1))
    for cursor in (cursor for cursor in lines if cursor.tokens):
        if cursor.peek() == "type":
            cursor.take()
            _type(module, cursor)
        elif cursor.accept("function"):
            heads.append(cursor)
            bodies.append(_body_lines(cursor, lines))
        else:
            others.append(cursor)
    for cursor in others:
        keyword = cursor.take()
        if keyword not in _ENTITIES:
            cursor.fail(f"unknown entity '{keyword}'")
        _ENTITIES[keyword](module, cursor)
        cursor.end()
    # A body needs the signatures of all functions, so heads come first.
    functions = [_function_head(module, cursor) for cursor in heads]
    for function, body in zip(functions, bodies, strict=True):
        BodyParser(module, function).parse(body)
    return functions


def _body_lines(head: Cursor, lines: Iterable[Cursor]) -> list[Cursor]:
    body: list[Cursor] = []
    for cursor in lines:
        if cursor.tokens == ["}"]:
            return body
        if cursor.tokens:
            body.append(cursor)
    head.fail("the function has no closing brace")


# Entities. Each function gets the cursor behind the keyword.


def _func_type(cursor: Cursor) -> FuncType:
    params = cursor.types()
    cursor.expect("->")
    return FuncType(params, cursor.types())


def _signature(module: Module, cursor: Cursor) -> tuple[int, FuncType]:
    """``sig=N``, or a type, or both, which must agree; a type alone is interned."""
    sig: int | None = None
    if cursor.accept("sig"):
        cursor.expect("=")
        sig = cursor.natural("a signature")
        if sig >= len(module.types):
            cursor.fail(f"there is no type {sig}")
        if cursor.peek() != "(":
            return sig, module.types[sig]
    type_ = _func_type(cursor)
    if sig is None:
        return module.intern(type_), type_
    if module.types[sig] != type_:
        cursor.fail(f"type {sig} is {module.types[sig]}")
    return sig, type_


def _new(cursor: Cursor, what: str, *taken: Iterable[EntityId]) -> EntityId:
    id_ = cursor.entity()
    if any(id_ in ids for ids in taken):
        cursor.fail(f"{what} {id_} is there already")
    return id_


def _new_function(module: Module, cursor: Cursor) -> EntityId:
    return _new(cursor, "function", module.functions, module.host_functions, module.removed)


def _number(cursor: Cursor, name: str, default: int | None = None) -> int | None:
    """``name=N``, or the default."""
    if not cursor.accept(name):
        return default
    cursor.expect("=")
    return cursor.natural(name)


def _limits(cursor: Cursor) -> tuple[int, int | None, Type]:
    cursor.expect("min")
    cursor.expect("=")
    minimum = cursor.natural("min")
    maximum = _number(cursor, "max")
    index_type = Type.I32
    if cursor.accept("index"):
        cursor.expect("=")
        index_type = cursor.type()
    return minimum, maximum, index_type


def _init(cursor: Cursor, type_: Type) -> int | FuncInit:
    if cursor.accept("func"):
        return FuncInit(cursor.entity())
    return parse_const(cursor, type_)


def _type(module: Module, cursor: Cursor) -> None:
    index = cursor.natural("a type's number")
    if index != len(module.types):
        cursor.fail(f"type {len(module.types)} comes next, not {index}")
    cursor.expect("=")
    module.types.append(_func_type(cursor))
    if cursor.accept("sub"):
        module.supertypes[index] = cursor.natural("a type's number")
    cursor.end()


def _object(module: Module, cursor: Cursor) -> None:
    index = cursor.natural("a type's number")
    if index != len(module.objects):
        cursor.fail(f"object {len(module.objects)} comes next, not {index}")
    module.objects.append(cursor.natural("a type's number") if cursor.accept("sub") else None)


def _memory(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "memory", module.memories)
    module.memories[id_] = Memory(id_, *_limits(cursor))


def _global(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "global", module.globals)
    mutable = cursor.accept("mut")
    type_ = cursor.type()
    cursor.expect("=")
    module.globals[id_] = Global(id_, type_, mutable, _init(cursor, type_))


def _table(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "table", module.tables)
    type_ = cursor.type()
    limits = _limits(cursor)
    init = _init(cursor, type_) if cursor.accept("=") else 0
    module.tables[id_] = Table(id_, type_, *limits, init)


def _place(cursor: Cursor) -> tuple[EntityId | None, int]:
    """Where an active segment goes."""
    if not cursor.accept("active"):
        return None, 0
    return cursor.entity(), _number(cursor, "offset", 0) or 0


def _data(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "data segment", module.data)
    memory, offset = _place(cursor)
    data = cursor.bytes()
    references = []
    while cursor.peek():
        place = cursor.natural("a place")
        cursor.expect("=")
        cursor.expect("func")
        references.append((place, cursor.entity()))
    module.data[id_] = DataSegment(id_, data, memory, offset, tuple(references))


def _elem(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "element segment", module.elems)
    table, offset = _place(cursor)
    declarative = cursor.accept("declarative")
    type_ = cursor.type()
    cursor.expect("[")
    items: list[int | FuncInit] = []
    while not cursor.accept("]"):
        if items:
            cursor.expect(",")
        items.append(_init(cursor, type_))
    module.elems[id_] = ElemSegment(id_, type_, tuple(items), table, offset, declarative)


def _host(module: Module, cursor: Cursor) -> None:
    id_ = _new_function(module, cursor)
    missing = cursor.accept("missing")
    signature = _signature(module, cursor)
    names = cursor.string(), cursor.string()
    module.host_functions[id_] = HostFunction(id_, *signature, *names, missing)


def _tag(module: Module, cursor: Cursor) -> None:
    id_ = _new(cursor, "tag", module.tags)
    cursor.expect("sig")
    cursor.expect("=")
    sig = cursor.natural("a type's number")
    module.tags[id_] = Tag(id_, sig, len(module.tags))


def _removed(module: Module, cursor: Cursor) -> None:
    id_ = _new_function(module, cursor)
    module.removed[id_], _ = _signature(module, cursor)


def _export(module: Module, cursor: Cursor) -> None:
    name = cursor.string()
    kind = cursor.take("a kind")
    if kind not in ("func", "memory", "global", "table", "tag"):
        cursor.fail(f"unknown kind of export '{kind}'")
    id_ = cursor.entity()
    nonnull = []
    if cursor.accept("nonnull"):
        nonnull = [cursor.natural("a place")]
        while cursor.peek():
            nonnull.append(cursor.natural("a place"))
    module.exports.append(Export(name, kind, id_, tuple(nonnull)))


def _start(module: Module, cursor: Cursor) -> None:
    module.starts.append(cursor.entity())


_ENTITIES: dict[str, Callable[[Module, Cursor], None]] = {
    "object": _object,
    "memory": _memory,
    "global": _global,
    "table": _table,
    "data": _data,
    "elem": _elem,
    "host": _host,
    "tag": _tag,
    "removed": _removed,
    "export": _export,
    "start": _start,
}


def _function_head(module: Module, cursor: Cursor) -> Function:
    id_ = _new_function(module, cursor)
    sig, type_ = _signature(module, cursor)
    units = _number(cursor, "units", 1)
    assert units is not None
    name = cursor.string() if cursor.peek().startswith('"') else ""
    function = Function(id_, sig, type_, units=units, name=name, loc=cursor.location())
    cursor.expect("{")
    cursor.end()
    module.functions[id_] = function
    return function

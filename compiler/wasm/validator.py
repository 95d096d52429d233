"""Validates a module: the specification's rules for modules, with its suite's messages."""

from __future__ import annotations

from ...errors import SwarmcError, ValidationError
from ...ir.types import Type
from .features import EXTENDED_CONST, GC
from .items import FunctionItems
from .limits import (
    MAX_FIELDS,
    MAX_LOCALS,
    MAX_MEMORIES,
    MAX_PARAMS,
    MAX_SUBTYPING_DEPTH,
    MAX_TABLES,
    check_limit,
)
from .module import (
    Body,
    Data,
    Elem,
    Export,
    Func,
    GlobalType,
    Limits,
    Module,
)
from .opcodes import BY_NAME, EXTENDED_CONSTANT
from .operands import Context, mismatch, unknown
from .rules import check_body
from .types import (
    SOME_FUNCTION,
    DefType,
    FuncType,
    Heap,
    StructType,
    ValueType,
    composite_matches,
    is_defaultable,
    matches,
)

#: By type of the addresses: most pages of a memory, most elements of a table, and how the
#: specification says so.
_PAGES = {Type.I32: (2**16, "memory size must be at most 65536 pages (4GiB)"),
          Type.I64: (2**48, "memory size must be at most 2^48 pages")}
_ELEMENTS = {Type.I32: (2**32 - 1, "table size must be at most 2^32-1"),
             Type.I64: (2**64 - 1, "table size must be at most 2^64-1")}

_GLOBAL_GET, _REF_FUNC, _END = BY_NAME["global.get"], BY_NAME["ref.func"], BY_NAME["end"]
_CONSTANT = frozenset(BY_NAME[name] for name in (
    "i32.const", "i64.const", "f32.const", "f64.const", "v128.const", "ref.null", "ref.func",
    "global.get", "end", "struct.new", "struct.new_default", "array.new", "array.new_default",
    "array.new_fixed", "ref.i31", "any.convert_extern", "extern.convert_any"))


def validate(module: Module) -> None:
    """Check that a decoded module is valid.

    Raises:
        ValidationError: it is not; with the byte offset, and the function if it is in one.
        UnsupportedFeatureError: it would be with a proposal that is not among its features.
    """
    _types(module.types)
    context = _context(module)
    for table in context.tables:
        _limits(table.limits, *_ELEMENTS[table.limits.index_type])
    for own in module.tables:
        if own.init is not None:
            _constant(context, own.init, own.type.element)
        elif not is_defaultable(own.type.element):
            raise mismatch("an initial value", own.type.element)
    check_limit(len(context.tables), MAX_TABLES, "tables")
    check_limit(len(context.memories), MAX_MEMORIES, "memories")
    _memories(module)
    for global_ in module.globals:
        _constant(context, global_.init, global_.type.type)
        if GC in module.features:
            context.visible_globals += 1
    for elem in module.elems:
        _elem(context, elem)
    for data in module.data:
        _data(context, data)
    if module.start is not None:
        _start(context, module.start)
    _exports(context, module.exports)
    context.visible_globals = len(context.globals)
    first = len(context.funcs) - len(module.funcs)
    for index, func in enumerate(module.funcs, first):
        try:
            _func(context, func)
        except SwarmcError as error:
            error.function = module.function_name(index)
            raise


def _types(types: list[DefType]) -> None:
    depths: dict[DefType, int] = {}
    for type_ in types:
        match type_.composite:
            case FuncType(params, results):
                check_limit(len(params), MAX_PARAMS, "parameters")
                check_limit(len(results), MAX_PARAMS, "results")
            case StructType(fields):
                check_limit(len(fields), MAX_FIELDS, "fields")
        depths[type_] = 0 if type_.supertype is None else depths[type_.supertype] + 1
        if depths[type_] > MAX_SUBTYPING_DEPTH:
            raise ValidationError(f"sub type below more than {MAX_SUBTYPING_DEPTH} others")
    for index, type_ in enumerate(types):
        above = type_.supertype
        if above is None:
            continue
        problem = f"sub type {index} does not match super type"
        if above.final:
            raise ValidationError(f"{problem}, which is final")
        if not composite_matches(type_.composite, above.composite):
            raise ValidationError(f"{problem} ({above})")


def _context(module: Module) -> Context:
    funcs: list[DefType] = []
    globals_: list[GlobalType] = []
    for item in module.imports:
        match item.type:
            case int():
                funcs.append(_type(module, item.type, item.offset))
            case GlobalType():
                globals_.append(item.type)
            case _:
                pass
    starts = [func.start for func in module.funcs]
    funcs += [_type(module, index, start)
              for index, start in zip(module.func_types, starts, strict=True)]
    memories = [memory.limits.index_type for memory in module.memory_types()]
    imported = len(globals_)
    globals_ += [item.type for item in module.globals]
    return Context(module.features, module.types, funcs, module.table_types(), memories, globals_,
                   [elem.type for elem in module.elems], len(module.data),
                   _references(module), imported, _tags(module))


def _type(module: Module, index: int, offset: int) -> DefType:
    """The type of a function."""
    if index >= len(module.types):
        raise ValidationError(f"unknown type {index}", offset=offset)
    type_ = module.types[index]
    if type_.kind is not Heap.FUNC:
        raise ValidationError(f"type mismatch: type {index} is no function type", offset=offset)
    return type_


def _tags(module: Module) -> list[tuple[ValueType, ...]]:
    """What exceptions with each tag carry."""
    found = []
    for tag in module.tag_types():
        type_ = _type(module, tag.type_index, tag.offset).composite
        assert isinstance(type_, FuncType), "that was asked"
        if type_.results:
            raise ValidationError("non-empty tag result type", offset=tag.offset)
        found.append(type_.params)
    return found


def _references(module: Module) -> set[int]:
    """Functions named outside the bodies of functions: those that bodies may refer to."""
    found = {export.index for export in module.exports if export.kind == "func"}
    bodies = [item.init for item in module.globals]
    bodies += [item.init for item in module.tables if item.init is not None]
    for elem in module.elems:
        if isinstance(elem.items, FunctionItems):
            found.update(elem.items.indices)
        else:
            bodies += elem.items
    for body in bodies:
        for row, imm in zip(body.ops, body.imms, strict=True):
            if row is _REF_FUNC:
                found.add(imm)
    return found


def _limits(limits: Limits, bound: int, message: str) -> None:
    if limits.minimum > bound or (limits.maximum is not None and limits.maximum > bound):
        raise ValidationError(message)
    if limits.maximum is not None and limits.maximum < limits.minimum:
        raise ValidationError("size minimum must not be greater than maximum")


def _memories(module: Module) -> None:
    for memory in module.memory_types():
        _limits(memory.limits, *_PAGES[memory.limits.index_type])


def _constant(context: Context, body: Body, type_: ValueType) -> None:
    """Check a constant expression that gives a value of a type."""
    if len(body.ops) == 2 and body.ops[0] is _REF_FUNC and (
            type_ is SOME_FUNCTION or type_ is Type.FUNCREF):
        if body.imms[0] >= len(context.funcs):  # the short way, as tables are long
            error = unknown("function", body.imms[0])
            error.offset = body.offsets[0]
            raise error
        return
    for row, offset in zip(body.ops, body.offsets, strict=True):
        if row in EXTENDED_CONSTANT:
            context.features.require(EXTENDED_CONST, "constant expression required", offset)
        elif row not in _CONSTANT:
            raise ValidationError("constant expression required", offset=offset)
    check_body(context, [], 0, (type_,), body)
    for row, imm, offset in zip(body.ops, body.imms, body.offsets, strict=True):
        if row is _GLOBAL_GET and context.globals[imm].mutable:
            raise ValidationError("constant expression required", offset=offset)


def _elem(context: Context, elem: Elem) -> None:
    if not isinstance(elem.items, FunctionItems):
        for item in elem.items:
            _constant(context, item, elem.type)
    elif max(elem.items.indices, default=0) >= len(context.funcs):
        _unknown_function(context, elem.items)
    if elem.init_offset is None:
        return
    if elem.table >= len(context.tables):
        raise ValidationError(f"unknown table {elem.table}", offset=elem.offset)
    element, limits = context.tables[elem.table].element, context.tables[elem.table].limits
    if not matches(elem.type, element):
        error = mismatch(element.value, elem.type)
        error.offset = elem.offset
        raise error
    _constant(context, elem.init_offset, limits.index_type)


def _unknown_function(context: Context, items: FunctionItems) -> None:
    """Raise the error for the first function that there is not, if there is one."""
    for index, offset in zip(items.indices, items.offsets, strict=True):
        if index >= len(context.funcs):
            error = unknown("function", index)
            error.offset = offset
            raise error


def _data(context: Context, data: Data) -> None:
    if data.init_offset is None:
        return
    if data.memory >= len(context.memories):
        raise ValidationError(f"unknown memory {data.memory}", offset=data.offset)
    _constant(context, data.init_offset, context.memories[data.memory])


def _start(context: Context, index: int) -> None:
    if index >= len(context.funcs):
        raise unknown("function", index)
    if context.funcs[index].composite != FuncType((), ()):
        raise ValidationError("start function must have no parameters and no results")


def _exports(context: Context, exports: list[Export]) -> None:
    counts = {"func": len(context.funcs), "table": len(context.tables),
              "memory": len(context.memories), "global": len(context.globals),
              "tag": len(context.tags)}
    names: set[str] = set()
    for export in exports:
        if export.index >= counts[export.kind]:
            what = "function" if export.kind == "func" else export.kind
            raise ValidationError(f"unknown {what} {export.index}", offset=export.offset)
        if export.name in names:
            raise ValidationError(f"duplicate export name {export.name!r}",
                                  offset=export.offset)
        names.add(export.name)


def _func(context: Context, func: Func) -> None:
    type_ = context.types[func.type_index].composite
    assert isinstance(type_, FuncType), "the index space of functions has been made"
    params, results = type_
    check_limit(sum(count for count, _ in func.locals), MAX_LOCALS, "locals", func.start)
    locals_ = [*((1, param) for param in params), *func.locals]
    check_body(context, locals_, len(params), results, func.body)

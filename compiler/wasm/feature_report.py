"""Says which proposals beyond WebAssembly 1.0 a module uses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from ...ir.types import Type
from .features import (
    BULK_MEMORY,
    EXCEPTIONS,
    EXTENDED_CONST,
    FUNCTION_REFERENCES,
    GC,
    MEMORY64,
    MULTI_MEMORY,
    MULTI_VALUE,
    MUTABLE_GLOBALS,
    MVP,
    REFERENCE_TYPES,
    SIMD,
    WEBASSEMBLY_3,
)
from .items import FunctionItems
from .module import Body, GlobalType, Module
from .opcodes import BY_NAME, EXTENDED_CONSTANT, OPCODES, Imm
from .types import (
    ArrayType,
    DefType,
    FuncType,
    Heap,
    RefType,
    StructType,
    ValueType,
    heap_type,
    is_nullable,
)

_BLOCKS = frozenset((BY_NAME["block"], BY_NAME["loop"], BY_NAME["if"]))
_GLOBAL_GET = BY_NAME["global.get"]
#: Instructions that name value types.
_TYPED = frozenset(row for row in OPCODES
                   if row.imm in (Imm.BLOCK, Imm.SELECT_TYPES, Imm.REF_TYPE, Imm.NON_NULL_TYPE,
                                  Imm.NULLABLE_TYPE))


def module_features(module: Module) -> list[str]:
    """Names of the proposals that a module's opcodes, types and sections belong to."""
    found = {row.proposal for row in chain.from_iterable(
        set(body.ops) for body in _bodies(module))} - {MVP}
    if _uses_multi_value(module):
        found.add(MULTI_VALUE)
    modes = [data.mode for data in module.data] + [elem.mode for elem in module.elems]
    if module.data_count is not None or set(modes) - {"active"}:
        found.add(BULK_MEMORY)
    if any(not EXTENDED_CONSTANT.isdisjoint(body.ops) for body in _constants(module)):
        found.add(EXTENDED_CONST)
    imported = len(module.imported("global"))
    if any(row is _GLOBAL_GET and imm >= imported for body in _constants(module)
           for row, imm in zip(body.ops, body.imms, strict=True)):
        found.add(GC)
    if _uses_references(module):
        found.add(REFERENCE_TYPES)
    for type_ in set(_all_types(module)):
        found |= _type_features(type_)
    if any(item.init is not None for item in module.tables):
        found.add(FUNCTION_REFERENCES)
    if any(not isinstance(type_.composite, FuncType) or len(type_.group) > 1 or not type_.final
           or type_.supertype is not None for type_ in module.types):
        found.add(GC)
    if module.tag_types():
        found.add(EXCEPTIONS)
    if _shares_mutable_global(module):
        found.add(MUTABLE_GLOBALS)
    limits = [memory.limits for memory in module.memory_types()]
    if len(limits) > 1:
        found.add(MULTI_MEMORY)
    limits += [table.limits for table in module.table_types()]
    if any(item.index_type is Type.I64 for item in limits):
        found.add(MEMORY64)
    return [feature for feature in WEBASSEMBLY_3 if feature in found]


def _bodies(module: Module) -> Iterator[Body]:
    for func in module.funcs:
        yield func.body
    for elem in module.elems:
        if not isinstance(elem.items, FunctionItems):  # which are older than `ref.func`
            yield from elem.items


def _constants(module: Module) -> Iterator[Body]:
    """All constant expressions."""
    yield from (item.init for item in module.globals)
    yield from (item.init for item in module.tables if item.init is not None)
    offsets = chain((item.init_offset for item in module.elems),
                    (item.init_offset for item in module.data))
    yield from (offset for offset in offsets if offset is not None)
    yield from chain.from_iterable(elem.items for elem in module.elems
                                   if not isinstance(elem.items, FunctionItems))


def _uses_multi_value(module: Module) -> bool:
    return any(isinstance(type_.composite, FuncType) and len(type_.composite.results) > 1
               for type_ in module.types) or any(
        row in _BLOCKS and not isinstance(imm, FuncType)
        for func in module.funcs if not _BLOCKS.isdisjoint(func.body.ops)
        for row, imm in zip(func.body.ops, func.body.imms, strict=True))


def _uses_references(module: Module) -> bool:
    tables = module.table_types()
    return len(tables) > 1 or any(table.element is Type.EXTERNREF for table in tables) or any(
        type_.is_ref for type_ in _value_types(module))


def _type_features(type_: ValueType) -> set[str]:
    """Proposals without which there is no such type; `funcref` is as old as the table."""
    if type_ is Type.V128:
        return {SIMD}
    if not type_.is_ref:
        return set()
    heap = heap_type(type_)
    defined = isinstance(heap, DefType)
    found = set() if is_nullable(type_) and not defined else {FUNCTION_REFERENCES}
    kind = heap.kind if isinstance(heap, DefType) else heap
    if kind in (Heap.EXN, Heap.NOEXN):
        found.add(EXCEPTIONS)
    elif kind not in (Heap.FUNC, Heap.EXTERN):
        found.add(GC)
    return found


def _all_types(module: Module) -> Iterator[ValueType]:
    """Value types, those of fields and tables, and those that instructions name."""
    yield from _value_types(module)
    for body in chain((func.body for func in module.funcs), _constants(module)):
        if not _TYPED.isdisjoint(body.ops):
            yield from _named(body)
    yield from (table.element for table in module.table_types())
    for type_ in module.types:
        match type_.composite:
            case StructType(fields):
                yield from (field.value for field in fields)
            case ArrayType(element):
                yield element.value


def _named(body: Body) -> Iterator[ValueType]:
    for row, imm in zip(body.ops, body.imms, strict=True):
        if row in _TYPED:
            match imm:
                case FuncType(params, results):
                    yield from (*params, *results)
                case tuple():
                    yield from imm
                case Type() | RefType():
                    yield imm


def _value_types(module: Module) -> Iterator[ValueType]:
    """Types of parameters, results, globals and locals."""
    return chain(
        chain.from_iterable(chain(*type_.composite) for type_ in module.types
                            if isinstance(type_.composite, FuncType)),
        (item.type.type for item in module.imports if isinstance(item.type, GlobalType)),
        (item.type.type for item in module.globals),
        (type_ for func in module.funcs for _, type_ in func.locals))


def _shares_mutable_global(module: Module) -> bool:
    imported = [item.type for item in module.imports if isinstance(item.type, GlobalType)]
    globals_ = imported + [item.type for item in module.globals]
    return any(type_.mutable for type_ in imported) or any(
        export.kind == "global" and globals_[export.index].mutable for export in module.exports)

"""Decodes a module's interface: its types, imports and exports, which are quick to know.

It needs no table of instructions, so that a program that is compiled already starts quickly.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import DecodeError, SwarmcError, ValidationError
from .features import EXCEPTIONS, GC, MULTI_MEMORY, SUPPORTED, FeatureSet
from .limits import MAX_EXPORTS, MAX_FUNCTIONS, MAX_IMPORTS, MAX_TYPES, check_limit
from .module import Export, GlobalType, Import, MemoryType, Module, TableType, TagType
from .reader import Reader, Scope
from .type_reader import (
    global_type,
    memory_type,
    mutability,
    result_type,
    table_type,
    value_type,
)
from .types import (
    ArrayType,
    CompositeType,
    DefType,
    FieldType,
    FuncType,
    Packed,
    StructType,
    canonical,
)

_MAGIC = b"\0asm"
_VERSION = b"\1\0\0\0"
_COMPONENT = b"\x0d\0\1\0"
_KINDS = ("func", "table", "memory", "global", "tag")
_TAG = 4

# What begins an entry of the type section.
_GROUP, _FINAL, _OPEN, _ARRAY, _STRUCT, _FUNC, _CONT = 0x4E, 0x4F, 0x50, 0x5E, 0x5F, 0x60, 0x5D
_PACKED = {0x78: Packed.I8, 0x77: Packed.I16}


def after_header(data: bytes, features: FeatureSet) -> Reader:
    """A reader of the sections of a module that may use some features.

    Raises:
        DecodeError: the bytes do not start as a module does.
        UnsupportedFeatureError: they start as a component does.
    """
    if len(data) >= 4 and data[:4] != _MAGIC:
        raise DecodeError("magic header not detected", offset=0)
    if len(data) < 8:
        raise DecodeError("unexpected end", offset=len(data))
    if data[4:8] == _COMPONENT:
        raise features.refusal("component-model", "unknown binary version", 4)
    if data[4:8] != _VERSION:
        raise DecodeError("unknown binary version", offset=4)
    return Reader(data, 8, Scope(features))


def decode_interface(data: bytes, features: FeatureSet = SUPPORTED) -> Module:
    """Decode the types, imports, function types and exports alone: what is quick to know.

    What is wrong with the module elsewhere is for :func:`~.decoder.decode` to say.

    Raises:
        DecodeError, ValidationError, UnsupportedFeatureError: as :func:`~.decoder.decode`.
    """
    reader = after_header(bytes(data), features)
    module = Module(features)
    reader.scope.types = module.types
    while reader.pos < len(reader.data):
        id_ = reader.byte()
        size = reader.count()
        end = reader.pos + size
        if id_ in _READERS:
            _READERS[id_](reader, module)
        reader.pos = end
    return module


def read_types(reader: Reader, module: Module) -> None:
    """Read the type section: recursive groups, of which most are a single function type."""
    types = module.types
    for _ in range(reader.count(MAX_TYPES, "types")):
        start = reader.pos
        count = 1
        if reader.peek() == _GROUP:
            reader.features.require(GC, f"malformed type {_GROUP:#04x}", start)
            reader.pos += 1
            count = reader.count()
        first = len(types)
        check_limit(first + count, MAX_TYPES, "types", start)
        members = [DefType() for _ in range(count)]
        types += members  # so that they can refer to each other
        for index, member in enumerate(members, first):
            _sub_type(reader, member, index)
        types[first:] = canonical(members)


def _sub_type(reader: Reader, type_: DefType, index: int) -> None:
    start = reader.pos
    form = reader.byte()
    if form != _OPEN and form != _FINAL:
        type_.fill(_composite(reader, form, start))
        return
    reader.features.require(GC, f"malformed type {form:#04x}", start)
    above = [reader.u32() for _ in range(reader.count())]
    if len(above) > 1:
        raise ValidationError("sub type with more than one super type", offset=start)
    if above and above[0] >= index:
        raise ValidationError(f"unknown type {above[0]}", offset=start)
    supertype = reader.scope.types[above[0]] if above else None
    form_at = reader.pos
    type_.fill(_composite(reader, reader.byte(), form_at), form == _FINAL, supertype)


def _composite(reader: Reader, form: int, start: int) -> CompositeType:
    if form == _FUNC:
        params = result_type(reader)
        return FuncType(params, result_type(reader))
    if form == _CONT:
        raise reader.features.refusal("stack-switching", f"malformed type {form:#04x}", start)
    if form not in (_GROUP, _OPEN, _FINAL, _STRUCT, _ARRAY):
        message = "malformed type" if form < 0x80 else "integer representation too long"
        raise reader.fail(message, start)
    reader.features.require(GC, f"malformed type {form:#04x}", start)
    if form == _STRUCT:
        return StructType(tuple([_field(reader) for _ in range(reader.count())]))
    if form == _ARRAY:
        return ArrayType(_field(reader))
    raise reader.fail("malformed type", start)


def _field(reader: Reader) -> FieldType:
    storage = _PACKED.get(reader.peek())
    if storage is not None:
        reader.pos += 1
    return FieldType(storage or value_type(reader), mutability(reader))


def read_imports(reader: Reader, module: Module) -> None:
    """Read the import section."""
    types: tuple[Callable[[Reader], int | TableType | MemoryType | GlobalType | TagType], ...] = (
        Reader.u32, table_type, memory_type, global_type, tag_type)
    known = len(types) if EXCEPTIONS in reader.features else _TAG
    for _ in range(reader.count(MAX_IMPORTS, "imports")):
        start = reader.pos
        module_name = reader.name()
        name = reader.name()
        kind_at = reader.pos
        kind = reader.byte()
        if kind >= known:
            raise _other_kind(reader, kind, "malformed import kind", kind_at)
        item = Import(module_name, name, _KINDS[kind], types[kind](reader), start)
        module.imports.append(item)
        if isinstance(item.type, MemoryType):
            require_multi_memory(module, start)


def require_multi_memory(module: Module, offset: int) -> None:
    """Refuse a memory beyond the first, unless there may be several."""
    # Well-formed, but code is decoded in the belief that there is only one.
    if MULTI_MEMORY in module.features:
        return
    if len(module.memories) + len(module.imported("memory")) > 1:
        raise module.features.refusal(MULTI_MEMORY, "multiple memories", offset)


def _other_kind(reader: Reader, kind: int, message: str, start: int) -> SwarmcError:
    """The error for an import that is no function, table, memory or global: perhaps a tag."""
    if kind == _TAG:
        try:
            tag_type(reader)
        except DecodeError:
            pass  # not even a tag: malformed
        else:
            return reader.features.refusal(EXCEPTIONS, f"{message}: a tag", start)
    return reader.fail(message, start)


def tag_type(reader: Reader) -> TagType:
    """Attribute and type of a tag."""
    start = reader.pos
    if reader.byte() != 0:
        raise reader.fail("malformed tag attribute", start)
    return TagType(reader.u32(), start)


def read_functions(reader: Reader, module: Module) -> None:
    """Read the function section, which says of what type each function is."""
    module.func_types = [
        reader.u32() for _ in range(reader.count(MAX_FUNCTIONS, "functions"))]


def read_exports(reader: Reader, module: Module) -> None:
    """Read the export section."""
    for _ in range(reader.count(MAX_EXPORTS, "exports")):
        start = reader.pos
        name = reader.name()
        kind_at = reader.pos
        kind = reader.byte()
        if kind == _TAG:
            reader.features.require(EXCEPTIONS, "malformed export kind: a tag", kind_at)
        if kind >= len(_KINDS):
            raise reader.fail("malformed export kind", kind_at)
        module.exports.append(Export(name, _KINDS[kind], reader.u32(), start))


_READERS: dict[int, Callable[[Reader, Module], None]] = {
    1: read_types, 2: read_imports, 3: read_functions, 7: read_exports,
}  # fmt: skip

"""Decodes the binary format: bytes in, a :class:`~.module.Module` out.

Strict, as the specification's chapter on the binary format is; messages in the wording of its
test suite. Time and memory are linear in the number of bytes, whatever counts they declare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import DecodeError, SwarmcError, UnsupportedFeatureError
from ...ir.types import Type
from .body import read_body
from .features import EXCEPTIONS, FUNCTION_REFERENCES, SUPPORTED, FeatureSet
from .interface import (
    after_header,
    read_exports,
    read_functions,
    read_imports,
    read_types,
    require_multi_memory,
    tag_type,
)
from .items import read_function_items
from .limits import (
    MAX_BODY,
    MAX_DATA_SEGMENTS,
    MAX_ELEMENT_SEGMENTS,
    MAX_ELEMENTS,
    MAX_GLOBALS,
    MAX_MEMORIES,
    MAX_TABLES,
    check_limit,
)
from .module import (
    Body,
    Custom,
    Data,
    Elem,
    Func,
    Global,
    Module,
    Table,
)
from .opcodes import BY_NAME, OPCODES, Imm
from .reader import UNEXPECTED_END, Reader
from .type_reader import (
    global_type,
    memory_type,
    reference_type,
    table_type,
    value_type,
)
from .types import SOME_FUNCTION, ValueType

#: What a table that has an initial value begins with.
_WITH_VALUE = 0x40
_MAX_LOCALS = 2**32 - 1
_REF_FUNC, _END = BY_NAME["ref.func"], BY_NAME["end"]
_NEED_DATA_COUNT = tuple(row for row in OPCODES
                         if row.imm in (Imm.MEMORY_INIT, Imm.DATA, Imm.TYPE_DATA))


def decode(data: bytes, features: FeatureSet = SUPPORTED) -> Module:
    """Decode a module.

    Args:
        features: what it may use; the result knows them, so that the validator does.

    Raises:
        DecodeError: the bytes are malformed.
        ValidationError: they speak of a type that is not there.
        UnsupportedFeatureError: they belong to a proposal that is not among the features.
    """
    reader = after_header(bytes(data), features)
    module = Module(features)
    reader.scope.types = module.types
    last = 0
    while reader.pos < len(reader.data):
        last = _section(reader, module, last)
    if len(module.func_types) != len(module.funcs):
        raise reader.fail("function and code section have inconsistent lengths")
    if module.data_count is not None and module.data_count != len(module.data):
        raise reader.fail("data count and data section have inconsistent lengths")
    return module


def _section(reader: Reader, module: Module, last: int) -> int:
    """Read one section; ``last`` is the previous one's place in the order, the result its own."""
    start = reader.pos
    id_ = reader.byte()
    if id_ not in _SECTIONS:
        raise reader.fail("malformed section id", start)
    size = reader.count()
    end = reader.pos + size
    if id_ == 0:
        _custom(reader, module, start, end)
        return last
    place, read = _SECTIONS[id_]
    if place <= last:
        raise reader.fail("unexpected content after last section", start)
    try:
        read(reader, module)
    except UnsupportedFeatureError as error:
        if error.offset is not None and error.offset >= end:  # read into the next section
            # Each version of the specification has words of its own.
            message = UNEXPECTED_END if reader.features.later else "illegal opcode or type"
            raise reader.fail(f"{message}: the section has ended", end) from None
        raise
    if reader.pos != end:
        raise reader.fail("section size mismatch", end)
    return place


def _custom(reader: Reader, module: Module, start: int, end: int) -> None:
    name = reader.name()
    if not reader.pos <= end <= len(reader.data):
        raise reader.fail(UNEXPECTED_END, min(end, len(reader.data)))
    data = reader.data[reader.pos:end]
    if name == "name":
        module.names.update(_function_names(data))
    module.customs.append(Custom(name, data, start))
    reader.pos = end


def _function_names(data: bytes) -> dict[int, str]:
    """Function names of a name section; what is malformed is left out, as the section is advice."""
    names: dict[int, str] = {}
    reader = Reader(data)
    try:
        while reader.pos < len(data):
            id_ = reader.byte()
            size = reader.count()
            end = reader.pos + size
            if id_ == 1:
                for _ in range(reader.count()):
                    index = reader.u32()
                    names[index] = reader.name()
            reader.pos = end
    except SwarmcError:
        pass
    return names


def _expression(reader: Reader) -> Body:
    body, reader.pos = read_body(reader.data, reader.pos, reader.scope)
    return body


def _tables(reader: Reader, module: Module) -> None:
    for _ in range(reader.count(MAX_TABLES, "tables")):
        start = reader.pos
        if reader.peek() != _WITH_VALUE:
            module.tables.append(Table(table_type(reader)))
            continue
        reader.features.require(FUNCTION_REFERENCES,
                                "malformed reference type: table with an initial value", start)
        reader.pos += 1
        if reader.byte() != 0:
            raise reader.fail("malformed table", start)
        type_ = table_type(reader)
        module.tables.append(Table(type_, _expression(reader)))


def _memories(reader: Reader, module: Module) -> None:
    for _ in range(reader.count(MAX_MEMORIES, "memories")):
        start = reader.pos
        module.memories.append(memory_type(reader))
        require_multi_memory(module, start)


def _tags(reader: Reader, module: Module) -> None:
    reader.features.require(EXCEPTIONS, "malformed section id: tags", reader.pos)
    module.tags = [tag_type(reader) for _ in range(reader.count())]


def _globals(reader: Reader, module: Module) -> None:
    for _ in range(reader.count(MAX_GLOBALS, "globals")):
        start = reader.pos
        type_ = global_type(reader)
        module.globals.append(Global(type_, _expression(reader), start))


def _start(reader: Reader, module: Module) -> None:
    module.start = reader.u32()


def _elements(reader: Reader, module: Module) -> None:
    for _ in range(reader.count(MAX_ELEMENT_SEGMENTS, "element segments")):
        module.elems.append(_element(reader))


def _element(reader: Reader) -> Elem:
    """One segment. Flag bits: 0 not active, 1 table index or declarative, 2 expressions."""
    start = reader.pos
    flags = reader.u32()
    if flags > 7:
        raise reader.fail("malformed elements segment kind", start)
    table, offset = 0, None
    mode = "active"
    if flags & 1:
        mode = "declarative" if flags & 2 else "passive"
    else:
        if flags & 2:
            table = reader.u32()
        offset = _expression(reader)
    type_: ValueType = Type.FUNCREF if flags & 4 else SOME_FUNCTION
    if flags & 4:
        if flags & 3:
            type_ = reference_type(reader)
        items: Sequence[Body] = tuple([
            _expression(reader) for _ in range(reader.count(MAX_ELEMENTS))])
    else:
        if flags & 3 and reader.byte() != 0:
            raise reader.fail("malformed element kind", reader.pos - 1)
        items = read_function_items(reader, reader.count(MAX_ELEMENTS))
    return Elem(mode, type_, items, table, offset, start)


def _data_count(reader: Reader, module: Module) -> None:
    module.data_count = reader.u32()


def _code(reader: Reader, module: Module) -> None:
    start = reader.pos
    count = reader.count()
    if count > len(module.func_types):  # fewer: refused at the end, as a second section is worse
        raise reader.fail("function and code section have inconsistent lengths", start)
    first = len(module.imported("func"))
    for number in range(count):
        size = reader.count()
        end = reader.pos + size
        try:
            check_limit(size, MAX_BODY, "bytes in the body", reader.pos)
            func = _function(reader, module.func_types[number], end)
            if module.data_count is None:
                _refuse_data_indices(func.body)
        except SwarmcError as error:
            error.function = module.function_name(first + number)
            raise
        module.funcs.append(func)


def _function(reader: Reader, type_index: int, end: int) -> Func:
    start = reader.pos
    locals_: list[tuple[int, ValueType]] = []
    total = 0
    for _ in range(reader.count()):
        run_at = reader.pos
        count = reader.u32()
        total += count
        if total > _MAX_LOCALS:
            raise reader.fail("too many locals", run_at)
        locals_.append((count, value_type(reader)))
    try:
        body = _expression(reader)
    except UnsupportedFeatureError as error:
        if error.offset is not None and error.offset >= end:  # read into the next function
            raise reader.fail("END opcode expected", end) from None
        raise
    if reader.pos != end:
        raise reader.fail("section size mismatch", end)
    return Func(type_index, tuple(locals_), body, start, end)


def _refuse_data_indices(body: Body) -> None:
    for row in _NEED_DATA_COUNT:
        if row in body.ops:
            offset = body.offsets[body.ops.index(row)]
            raise DecodeError("data count section required", offset=offset)


def _data(reader: Reader, module: Module) -> None:
    start = reader.pos
    count = reader.count(MAX_DATA_SEGMENTS, "data segments")
    if module.data_count is not None and count != module.data_count:
        raise reader.fail("data count and data section have inconsistent lengths", start)
    for _ in range(count):
        start = reader.pos
        flags = reader.u32()
        if flags > 2:
            raise reader.fail("malformed data segment kind", start)
        memory = reader.u32() if flags == 2 else 0
        offset = None if flags == 1 else _expression(reader)
        mode = "passive" if flags == 1 else "active"
        module.data.append(Data(mode, reader.bytes(), memory, offset, start))


def _no_section(reader: Reader, module: Module) -> None:
    """Custom sections have no place in the order; they are read on their own."""


#: By section id: its place in the order of sections, and what reads it.
_SECTIONS: dict[int, tuple[int, Callable[[Reader, Module], None]]] = {
    0: (0, _no_section), 1: (1, read_types), 2: (2, read_imports), 3: (3, read_functions),
    4: (4, _tables), 5: (5, _memories), 13: (6, _tags), 6: (7, _globals), 7: (8, read_exports),
    8: (9, _start), 9: (10, _elements), 12: (11, _data_count), 10: (12, _code), 11: (13, _data),
}

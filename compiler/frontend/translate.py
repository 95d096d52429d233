"""A validated WebAssembly module becomes IR: imports are resolved, constants are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ...errors import LinkError
from ...ir import module as irm
from ...ir.module import FuncInit, HostFunction
from ...ir.types import EntityId, FuncType, Type
from ..wasm import types as wasm
from ..wasm.items import FunctionItems
from ..wasm.module import (
    Body,
    Export,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    Module,
    TableType,
    TagType,
)
from ..wasm.opcodes import BY_NAME
from ..wasm.types import ValueType, is_defaultable, lower_type
from .constants import Constant, encode, evaluate
from .emitter import Environment, TagInfo
from .function import translate_function
from .heap import Heap
from .names import function_names
from .objects import Slot, layout_of
from .type_numbers import TypeNumbers

KnownHost = Callable[[str, str, FuncType], bool]
MissingImports = Literal["error", "trap"]

_Type = TypeVar("_Type", TableType, MemoryType, GlobalType, TagType)
_FROM_ELEMENTS = (BY_NAME["array.new_elem"], BY_NAME["array.init_elem"])


@dataclass(frozen=True, slots=True)
class Placement:
    """Where in a program of several instances a module goes; see :mod:`.link`.

    Attributes:
        program: it grows by the module's entities.
        types: the numbers that types have in the program. heap: the program's.
        instance: number of the instance that the module becomes.
        imports: what provides each import, None: the host. Entities have the right types.
        prefix: put before the names of exports.
    """

    program: irm.Module
    types: TypeNumbers
    heap: Heap
    instance: int
    imports: Sequence[EntityId | None]
    prefix: str


def translate(module: Module, *, missing_imports: MissingImports = "error",
              known_host: KnownHost, heap: int = irm.DEFAULT_HEAP,
              into: Placement | None = None) -> irm.Module:
    """Translate a module.

    Args:
        module: decoded and validated.
        missing_imports: what to do about imports that nothing provides. ``error``: refuse them.
            ``trap``: functions trap when they are called; memories, tables and globals become
            the agent's own, zeroed, as small as they are allowed to be.
        known_host: whether the host has a function of this module, name and type.
        heap: bytes of the heap, if the program needs one.
        into: the program that the module becomes part of; None: one of its own.

    Raises:
        LinkError: ``missing_imports`` is ``error`` and imports are missing; it names them all.
    """
    if into is None:
        program = irm.Module()
        into = Placement(program, TypeNumbers(program), Heap(program, heap), 0,
                         [None] * len(module.imports), "")
    if missing_imports == "error":
        _refuse_missing(module, known_host, into.imports)
    _refuse_without_default(module, into.imports)
    return _Translation(module, into).run(known_host)


def describe(module: Module, item: Import) -> str:
    """An import and its type, e.g. ``env.log: func (i32) -> ()``."""
    match item.type:
        case int(index):
            text = str(module.func_type(index))
        case TableType(element, limits):
            text = f"{_range(limits)} {element.value}"
        case MemoryType(limits):
            text = _range(limits)
        case GlobalType(type_, mutable):
            text = f"mut {type_.value}" if mutable else type_.value
        case TagType(index):
            text = str(module.func_type(index))
    return f"{item.module}.{item.name}: {item.kind} {text}"


def _range(limits: Limits) -> str:
    return f"{limits.minimum}.." + ("" if limits.maximum is None else str(limits.maximum))


def is_known(module: Module, item: Import, known_host: KnownHost) -> bool:
    """Whether an import is a function of the host."""
    if not isinstance(item.type, int):
        return False
    type_ = module.func_type(item.type).plain()
    return type_ is not None and known_host(item.module, item.name, type_)


def _refuse_missing(module: Module, known_host: KnownHost,
                    providers: Sequence[EntityId | None]) -> None:
    missing = [item for item, provider in zip(module.imports, providers, strict=True)
               if provider is None and not is_known(module, item, known_host)]
    if missing:
        lines = "".join(f"\n  {describe(module, item)}" for item in missing)
        raise LinkError(f"nothing provides these imports:{lines}\n", offset=missing[0].offset,
                        hint='missing_imports="trap" runs what does not need them')


def _refuse_without_default(module: Module, providers: Sequence[EntityId | None]) -> None:
    """Refuse missing imports for which nothing can be made up: references that are never null."""
    for item, provider in zip(module.imports, providers, strict=True):
        match item.type:
            case GlobalType(type_):
                pass
            case TableType(type_):
                pass
            case _:
                continue
        if provider is None and not is_defaultable(type_):
            raise LinkError(f"nothing provides {describe(module, item)}, and nothing can take "
                            "its place", offset=item.offset)


class _Translation:
    """Fills the IR's module from a module, kind by kind; ids are (instance, index)."""

    def __init__(self, module: Module, into: Placement) -> None:
        self.module = module
        self.into = into
        self.ir = into.program
        self._tag_ids: list[EntityId] = []
        self.env = Environment(into.heap, into.types, into.program.host_functions)

    def run(self, known_host: KnownHost) -> irm.Module:
        module = self.module
        for index, type_ in enumerate(module.types):
            if type_.kind is wasm.Heap.FUNC:
                sig = self.env.sigs[index] = self.into.types.signature(type_)
                self.env.types[index] = self.ir.types[sig]
            else:
                self.env.objects[index] = self.into.types.object(type_)
                self.env.layouts[index] = layout_of(type_)
        self._declare_functions(known_host)
        self._tags()
        self._memories()
        self._globals()
        self._tables()
        self._segments()
        self._functions()
        self._exports()
        if module.start is not None:
            self.ir.starts.append(self.env.functions[module.start])
        self.into.heap.finish()
        return self.ir

    def _id(self, index: int) -> EntityId:
        return EntityId(self.into.instance, index)

    def _exports(self) -> None:
        env = self.env
        ids = {"func": env.functions, "memory": [memory.id for memory in env.memories],
               "table": [table.id for table in env.tables],
               "global": [item.id for item in env.globals], "tag": self._tag_ids}
        self.ir.exports += [
            irm.Export(self.into.prefix + item.name, item.kind, ids[item.kind][item.index],
                       self._nonnull(item))
            for item in self.module.exports]

    def _nonnull(self, item: Export) -> tuple[int, ...]:
        """Parameters of an exported function, or whether the value of a global, are not null."""
        types: tuple[ValueType, ...] = ()
        if item.kind == "func":
            types = self.module.func_type(self.env.function_types[item.index]).params
        elif item.kind == "global":
            types = (self.module.global_types()[item.index].type,)
        return tuple([place for place, type_ in enumerate(types) if not is_defaultable(type_)])

    def _imported(self, kind: type[_Type]) -> Iterator[tuple[_Type, EntityId | None]]:
        """Imports of one kind, each with what provides it."""
        for item, provider in zip(self.module.imports, self.into.imports, strict=True):
            if isinstance(item.type, kind):
                yield item.type, provider

    def _declare_functions(self, known_host: KnownHost) -> None:
        module, env = self.module, self.env
        for item, provider in zip(module.imports, self.into.imports, strict=True):
            if not isinstance(item.type, int):
                continue
            id_ = provider
            if id_ is None:
                id_ = self._id(len(env.functions))
                self.ir.host_functions[id_] = HostFunction(
                    id_, env.sigs[item.type], env.types[item.type], item.module, item.name,
                    missing=not is_known(module, item, known_host))
            env.functions.append(id_)
            env.function_types.append(item.type)
        first = len(env.functions)
        env.function_types += module.func_types
        env.functions += [self._id(index) for index in range(first, len(env.function_types))]

    def _tags(self) -> None:
        own = [(tag, None) for tag in self.module.tags]
        for tag, provider in (*self._imported(TagType), *own):
            id_ = self._id(len(self._tag_ids)) if provider is None else provider
            self._tag_ids.append(id_)
            if provider is None:
                sig = self.env.sigs[tag.type_index]
                self.ir.tags[id_] = irm.Tag(id_, sig, len(self.ir.tags))
            item = self.ir.tags[id_]
            self.env.tags.append(TagInfo(item.number, self.ir.types[item.sig].params))

    def _memories(self) -> None:
        own = [(memory, None) for memory in self.module.memories]
        for memory, provider in (*self._imported(MemoryType), *own):
            if provider is not None:
                self.env.memories.append(self.ir.memories[provider])
                continue
            id_ = self._id(len(self.env.memories))
            limits = memory.limits
            item = irm.Memory(id_, limits.minimum, limits.maximum, limits.index_type)
            self.env.memories.append(item)
            self.ir.memories[id_] = item

    def _globals(self) -> None:
        for type_, provider in self._imported(GlobalType):
            if provider is not None:
                self.env.globals.append(self.ir.globals[provider])
            else:
                self._global(type_, 0)
        for own in self.module.globals:
            self._global(own.type, evaluate(self.env, own.init))

    def _global(self, type_: GlobalType, value: Constant) -> None:
        id_ = self._id(len(self.env.globals))
        item = irm.Global(id_, lower_type(type_.type), type_.mutable, value)
        self.env.globals.append(item)
        self.ir.globals[id_] = item

    def _tables(self) -> None:
        for type_, provider in self._imported(TableType):
            if provider is not None:
                self.env.tables.append(self.ir.tables[provider])
            else:
                self._table(type_, 0)
        for own in self.module.tables:
            self._table(own.type, 0 if own.init is None else evaluate(self.env, own.init))

    def _table(self, type_: TableType, value: Constant) -> None:
        id_ = self._id(len(self.env.tables))
        limits = type_.limits
        item = irm.Table(id_, lower_type(type_.element), limits.minimum, limits.maximum,
                         limits.index_type, value)
        self.env.tables.append(item)
        self.ir.tables[id_] = item

    def _segments(self) -> None:
        for index, data in enumerate(self.module.data):
            id_ = self._id(index)
            self.env.data.append(id_)
            self.env.data_sizes.append(len(data.data))
            memory = self.env.memories[data.memory].id if data.mode == "active" else None
            self.ir.data[id_] = irm.DataSegment(id_, data.data, memory,
                                                self._offset(data.init_offset))
        for index, elem in enumerate(self.module.elems):
            id_ = self._id(index)
            self.env.elems.append(id_)
            table = self.env.tables[elem.table].id if elem.mode == "active" else None
            items = self._items(elem.items)
            self.ir.elems[id_] = irm.ElemSegment(id_, lower_type(elem.type), items, table,
                                                 self._offset(elem.init_offset),
                                                 elem.mode == "declarative")

        for index in sorted(self._array_sources()):
            self._element_bytes(index)

    def _array_sources(self) -> set[int]:
        """Element segments that arrays are made of."""
        found: set[int] = set()
        if not any(isinstance(type_.composite, wasm.ArrayType) for type_ in self.module.types):
            return found
        for func in self.module.funcs:
            body = func.body
            if any(row in body.ops for row in _FROM_ELEMENTS):
                found.update(imm[1] for row, imm in zip(body.ops, body.imms, strict=True)
                             if row in _FROM_ELEMENTS)
        return found

    def _element_bytes(self, index: int) -> None:
        """Have an element segment as bytes, too, which can be copied to the heap."""
        items, passive = self.ir.elems[self.env.elems[index]].items, (
            self.module.elems[index].mode == "passive")
        places = [(Slot(8 * number, 8, Type.FUNCREF), item) for number, item in enumerate(items)]
        content, references = encode(places, 8 * len(items))
        heap = self.into.heap
        self.env.elements[index] = (heap.segment(bytes(content), references),
                                    heap.variable(len(items) if passive else 0))

    def _items(self, items: Sequence[Body]) -> tuple[Constant, ...]:
        if isinstance(items, FunctionItems):
            functions = self.env.functions
            return tuple([FuncInit(functions[number]) for number in items.indices])
        return tuple([evaluate(self.env, item) for item in items])

    def _functions(self) -> None:
        names = function_names(self.module)
        first = len(names) - len(self.module.funcs)
        for index, func in enumerate(self.module.funcs, first):
            id_ = self.env.functions[index]
            self.ir.functions[id_] = translate_function(self.env, func, id_, names[index])

    def _offset(self, body: Body | None) -> int:
        if body is None:
            return 0
        value = evaluate(self.env, body)
        assert isinstance(value, int), "the validator lets only integers through"
        return value

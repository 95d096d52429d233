"""Several modules become one program: what one imports, another exports, inside one agent.

An agent of a linked program holds an instance of every module. All their memories, tables and
globals are laid out together, so calling another instance, or reading its memory, costs nothing.
Each instance has a function that instantiates it, as the specification says: active segments are
copied one after the other, up to one that does not fit, then the start function runs. That
function is an export, so whoever runs the program says when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...errors import LinkError
from ...ir import module as irm
from ...ir import ops as o
from ...ir.builder import Builder
from ...ir.function import Function
from ...ir.types import EntityId, Type
from ..wasm.module import GlobalType, Import, Limits, Module, TableType, TagType
from ..wasm.types import DefType, FuncType, def_matches, define, matches
from .heap import Heap
from .translate import KnownHost, Placement, describe, is_known, translate
from .type_numbers import TypeNumbers

#: Current size of a memory in pages or of a table in elements; the first argument is its kind.
SizeOf = Callable[[str, EntityId], int]

_NO_TYPE = define(FuncType((), ()))


@dataclass(frozen=True, slots=True)
class Instance:
    """A module's place in a program.

    Attributes:
        exports: by name, in the program.
        instantiate: name of the export of the program that instantiates it.
    """

    number: int
    exports: dict[str, irm.Export]
    instantiate: str


class Linker:
    """Makes a program of modules, one after the other.

    Args:
        known_host: functions of the host that modules may import besides.
        heap: bytes of the heap, if the program needs one.

    Attributes:
        program: an export of instance N is called ``N/NAME`` there.
    """

    def __init__(self, known_host: KnownHost, heap: int = irm.DEFAULT_HEAP) -> None:
        self.program = irm.Module()
        self._known_host = known_host
        self._count = 0
        self._types = TypeNumbers(self.program)
        self._heap = Heap(self.program, heap)
        self._declared: dict[tuple[str, EntityId], DefType | TableType | GlobalType] = {}

    def resolve(self, module: Module, namespaces: Mapping[str, Instance],
                size_of: SizeOf | None = None) -> list[EntityId | None]:
        """What provides each import of a validated module; None: the host.

        Args:
            namespaces: instances by the name under which they are imported.
            size_of: how large memories and tables are when the module is instantiated; None:
                that is not known yet, and they are large enough.

        Raises:
            LinkError: nothing provides an import, or what does has another type.
        """
        found: list[EntityId | None] = []
        for item in module.imports:
            instance = namespaces.get(item.module)
            export = instance.exports.get(item.name) if instance else None
            if export is not None:
                if not self._matches(module, item, export, size_of):
                    raise LinkError(f"incompatible import type: {describe(module, item)}",
                                    offset=item.offset)
                found.append(export.id)
            elif is_known(module, item, self._known_host):
                found.append(None)
            else:
                raise LinkError(f"unknown import: {describe(module, item)}", offset=item.offset)
        return found

    def add(self, module: Module, namespaces: Mapping[str, Instance]) -> Instance:
        """Add a validated module to the program; see :meth:`resolve`."""
        imports = self.resolve(module, namespaces)
        number = self._count
        self._count += 1
        program, prefix = self.program, f"{number}/"
        first = len(program.exports)
        translate(module, known_host=self._known_host,
                  into=Placement(program, self._types, self._heap, number, imports, prefix))
        self._declare(module, number, imports)
        exports = {item.name.removeprefix(prefix): item for item in program.exports[first:]}
        self._add_instantiate(module, number)
        return Instance(number, exports, str(number))

    def _matches(self, module: Module, item: Import, export: irm.Export,
                 size_of: SizeOf | None) -> bool:
        if item.kind != export.kind:
            return False
        program, wanted, id_ = self.program, item.type, export.id
        there = self._declared.get((item.kind, id_))
        if isinstance(wanted, int):
            assert isinstance(there, DefType)
            return def_matches(there, module.types[wanted])
        if isinstance(wanted, GlobalType):
            assert isinstance(there, GlobalType)
            return there == wanted or (not there.mutable and not wanted.mutable
                                       and matches(there.type, wanted.type))
        if isinstance(wanted, TagType):
            return there is module.types[wanted.type_index]
        if isinstance(wanted, TableType):
            assert isinstance(there, TableType)
            if there.element is not wanted.element:
                return False
        stored = program.tables[id_] if isinstance(wanted, TableType) else program.memories[id_]
        size = wanted.limits.minimum if size_of is None else size_of(item.kind, id_)
        return _fits(stored, size, wanted.limits)

    def _declare(self, module: Module, number: int, imports: list[EntityId | None]) -> None:
        """Note the types of what an instance has of its own."""
        own: dict[str, Sequence[DefType | TableType | GlobalType]] = {
            "func": [module.types[index] for index in module.func_types],
            "table": [table.type for table in module.tables],
            "global": [item.type for item in module.globals],
            "tag": [module.types[tag.type_index] for tag in module.tags]}
        counts = dict.fromkeys((*own, "memory"), 0)
        for item, provider in zip(module.imports, imports, strict=True):
            if provider is None and isinstance(item.type, int):
                id_ = EntityId(number, counts["func"])
                self._declared["func", id_] = module.types[item.type]
            counts[item.kind] += 1
        for kind, types in own.items():
            for index, type_ in enumerate(types, counts[kind]):
                self._declared[kind, EntityId(number, index)] = type_

    def _add_instantiate(self, module: Module, number: int) -> None:
        """Turn an instance's active segments and its start function into code."""
        program = self.program
        count = len(module.imported("func")) + len(module.func_types)
        id_ = EntityId(number, count)
        sig = self._types.signature(_NO_TYPE)
        function = Function(id_, sig, program.types[sig], name="instantiate")
        build = Builder(function, program)
        build.entry()
        for elem in list(program.elems.values()):
            if elem.id.instance == number and elem.table is not None:
                table = program.tables[elem.table]
                _copy(build, o.TABLE_INIT, (table.id, elem.id), table.index_type, elem.offset,
                      len(elem.items))
                build.inst(o.ELEM_DROP, None, (), elem.id)
                program.elems[elem.id] = replace(elem, table=None, offset=0)
        for segment in list(program.data.values()):
            if segment.id.instance == number and segment.memory is not None:
                memory = program.memories[segment.memory]
                _copy(build, o.MEMORY_INIT, (memory.id, segment.id), memory.index_type,
                      segment.offset, len(segment.data))
                build.inst(o.DATA_DROP, None, (), segment.id)
                program.data[segment.id] = replace(segment, memory=None, offset=0)
        if module.start is not None:
            build.inst(o.CALL, None, (), program.starts.pop())
        build.inst(o.RETURN)
        program.functions[id_] = function
        program.exports.append(irm.Export(str(number), "func", id_))


def _fits(stored: irm.Memory | irm.Table, size: int, wanted: Limits) -> bool:
    if stored.index_type is not wanted.index_type or size < wanted.minimum:
        return False
    if wanted.maximum is None:
        return True
    return stored.maximum is not None and stored.maximum <= wanted.maximum


def _copy(build: Builder, op: o.Op, attrs: tuple[EntityId, EntityId], index_type: Type, to: int,
          count: int) -> None:
    args = [build.value(o.CONST, index_type, (), to), build.value(o.CONST, Type.I32, (), 0),
            build.value(o.CONST, Type.I32, (), count)]
    build.inst(op, None, args, *attrs)

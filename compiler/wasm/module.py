"""A decoded WebAssembly module: sections as frozen records, function bodies as parallel lists."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...ir.types import Type
from .features import SUPPORTED, FeatureSet
from .types import DefType, FuncType, ValueType

if TYPE_CHECKING:
    from .opcodes import Opcode


@dataclass(frozen=True, slots=True)
class Limits:
    """Size limits of a memory (pages) or table (elements); ``maximum`` None: no maximum."""

    minimum: int
    maximum: int | None = None
    index_type: Type = Type.I32


@dataclass(frozen=True, slots=True)
class TableType:
    element: ValueType
    limits: Limits


@dataclass(frozen=True, slots=True)
class MemoryType:
    limits: Limits


@dataclass(frozen=True, slots=True)
class GlobalType:
    type: ValueType
    mutable: bool


@dataclass(frozen=True, slots=True)
class TagType:
    """Type of exceptions with a tag: a function type's index, whose parameters they carry."""

    type_index: int
    offset: int


class Catch(NamedTuple):
    """A clause of a ``try_table``: what it catches, and the label that it branches to.

    ``tag`` None: any exception. ``ref``: the label takes a reference to the exception, too.
    """

    tag: int | None
    ref: bool
    label: int


@dataclass(slots=True)
class Body:
    """A sequence of instructions, the final ``end`` included.

    Three sequences of equal length: the opcode table's rows, their immediates (see
    :class:`~.opcodes.Imm` for what each kind holds), and byte offsets in the module.
    """

    ops: list[Opcode] = field(default_factory=list)
    imms: list[Any] = field(default_factory=list)
    offsets: MutableSequence[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Import:
    """An import. ``type`` is an index into the types for a function, else the entity's type."""

    module: str
    name: str
    kind: str  # func, table, memory, global, tag
    type: int | TableType | MemoryType | GlobalType | TagType
    offset: int


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: str
    index: int
    offset: int


@dataclass(slots=True)
class Func:
    """A function with a body. ``locals`` are (count, type) runs, parameters not among them.

    ``start`` and ``end`` delimit its code entry in the module's bytes (after the size field).
    """

    type_index: int
    locals: tuple[tuple[int, ValueType], ...]
    body: Body
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``init`` is what its elements are at first, None: null."""

    type: TableType
    init: Body | None = None


@dataclass(frozen=True, slots=True)
class Global:
    type: GlobalType
    init: Body
    offset: int


@dataclass(frozen=True, slots=True)
class Elem:
    """An element segment; each item is a constant expression. mode: active passive declarative."""

    mode: str
    type: ValueType
    items: Sequence[Body]
    table: int
    init_offset: Body | None
    offset: int


@dataclass(frozen=True, slots=True)
class Data:
    """A data segment; mode: active or passive."""

    mode: str
    data: bytes
    memory: int
    init_offset: Body | None
    offset: int


@dataclass(frozen=True, slots=True)
class Custom:
    name: str
    data: bytes
    offset: int


@dataclass(slots=True)
class Module:
    """Everything a binary says. Index spaces count imports first, as in the specification.

    ``features`` are those that it may use.
    """

    features: FeatureSet = SUPPORTED
    types: list[DefType] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    func_types: list[int] = field(default_factory=list)  # of defined functions
    funcs: list[Func] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    memories: list[MemoryType] = field(default_factory=list)
    tags: list[TagType] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    start: int | None = None
    elems: list[Elem] = field(default_factory=list)
    data: list[Data] = field(default_factory=list)
    data_count: int | None = None
    customs: list[Custom] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)  # function index -> name section's name

    def func_type(self, index: int) -> FuncType:
        """The function type of an index, of a module that has one there."""
        type_ = self.types[index].composite
        assert isinstance(type_, FuncType)
        return type_

    def imported(self, kind: str) -> list[Import]:
        """The imports of one kind, in order: the head of that kind's index space."""
        return [item for item in self.imports if item.kind == kind]

    def memory_types(self) -> list[MemoryType]:
        """Types of all memories."""
        imported = [item.type for item in self.imports if isinstance(item.type, MemoryType)]
        return imported + self.memories

    def table_types(self) -> list[TableType]:
        """Types of all tables."""
        imported = [item.type for item in self.imports if isinstance(item.type, TableType)]
        return imported + [table.type for table in self.tables]

    def global_types(self) -> list[GlobalType]:
        """Types of all globals."""
        imported = [item.type for item in self.imports if isinstance(item.type, GlobalType)]
        return imported + [item.type for item in self.globals]

    def tag_types(self) -> list[TagType]:
        """Types of all tags."""
        return [item.type for item in self.imports if isinstance(item.type, TagType)] + self.tags

    def function_name(self, index: int) -> str:
        """Name of a function for people: name section, else export, else ``func[N]``."""
        if index in self.names:
            return self.names[index]
        for export in self.exports:
            if export.kind == "func" and export.index == index:
                return export.name
        return f"func[{index}]"

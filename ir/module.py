"""A program in IR: functions, and the state that one agent owns.

The unit is the *program*: the list of instances that an agent holds, linked. Every entity has an
:class:`~.types.EntityId`. Import resolution is done: an imported entity that another instance
defines is addressed by the definer's id; what only the host provides is a :class:`HostFunction`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .function import Function
from .types import EntityId, FuncType, Type

PAGE_SIZE = 65536

#: Bytes of a program's heap, where nothing else is said.
DEFAULT_HEAP = 1 << 20

#: The instance that a program's own entities belong to, such as its heap. It is the last one.
PROGRAM = 0xFFFFFF


@dataclass(slots=True)
class HostFunction:
    """A function that the host provides. ``missing`` ones trap when they are called."""

    id: EntityId
    sig: int
    type: FuncType
    module: str
    name: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """A linear memory; ``minimum`` and ``maximum`` in pages of 64 KiB, None: no maximum.

    One of the program's own cannot be seen from outside.
    """

    id: EntityId
    minimum: int
    maximum: int | None
    index_type: Type = Type.I32

    @property
    def hidden(self) -> bool:
        return self.id.instance == PROGRAM


@dataclass(frozen=True, slots=True)
class FuncInit:
    """Initial value of a reference: a function. Everything else is an int (bit pattern)."""

    id: EntityId


@dataclass(frozen=True, slots=True)
class Global:
    """A global and its initial value: a bit pattern (references: handle), or a function."""

    id: EntityId
    type: Type
    mutable: bool
    init: int | FuncInit


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``minimum`` and ``maximum`` in elements, None: no maximum."""

    id: EntityId
    type: Type
    minimum: int
    maximum: int | None
    index_type: Type = Type.I32
    init: int | FuncInit = 0


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Bytes for a memory. Active: copied to ``offset`` of ``memory`` at instantiation.

    ``references`` are (place, function): eight of the bytes are a reference to the function.
    """

    id: EntityId
    data: bytes
    memory: EntityId | None = None
    offset: int = 0
    references: tuple[tuple[int, EntityId], ...] = ()

    @property
    def active(self) -> bool:
        return self.memory is not None

    def content(self, numbers: Mapping[EntityId, int]) -> bytes:
        """The bytes, with references by the numbers of functions."""
        if not self.references:
            return self.data
        content = bytearray(self.data)
        for place, function in self.references:
            content[place : place + 8] = (numbers[function] + 1).to_bytes(8, "little")
        return bytes(content)


@dataclass(frozen=True, slots=True)
class ElemSegment:
    """References for a table. Active: copied at instantiation. Declarative: neither.

    ``items`` are handles (0 is null) or functions.
    """

    id: EntityId
    type: Type
    items: tuple[int | FuncInit, ...]
    table: EntityId | None = None
    offset: int = 0
    declarative: bool = False

    @property
    def active(self) -> bool:
        return self.table is not None


@dataclass(frozen=True, slots=True)
class Tag:
    """A kind of exceptions: ``sig`` says what they carry, ``number`` is unique in the program."""

    id: EntityId
    sig: int
    number: int


@dataclass(frozen=True, slots=True)
class Export:
    """A name under which an instance shows an entity: a func, memory, global, table or tag.

    ``nonnull`` are the parameters of a function that must not be null references; (0,) of a
    global says that of its value.
    """

    name: str
    kind: str
    id: EntityId
    nonnull: tuple[int, ...] = ()


@dataclass(slots=True)
class Module:
    """The whole program. Lists and dictionaries are in id order, and only grow.

    Attributes:
        types: function types; a signature is an index into it. Signatures differ where the front
            end's types do, even if the IR's do not.
        supertypes: for some signatures the one that they are declared to be a subtype of.
        objects: types of objects: for each the one that it is declared to be a subtype of.
        functions: bodies. host_functions: those without.
        removed: signatures of functions that no entry point reached and that are gone. They keep
            their numbers, and tables may still refer to them.
        starts: start functions, in the order in which they run.
    """

    types: list[FuncType] = field(default_factory=list)
    supertypes: dict[int, int] = field(default_factory=dict)
    objects: list[int | None] = field(default_factory=list)
    functions: dict[EntityId, Function] = field(default_factory=dict)
    host_functions: dict[EntityId, HostFunction] = field(default_factory=dict)
    removed: dict[EntityId, int] = field(default_factory=dict)
    memories: dict[EntityId, Memory] = field(default_factory=dict)
    globals: dict[EntityId, Global] = field(default_factory=dict)
    tables: dict[EntityId, Table] = field(default_factory=dict)
    data: dict[EntityId, DataSegment] = field(default_factory=dict)
    elems: dict[EntityId, ElemSegment] = field(default_factory=dict)
    tags: dict[EntityId, Tag] = field(default_factory=dict)
    exports: list[Export] = field(default_factory=list)
    starts: list[EntityId] = field(default_factory=list)

    def intern(self, type_: FuncType) -> int:
        """Index of some equal function type in ``types``, which it joins if there is none."""
        try:
            return self.types.index(type_)
        except ValueError:
            self.types.append(type_)
            return len(self.types) - 1

    def is_subtype(self, sig: int, wanted: int) -> bool:
        """Whether a function of a signature may be called as one of another."""
        above: int | None = sig
        while above is not None and above != wanted:
            above = self.supertypes.get(above)
        return above is not None

    def is_object_subtype(self, number: int, wanted: int) -> bool:
        """Whether objects of a type are of another, too. Any number may be asked for."""
        above: int | None = number if number < len(self.objects) else None
        while above is not None and above != wanted:
            above = self.objects[above]
        return above is not None

    def object_subtypes(self, number: int) -> list[int]:
        """A type of objects and all those below it, in order."""
        found = {number}
        for below, above in enumerate(self.objects):  # a supertype comes before what is below it
            if above in found:
                found.add(below)
        return sorted(found)

    def subtypes(self, sig: int) -> list[int]:
        """A signature and all those below it, in order."""
        found = {sig}
        for below, above in self.supertypes.items():  # a supertype comes before what is below it
            if above in found:
                found.add(below)
        return sorted(found)

    def sig_of(self, id_: EntityId) -> int:
        """Signature of a function, with or without a body."""
        function = self.functions.get(id_) or self.host_functions.get(id_)
        return function.sig if function is not None else self.removed[id_]

    def function_numbers(self) -> dict[EntityId, int]:
        """Number of every function in the program: the handle of its reference is 1 more.

        All functions of earlier instances come first, so adding an instance renumbers nothing.
        """
        ids = sorted([*self.functions, *self.host_functions, *self.removed])
        return {id_: number for number, id_ in enumerate(ids)}

    def function_exports(self) -> Iterable[Export]:
        """Exports that are functions."""
        return (export for export in self.exports if export.kind == "func")

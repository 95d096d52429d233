"""WebAssembly's types: value types, of which references are many, and the types a module defines.

Numbers, vectors and the nullable references to anything of a hierarchy are the IR's own
(:class:`~swarmc.ir.types.Type`); every other reference is a :class:`RefType`. All value types and
all defined types are *interned*: two are equal exactly when they are the same object, in one
module or in several. So ``is`` decides most questions, and only where it fails is :func:`matches`
asked for subtyping.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from ...ir import types as ir
from ...ir.types import Type


class Heap(enum.Enum):
    """An abstract heap type.

    Attributes:
        supers: the heap types that it matches, itself among them.
        ir: the IR's type of references to its hierarchy.
    """

    FUNC = "func"
    NOFUNC = "nofunc"
    EXTERN = "extern"
    NOEXTERN = "noextern"
    EXN = "exn"
    NOEXN = "noexn"
    ANY = "any"
    EQ = "eq"
    I31 = "i31"
    STRUCT = "struct"
    ARRAY = "array"
    NONE = "none"

    supers: frozenset[Heap]
    ir: Type

    def __repr__(self) -> str:
        return f"Heap.{self.name}"

    __hash__ = object.__hash__


def _hierarchies() -> None:
    above = {
        Heap.NOFUNC: (Heap.FUNC,), Heap.NOEXTERN: (Heap.EXTERN,), Heap.NOEXN: (Heap.EXN,),
        Heap.EQ: (Heap.ANY,), Heap.I31: (Heap.EQ, Heap.ANY), Heap.STRUCT: (Heap.EQ, Heap.ANY),
        Heap.ARRAY: (Heap.EQ, Heap.ANY),
        Heap.NONE: (Heap.I31, Heap.STRUCT, Heap.ARRAY, Heap.EQ, Heap.ANY),
    }
    tops = {Heap.FUNC: Type.FUNCREF, Heap.EXTERN: Type.EXTERNREF, Heap.EXN: Type.EXNREF,
            Heap.ANY: Type.ANYREF}
    for heap in Heap:
        heap.supers = frozenset((heap, *above.get(heap, ())))
        heap.ir = next(tops[top] for top in heap.supers if top in tops)


_hierarchies()


class RefType:
    """A reference type; :func:`ref_type` gives the one object that there is for it."""

    __slots__ = ("heap", "nullable")

    is_ref = True
    is_int = is_float = False
    bits = 64

    def __init__(self, nullable: bool, heap: HeapType) -> None:
        self.nullable = nullable
        self.heap = heap

    @property
    def ir(self) -> Type:
        """The IR's type of its values."""
        return self.heap.ir

    @property
    def value(self) -> str:
        """The type as text."""
        if self.nullable and isinstance(self.heap, Heap):
            return _SHORT.get(self.heap) or f"{self.heap.value}ref"
        heap = self.heap.value if isinstance(self.heap, Heap) else str(self.heap)
        return f"(ref {'null ' if self.nullable else ''}{heap})"

    def __repr__(self) -> str:
        return self.value


_SHORT = {Heap.NONE: "nullref", Heap.NOFUNC: "nullfuncref", Heap.NOEXTERN: "nullexternref",
          Heap.NOEXN: "nullexnref"}

ValueType: TypeAlias = Type | RefType


class FuncType(NamedTuple):
    """Parameter and result types of a function; equal to an :class:`ir.FuncType` of the same."""

    params: tuple[ValueType, ...]
    results: tuple[ValueType, ...]

    def __str__(self) -> str:
        params = ", ".join(t.value for t in self.params)
        results = ", ".join(t.value for t in self.results)
        return f"({params}) -> ({results})"

    def lowered(self) -> ir.FuncType:
        """The type as the IR has it."""
        return ir.FuncType(lower_types(self.params), lower_types(self.results))

    def plain(self) -> ir.FuncType | None:
        """The same type in the IR's words, if it has them for all that this one says."""
        if any(isinstance(type_, RefType) for type_ in (*self.params, *self.results)):
            return None
        return self.lowered()


class Packed(enum.Enum):
    """What a field can hold besides values: narrow integers."""

    I8 = "i8"
    I16 = "i16"

    bits: int

    __hash__ = object.__hash__


Packed.I8.bits, Packed.I16.bits = 8, 16


@dataclass(frozen=True, slots=True)
class FieldType:
    """Type of a struct's field, or of an array's elements."""

    storage: ValueType | Packed
    mutable: bool

    @property
    def value(self) -> ValueType:
        """Type of the values that are written to it."""
        return Type.I32 if isinstance(self.storage, Packed) else self.storage


@dataclass(frozen=True, slots=True)
class StructType:
    fields: tuple[FieldType, ...]


@dataclass(frozen=True, slots=True)
class ArrayType:
    element: FieldType


CompositeType: TypeAlias = FuncType | StructType | ArrayType


class DefType:
    """A defined type: one member of a recursive group.

    :func:`define` and :func:`canonical` give the one object that there is for it.

    Attributes:
        group: all types of the group. index: its place among them.
        supertype: what it is declared to be a subtype of.
        kind: the abstract heap type that it matches.
        ir: the IR's type of references to it.
    """

    __slots__ = ("__weakref__", "_non_null", "_nullable", "composite", "final", "group", "index",
                 "ir", "kind", "supertype")

    composite: CompositeType
    kind: Heap
    ir: Type
    group: tuple[DefType, ...]
    index: int
    final: bool
    supertype: DefType | None

    def __init__(self) -> None:
        self._nullable: RefType | None = None
        self._non_null: RefType | None = None

    def fill(self, composite: CompositeType, final: bool = True,
             supertype: DefType | None = None) -> None:
        """Say what the type is. Until then it can only be referred to."""
        self.composite = composite
        self.final = final
        self.supertype = supertype
        self.kind = (Heap.FUNC if isinstance(composite, FuncType) else
                     Heap.STRUCT if isinstance(composite, StructType) else Heap.ARRAY)
        self.ir = self.kind.ir

    def ref(self, nullable: bool) -> RefType:
        """The type of references to it."""
        found = self._nullable if nullable else self._non_null
        if found is not None:
            return found
        with _LOCK:
            if nullable:
                found = self._nullable = self._nullable or RefType(True, self)
            else:
                found = self._non_null = self._non_null or RefType(False, self)
            return found

    def __str__(self) -> str:
        """The type as text; defined types that it refers to are left out."""
        match self.composite:
            case FuncType(params, results):
                return f"({_outline(params)}) -> ({_outline(results)})"
            case StructType(fields):
                return f"struct ({_outline(field.storage for field in fields)})"
            case ArrayType(element):
                return f"array ({_outline((element.storage,))})"

    __repr__ = __str__


HeapType: TypeAlias = Heap | DefType


def _outline(types: Iterable[ValueType | Packed]) -> str:
    return ", ".join(
        "(ref …)" if isinstance(type_, RefType) and isinstance(type_.heap, DefType)
        else type_.value for type_ in types)


_TOPS = {heap: heap.ir for heap in (Heap.FUNC, Heap.EXTERN, Heap.EXN, Heap.ANY)}
_HEAPS = {type_: heap for heap, type_ in _TOPS.items()}
_ABSTRACT: dict[tuple[bool, Heap], ValueType] = {
    (nullable, heap): _TOPS[heap] if nullable and heap in _TOPS else RefType(nullable, heap)
    for heap in Heap for nullable in (False, True)
}
#: Type of a bare function index in an element segment.
SOME_FUNCTION = _ABSTRACT[False, Heap.FUNC]

_LOCK = Lock()


def ref_type(nullable: bool, heap: HeapType) -> ValueType:
    """The reference type of a heap type."""
    return _ABSTRACT[nullable, heap] if isinstance(heap, Heap) else heap.ref(nullable)


def heap_type(type_: ValueType) -> HeapType:
    """What a reference refers to."""
    return type_.heap if isinstance(type_, RefType) else _HEAPS[type_]


def is_nullable(type_: ValueType) -> bool:
    """Whether a reference type has null."""
    return not isinstance(type_, RefType) or type_.nullable


def is_defaultable(type_: ValueType) -> bool:
    """Whether a type has a default value: zero or null."""
    return not isinstance(type_, RefType) or type_.nullable


def lower_type(type_: ValueType) -> Type:
    """The type as the IR has it."""
    return type_.ir if isinstance(type_, RefType) else type_


def lower_types(types: tuple[ValueType, ...]) -> tuple[Type, ...]:
    """The types as the IR has them."""
    return tuple([type_.ir if isinstance(type_, RefType) else type_ for type_ in types])


# Equality of defined types: a group is the same as another that looks the same from outside, with
# references to its own members by their place in it.

_GROUPS: WeakValueDictionary[Any, DefType] = WeakValueDictionary()  # by key: the first member


def define(composite: CompositeType, *, final: bool = True,
           supertype: DefType | None = None) -> DefType:
    """The type in a group of its own that does not refer to itself."""
    type_ = DefType()
    type_.fill(composite, final, supertype)
    return canonical((type_,))[0]


def canonical(members: Sequence[DefType]) -> tuple[DefType, ...]:
    """The types that a group of new ones stands for; these, if there was no such group before.

    Members are filled, and refer to each other and to canonical types.
    """
    places = {member: place for place, member in enumerate(members)}
    key = tuple([_key(member, places) for member in members])
    with _LOCK:
        first = _GROUPS.get(key)
        if first is not None:
            return first.group
        group = tuple(members)
        for place, member in enumerate(group):
            member.group, member.index = group, place
        if group:
            _GROUPS[key] = group[0]
        return group


def _key(type_: DefType, places: dict[DefType, int]) -> Any:
    def value(part: ValueType | Packed) -> Any:
        if part.__class__ is RefType and part.heap in places:
            return part.nullable, places[part.heap]
        return part

    above: Any = type_.supertype
    above = places.get(above, above)
    match type_.composite:
        case FuncType(params, results):
            shape: Any = tuple(map(value, params)), tuple(map(value, results))
        case StructType(fields):
            shape = tuple([(value(field.storage), field.mutable) for field in fields])
        case ArrayType(element):
            shape = value(element.storage), element.mutable
    return type_.kind, type_.final, above, shape


# Subtyping.


def matches(type_: ValueType, wanted: ValueType) -> bool:
    """Whether a value type is a subtype of another."""
    if type_ is wanted:
        return True
    if not (type_.is_ref and wanted.is_ref):
        return False
    if is_nullable(type_) and not is_nullable(wanted):
        return False
    return heap_matches(heap_type(type_), heap_type(wanted))


def heap_matches(heap: HeapType, wanted: HeapType) -> bool:
    """Whether a heap type is a subtype of another."""
    if isinstance(wanted, DefType):
        if isinstance(heap, Heap):
            return heap is (Heap.NOFUNC if wanted.kind is Heap.FUNC else Heap.NONE)
        return def_matches(heap, wanted)
    if isinstance(heap, DefType):
        heap = heap.kind
    return wanted in heap.supers


def def_matches(type_: DefType, wanted: DefType) -> bool:
    """Whether a defined type is a subtype of another: that one, or declared to be below it."""
    above: DefType | None = type_
    while above is not None:
        if above is wanted:
            return True
        above = above.supertype
    return False


def composite_matches(type_: CompositeType, wanted: CompositeType) -> bool:
    """Whether a type may be declared a subtype of another, by what it is made of."""
    match type_, wanted:
        case FuncType(params, results), FuncType(wanted_params, wanted_results):
            return all_match(wanted_params, params) and all_match(results, wanted_results)
        case StructType(fields), StructType(wanted_fields):
            return len(fields) >= len(wanted_fields) and all(
                map(_field_matches, fields, wanted_fields))
        case ArrayType(element), ArrayType(wanted_element):
            return _field_matches(element, wanted_element)
    return False


def all_match(types: Sequence[ValueType], wanted: Sequence[ValueType]) -> bool:
    """Whether types are subtypes of as many others, one by one."""
    return len(types) == len(wanted) and all(map(matches, types, wanted))


def _field_matches(field: FieldType, wanted: FieldType) -> bool:
    if field.mutable or wanted.mutable:
        return field == wanted
    return storage_matches(field.storage, wanted.storage)


def storage_matches(storage: ValueType | Packed, wanted: ValueType | Packed) -> bool:
    """Whether what a field holds is a subtype of what another holds."""
    if isinstance(storage, Packed) or isinstance(wanted, Packed):
        return storage is wanted
    return matches(storage, wanted)

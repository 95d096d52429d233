"""Generates structs, arrays, small integers and casts: values of them, and statements on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...compiler.wasm.types import (
    ArrayType,
    DefType,
    FieldType,
    Heap,
    HeapType,
    Packed,
    RefType,
    StructType,
    ValueType,
    heap_matches,
    heap_type,
    is_nullable,
    matches,
    ref_type,
)
from ...ir.types import Type
from .body_generator import BodyGenerator, Production, Statement

_I32 = Type.I32
_EQ, _I31 = ref_type(True, Heap.EQ), ref_type(True, Heap.I31)
_SOME_I31 = ref_type(False, Heap.I31)


def _index(g: BodyGenerator, type_: DefType) -> int:
    return g.plan.objects.index(type_)


def _object(g: BodyGenerator, type_: DefType, depth: int) -> None:
    """Push an object of a type, which is null at times."""
    g.expr(ref_type(g.choices.chance(1, 16), type_), depth)


def _place(g: BodyGenerator, depth: int) -> None:
    """Push an index that most arrays have."""
    g.masked(7, depth, wild=60)


def _arrays(g: BodyGenerator, fits: Callable[[FieldType], bool]) -> list[DefType]:
    return [type_ for type_ in g.plan.objects
            if isinstance(type_.composite, ArrayType) and fits(type_.composite.element)]


def _element(type_: DefType) -> FieldType:
    assert isinstance(type_.composite, ArrayType)
    return type_.composite.element


def _extension(g: BodyGenerator, storage: ValueType | Packed) -> str:
    """What the name of an instruction that reads a field ends with."""
    return g.choices.pick(("_s", "_u")) if isinstance(storage, Packed) else ""


# Values.


def struct_get(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    """A field of a type."""
    fields = [(owner, place, field) for owner in g.plan.objects
              if isinstance(owner.composite, StructType)
              for place, field in enumerate(owner.composite.fields) if field.value is type_]
    if not fields:
        g.leaf(type_)
        return
    owner, place, field = g.choices.pick(fields)
    _object(g, owner, depth)
    g.emit("struct.get" + _extension(g, field.storage), (_index(g, owner), place), pops=1,
           push=(type_,))


def array_get(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    """An element of a type."""
    arrays = _arrays(g, lambda element: element.value is type_)
    if not arrays:
        g.leaf(type_)
        return
    array = g.choices.pick(arrays)
    _object(g, array, depth)
    _place(g, depth)
    g.emit("array.get" + _extension(g, _element(array).storage), _index(g, array), pops=2,
           push=(type_,))


def question(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    """An i32 that says something of a reference."""
    kind = g.choices.below(5)
    arrays = _arrays(g, lambda element: True)
    if kind == 0:
        g.expr(_SOME_I31 if g.choices.chance(7, 8) else _I31, depth)
        g.emit(g.choices.pick(("i31.get_s", "i31.get_u")), pops=1, push=(_I32,))
    elif kind == 1:
        g.expr(_EQ, depth)
        g.expr(_EQ, depth)
        g.emit("ref.eq", pops=2, push=(_I32,))
    elif kind == 2 and arrays:
        _object(g, g.choices.pick(arrays), depth)
        g.emit("array.len", pops=1, push=(_I32,))
    else:
        source, target = _cast(g)
        g.expr(source, depth)
        g.emit("ref.test null" if is_nullable(target) else "ref.test", target, pops=1,
               push=(_I32,))


def _cast(g: BodyGenerator) -> tuple[ValueType, ValueType]:
    """The top of a hierarchy, and a type to ask for."""
    functions = [heap_type(type_) for type_ in g.plan.refs if isinstance(type_, RefType)
                 and type_.ir is Type.FUNCREF]
    if functions and g.choices.chance(1, 8):
        return Type.FUNCREF, ref_type(g.choices.chance(1, 2), g.choices.pick(functions))
    heaps: list[HeapType] = [*g.plan.objects, Heap.I31, Heap.STRUCT, Heap.ARRAY, Heap.EQ, Heap.ANY,
                             Heap.NONE]
    return Type.ANYREF, ref_type(g.choices.chance(1, 2), g.choices.pick(heaps))


def convert_any(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    """An externref that is of the inside."""
    g.expr(Type.ANYREF, depth)
    g.emit("extern.convert_any", pops=1, push=(type_,))


def objects(g: BodyGenerator, type_: ValueType, depth: int) -> None:
    """A reference of the inside's hierarchy: made, cast, converted, or one of a subtype."""
    heap = heap_type(type_)
    kind = g.choices.below(12)
    if is_nullable(type_) and kind == 0:
        g.emit("ref.null", type_, push=(type_,))
    elif kind == 1:
        g.expr(Type.ANYREF, depth)
        g.emit("ref.cast null" if is_nullable(type_) else "ref.cast", type_, pops=1, push=(type_,))
    elif type_ is Type.ANYREF and kind < 4:
        g.expr(Type.EXTERNREF, depth)
        g.emit("any.convert_extern", pops=1, push=(type_,))
    elif heap in (Heap.I31, Heap.EQ, Heap.ANY) and (kind < 6 or heap is Heap.I31):
        g.expr(_I32, depth)
        g.emit("ref.i31", pops=1, push=(type_,))
    elif fitting := [made for made in g.plan.objects if heap_matches(made, heap)]:
        new_object(g, type_, g.choices.pick(fitting), depth)
    else:
        g.leaf(type_)


def new_object(g: BodyGenerator, type_: ValueType, made: DefType, depth: int) -> None:
    """A new object."""
    index = _index(g, made)
    kind = g.choices.below(4)
    if isinstance(made.composite, StructType):
        if kind == 0:
            g.emit("struct.new_default", index, push=(type_,))
            return
        fields = [field.value for field in made.composite.fields]
        g.operands(fields, depth - 1)
        g.emit("struct.new", index, pops=len(fields), push=(type_,))
        return
    element = _element(made).value
    if kind == 0:
        _length(g, depth)
        g.emit("array.new_default", index, pops=1, push=(type_,))
    elif kind == 1:
        count = g.choices.below(9)
        for _ in range(count):
            g.expr(element, depth - 2)
        g.emit("array.new_fixed", (index, count), pops=count, push=(type_,))
    elif kind == 2 and (segment := _segment(g, made)) is not None:
        name, imm = segment
        _extent(g, imm[1], name == "data", depth)
        g.emit(f"array.new_{name}", (index, imm[0]), pops=2, push=(type_,))
    else:
        g.expr(element, depth - 1)
        _length(g, depth)
        g.emit("array.new", index, pops=2, push=(type_,))


def _length(g: BodyGenerator, depth: int) -> None:
    kind = g.choices.below(8)
    if kind < 5:
        g.i32(8 + g.choices.below(5))
    elif kind < 7:
        g.masked(31, depth, wild=1 << 30)
    else:
        g.i32(g.choices.pick((0, 1, 127, 128, 129, 200)))


def _segment(g: BodyGenerator, array: DefType) -> tuple[str, tuple[int, int]] | None:
    """A segment that elements of a type may come from: its kind, (number, length)."""
    element = _element(array)
    if not element.value.is_ref:
        found = [(number, size) for number, size in enumerate(g.plan.data)]
        return ("data", g.choices.pick(found)) if found else None
    found = [(number, count) for number, (type_, count) in enumerate(g.plan.elems)
             if matches(type_, element.value)]
    return ("elem", g.choices.pick(found)) if found else None


def _extent(g: BodyGenerator, size: int, data: bool, depth: int) -> None:
    """Push a place in a segment and a length, mostly such that they fit."""
    if g.choices.chance(1, 12):
        g.masked(0xFF, depth)
        g.i32(g.choices.pick((1, 0, 5, 0x10000)))
        return
    start = g.choices.below(size + 1)
    g.i32(start)
    most = (size - start) // 16 if data else size - start
    g.i32(g.choices.below(min(most, 12) + 1))


# Statements.


def _struct_set(g: BodyGenerator, depth: int) -> None:
    fields = [(owner, place, field) for owner in g.plan.objects
              if isinstance(owner.composite, StructType)
              for place, field in enumerate(owner.composite.fields) if field.mutable]
    if fields:
        owner, place, field = g.choices.pick(fields)
        _object(g, owner, depth)
        g.expr(field.value, depth - 1)
        g.emit("struct.set", (_index(g, owner), place), pops=2)


def _array_set(g: BodyGenerator, depth: int) -> None:
    arrays = _arrays(g, lambda element: element.mutable)
    if not arrays:
        return
    array = g.choices.pick(arrays)
    kind = g.choices.below(4)
    _object(g, array, depth)
    _place(g, depth)
    if kind == 0:
        g.expr(_element(array).value, depth - 1)
        g.emit("array.set", _index(g, array), pops=3)
    elif kind == 1:
        g.expr(_element(array).value, depth - 1)
        g.masked(3, depth, wild=60)
        g.emit("array.fill", _index(g, array), pops=4)
    elif kind == 2 and (segment := _segment(g, array)) is not None:
        name, (number, size) = segment
        _extent(g, size, name == "data", depth)
        g.emit(f"array.init_{name}", (_index(g, array), number), pops=4)
    else:
        _copy(g, array, depth)


def _copy(g: BodyGenerator, array: DefType, depth: int) -> None:
    """Copy into the array on the stack, from the place on it."""
    storage = _element(array).storage
    sources = _arrays(g, lambda element: element.storage is storage)
    source = g.choices.pick(sources)
    _object(g, source, depth)
    _place(g, depth)
    g.masked(3, depth, wild=60)
    g.emit("array.copy", (_index(g, array), _index(g, source)), pops=5)


def _br_on_cast(g: BodyGenerator, depth: int) -> None:
    """A block of its own, which a reference leaves if it is of a type, or if it is not."""
    source, target = _cast(g)
    name = g.choices.pick(("br_on_cast", "br_on_cast_fail"))
    rest = ref_type(False, heap_type(source)) if is_nullable(target) else source
    taken, stays = (target, rest) if name == "br_on_cast" else (rest, target)
    result = source if g.choices.chance(1, 2) else taken
    g.open("block", (), (result,))

    def fill() -> None:
        g.expr(source, depth - 1)
        g.emit(name, (0, source, target), pops=1, push=(stays,))
        g.dispose()
        g.expr(result, 1)

    g.nested(fill)
    g.dispose()


#: Ways to make values that are no references of the inside, with their weights.
READS: Sequence[tuple[int, Production]] = ((2, struct_get), (2, array_get))
#: Statements with their weights.
OBJECTS: Sequence[tuple[int, Statement]] = ((3, _struct_set), (4, _array_set), (2, _br_on_cast))

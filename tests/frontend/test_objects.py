"""Objects: where their parts lie, what constant expressions make, and what instances share."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.compiler.frontend.link import Linker
from swarmc.compiler.frontend.objects import HEADER, layout_of
from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.pipeline import optimise
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.module import Module
from swarmc.compiler.wasm.types import (
    ArrayType,
    DefType,
    FieldType,
    Packed,
    StructType,
    ValueType,
    define,
)
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import InstantiationError
from swarmc.ir import module as irm
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import PROGRAM
from swarmc.ir.types import EntityId, Trap, Type
from swarmc.ir.verifier import verify

HEAP = EntityId(PROGRAM, 0)


def decoded(text: str) -> Module:
    module = decode(bytes(wat2wasm(f"(module {text})")))
    validate(module)
    return module


def program(text: str, heap: int = 1 << 20) -> irm.Module:
    made = translate(decoded(text), known_host=lambda *_: False, heap=heap)
    verify(made)
    return made


def struct(*storage: ValueType | Packed, above: DefType | None = None) -> DefType:
    fields = tuple(FieldType(item, True) for item in storage)
    return define(StructType(fields), final=False, supertype=above)


def test_fields_lie_at_multiples_of_their_size_and_where_super_types_have_them() -> None:
    base = struct(Packed.I8, Type.I32, Packed.I16, Type.F64, Packed.I8)
    slots, size = layout_of(base)
    assert [(slot.offset, slot.width) for slot in slots] == [
        (8, 1), (12, 4), (16, 2), (24, 8), (32, 1)]
    assert size == 40
    assert isinstance(base.composite, StructType)
    longer = struct(*[field.storage for field in base.composite.fields], Type.V128, Packed.I8,
                    above=base)
    more, size = layout_of(longer)
    assert more[:5] == slots
    assert [(slot.offset, slot.align) for slot in more[5:]] == [(40, 8), (56, 1)]
    assert size == 64
    assert layout_of(struct()).size == HEADER
    (element,), size = layout_of(define(ArrayType(FieldType(Type.V128, True))))
    assert (element.offset, element.width, size) == (8, 16, HEADER)


CONSTANTS = """
(type $s (struct (field (mut i8)) (field funcref) (field i64)))
(type $a (array (mut (ref null $s))))
(func $one (result i32) i32.const 1) (func $unused)
(global $g (export "g") (ref $s)
  (struct.new $s (i32.const 0x123) (ref.func $one) (i64.const -1)))
(global (export "a") (ref $a) (array.new $a (global.get $g) (i32.const 2)))
(func (export "f") (result i64) (struct.get $s 2 (global.get $g)))"""


def test_constant_objects_are_in_the_initial_memory() -> None:
    made = program(CONSTANTS)
    (segment,) = made.data.values()
    assert (segment.id, segment.memory, segment.offset) == (HEAP, HEAP, 8)
    first, second = (made.globals[EntityId(0, number)].init for number in range(2))
    assert first == 8 and second == 8 + 32
    array = made.objects.index(2)  # the type below what all arrays have in common
    assert segment.data[32:40] == array.to_bytes(4, "little") + (2).to_bytes(4, "little")
    assert segment.data[40:56] == (8).to_bytes(8, "little") * 2
    assert segment.data[8:9] == b"\x23" and segment.data[24:32] == b"\xff" * 8
    assert segment.references == ((16, EntityId(0, 0)),)
    top = made.globals[HEAP]
    assert top.init == 8 + len(segment.data) and top.mutable
    optimise(made)
    assert list(made.removed) == [EntityId(0, 1)]  # what an object refers to is kept


def test_constant_objects_that_do_not_fit_are_refused() -> None:
    text = "(type $a (array i64)) (global (ref $a) (array.new_default $a (i32.const {})))"
    program(text.format(8190), heap=1)
    for count in (8191, 0xFFFFFFFF):
        with pytest.raises(InstantiationError, match=r"constant expressions need .* larger heap"):
            program(text.format(count), heap=1)


def test_a_program_without_objects_has_no_heap() -> None:
    assert not program("(type (struct)) (memory 1) (func)").globals
    assert not program("(func (param anyref) (drop (ref.is_null (local.get 0))))").memories


def test_an_agent_whose_heap_is_used_up_traps() -> None:
    made = program("""(type $n (struct (field (mut (ref null $n)))))
        (func (export "f") (param i32) (local (ref null $n))
          (loop (local.set 1 (struct.new $n (local.get 1)))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))""", heap=65536)
    agent = Interpreter(made)
    fits = (65536 - 8) // 16
    assert agent.invoke(EntityId(0, 0), (fits,)).results == ()
    assert agent.invoke(EntityId(0, 0), (1,)).trap is Trap.HEAP_EXHAUSTED
    agent.instantiate()
    assert agent.invoke(EntityId(0, 0), (fits + 1,)).trap is Trap.HEAP_EXHAUSTED


TYPES = """(rec (type $p (sub (struct (field (mut i32)))))
  (type $q (sub $p (struct (field (mut i32)) (field i32)))))
  (type $other (struct (field (mut i32))))"""


def test_instances_share_types_and_the_heap() -> None:
    linker = Linker(lambda *_: False)
    maker = linker.add(decoded(f"""{TYPES}
        (global (export "g") (ref $p) (struct.new $q (i32.const 5) (i32.const 6)))
        (func (export "make") (param i32) (result anyref)
          (struct.new $q (local.get 0) (i32.const 7)))
        (func (export "other") (result anyref) (struct.new $other (i32.const 1)))"""), {})
    user = linker.add(decoded(f"""(type (func)) {TYPES}
        (import "m" "g" (global $g (ref $p))) (import "m" "make" (func $make (param i32)
        (result anyref))) (import "m" "other" (func $other (result anyref)))
        (global $own (ref $p) (struct.new $p (i32.const 9)))
        (func (export "f") (param i32) (result i32 i32 i32 i32 i32)
          (struct.get $q 1 (ref.cast (ref $q) (global.get $g)))
          (struct.get $p 0 (ref.cast (ref $p) (call $make (local.get 0))))
          (ref.test (ref $p) (call $other))
          (ref.test (ref $other) (call $other))
          (struct.get $p 0 (global.get $own)))"""), {"m": maker})
    made = linker.program
    verify(made)
    assert len(made.memories) == 1 and len(made.objects) == 6
    agent = Interpreter(made)
    for instance in (maker, user):
        assert agent.invoke(made.exports[[e.name for e in made.exports].index(
            instance.instantiate)].id).results == ()
    assert agent.invoke(user.exports["f"].id, (3,)).results == (6, 3, 0, 1, 9)
    # What a third instance adds moves nothing of the others.
    before = dict(made.globals)
    linker.add(decoded("(memory 1) (global i32 (i32.const 1)) (data (i32.const 0) \"x\")"), {})
    verify(made)
    assert all(made.globals[id_] == item for id_, item in before.items())
    assert list(made.memories)[-1] == HEAP


def test_segments_become_arrays_until_they_are_dropped() -> None:
    made = program("""(type $f (array (mut funcref))) (type $v (func (result i32)))
        (func $one (type $v) i32.const 1) (func $two (type $v) i32.const 2)
        (elem $e funcref (ref.func $one) (ref.func $two) (ref.null func))
        (func (export "f") (param i32) (result i32)
          (call_ref $v (ref.cast (ref $v)
            (array.get $f (array.new_elem $f $e (local.get 0) (i32.const 1)) (i32.const 0)))))
        (func (export "drop") (elem.drop $e))""")
    agent = Interpreter(made)
    f, drop = EntityId(0, 2), EntityId(0, 3)
    assert [agent.invoke(f, (n,)).results for n in (0, 1)] == [(1,), (2,)]
    assert agent.invoke(f, (2,)).trap is Trap.CAST_FAILURE
    assert agent.invoke(f, (3,)).trap is Trap.TABLE_OUT_OF_BOUNDS
    assert agent.invoke(drop).results == ()
    assert agent.invoke(f, (0,)).trap is Trap.TABLE_OUT_OF_BOUNDS

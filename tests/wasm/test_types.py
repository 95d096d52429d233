"""Value types and defined types: what is equal is one object, and what matches what."""

from __future__ import annotations

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.features import SUPPORTED, FeatureSet
from swarmc.compiler.wasm.printer import print_wat
from swarmc.compiler.wasm.types import (
    DefType,
    FuncType,
    Heap,
    ValueType,
    define,
    is_nullable,
    matches,
    ref_type,
)
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import DecodeError, UnsupportedFeatureError, ValidationError
from swarmc.ir.types import Type

HIERARCHIES = {
    Type.FUNCREF: (Heap.FUNC, Heap.NOFUNC),
    Type.EXTERNREF: (Heap.EXTERN, Heap.NOEXTERN),
    Type.EXNREF: (Heap.EXN, Heap.NOEXN),
    Type.ANYREF: (Heap.ANY, Heap.EQ, Heap.I31, Heap.STRUCT, Heap.ARRAY, Heap.NONE),
}


def types_of(text: str) -> list[DefType]:
    module = decode(bytes(wasmtime.wat2wasm(f"(module {text})")), SUPPORTED)
    validate(module)
    return module.types


def test_there_is_one_object_for_each_abstract_reference() -> None:
    for lowered, heaps in HIERARCHIES.items():
        assert ref_type(True, heaps[0]) is lowered
        for heap in heaps:
            assert heap.ir is lowered
            for nullable in (False, True):
                type_ = ref_type(nullable, heap)
                assert type_ is ref_type(nullable, heap)
                assert is_nullable(type_) is nullable


def test_matching_of_abstract_references_is_what_the_specification_lists() -> None:
    below = {
        Heap.FUNC: {Heap.NOFUNC}, Heap.EXTERN: {Heap.NOEXTERN}, Heap.EXN: {Heap.NOEXN},
        Heap.ANY: {Heap.EQ, Heap.I31, Heap.STRUCT, Heap.ARRAY, Heap.NONE},
        Heap.EQ: {Heap.I31, Heap.STRUCT, Heap.ARRAY, Heap.NONE},
        Heap.I31: {Heap.NONE}, Heap.STRUCT: {Heap.NONE}, Heap.ARRAY: {Heap.NONE},
    }
    for wanted in Heap:
        for heap in Heap:
            expected = heap is wanted or heap in below.get(wanted, ())
            assert matches(ref_type(False, heap), ref_type(False, wanted)) is expected
            assert matches(ref_type(False, heap), ref_type(True, wanted)) is expected
            assert matches(ref_type(True, heap), ref_type(True, wanted)) is expected
            assert not matches(ref_type(True, heap), ref_type(False, wanted))
    assert not matches(Type.I32, Type.I64)
    assert not matches(Type.FUNCREF, Type.I64)


def test_equal_types_of_different_modules_are_the_same() -> None:
    group = "(rec (type (struct (field (ref null 1)))) (type (func (param (ref 0)))))"
    first, second = types_of(group), types_of(f"(type (func)) {group.replace('1', '2', 1)}"
                                              .replace("(ref 0)", "(ref 1)"))
    assert first == second[1:]
    assert first[0] is second[1] and second[0] is define(FuncType((), ()))


@pytest.mark.parametrize("text", [
    "(type (func (param (ref 0)))) (rec (type (func (param (ref 0)))))",  # the other, itself
    "(type (func)) (rec (type (func)) (type (func)))",
    "(type (func)) (type (sub (func)))",
    "(type (struct (field i32))) (type (struct (field (mut i32))))",
    "(type (struct (field i8))) (type (array i8))",
    "(type (func (param funcref))) (type (func (param (ref func))))",
])
def test_types_that_only_look_alike_differ(text: str) -> None:
    types = types_of(text)
    assert types[0] is not types[1]


def test_a_type_matches_what_it_is_declared_below_and_its_kind() -> None:
    types = types_of("""(type $a (sub (struct))) (type $b (sub $a (struct (field i32))))
                        (type $c (sub final $b (struct (field i32 i64)))) (type $other (struct))
                        (type $f (func))""")
    a, b, c, other, f = types

    def ref(type_: DefType) -> ValueType:
        return ref_type(False, type_)

    assert [matches(ref(c), ref(type_)) for type_ in types] == [True, True, True, False, False]
    assert not matches(ref(a), ref(b))
    for heap in (Heap.STRUCT, Heap.EQ, Heap.ANY):
        assert matches(ref(other), ref_type(True, heap))
        assert not matches(ref(f), ref_type(True, heap))
    assert matches(ref_type(False, Heap.NONE), ref(b))
    assert not matches(ref_type(False, Heap.NONE), ref(f))
    assert matches(ref_type(False, Heap.NOFUNC), ref(f)) and matches(ref(f), Type.FUNCREF)
    assert not matches(ref_type(True, c), ref(a))


@pytest.mark.parametrize(("text", "message"), [
    ("(type (struct)) (type (sub 0 (struct)))", "sub type 1 does not match super type, which is"),
    ("(type (sub (struct (field i32)))) (type (sub 0 (struct)))",
     r"sub type 1 does not match super type \(struct \(i32\)\)"),
    ("(type (sub (array (mut funcref)))) (type (sub 0 (array (mut (ref func)))))", "sub type 1"),
    ("(type (sub (func (param (ref func))))) (type (sub 0 (func (param i32))))", "sub type 1"),
    ("(type (sub (func (result anyref)))) (type (sub 0 (func (result funcref))))", "sub type 1"),
])
def test_sub_types_must_fit_their_super_types(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        types_of(text)


@pytest.mark.parametrize("text", [
    "(type (sub (struct (field anyref)))) (type (sub 0 (struct (field (ref eq)) (field i8))))",
    "(type (sub (func (param (ref eq)) (result eqref))))"
    "(type (sub 0 (func (param anyref) (result (ref i31)))))",
])
def test_fields_and_results_may_be_narrower_parameters_wider(text: str) -> None:
    first, second = types_of(text)
    assert second.supertype is first


@pytest.mark.parametrize(("section", "error", "message"), [
    (b"\x01\x60\x01\x64\x01\x00", ValidationError, "unknown type 1"),
    (b"\x02\x60\x00\x00\x50\x01\x01\x60\x00\x00", ValidationError, "unknown type 1"),
    (b"\x02\x60\x00\x00\x50\x02\x00\x00\x60\x00\x00", ValidationError, "more than one super"),
    (b"\x01\x4e\x01\x4e\x00", DecodeError, "malformed type"),
    (b"\x01\x5f\x01\x7f\x02", DecodeError, "malformed mutability"),
    (b"\x01\x5f\x01\x76\x00", DecodeError, "malformed value type"),
    (b"\x01\x60\x01\x64\x7f\x00", DecodeError, "malformed heap type"),
    (b"\x01\x60\x01\x64\xf0\x7f\x00", DecodeError, "malformed heap type"),
    (b"\x01\x5d\x00", UnsupportedFeatureError, "stack-switching"),
])
def test_wrong_types_are_refused(section: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        decode(b"\0asm\1\0\0\0\x01" + bytes([len(section)]) + section, SUPPORTED)


def test_a_chain_of_super_types_has_an_end() -> None:
    chain = "(type (sub (struct)))" + "".join(f"(type (sub {n} (struct)))" for n in range(63))
    assert len(types_of(chain)) == 64
    with pytest.raises(ValidationError, match="below more than 63 others"):
        types_of(chain + "(type (sub 63 (struct)))")


@pytest.mark.parametrize("text", [
    "(type (;0;) (sub (struct (field i8) (field (mut (ref null 0))))))",
    "(rec\n    (type (;0;) (func (param (ref 1))))\n    (type (;1;) (sub final (array (mut v128))))"
    .replace("(sub final (array (mut v128)))", "(array (mut v128))") + "\n  )",
    "(type (;0;) (sub (func)))\n  (type (;1;) (sub final 0 (func)))",
    "(rec\n    (type (;0;) (func))\n    (type (;1;) (func (param (ref 0))))\n  )\n"
    "  (rec\n    (type (;2;) (func))\n    (type (;3;) (func (param (ref 2))))\n  )",
])
def test_types_are_printed_as_they_are_read(text: str) -> None:
    module = decode(bytes(wasmtime.wat2wasm(f"(module {text})")), SUPPORTED)
    assert print_wat(module) == f"(module\n  {text}\n)\n"


def test_what_is_not_among_the_features_is_refused_by_name() -> None:
    features = FeatureSet("no objects", frozenset({"function-references"}))
    for text, feature in (("(type (struct))", "gc"), ("(type (sub (func)))", "gc"),
                          ("(func (param eqref))", "gc"), ("(rec)", "gc"),
                          ("(func (param exnref))", "exception-handling")):
        with pytest.raises(UnsupportedFeatureError) as caught:
            decode(bytes(wasmtime.wat2wasm(f"(module {text})")), features)
        assert caught.value.feature == feature
    decoded = decode(bytes(wasmtime.wat2wasm("(module (type (func (param (ref null 0)))))")),
                     features)
    assert isinstance(decoded.types[0].composite, FuncType)

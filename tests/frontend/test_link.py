"""Modules linked inside one agent: what imports resolve to, what is refused, what instantiates."""

from __future__ import annotations

import pytest
import wasmtime

from swarmc.compiler.frontend.link import Instance, Linker
from swarmc.compiler.pipeline import optimise
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.module import Module
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import LinkError
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify

LIBRARY = """(module
    (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (global.get $g)))
    (global $g (export "g") (mut i32) (i32.const 10)) (global (export "c") i64 (i64.const 3))
    (memory (export "m") 1 4) (table (export "t") 2 5 funcref))"""

USER = """(module
    (import "lib" "m" (memory 1 4)) (import "lib" "f" (func $f (param i32) (result i32)))
    (import "host" "log" (func $log (param i64)))
    (import "lib" "c" (global $c i64)) (import "lib" "g" (global $g (mut i32)))
    (import "lib" "t" (table 1 funcref))
    (type $t (func (param i32) (result i32)))
    (global $own i64 (global.get $c))
    (func $start (global.set $g (call_indirect (type $t) (i32.load (i32.const 4)) (i32.const 1))))
    (start $start) (elem (i32.const 1) $f) (data (i32.const 4) "\\05")
    (export "again" (func $f)) (export "log" (func $log))
    (export "own" (global $own)) (export "m2" (memory 0)))"""


def decoded(text: str) -> Module:
    module = decode(bytes(wasmtime.wat2wasm(text)))
    validate(module)
    return module


def knows(module: str, name: str, type_: FuncType) -> bool:
    return (module, name, type_) == ("host", "log", FuncType((Type.I64,), ()))


def linked() -> tuple[Linker, Instance, Instance]:
    linker = Linker(knows)
    library = linker.add(decoded(LIBRARY), {})
    return linker, library, linker.add(decoded(USER), {"lib": library})


def test_imports_are_the_entities_that_others_define() -> None:
    linker, library, user = linked()
    program = linker.program
    verify(program)
    assert library.exports["f"].id == user.exports["again"].id == EntityId(0, 0)
    assert library.exports["m"].id == user.exports["m2"].id == EntityId(0, 0)
    assert list(program.memories) == list(program.tables) == [EntityId(0, 0)]
    assert list(program.host_functions) == [user.exports["log"].id] == [EntityId(1, 1)]
    # Indices count imports first, as in the module; what is imported takes no place of its own.
    assert list(program.globals) == [EntityId(0, 0), EntityId(0, 1), EntityId(1, 2)]
    assert program.globals[EntityId(1, 2)].init == 3
    assert {"0/f", "1/again", "0", "1"} <= {item.name for item in program.exports}
    assert program.starts == []
    assert len(set(program.types)) == len(program.types)


@pytest.mark.parametrize("level", [0, 2])
def test_instantiation_is_code(level: int) -> None:
    linker, library, user = linked()
    optimise(linker.program, verify=True, level=level)
    agent = Interpreter(linker.program, {("host", "log"): lambda *_: ()})
    agent.instantiate()
    entries = {item.name: item.id for item in linker.program.function_exports()}

    def call(name: str, *args: int) -> tuple[int, ...] | None:
        return agent.invoke(entries[name], args, 1000).results

    assert call(library.instantiate) == ()
    assert call("0/f", 1) == (11,)
    assert agent.state.memories[EntityId(0, 0)][4] == 0
    assert call(user.instantiate) == ()
    assert agent.state.memories[EntityId(0, 0)][4] == 5
    assert call("1/again", 1) == (16,)  # $g is 10 + 5 now


def test_an_active_segment_that_does_not_fit_traps_after_those_before_it() -> None:
    linker = Linker(knows)
    instance = linker.add(decoded("""(module (memory 1) (table 1 funcref) (func $f)
        (elem (i32.const 0) $f) (data (i32.const 0) "a") (data (i32.const 65536) "b")
        (data (i32.const 1) "c") (start $f))"""), {})
    agent = Interpreter(linker.program)
    agent.instantiate()
    entries = {item.name: item.id for item in linker.program.function_exports()}
    outcome = agent.invoke(entries[instance.instantiate], (), 1000)
    assert outcome.trap is Trap.MEMORY_OUT_OF_BOUNDS
    assert bytes(agent.state.memories[EntityId(0, 0)][:2]) == b"a\0"
    assert agent.state.tables[EntityId(0, 0)] != [0]


@pytest.mark.parametrize(("text", "message"), [
    ('(import "lib" "f" (func))', "incompatible import type: lib.f: func () -> ()"),
    ('(import "lib" "f" (global i32))', "incompatible import type: lib.f: global i32"),
    ('(import "lib" "g" (global i32))', "incompatible import type: lib.g: global i32"),
    ('(import "lib" "c" (global i32))', "incompatible import type"),
    ('(import "lib" "m" (memory 1 3))', "incompatible import type: lib.m: memory 1..3"),
    ('(import "lib" "t" (table 2 externref))', "incompatible import type"),
    ('(import "lib" "t" (table 2 4 funcref))', "incompatible import type"),
    ('(import "lib" "none" (func))', "unknown import: lib.none: func () -> ()"),
    ('(import "none" "f" (func))', "unknown import"),
    ('(import "host" "log" (func (param i32)))', "unknown import"),
])
def test_refuses_wrong_imports(text: str, message: str) -> None:
    linker, library, _ = linked()
    with pytest.raises(LinkError) as caught:
        linker.resolve(decoded(f"(module {text})"), {"lib": library})
    assert caught.value.message.startswith(message)
    assert caught.value.offset is not None


@pytest.mark.parametrize(("text", "size", "fits"), [
    ('(import "lib" "m" (memory 2))', 1, False), ('(import "lib" "m" (memory 2))', 2, True),
    ('(import "lib" "m" (memory 1))', 2, True), ('(import "lib" "t" (table 3 funcref))', 2, False),
    ('(import "lib" "t" (table 3 9 funcref))', 4, True),
])
def test_the_current_size_counts(text: str, size: int, fits: bool) -> None:
    linker, library, _ = linked()
    module = decoded(f"(module {text})")
    if fits:
        assert linker.resolve(module, {"lib": library}, lambda kind, id_: size) == [EntityId(0, 0)]
        return
    with pytest.raises(LinkError, match="incompatible import type"):
        linker.resolve(module, {"lib": library}, lambda kind, id_: size)


def test_another_instance_renumbers_nothing() -> None:
    linker, _, _ = linked()
    before = linker.program.function_numbers()
    types = list(linker.program.types)
    linker.add(decoded("(module (func (param f64)) (func))"), {})
    after = linker.program.function_numbers()
    assert {id_: after[id_] for id_ in before} == before
    assert linker.program.types[:len(types)] == types

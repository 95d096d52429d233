"""A module's entities become those of the IR: imports, constants, segments, names."""

from __future__ import annotations

import pytest
import wasmtime

from swarmc.compiler.frontend.heap import Heap
from swarmc.compiler.frontend.names import function_names, spans
from swarmc.compiler.frontend.translate import MissingImports, Placement, translate
from swarmc.compiler.frontend.type_numbers import TypeNumbers
from swarmc.compiler.wasm import module as wasm
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import LinkError
from swarmc.ir import ops as o
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import FuncInit, Module
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify

IMPORTS = """(module
    (import "env" "log" (func $log (param i32)))
    (import "env" "now" (func $now (result i64)))
    (import "env" "memory" (memory 2 5))
    (import "env" "table" (table 3 funcref))
    (import "env" "base" (global $base i32))
    (import "env" "top" (global $top (mut i64)))
    (global $next i32 (global.get $base))
    (data (global.get $base) "abc")
    (elem (global.get $base) func $log $f)
    (func $f (export "f") (result i32) (global.get $base))
    (func (export "g") (call $log (i32.const 1))))"""


def decoded(wat: str) -> wasm.Module:
    module = decode(bytes(wasmtime.wat2wasm(wat)))
    validate(module)
    return module


def program(wat: str, missing: MissingImports = "error", known: str = "") -> Module:
    ir = translate(decoded(wat), missing_imports=missing,
                   known_host=lambda module, name, type_: f"{module}.{name}" in known.split())
    verify(ir)
    return ir


def id_(index: int) -> EntityId:
    return EntityId(0, index)


def test_missing_imports_are_refused_all_at_once() -> None:
    with pytest.raises(LinkError) as error:
        program(IMPORTS, known="env.now")
    assert error.value.message.splitlines() == [
        "nothing provides these imports:",
        "  env.log: func (i32) -> ()",
        "  env.memory: memory 2..5",
        "  env.table: table 3.. funcref",
        "  env.base: global i32",
        "  env.top: global mut i64",
    ]
    assert error.value.offset is not None


def test_a_host_function_is_asked_for_with_its_type() -> None:
    asked: list[tuple[str, str, FuncType]] = []

    def known(module: str, name: str, type_: FuncType) -> bool:
        asked.append((module, name, type_))
        return True

    ir = translate(decoded('(module (import "a" "b" (func (param i32) (result f64))))'),
                   known_host=known)
    assert set(asked) == {("a", "b", FuncType((Type.I32,), (Type.F64,)))}
    assert not ir.host_functions[id_(0)].missing


def test_missing_imports_may_trap_instead() -> None:
    ir = program(IMPORTS, "trap", known="env.now")
    assert [host.missing for host in ir.host_functions.values()] == [True, False]
    assert ir.memories[id_(0)].minimum == 2
    assert ir.memories[id_(0)].maximum == 5
    assert ir.tables[id_(0)].minimum == 3
    assert [item.init for item in ir.globals.values()] == [0, 0, 0]
    agent = Interpreter(ir, {("env", "now"): lambda state, args: [0]})
    assert agent.invoke(id_(2)).results == (0,)
    assert agent.invoke(id_(3)).trap is Trap.MISSING_IMPORT
    assert agent.state.memories[id_(0)][:3] == b"abc"


def test_types_are_interned_by_structure() -> None:
    ir = program("(module (type (func)) (type (func (param i32))) (type (func)) "
                 "(func (type 0)) (func (type 2)) (func (type 1)))")
    assert ir.types == [FuncType((), ()), FuncType((Type.I32,), ())]
    assert [function.sig for function in ir.functions.values()] == [0, 0, 1]


def test_constant_expressions() -> None:
    ir = program("""(module (func $f) (memory 1) (table 4 funcref)
        (global $a i32 (i32.const -1)) (global $b f64 (f64.const -0)) (global $c funcref
        (ref.func $f)) (global $d externref (ref.null extern)) (global (mut i64) (i64.const 7))
        (data (i32.const 5) "x") (data "y") (elem (i32.const 2) func $f)
        (elem funcref (ref.null func) (ref.func $f)) (elem declare func $f))""")
    inits = [item.init for item in ir.globals.values()]
    assert inits == [0xFFFFFFFF, 1 << 63, FuncInit(id_(0)), 0, 7]
    first, second = ir.data.values()
    assert (first.memory, first.offset, first.data) == (id_(0), 5, b"x")
    assert (second.active, second.data) == (False, b"y")
    active, passive, declarative = ir.elems.values()
    assert (active.table, active.offset, active.items) == (id_(0), 2, (FuncInit(id_(0)),))
    assert (passive.active, passive.items) == (False, (0, FuncInit(id_(0))))
    assert declarative.declarative


def test_extended_constant_expressions() -> None:
    ir = program("""(module (import "env" "base" (global $base i32)) (memory 1) (table 9 funcref)
        (global i32 (i32.sub (i32.mul (i32.const 0x10000001) (i32.const 16)) (i32.const 17)))
        (global i64 (i64.add (i64.const -1) (i64.mul (i64.const 3) (i64.const 5))))
        (data (i32.add (global.get $base) (i32.const 40)) "x")
        (elem (offset (i32.sub (i32.const 7) (i32.const 2))) func))""", missing="trap")
    assert [item.init for item in ir.globals.values()] == [0, 2**32 - 1, 14]
    assert ir.data[id_(0)].offset == 40
    assert ir.elems[id_(0)].offset == 5


def test_an_immutable_global_is_a_constant() -> None:
    ir = program("""(module (global $a i32 (i32.const 6)) (global $f funcref (ref.func 0))
        (func (result i32 funcref) global.get $a global.get $f))""")
    assert [inst.op for inst in ir.functions[id_(0)].insts()] == [
        o.CHARGE, o.FUEL_CHECK, o.CHARGE, o.CONST, o.REF_FUNC, o.RETURN]


def test_exports_and_start() -> None:
    ir = program("""(module (memory (export "m") 1) (table (export "t") 1 funcref)
        (global (export "g") i32 (i32.const 0)) (func $s (export "f")) (func (export "h"))
        (start $s))""")
    exports = {(item.name, item.kind, item.id) for item in ir.exports}
    assert exports == {("m", "memory", id_(0)), ("t", "table", id_(0)), ("g", "global", id_(0)),
                       ("f", "func", id_(0)), ("h", "func", id_(1))}
    assert ir.starts == [id_(0)]


def test_another_instance_has_its_own_ids() -> None:
    ir = Module()
    place = Placement(ir, TypeNumbers(ir), Heap(ir, 0), 3, [], "")
    translate(decoded("(module (memory 1) (func (drop (memory.size))))"),
              known_host=lambda *_: False, into=place)
    verify(ir)
    assert list(ir.functions) == list(ir.memories) == [EntityId(3, 0)]


@pytest.mark.parametrize(("declared", "units"), [
    ("", 1),
    ("(param i32)", 2),
    ("(param i64 f64) (local i32 f32 i64 i64 i64 i64 i64)", 2),
    ("(param i64 f64) (local i32 f32 i64 i64 i64 i64 i64 i32)", 3),
    ("(local funcref externref)", 2),
])
def test_units_of_call_depth(declared: str, units: int) -> None:
    assert program(f"(module (func {declared}))").functions[id_(0)].units == units


def test_names_and_spans() -> None:
    module = decoded("""(module (import "a" "b" (func)) (func (export "x") (export "y"))
        (func $named (export "z")) (func))""")
    names = ["func[0]", "x", "named", "func[3]"]
    module.names = {2: "named"}
    assert function_names(module) == [module.function_name(index) for index in range(4)] == names
    found = spans(module)
    assert [span.name for span in found] == names[1:]
    assert [(span.start, span.end) for span in found] == [
        (func.start, func.end) for func in module.funcs]
    ir = translate(module, missing_imports="trap", known_host=lambda *_: False)
    assert [function.name for function in ir.functions.values()] == names[1:]
    assert [function.loc for function in ir.functions.values()] == [
        span.start + 1 for span in found]


def test_the_place_of_a_trap_is_a_byte_offset() -> None:
    module = decoded("(module (func (drop (i32.div_u (i32.const 1) (i32.const 0)))))")
    ir = translate(module, known_host=lambda *_: False)
    outcome = Interpreter(ir).invoke(id_(0))
    assert outcome.trap is Trap.INTEGER_DIVIDE_BY_ZERO
    assert outcome.loc == module.funcs[0].body.offsets[2]

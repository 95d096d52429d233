"""Small modules that use each instruction that is not plain arithmetic, and how to call them."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """A module, and argument lists for its export ``f``, to be called one after the other."""

    name: str
    wat: str
    calls: tuple[tuple[int, ...], ...] = ((),)


M1 = 0xFFFFFFFF


def body(name: str, code: str, calls: tuple[tuple[int, ...], ...] = ((),), *,
         sig: str = "(result i32)", more: str = "") -> Shape:
    """A shape with one function ``f`` of this signature."""
    return Shape(name, f'(module {more} (func $f (export "f") {sig} {code}))', calls)


ONE = "(param i32) (result i32)"
_STATE = ('(memory (export "m") 1 3) (global $g (export "g") (mut i32) (i32.const 5)) '
          '(data $d "abcdefghij")')
_OBJECTS = (
    "(rec (type $p (sub (struct (field (mut i8)) (field i16) (field i64) (field v128) (field (mut "
    "eqref)))))) (type $q (sub $p (struct (field (mut i8)) (field i16) (field i64) (field v128) "
    "(field (mut eqref)) (field f32)))) (type $a (array (mut i32))) (type $b (array (mut i8))) "
    "(type $r (array (mut funcref))) (type $v (sub (func (result i32)))) (type $w (sub $v (func "
    '(result i32)))) (data $d "abcdefghijklmnopqrst") (elem $e funcref (ref.func $one) (ref.func '
    "$two) (ref.null func)) (elem declare func $one) (func $one (type $v) i32.const 1) (func $two "
    "(type $w) i32.const 2) (func $any (param i32) (result anyref) (block (block (block (block "
    "(block (block (br_table 0 1 2 3 4 5 (local.get 0))) (return (ref.null any))) (return "
    "(struct.new_default $p))) (return (struct.new_default $q))) (return (array.new_default $a "
    "(i32.const 2)))) (return (ref.i31 (i32.const 3)))) (array.new_default $b (i32.const 2)))"
)
_REFERENCES = (
    "(type $t (func (param i32) (result i32))) (elem declare func $twice $f) (func $twice (type "
    "$t) (i32.mul (local.get 0) (i32.const 2))) (func $some (param i32) (result (ref null $t)) "
    "(if (result (ref null $t)) (i32.eq (local.get 0) (i32.const 1)) (then (ref.func $twice)) "
    "(else (ref.null $t))))"
)
_TABLES = ("(table $t 4 8 funcref) (table $x 3 6 externref) (type $v (func)) "
           "(type $i (func (result i32))) (func $one (type $i) i32.const 1) "
           "(func $two (type $i) i32.const 2) (func $none (type $v)) "
           "(elem (i32.const 0) func $one $two $none) (elem $e func $two $one $two)")

CONTROL = (
    body("nop drop", "nop i32.const 1 i32.const 2 drop nop"),
    body("block result", "(block (result i32) i32.const 7)"),
    body("block br", "(block (result i32) (br 0 (i32.const 7)))"),
    body("block br dead", "(block (result i32) i32.const 7 br 0 i32.const 8 drop unreachable)"),
    body("br_if value", "(block (result i32) i32.const 1 local.get 0 br_if 0 drop i32.const 2)",
         ((0,), (1,), (M1,)), sig=ONE),
    body("br_if function label", "i32.const 1 local.get 0 br_if 0 drop i32.const 2",
         ((0,), (1,)), sig=ONE),
    body("br function label", "(block i32.const 9 br 1) i32.const 2"),
    body("return in block", "(block (if (local.get 0) (then (return (i32.const 3))))) i32.const 4",
         ((0,), (1,)), sig=ONE),
    body("return with operands below", "i32.const 1 i32.const 2 i32.const 3 return"),
    body("unreachable", "(if (local.get 0) (then unreachable)) i32.const 1", ((0,), (1,)),
         sig=ONE),
    body("if else result", "(if (result i32) (local.get 0) (then i32.const 1) "
         "(else i32.const 2))", ((0,), (5,)), sig=ONE),
    body("if without else", "(local.set 0 (i32.add (local.get 0) (i32.const 1))) (if (local.get 0) "
         "(then (local.set 0 (i32.const 77)))) local.get 0", ((0,), (M1,)), sig=ONE),
    body("if without else, params", "i32.const 3 local.get 0 (if (param i32) (result i32) "
         "(then i32.const 1 i32.add))", ((0,), (1,)), sig=ONE),
    body("if else, params", "i32.const 3 i32.const 4 local.get 0 (if (param i32 i32) (result i32) "
         "(then i32.sub) (else i32.mul))", ((0,), (1,)), sig=ONE),
    body("then is dead", "(if (result i32) (local.get 0) (then (return (i32.const 1))) "
         "(else i32.const 2))", ((0,), (1,)), sig=ONE),
    body("both arms dead", "(if (local.get 0) (then (return (i32.const 1))) "
         "(else (return (i32.const 2)))) unreachable", ((0,), (1,)), sig=ONE),
    body("br out of an if without else", "(block (if (local.get 0) (then br 0 nop) ) "
         "(return (i32.const 1))) i32.const 2", ((0,), (1,)), sig=ONE),
    body("dead if else skipped", "i32.const 5 return (if (i32.const 1) (then nop) (else nop)) "
         "(block (loop br 0)) i32.const 1"),
    body("dead nested then live else", "(if (result i32) (local.get 0) (then i32.const 1 br 1 "
         "(if (i32.const 0) (then) (else)) i32.const 3) (else i32.const 2))", ((0,), (1,)),
         sig=ONE),
    body("loop counts", "(local i32) (loop local.get 0 (if (then local.get 0 local.get 1 i32.add "
         "local.set 1 local.get 0 i32.const 1 i32.sub local.set 0 br 1))) local.get 1",
         ((0,), (1,), (9,)), sig=ONE),
    body("loop params", "i32.const 1 local.get 0 (loop (param i32 i32) (result i32) local.set 0 "
         "local.get 0 i32.mul local.get 0 i32.const 1 i32.sub local.tee 0 local.get 0 br_if 0 "
         "drop)", ((1,), (5,)), sig=ONE),
    body("loop without back edge", "(local i32) i32.const 4 local.set 0 (loop local.get 0 "
         "i32.const 1 i32.add local.set 0) local.get 0"),
    body("loop falls out by br", "(block (loop (br_if 1 (i32.eqz (local.get 0))) "
         "(local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0))) local.get 0",
         ((0,), (3,)), sig=ONE),
    body("local read after a loop only", "(local i32 i32) (block (loop (br_if 1 (i32.eqz "
         "(local.get 0))) (local.set 2 (local.get 1)) (local.set 1 (local.get 0)) (local.set 0 "
         "(i32.sub (local.get 0) (i32.const 1))) (br 0))) (i32.add (i32.mul (i32.const 100) "
         "(local.get 1)) (local.get 2))", ((0,), (1,), (2,), (5,)), sig=ONE),
    body("swap in a loop", "(local i32 i32 i32) i32.const 1 local.set 1 i32.const 2 local.set 2 "
         "(loop local.get 1 local.set 3 local.get 2 local.set 1 local.get 3 local.set 2 "
         "local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0) (i32.add (i32.mul "
         "(i32.const 10) (local.get 1)) (local.get 2))", ((1,), (2,), (7,)), sig=ONE),
    body("nested loops", "(local i32 i32) (loop local.get 0 local.set 1 (loop local.get 2 "
         "local.get 1 i32.add local.set 2 local.get 1 i32.const 1 i32.sub local.tee 1 br_if 0 "
         "local.get 0 i32.const 1 i32.sub local.tee 0 br_if 1)) local.get 2", ((1,), (4,)),
         sig=ONE),
    body("continue of the outer loop", "(local i32) (loop (loop local.get 0 i32.const 1 i32.add "
         "local.tee 0 i32.const 5 i32.lt_u br_if 1 local.get 0 i32.const 9 i32.lt_u br_if 0)) "
         "local.get 0"),
    body("br_table", "(block (block (block (br_table 0 1 2 (local.get 0))) (return "
         "(i32.const 10))) (return (i32.const 11))) i32.const 12",
         ((0,), (1,), (2,), (3,), (M1,)), sig=ONE),
    body("br_table default only", "(block (br_table 0 (local.get 0)) unreachable) i32.const 1",
         ((0,), (M1,)), sig=ONE),
    body("br_table same label often, with value", "(block (result i32) (block (result i32) "
         "i32.const 8 local.get 0 br_table 0 1 0 1 1 0) i32.const 1 i32.add)",
         ((0,), (1,), (2,), (3,), (4,), (5,), (M1,)), sig=ONE),
    body("br_table to loop, block and function", "(local i32) (block (loop local.get 1 i32.const 1 "
         "i32.add local.set 1 local.get 1 local.get 0 i32.add (br_if 1 (i32.gt_u (local.get 1) "
         "(i32.const 4))) i32.const 3 i32.rem_u br_table 0 0 1)) local.get 1",
         ((0,), (1,), (2,)), sig=ONE),
    body("switch with fallthrough", "(local i32) (block (block (block (block (br_table 0 1 2 3 "
         "(local.get 0))) (local.set 1 (i32.const 1))) (local.set 1 (i32.add (local.get 1) "
         "(i32.const 10)))) (local.set 1 (i32.add (local.get 1) (i32.const 100)))) local.get 1",
         ((0,), (1,), (2,), (3,)), sig=ONE),
    body("many results", "local.get 0 i32.const 2 i64.const 3 f32.const 1.5 f64.const 2.5", ((1,),),
         sig="(param i32) (result i32 i32 i64 f32 f64)"),
    body("block with many results", "(block (result i32 i32) i32.const 30 i32.const 12 local.get 0 "
         "br_if 0 drop drop i32.const 1 i32.const 2) i32.sub", ((0,), (1,)), sig=ONE),
    body("local.tee", "local.get 0 i32.const 1 i32.add local.tee 0 local.get 0 i32.mul", ((6,),),
         sig=ONE),
    body("locals begin as zero", "(local i64 f32 f64 i32) local.get 1 i32.wrap_i64 local.get 2 "
         "i32.trunc_f32_s i32.add local.get 3 i32.trunc_f64_s i32.add local.get 4 i32.add",
         ((6,),), sig=ONE),
    body("select", "(select (i32.const 1) (i32.const 2) (local.get 0))", ((0,), (1,), (M1,)),
         sig=ONE),
    body("select t", "(select (result i64) (i64.const 1) (i64.const 2) (local.get 0)) i32.wrap_i64",
         ((0,), (1,)), sig=ONE),
    body("select reference", "(ref.is_null (select (result funcref) (ref.null func) (ref.func $f) "
         "(local.get 0)))", ((0,), (1,)), sig=ONE, more="(elem declare func $f)"),
)

STATE = (
    body("constants", "i32.const -1 f32.const nan:0x200000 i32.reinterpret_f32 i32.xor f64.const "
         "-0 i64.reinterpret_f64 i64.const 1 i64.rotl i32.wrap_i64 i32.add"),
    Shape("globals", '(module (global $a i32 (i32.const 4)) (global $b (export "b") (mut i64) '
          '(i64.const 9)) (global $c (export "c") (mut f64) (f64.const 2.5)) (global $r funcref '
          '(ref.func $f)) (global $n externref (ref.null extern)) (func $f (export "f") '
          "(result i32 i32) global.get $a global.get $r ref.is_null global.get $n ref.is_null "
          "i32.add global.get $b i64.const 1 i64.add global.set $b (global.set $c (f64.neg "
          "(global.get $c)))))", ((), ())),
    body("memory.size, memory.grow", "local.get 0 memory.grow memory.size i32.const 100 i32.mul "
         "i32.add", ((0,), (1,), (5,), (1,), (1,), (M1,)), sig=ONE, more=_STATE),
    body("memory.fill", "local.get 0 local.get 1 local.get 2 memory.fill",
         ((0, 1, 5), (65530, 0x1FF, 6), (65530, 2, 7), (M1, 2, 0), (65536, 2, 0), (1, 3, M1)),
         sig="(param i32 i32 i32)", more=_STATE),
    body("memory.init, data.drop", "local.get 0 local.get 1 local.get 2 memory.init $d "
         "(if (i32.eq (local.get 0) (i32.const 9)) (then data.drop $d))",
         ((0, 1, 5), (65533, 0, 4), (5, 8, 3), (9, 10, 0), (9, 1, 1), (9, 0, 0)),
         sig="(param i32 i32 i32)", more=_STATE),
    body("memory.copy", "i32.const 0 i32.const 0 i32.const 10 memory.init $d local.get 0 "
         "local.get 1 local.get 2 memory.copy",
         ((2, 0, 5), (0, 2, 5), (65530, 0, 7), (0, 65530, 7), (0, 0, 0), (M1, 0, 1)),
         sig="(param i32 i32 i32)", more=_STATE),
    body("bulk operations of constant length", "i32.const 20 i32.const 7 i32.const 128 memory.fill "
         "i32.const 200 i32.const 7 i32.const 129 memory.fill local.get 0 i32.const 0 i32.const 20 "
         "memory.copy global.get $g i32.const 1 i32.add global.set $g",
         ((3,), (65536 - 19,)), sig="(param i32)", more=_STATE),
    body("growth by a constant", "i32.const 1 memory.grow i32.const 129 memory.grow i32.add "
         "i32.const -1 memory.grow i32.add", ((), ()), more=_STATE),
    body("call", "i32.const 3 local.get 0 call $sub i32.const 1 i32.add (drop (drop (call $two)))",
         ((1,), (10,)), sig=ONE, more="(func $sub (param i32 i32) (result i32) local.get 0 "
         "local.get 1 i32.sub) (func $two (result i32 i64) i32.const 1 i64.const 2)"),
    body("call that traps", "local.get 0 call $div i32.const 1 i32.add", ((1,), (0,)), sig=ONE,
         more="(func $div (param i32) (result i32) i32.const 8 local.get 0 i32.div_u)"),
    body("recursion", "(if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then local.get 0) "
         "(else (i32.add (call $f (i32.sub (local.get 0) (i32.const 1))) (call $f (i32.sub "
         "(local.get 0) (i32.const 2))))))", ((0,), (1,), (6,)), sig=ONE),
    body("call_indirect", "(i32.add (i32.const 1) (call_indirect $t (type $i) (local.get 0)))",
         ((0,), (1,), (2,), (3,), (4,), (M1,)), sig=ONE, more=_TABLES),
    body("call_indirect with operands", "i32.const 4 i32.const 3 local.get 0 call_indirect "
         "(param i32 i32) (result i32)", ((0,), (1,)), sig=ONE,
         more="(table funcref (elem $s $f)) (func $s (param i32 i32) (result i32) local.get 0 "
         "local.get 1 i32.sub)"),
    body("return_call", "(if (local.get 0) (then (return_call $sub (local.get 0) (i32.const 3)))) "
         "i32.const 9", ((0,), (1,), (10,)), sig=ONE, more="(func $sub (param i32 i32) "
         "(result i32) local.get 0 local.get 1 i32.sub)"),
    body("return_call of itself", "(if (i32.eqz (local.get 0)) (then (return (local.get 1)))) "
         "(return_call $f (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) "
         "(local.get 0)))", ((0, 7), (3000, 0)), sig="(param i32 i32) (result i32)"),
    body("return_call_indirect", "(block (return_call_indirect $t (type $i) (local.get 0))) "
         "i32.const 5", ((0,), (1,), (2,), (3,), (4,), (M1,)), sig=ONE, more=_TABLES),
    body("throw and catch", "(block $b (result i32) (try_table (catch $t $b) (throw $t (i32.mul "
         "(local.get 0) (i32.const 3)))) (i32.const 9))", ((0,), (5,)), sig=ONE,
         more="(tag $t (param i32))"),
    body("catch what a callee throws", "(block $b (result i32) (try_table (result i32) "
         "(catch $t $b) (call $g (local.get 0))))", ((0,), (5,)), sig=ONE,
         more="(tag $t (param i32)) (func $g (param i32) (result i32) (if (local.get 0) (then "
         "(throw $t (local.get 0)))) (i32.const 77))"),
    body("throw_ref", "(local exnref) (block $b (result i32) (try_table (result i32) (catch $t $b) "
         "(block $c (result exnref) (try_table (catch_all_ref $c) (call $g (local.get 0))) "
         "(return (i32.const 3))) (local.set 1) (throw_ref (local.get 1))))", ((0,), (5,)), sig=ONE,
         more="(tag $t (param i32)) (func $g (param i32) (if (local.get 0) (then (throw $t "
         "(local.get 0)))))"),
    body("table.get, table.set", "(table.set $t (local.get 1) (table.get $t (local.get 0))) "
         "(ref.is_null (table.get $t (local.get 1))) (ref.is_null (table.get $x (i32.const 0)))",
         ((0, 3), (3, 0), (4, 0), (0, 4), (M1, 0), (2, 1)),
         sig="(param i32 i32) (result i32 i32)", more=_TABLES),
    body("table.size, table.grow, table.fill", "ref.func $one local.get 0 table.grow $t table.size "
         "$t local.get 0 ref.func $two local.get 1 table.fill $t ref.null extern local.get 1 "
         "table.grow $x", ((0, 0), (1, 3), (9, 0), (2, 1), (7, 2)),
         sig="(param i32 i32) (result i32 i32 i32)", more=_TABLES),
    body("table.copy, table.init, elem.drop", "local.get 0 local.get 1 local.get 2 table.init $t "
         "$e local.get 1 local.get 0 local.get 2 table.copy $t $t (call_indirect $t (type $i) "
         "(local.get 1)) (if (i32.eqz (local.get 2)) (then elem.drop $e))",
         ((0, 1, 2), (2, 0, 3), (1, 0, 3), (0, 0, 0), (0, 0, 1), (1, 0, 0)),
         sig="(param i32 i32 i32) (result i32)", more=_TABLES),
    body("references", "(local funcref externref) local.get 0 ref.is_null ref.null extern "
         "local.set 1 local.get 1 ref.is_null ref.func $f local.tee 0 ref.is_null",
         sig="(result i32 i32 i32)", more="(elem declare func $f)"),
    body("call_ref", "(call_ref $t (i32.const 5) (call $some (local.get 0))) (call_ref $t "
         "(local.get 0) (ref.func $twice)) i32.add", ((0,), (1,)), sig=ONE, more=_REFERENCES),
    body("return_call_ref", "(if (local.get 0) (then (return_call_ref $t (i32.const 5) "
         "(call $some (local.get 0))))) (return_call_ref $t (local.get 0) (ref.null $t))",
         ((0,), (1,)), sig=ONE, more=_REFERENCES),
    body("null or not", "(local (ref $t)) (drop (block $null (result i32) i32.const 7 "
         "(br_on_null $null (call $some (local.get 0))) local.set 1 (call_ref $t (local.get 1)) "
         "local.set 0 i32.const 8)) (block $some (result (ref $t)) (br_on_non_null $some "
         "(call $some (local.get 0))) (return (i32.const 9))) local.set 1 (call_ref $t "
         "(i32.const 3) (ref.as_non_null (local.get 1)))", ((0,), (1,), (2,)), sig=ONE,
         more=_REFERENCES),
    body("ref.as_non_null", "(call_ref $t (i32.const 3) (ref.as_non_null (call $some "
         "(local.get 0)))) (call_ref $t (table.get $r (local.get 0))) (call_ref $t "
         "(table.get $g (local.get 0)))", ((0,), (1,), (2,)), sig=ONE, more=_REFERENCES
         + "(table $r 2 (ref $t) (ref.func $twice)) (table $g 3 (ref null $t)) "
         "(elem (table $g) (i32.const 1) (ref null $t) (ref.func $twice))"),
    body("structs", "(local (ref $p)) (local.set 1 (struct.new $p (local.get 0) (i32.const -2) "
         "(i64.const 7) (v128.const i64x2 1 2) (struct.new_default $p))) (struct.set $p 0 "
         "(local.get 1) (i32.const 0x1ff)) (struct.get_s $p 0 (local.get 1)) (struct.get_u $p 1 "
         "(local.get 1)) (struct.get $p 2 (local.get 1)) (i64x2.extract_lane 1 (struct.get $p 3 "
         "(local.get 1))) (struct.get_s $p 0 (ref.cast (ref $p) (struct.get $p 4 (local.get 1)))) "
         "(ref.test (ref $p) (struct.get $p 4 (local.get 1)))", ((3,),),
         sig="(param i32) (result i32 i32 i64 i64 i32 i32)", more=_OBJECTS),
    body("null structs", "(struct.set $p 0 (select (result (ref null $p)) (ref.null $p) "
         "(struct.new_default $p) (local.get 0)) (i32.const 1)) (struct.get_u $p 0 (select "
         "(result (ref null $p)) (ref.null $p) (struct.new_default $p) (i32.lt_u (local.get 0) "
         "(i32.const 2))))", ((1,), (0,), (2,)), sig=ONE, more=_OBJECTS),
    body("arrays", "(local (ref null $a) (ref null $b)) (local.set 2 (array.new $a (i32.const 9) "
         "(local.get 0))) (local.set 3 (array.new_fixed $b 3 (i32.const 1) (i32.const 2) "
         "(i32.const 0x83))) (array.set $a (local.get 2) (local.get 1) (i32.const 4)) (array.get "
         "$a (local.get 2) (i32.const 1)) (array.get_s $b (local.get 3) (i32.const 2)) "
         "(array.get_u $b (local.get 3) (local.get 1)) (array.len (local.get 2)) (array.len "
         "(array.new_default $b (local.get 1))) (array.fill $a (local.get 2) (local.get 1) "
         "(i32.const 0) (i32.const 2)) (array.copy $a $a (local.get 2) (i32.const 0) (local.get 2) "
         "(local.get 1) (i32.const 1)) (array.get $a (local.get 2) (i32.const 0))",
         ((5, 1), (3, 2), (0, 0), (3, 1), (2, 0), (4, 3), (9, M1)),
         sig="(param i32 i32) (result i32 i32 i32 i32 i32 i32)", more=_OBJECTS),
    body("arrays of bytes", "(local (ref $b) (ref null $b)) (local.set 1 (array.new $b "
         "(i32.const 0x1ff) (i32.const 6))) (array.fill $b (local.get 1) (i32.const 2) "
         "(i32.const 77) (local.get 0)) (array.get_u $b (local.get 1) (i32.const 5)) (array.get_u "
         "$b (local.get 1) (i32.const 2)) (array.len (local.get 2))", ((0,), (4,), (5,)),
         sig="(param i32) (result i32 i32 i32)", more=_OBJECTS),
    body("arrays from segments", "(local (ref $a) (ref $r)) (local.set 2 (array.new_data $a $d "
         "(local.get 0) (i32.const 3))) (local.set 3 (array.new_elem $r $e (local.get 1) "
         "(i32.const 2))) (array.get $a (local.get 2) (i32.const 1)) (array.init_data $a $d "
         "(local.get 2) (local.get 1) (local.get 0) (i32.const 2)) (array.init_elem $r $e "
         "(local.get 3) (i32.const 1) (local.get 1) (i32.const 1)) (call_ref $v (ref.cast (ref $v) "
         "(array.get $r (local.get 3) (i32.const 1)))) (if (local.get 1) (then (elem.drop $e) "
         "(data.drop $d))) (i32.add (array.get $a (local.get 2) (local.get 1)))",
         ((0, 0), (1, 0), (2, 0), (9, 0), (0, 1), (0, 2), (0, 0), (0, M1)),
         sig="(param i32 i32) (result i32 i32)", more=_OBJECTS),
    body("integers", "(i31.get_s (ref.i31 (local.get 0))) (i31.get_u (ref.i31 (local.get 0))) "
         "(ref.eq (ref.i31 (local.get 0)) (ref.i31 (i32.const 5))) (i31.get_s (select (result "
         "i31ref) (ref.null i31) (ref.i31 (local.get 0)) (i32.eq (local.get 0) (i32.const 7))))",
         ((5,), (M1,), (0x40000000,), (7,)), sig="(param i32) (result i32 i32 i32 i32)"),
    body("tests", "(local anyref) (local.set 1 (call $any (local.get 0))) "
         + " ".join(f"(ref.test (ref {null}{heap}) (local.get 1))" for null in ("", "null ")
                    for heap in ("$p", "$q", "$a", "any", "eq", "i31", "struct", "array", "none"))
         + " (ref.eq (ref.null eq) (struct.new_default $q)) (ref.is_null (extern.convert_any "
         "(local.get 1))) (ref.test (ref $v) (ref.func $one)) "
         "(ref.test (ref $v) (ref.null func)) (ref.test (ref null $w) (ref.func $one)) "
         "(ref.test (ref nofunc) (ref.func $one)) (ref.test (ref extern) (ref.null extern)) "
         "(ref.test (ref null noextern) (ref.null extern))", tuple((n,) for n in range(7)),
         sig=f"(param i32) (result {'i32 ' * 26})", more=_OBJECTS),
    body("casts", "(local anyref) (local.set 1 (any.convert_extern (extern.convert_any (call $any "
         "(local.get 0))))) (drop (block $is (result (ref $p)) (br_on_cast $is anyref (ref $p) "
         "(local.get 1)) (drop) (drop (block $not (result anyref) (br_on_cast_fail $not anyref "
         "(ref null $a) (local.get 1)) (drop) (return (i32.const 1)))) (drop (ref.cast (ref null "
         "$q) (local.get 1))) (return (i32.const 2)))) (drop (ref.cast (ref $q) (local.get 1))) "
         "i32.const 3", tuple((n,) for n in range(7)), sig=ONE, more=_OBJECTS),
    body("constant objects", "(struct.get_u $p 0 (global.get $s)) (array.get $a (global.get $x) "
         "(i32.const 1)) (i31.get_u (ref.cast (ref i31) (global.get $i))) (call_ref $v (ref.cast "
         "(ref $v) (array.get $r (global.get $f) (i32.const 1)))) (ref.eq (global.get $s) "
         "(struct.get $p 4 (global.get $again))) (array.len (ref.cast (ref $a) (table.get $o "
         "(local.get 0)))) (struct.set $p 0 (global.get $s) (i32.const 9)) (struct.get_u $p 0 "
         "(ref.cast (ref $p) (struct.get $p 4 (global.get $again))))", ((0,), (1,), (2,)),
         sig="(param i32) (result i32 i32 i32 i32 i32 i32 i32)", more=_OBJECTS
         + "(global $s (ref $p) (struct.new $p (i32.const 300) (i32.const 2) (i64.const 3) "
         "(v128.const i64x2 1 2) (ref.null eq))) (global $x (ref $a) (array.new $a (i32.const 6) "
         "(i32.const 3))) (global $i anyref (any.convert_extern (extern.convert_any (ref.i31 "
         "(i32.const -1))))) (global $f (ref $r) (array.new_fixed $r 2 (ref.null func) (ref.func "
         "$one))) (global $again (ref $q) (struct.new $q (i32.const 1) (i32.const 2) (i64.const "
         "3) (v128.const i64x2 1 2) (global.get $s) (f32.const 1))) (table $o 3 anyref "
         "(array.new_default $a (i32.const 4))) (elem (table $o) (i32.const 1) anyref "
         "(item (array.new_fixed $a 1 (i32.const 5))) (item (struct.new_default $q)))"),
    body("vectors", "(local v128 v128) (v128.store (i32.const 0) (local.get 1)) (local.set 1 "
         "(select (v128.const f32x4 1 -0 nan:0x200000 inf) (global.get $v) (local.get 0))) "
         "(global.set $v (block (result v128) (br_if 0 (local.get 1) (local.get 0)) (drop) "
         "(call $twice (local.get 2)))) (loop (local.set 2 (i32x4.add (local.get 2) "
         "(v128.const i64x2 1 2))) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) "
         "(v128.store offset=16 (i32.const 0) (local.get 2)) (v128.store offset=32 (i32.const 0) "
         "(f64x2.sqrt (f64x2.neg (local.get 1)))) (v128.store offset=48 (i32.const 0) "
         "(global.get $v))", ((1,), (3,)), sig="(param i32)", more=_STATE
         + "(global $v (mut v128) (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 255)) "
         "(func $twice (param v128) (result v128) (i16x8.add (local.get 0) (local.get 0)))"),
)

SHAPES = CONTROL + STATE

"""With every budget from 1 up, an agent gets as far as it does on wasmtime, and no further."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from swarmc.runtime.tools.differential import compare
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.cpu import CpuTarget

#: Each writes what it did to memory, so that memory says how far it got.
PROGRAMS = {
    "calls": """(func $leaf (param i32) (i32.store8 (local.get 0) (i32.const 1)))
      (func $f (export "f") (param i32)
        (call $leaf (i32.const 1)) (call $leaf (i32.const 2)) (nop) (call $leaf (i32.const 3)))""",
    "loops": """(func (export "f") (param i32) (local i32)
      (loop $outer
        (i32.store8 (local.get 1) (i32.const 1))
        (local.set 1 (i32.add (local.get 1) (i32.const 1)))
        (loop $inner
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (br_if $inner (i32.gt_s (local.get 0) (i32.const 0))))
        (local.set 0 (i32.const 2))
        (br_if $outer (i32.lt_u (local.get 1) (i32.const 4)))))""",
    "bulk": """(func (export "f") (param i32)
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 20))
      (memory.copy (i32.const 30) (i32.const 0) (i32.const 10))
      (memory.init $d (i32.const 60) (i32.const 0) (i32.const 3))
      (i32.store8 (i32.const 100) (i32.const 1)))
      (data $d "abc")""",
    "grow": """(func (export "f") (param i32)
      (drop (memory.grow (i32.const 2)))
      (i32.store8 (i32.const 0) (i32.const 1))
      (drop (memory.grow (i32.const 1000)))
      (i32.store8 (i32.const 1) (i32.const 1))
      (drop (table.grow (ref.null func) (i32.const 5)))
      (i32.store8 (i32.const 2) (i32.const 1))
      (loop (i32.store8 (i32.const 3) (i32.const 1))))""",
    "tables": """(func (export "f") (param i32)
      (table.fill (i32.const 0) (ref.null func) (i32.const 4))
      (i32.store8 (i32.const 0) (i32.const 1))
      (table.copy (i32.const 0) (i32.const 1) (i32.const 3))
      (i32.store8 (i32.const 1) (i32.const 1))
      (table.init $e (i32.const 0) (i32.const 0) (i32.const 1))
      (i32.store8 (i32.const 2) (i32.const 1)))
      (elem $e func 0)""",
    "branches": """(func (export "f") (param i32)
      (block $out
        (block $a (block $b (br_table $a $b $out (local.get 0))) (i32.store8 (i32.const 0)
          (i32.const 1)))
        (if (local.get 0) (then (i32.store8 (i32.const 1) (i32.const 1)))
          (else (i32.store8 (i32.const 2) (i32.const 1)) (return))))
      (loop (i32.store8 (i32.const 3) (i32.const 1))))""",
    "references": """(type $t (func (param i32)))
      (func $leaf (type $t) (i32.store8 (local.get 0) (i32.const 1)))
      (elem declare func $leaf)
      (func $some (param i32) (result (ref null $t))
        (if (result (ref null $t)) (local.get 0) (then (ref.func $leaf)) (else (ref.null $t))))
      (func (export "f") (param i32) (local (ref null $t))
        (local.set 1 (call $some (local.get 0)))
        (block $null
          (call_ref $t (i32.const 1) (br_on_null $null (local.get 1)))
          (i32.store8 (i32.const 2) (i32.const 1)))
        (block $some (result (ref $t))
          (br_on_non_null $some (local.get 1))
          (i32.store8 (i32.const 3) (i32.const 1))
          (ref.func $leaf))
        (drop)
        (call_ref $t (i32.const 4) (ref.as_non_null (local.get 1)))
        (return_call_ref $t (i32.const 5) (ref.null $t)))""",
    "arrays": """(type $a (array (mut i32))) (type $r (array (mut funcref)))
      (func (export "f") (param i32) (local (ref $a)) (local (ref null $r))
        (local.set 1 (array.new $a (local.get 0) (local.get 0)))
        (i32.store8 (i32.const 0) (i32.const 1))
        (local.set 1 (array.new_default $a (i32.const 7)))
        (i32.store8 (i32.const 1) (i32.const 1))
        (array.fill $a (local.get 1) (i32.const 1) (i32.const 9) (local.get 0))
        (i32.store8 (i32.const 2) (i32.const 1))
        (array.fill $a (local.get 1) (i32.const 1) (i32.const 9) (i32.const 3))
        (i32.store8 (i32.const 3) (i32.const 1))
        (array.copy $a $a (local.get 1) (i32.const 1) (local.get 1) (i32.const 2) (local.get 0))
        (i32.store8 (i32.const 4) (i32.const 1))
        (array.copy $a $a (local.get 1) (i32.const 1) (local.get 1) (i32.const 2) (i32.const 2))
        (i32.store8 (i32.const 5) (i32.const 1))
        (loop (i32.store8 (i32.const 6) (i32.const 1))))""",
    "arrays from segments": """(type $a (array (mut i32))) (type $r (array (mut funcref)))
      (func (export "f") (param i32) (local (ref $a)) (local (ref null $r))
        (local.set 1 (array.new_data $a $d (i32.const 2) (local.get 0)))
        (i32.store8 (i32.const 0) (i32.const 1))
        (local.set 1 (array.new_data $a $d (i32.const 2) (i32.const 4)))
        (i32.store8 (i32.const 1) (i32.const 1))
        (array.init_data $a $d (local.get 1) (i32.const 1) (i32.const 0) (local.get 0))
        (i32.store8 (i32.const 2) (i32.const 1))
        (local.set 2 (array.new_elem $r $e (i32.const 0) (local.get 0)))
        (i32.store8 (i32.const 3) (i32.const 1))
        (array.init_elem $r $e (local.get 2) (i32.const 0) (i32.const 0) (local.get 0))
        (i32.store8 (i32.const 4) (i32.const 1))
        (array.init_elem $r $e (local.get 2) (i32.const 0) (i32.const 0) (i32.const 1))
        (i32.store8 (i32.const 5) (i32.const 1)))
      (data $d "abcdefghijklmnopqrstuvwxyz") (elem $e funcref (ref.func 0) (ref.null func))""",
    "objects": """(type $s (sub (struct (field (mut i8)) (field (mut anyref)))))
      (type $t (sub $s (struct (field (mut i8)) (field (mut anyref)) (field i64))))
      (func (export "f") (param i32) (local (ref null $s)) (local anyref)
        (local.set 1 (struct.new $s (local.get 0) (ref.i31 (local.get 0))))
        (if (local.get 0) (then (local.set 1 (struct.new_default $t))))
        (i32.store8 (i32.const 0) (struct.get_s $s 0 (local.get 1)))
        (struct.set $s 0 (local.get 1) (i32.const 200))
        (i32.store8 (i32.const 1) (struct.get_u $s 0 (local.get 1)))
        (local.set 2 (any.convert_extern (extern.convert_any (local.get 1))))
        (i32.store8 (i32.const 2) (ref.test (ref $t) (local.get 2)))
        (i32.store8 (i32.const 3) (ref.eq (local.get 1) (ref.cast (ref $s) (local.get 2))))
        (block $cast (result anyref)
          (br_on_cast $cast anyref (ref $t) (local.get 2))
          (i32.store8 (i32.const 4) (i32.const 1)))
        (drop)
        (block $fail (result anyref)
          (br_on_cast_fail $fail anyref (ref $t) (local.get 2))
          (i32.store8 (i32.const 5) (i32.const 1)))
        (drop)
        (drop (i31.get_u (ref.cast i31ref (struct.get $s 1 (local.get 1))))))""",
    "traps": """(func (export "f") (param i32)
      (i32.store8 (i32.const 0) (i32.const 1))
      (loop (drop (i32.div_u (i32.const 1) (local.get 0))) (nop) (drop (i32.const 1))))""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_budget(name: str) -> None:
    data = bytes(wat2wasm('(module (memory (export "memory") 1 8)'
                          f'(table (export "t") 8 16 funcref){PROGRAMS[name]})'))
    scripts = tuple(Script((Call("f", (value,)),)) for value in (0, 1, 2, 5))
    oracle = Oracle().load(data, Setup())
    subjects = [
        (executor.name, executor.load(data, Setup()))
        for executor in (InterpreterExecutor(level=0), InterpreterExecutor(level=2),
                         TargetExecutor(CpuTarget()))
    ]
    for fuel in range(1, 90):
        workload = Workload(scripts, fuel)
        expected = oracle.run(workload)
        for executor, loaded in subjects:
            found = compare(expected, loaded.run(workload), workload, executor)
            assert found is None, f"fuel {fuel}: {found}"

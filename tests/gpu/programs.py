"""Programs of the check of a GPU that are not in the corpus."""

from __future__ import annotations

#: Writes the agent's number all over its memory, and adds up what is there.
FILLER = """(module (memory (export "memory") 1 1)
  (func (export "fill") (param $id i32) (result i32) (local $i i32) (local $sum i32)
    (loop $write
      (i32.store (local.get $i) (i32.mul (local.get $id) (i32.const 2654435761)))
      (br_if $write (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4)))
                              (i32.const 65536))))
    (local.get $id))
  (func (export "sum") (result i32) (local $i i32) (local $sum i32)
    (loop $read
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $i))))
      (br_if $read (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4)))
                             (i32.const 65536))))
    (local.get $sum)))"""
SQUARE = """(module (func (export "square") (param i64) (result i64)
  (i64.mul (local.get 0) (local.get 0))))"""

;; A start function, globals of every type, and state that stays between dispatches.
(module
  (memory (export "memory") 1)
  (global $answer (export "answer") i32 (i32.const 42))
  (global $started (export "started") (mut i32) (i32.const 0))
  (global $total (export "total") (mut i64) (i64.const -1))
  (global $ratio (export "ratio") (mut f32) (f32.const 0.5))
  (global $level (export "level") (mut f64) (f64.const -0))
  (data (i32.const 64) "set before the start function")

  (func $begin
    (global.set $started (i32.add (global.get $started) (i32.const 1)))
    (global.set $total (i64.extend_i32_u (i32.load8_u (i32.const 64))))
    (i32.store (i32.const 0) (global.get $answer)))
  (start $begin)

  ;; Adds to the total and returns it; the other globals move along.
  (func (export "add") (param $x i32) (result i64)
    (global.set $total (i64.add (global.get $total) (i64.extend_i32_s (local.get $x))))
    (global.set $ratio (f32.mul (global.get $ratio) (f32.const 1.5)))
    (global.set $level
      (f64.add (global.get $level) (f64.sqrt (f64.abs (f64.convert_i32_s (local.get $x))))))
    (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))
    (global.get $total))

  (func (export "calls") (result i32) (i32.load (i32.const 4)))
)

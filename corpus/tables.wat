;; Tables, indirect calls and references.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (type $unary (func (param i32) (result i32)))
  (table $operations (export "operations") 8 16 funcref)
  (table $slots 2 funcref)
  (table $host 0 4 externref)
  (elem (table $operations) (i32.const 0) func $add $sub $mul $xor)
  (elem (table $operations) (i32.const 4) func $negate $square)
  (elem $reversed func $xor $mul $sub $add)
  (elem declare func $square)
  (global $chosen (mut funcref) (ref.null func))

  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
  (func $mul (type $binary) (i32.mul (local.get 0) (local.get 1)))
  (func $xor (type $binary) (i32.xor (local.get 0) (local.get 1)))
  (func $negate (type $unary) (i32.sub (i32.const 0) (local.get 0)))
  (func $square (type $unary) (i32.mul (local.get 0) (local.get 0)))

  (func (export "apply") (param $operation i32) (param i32 i32) (result i32)
    (call_indirect $operations (type $binary)
      (local.get 1) (local.get 2) (local.get $operation)))

  (func (export "apply_unary") (param $operation i32) (param i32) (result i32)
    (call_indirect $operations (type $unary) (local.get 1) (local.get $operation)))

  ;; Runs `rounds` operations, each chosen by the value so far.
  (func (export "mix") (param $value i32) (param $rounds i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $rounds)))
        (local.set $value
          (call_indirect $operations (type $binary)
            (local.get $value)
            (i32.or (i32.shl (local.get $rounds) (i32.const 5)) (i32.const 1))
            (i32.and (local.get $value) (i32.const 3))))
        (local.set $value (i32.rotl (local.get $value) (i32.const 7)))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (br $next)))
    (local.get $value))

  ;; After this the four binary operations stand in the opposite order.
  (func (export "reverse")
    (table.init $operations $reversed (i32.const 0) (i32.const 0) (i32.const 4)))

  (func (export "copy") (param $to i32) (param $from i32) (param $count i32)
    (table.copy $operations $operations (local.get $to) (local.get $from) (local.get $count)))

  ;; The size before or -1; the new places hold $square.
  (func (export "grow") (param $by i32) (result i32)
    (table.grow $operations (ref.func $square) (local.get $by)))

  (func (export "size") (result i32) (table.size $operations))

  (func (export "fill") (param $at i32) (param $count i32)
    (table.fill $operations (local.get $at) (ref.null func) (local.get $count)))

  (func (export "is_null") (param $at i32) (result i32)
    (ref.is_null (table.get $operations (local.get $at))))

  ;; Keeps one operation in a global, to be called by `call_chosen` in a later dispatch.
  (func (export "choose") (param $at i32)
    (global.set $chosen (table.get $operations (local.get $at))))

  (func (export "call_chosen") (param i32) (result i32)
    (table.set $slots (i32.const 1)
      (select (result funcref)
        (ref.func $square) (global.get $chosen) (ref.is_null (global.get $chosen))))
    (call_indirect $slots (type $unary) (local.get 0) (i32.const 1)))

  ;; Stores a reference of the host and gives it back.
  (func (export "keep") (param externref) (result externref)
    (drop (table.grow $host (local.get 0) (i32.const 1)))
    (table.get $host (i32.sub (table.size $host) (i32.const 1))))
)

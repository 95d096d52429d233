;; Several results, blocks and loops with parameters.
(module
  (type $pair (func (param i64 i64) (result i64 i64)))

  (func (export "divide") (param $a i32) (param $b i32) (result i32 i32)
    (i32.div_u (local.get $a) (local.get $b))
    (i32.rem_u (local.get $a) (local.get $b)))

  ;; 64 x 64 -> 128 bits: low, high.
  (func $multiply (export "multiply") (type $pair)
    (local $a1 i64) (local $b1 i64) (local $low i64) (local $middle i64) (local $other i64)
    (local.set $a1 (i64.shr_u (local.get 0) (i64.const 32)))
    (local.set $b1 (i64.shr_u (local.get 1) (i64.const 32)))
    (local.set 0 (i64.and (local.get 0) (i64.const 0xffffffff)))
    (local.set 1 (i64.and (local.get 1) (i64.const 0xffffffff)))
    (local.set $low (i64.mul (local.get 0) (local.get 1)))
    (local.set $middle
      (i64.add (i64.mul (local.get $a1) (local.get 1)) (i64.shr_u (local.get $low) (i64.const 32))))
    (local.set $other
      (i64.add (i64.mul (local.get 0) (local.get $b1))
               (i64.and (local.get $middle) (i64.const 0xffffffff))))
    (i64.or (i64.shl (local.get $other) (i64.const 32))
            (i64.and (local.get $low) (i64.const 0xffffffff)))
    (i64.add (i64.mul (local.get $a1) (local.get $b1))
             (i64.add (i64.shr_u (local.get $middle) (i64.const 32))
                      (i64.shr_u (local.get $other) (i64.const 32)))))

  ;; The n-th and the following Fibonacci number, carried on the stack by a loop with parameters.
  (func (export "fibonacci") (param $n i32) (result i64 i64)
    (local $a i64) (local $b i64)
    (i64.const 0) (i64.const 1)
    (loop $next (param i64 i64) (result i64 i64)
      (local.set $b) (local.set $a)
      (if (param) (result i64 i64) (local.get $n)
        (then
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (local.get $b)
          (i64.add (local.get $a) (local.get $b))
          (br $next))
        (else (local.get $a) (local.get $b)))))

  ;; Results of every type at once.
  (func (export "types") (param $x i32) (result i32 i64 f32 f64)
    (local.get $x)
    (i64.extend_i32_s (local.get $x))
    (f32.convert_i32_s (local.get $x))
    (f64.convert_i32_u (local.get $x)))

  ;; br_table over blocks that take the same values.
  (func (export "choose") (param $which i32) (result i32 i32)
    (block $a (result i32 i32)
      (block $b (result i32 i32)
        (block $c (result i32 i32)
          (i32.const 1) (i32.const 2)
          (br_table $a $b $c (local.get $which)))
        (i32.add) (i32.const 10))
      (i32.mul) (i32.const 20)))

  ;; An if with parameters; both arms consume them.
  (func (export "order") (param $a i64) (param $b i64) (result i64 i64)
    (local.get $a) (local.get $b)
    (if (type $pair) (i64.gt_s (local.get $a) (local.get $b))
      (then (local.set $a) (local.set $b) (local.get $a) (local.get $b))
      (else)))

  ;; High half of the product of all numbers up to n, wrapping: calls with two results.
  (func (export "product_high") (param $n i64) (result i64)
    (local $low i64) (local $high i64)
    (local.set $low (i64.const 1))
    (block $done
      (loop $next
        (br_if $done (i64.le_u (local.get $n) (i64.const 1)))
        (call $multiply (local.get $low) (local.get $n))
        (local.set $high) (local.set $low)
        (local.set $n (i64.sub (local.get $n) (i64.const 1)))
        (br $next)))
    (local.get $high))
)

;; Floating-point corners: NaN, signed zero, rounding, conversions. NaNs come out canonical.
(module
  (memory (export "memory") 1)

  (func (export "add") (param f32 f32) (result f32) (f32.add (local.get 0) (local.get 1)))
  (func (export "minimum") (param f64 f64) (result f64) (f64.min (local.get 0) (local.get 1)))
  (func (export "maximum") (param f64 f64) (result f64) (f64.max (local.get 0) (local.get 1)))
  (func (export "nearest") (param f64) (result f64) (f64.nearest (local.get 0)))
  (func (export "copy_sign") (param f32 f32) (result f32)
    (f32.copysign (local.get 0) (local.get 1)))
  (func (export "demote") (param f64) (result f32) (f32.demote_f64 (local.get 0)))
  (func (export "saturate") (param f64) (result i32) (i32.trunc_sat_f64_s (local.get 0)))
  (func (export "saturate_unsigned") (param f32) (result i64)
    (i64.trunc_sat_f32_u (local.get 0)))
  (func (export "from_unsigned") (param i64) (result f32) (f32.convert_i64_u (local.get 0)))

  ;; May not be fused: of (1 + 2**-28) squared and 1 + 2**-27 it is 0, with one rounding 2**-56.
  (func (export "multiply_subtract") (param f64 f64 f64) (result f64)
    (f64.sub (f64.mul (local.get 0) (local.get 1)) (local.get 2)))

  ;; Subnormal numbers are kept: half of the smallest normal number, times two.
  (func (export "halve_and_double") (param f32) (result f32)
    (f32.mul (f32.mul (local.get 0) (f32.const 0.5)) (f32.const 2)))

  ;; Bits of a NaN made by arithmetic, f32 high and f64 low folded together.
  (func (export "nan_bits") (param $zero f64) (result i64)
    (i64.xor
      (i64.reinterpret_f64 (f64.div (local.get $zero) (local.get $zero)))
      (i64.extend_i32_u
        (i32.reinterpret_f32 (f32.sqrt (f32.sub (f32.demote_f64 (local.get $zero)) (f32.const 1)))))))

  ;; A hash over the bits of many operations on f64 and f32, from a starting number.
  (func (export "sweep") (param $x f64) (param $rounds i32) (result i64)
    (local $hash i64) (local $y f32)
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $rounds)))
        (local.set $x  ;; Newton's method for x*x = -1, which has no end on real numbers
          (f64.mul
            (f64.sub (local.get $x) (f64.div (f64.const 1) (local.get $x)))
            (f64.const 0.5)))
        (local.set $y (f32.demote_f64 (local.get $x)))
        (local.set $y
          (f32.add (f32.sqrt (local.get $y)) (f32.trunc (f32.mul (local.get $y) (f32.const 8)))))
        (local.set $hash
          (i64.mul
            (i64.xor
              (local.get $hash)
              (i64.add
                (i64.reinterpret_f64 (f64.add (local.get $x) (f64.floor (local.get $x))))
                (i64.extend_i32_u (i32.reinterpret_f32 (local.get $y)))))
            (i64.const 0x100000001b3)))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (br $next)))
    (local.get $hash))
)

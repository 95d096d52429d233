;; Linear memory: growing, bulk operations, segments, every width of load and store.
(module
  (memory (export "memory") 1 8)
  (data (i32.const 16) "linear memory")
  (data $words "\01\00\00\00\02\00\00\00\03\00\00\00\04\00\00\00")
  (global $calls (export "calls") (mut i32) (i32.const 0))

  (func (export "size") (result i32) (memory.size))

  ;; The size before in pages, or -1; touches the last byte of what there is now.
  (func (export "grow") (param $pages i32) (result i32)
    (local $before i32)
    (local.set $before (memory.grow (local.get $pages)))
    (i32.store8 (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1)) (i32.const 1))
    (local.get $before))

  ;; Sum of the passive segment's words after copying them to an address.
  (func (export "init_sum") (param $to i32) (result i32)
    (memory.init $words (local.get $to) (i32.const 0) (i32.const 16))
    (i32.add
      (i32.add (i32.load (local.get $to)) (i32.load offset=4 (local.get $to)))
      (i32.add (i32.load offset=8 (local.get $to)) (i32.load offset=12 (local.get $to)))))

  (func (export "drop_words") (data.drop $words))

  ;; Fills 64 bytes at 1000 and slides them, overlapping, by a signed distance; then hashes.
  (func (export "slide") (param $value i32) (param $distance i32) (result i32)
    (memory.fill (i32.const 1000) (local.get $value) (i32.const 64))
    (memory.copy (i32.add (i32.const 1000) (local.get $distance)) (i32.const 980) (i32.const 64))
    (call $hash (i32.const 900) (i32.const 300)))

  ;; FNV-1a of a range.
  (func $hash (export "hash") (param $at i32) (param $size i32) (result i32)
    (local $end i32) (local $h i32)
    (local.set $h (i32.const 0x811c9dc5))
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $h
          (i32.mul (i32.xor (local.get $h) (i32.load8_u (local.get $at))) (i32.const 0x01000193)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $h))

  ;; Stores a number in every width, at odd addresses, and reads it back in every way.
  (func (export "widths") (param $value i64) (result i64)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i64.store (i32.const 2001) (local.get $value))
    (i64.store32 (i32.const 2011) (local.get $value))
    (i64.store16 (i32.const 2021) (local.get $value))
    (i64.store8 (i32.const 2031) (local.get $value))
    (i32.store16 (i32.const 2041) (i32.wrap_i64 (local.get $value)))
    (i64.xor
      (i64.xor
        (i64.xor (i64.load32_s (i32.const 2011)) (i64.load32_u (i32.const 2004)))
        (i64.xor (i64.load16_s (i32.const 2021)) (i64.load16_u (i32.const 2006))))
      (i64.xor
        (i64.xor (i64.load8_s (i32.const 2031)) (i64.load8_u (i32.const 2008)))
        (i64.xor
          (i64.extend_i32_s (i32.load16_s (i32.const 2041)))
          (i64.extend_i32_u
            (i32.xor (i32.load8_s (i32.const 2003)) (i32.load16_u (i32.const 2005))))))))

  ;; Floats through memory keep their bits, signalling NaNs too.
  (func (export "float_bits") (param $bits i64) (result i64)
    (i64.store (i32.const 3000) (local.get $bits))
    (f64.store (i32.const 3009) (f64.load (i32.const 3000)))
    (f32.store (i32.const 3021) (f32.load (i32.const 3000)))
    (i64.xor (i64.load (i32.const 3009)) (i64.load32_u (i32.const 3021))))
)

;; One export for each way in which an agent can end early, and `fine`, which does not.
(module
  (type $none (func))
  (type $unary (func (param i32) (result i32)))
  (memory (export "memory") 1 1)
  (data $bytes "0123456789abcdef")
  (table $table 4 funcref)
  (elem (table $table) (i32.const 0) func $nothing $twice)
  (elem $functions func $nothing)

  (func $nothing (type $none))
  (func $twice (type $unary) (i32.shl (local.get 0) (i32.const 1)))

  (func (export "fine") (type $unary) (call_indirect (type $unary) (local.get 0) (i32.const 1)))

  (func (export "unreachable") unreachable)

  ;; integer divide by zero
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "divide_unsigned") (param i64 i64) (result i64)
    (i64.div_u (local.get 0) (local.get 1)))
  (func (export "remainder") (param i64 i64) (result i64) (i64.rem_s (local.get 0) (local.get 1)))

  ;; integer overflow and invalid conversion to integer
  (func (export "divide_smallest") (result i32)
    (i32.div_s (i32.const 0x80000000) (i32.const -1)))
  (func (export "truncate") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func (export "truncate_not_a_number") (result i64) (i64.trunc_f32_u (f32.const nan)))

  ;; out of bounds memory access: the memory has 65536 bytes and cannot grow
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "load_far") (param i32) (result i64)
    (i64.load offset=0xffffffff (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 offset=65535 (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32)
    (memory.fill (local.get 0) (i32.const 7) (local.get 1)))
  (func (export "copy") (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32)
    (memory.init $bytes (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_dropped")
    (data.drop $bytes)
    (memory.init $bytes (i32.const 0) (i32.const 0) (i32.const 1)))

  ;; out of bounds table access
  (func (export "table_get") (param i32) (result i32)
    (ref.is_null (table.get $table (local.get 0))))
  (func (export "table_init") (param i32 i32 i32)
    (table.init $table $functions (local.get 0) (local.get 1) (local.get 2)))

  ;; undefined element, uninitialized element, indirect call type mismatch
  (func (export "call") (param i32) (call_indirect (type $none) (local.get 0)))

  ;; call stack exhausted
  (func $descend (export "descend") (param i32) (result i32)
    (i32.add (i32.const 1) (call $descend (i32.add (local.get 0) (i32.const 1)))))

  ;; out of fuel
  (func (export "loop_forever") (loop $again (br $again)))
)

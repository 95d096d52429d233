"""The table of instructions: every form that the stand-in knows, and nothing else.

A row says which operands an instruction takes, what its modifiers and types may be, in which
section of the PTX ISA (version 9) it is described, and what writes it. What has no row is
refused: above all ``.ftz``, ``.approx`` and products and sums that do not name their rounding,
which may become fused ones. So none of them can be in our code unnoticed.
"""

from __future__ import annotations

from . import control, conversions, floats, integers, memory
from .rows import Table, computed, performed

_I16 = "u16 u32 u64 s16 s32 s64"
_I32 = "u32 u64 s32 s64"
_I8 = f"u8 s8 {_I16}"
_B32 = "b32 b64"
_BITS = "pred b16 b32 b64"
_F = "f32 f64"
_ANY = f"b16 b32 b64 {_I16} {_F}"
_SIGNED = "eq ne lt le gt ge"
#: Which comparisons there are of which types.
_COMPARES = (
    ("eq ne", "b16 b32 b64"),
    (f"{_SIGNED} lo ls hi hs", "u16 u32 u64"),
    (_SIGNED, "s16 s32 s64"),
    (f"{_SIGNED} equ neu ltu leu gtu geu num nan", _F),
)
_BOOL = "and or xor"
_MEMORY = f"b8 b16 b32 b64 b128 {_I8} {_F}"
_INT_ROUND = "rni rzi rmi rpi"
_ARITHMETIC = "9.7.1 Integer Arithmetic"
_CARRY = "9.7.2 Extended-Precision Integer Arithmetic"
_FLOAT = "9.7.3 Floating Point"
_COMPARE = "9.7.6 Comparison and Selection"
_LOGIC = "9.7.8 Logic and Shift"
_DATA = "9.7.9 Data Movement and Conversion"
_CONTROL = "9.7.12 Control Flow"

_AB = "d:type a:type b:type"
_ABC = f"{_AB} c:type"
_ABC_WIDE = "d:type*2 a:type b:type c:type*2"

_INTEGER_ROWS = (
    computed("add.type", _ARITHMETIC, _AB, integers.binary("add"), type=_I16),
    computed("add.sat.s32", _ARITHMETIC, "d:s32 a:s32 b:s32", integers.saturating("add")),
    computed("sub.type", _ARITHMETIC, _AB, integers.binary("sub"), type=_I16),
    computed("sub.sat.s32", _ARITHMETIC, "d:s32 a:s32 b:s32", integers.saturating("sub")),
    computed("mul.part.type", _ARITHMETIC, _AB, integers.multiply, part="lo hi", type=_I16),
    computed("mul.wide.type", _ARITHMETIC, "d:type*2 a:type b:type", integers.multiply,
             {"part": "wide"}, type="u16 s16 u32 s32"),
    computed("mad.part.type", _ARITHMETIC, _ABC, integers.multiply_add,
             part="lo hi", type=_I16),
    computed("mad.wide.type", _ARITHMETIC, _ABC_WIDE, integers.multiply_add,
             {"part": "wide"}, type="u16 s16 u32 s32"),
    computed("div.type", _ARITHMETIC, _AB, integers.divide("div"), type=_I16),
    computed("rem.type", _ARITHMETIC, _AB, integers.divide("rem"), type=_I16),
    computed("abs.type", _ARITHMETIC, "d:type a:type", integers.absolute, type="s16 s32 s64"),
    computed("neg.type", _ARITHMETIC, "d:type a:type", integers.negate, type="s16 s32 s64"),
    computed("min.type", _ARITHMETIC, _AB, integers.extreme("min"), type=_I16),
    computed("max.type", _ARITHMETIC, _AB, integers.extreme("max"), type=_I16),
    *(
        computed(f"{name}.type", _ARITHMETIC, "d:b32 a:b32 b:b32", integers.packed(emit),
                 type="u16x2 s16x2")
        for name, emit in (("add", integers.binary("add")), ("min", integers.extreme("min")),
                           ("max", integers.extreme("max")))
    ),
    computed("popc.type", _ARITHMETIC, "d:u32 a:type", integers.population, type=_B32),
    computed("clz.type", _ARITHMETIC, "d:u32 a:type", integers.leading_zeros, type=_B32),
    computed("bfind{.shiftamt}.type", _ARITHMETIC, "d:u32 a:type", integers.find_bit,
             shiftamt="shiftamt", type=_I32),
    computed("brev.type", _ARITHMETIC, "d:type a:type", integers.reverse, type=_B32),
    computed("bfe.type", _ARITHMETIC, "d:type a:type b:u32 c:u32", integers.extract_field,
             type=_I32),
    computed("bfi.type", _ARITHMETIC, "f:type a:type b:type c:u32 d:u32",
             integers.insert_field, type=_B32),
)  # fmt: skip

_CARRY_ROWS = (
    computed("add.cc.type", _CARRY, _AB, integers.add_carry, {"uses": "", "cc": "cc"}, type=_I32),
    computed("addc{.cc}.type", _CARRY, _AB, integers.add_carry, {"uses": "c"}, cc="cc", type=_I32),
    computed("sub.cc.type", _CARRY, _AB, integers.sub_carry, {"uses": "", "cc": "cc"}, type=_I32),
    computed("subc{.cc}.type", _CARRY, _AB, integers.sub_carry, {"uses": "c"}, cc="cc", type=_I32),
    computed("mad.part.cc.type", _CARRY, _ABC, integers.multiply_add_carry,
             {"uses": "", "cc": "cc"}, part="lo hi", type=_I32),
    computed("madc.part{.cc}.type", _CARRY, _ABC, integers.multiply_add_carry,
             {"uses": "c"}, part="lo hi", cc="cc", type=_I32),
)  # fmt: skip

_FLOAT_ROWS = (
    computed("testp.op.type", _FLOAT, "p:pred a:type", floats.test_property,
             op="finite infinite number notanumber normal subnormal", type=_F),
    computed("copysign.type", _FLOAT, _AB, floats.copy_sign, type=_F),
    computed("add.rn.type", _FLOAT, _AB, floats.arithmetic("fadd"), type=_F),
    computed("sub.rn.type", _FLOAT, _AB, floats.arithmetic("fsub"), type=_F),
    computed("mul.rn.type", _FLOAT, _AB, floats.arithmetic("fmul"), type=_F),
    computed("fma.rn.type", _FLOAT, _ABC, floats.fused, type=_F),
    computed("div.rn.type", _FLOAT, _AB, floats.arithmetic("fdiv"), type=_F),
    *(
        computed(f"{name}.rn.f32x2", _FLOAT, "d:b64 a:b64 b:b64",
                 integers.packed(floats.arithmetic(f"f{name}")), {"type": "f32x2"})
        for name in ("add", "sub", "mul")
    ),
    computed("fma.rn.f32x2", _FLOAT, "d:b64 a:b64 b:b64 c:b64", integers.packed(floats.fused),
             {"type": "f32x2"}),
    computed("abs.type", _FLOAT, "d:type a:type", floats.absolute, type=_F),
    computed("neg.type", _FLOAT, "d:type a:type", floats.negate, type=_F),
    computed("min.type", _FLOAT, _AB, floats.extreme("min"), type=_F),
    computed("min.NaN.f32", _FLOAT, "d:f32 a:f32 b:f32", floats.extreme("min"),
             {"nan": "NaN", "type": "f32"}),
    computed("max.type", _FLOAT, _AB, floats.extreme("max"), type=_F),
    computed("max.NaN.f32", _FLOAT, "d:f32 a:f32 b:f32", floats.extreme("max"),
             {"nan": "NaN", "type": "f32"}),
    computed("rcp.rn.type", _FLOAT, "d:type a:type", floats.reciprocal, type=_F),
    computed("sqrt.rn.type", _FLOAT, "d:type a:type", floats.square_root, type=_F),
)  # fmt: skip

_COMPARE_ROWS = (
    *(
        performed("setp.cmp{.bool}.type", _COMPARE, (3, 4), control.compare_and_set,
                  cmp=tests, bool=_BOOL, type=types)
        for tests, types in _COMPARES
    ),
    *(
        performed("set.cmp{.bool}.dtype.type", _COMPARE, (3, 4), control.set_number,
                  cmp=tests, bool=_BOOL, dtype="u32 s32 f32", type=types)
        for tests, types in _COMPARES
    ),
    computed("selp.type", _COMPARE, f"{_AB} c:pred", integers.select, type=_ANY),
    computed("slct.type.s32", _COMPARE, f"{_AB} c:s32", integers.select_sign, type=_ANY),
    computed("slct.type.f32", _COMPARE, f"{_AB} c:f32", floats.select_sign, type=_ANY),
)  # fmt: skip

_LOGIC_ROWS = (
    computed("and.type", _LOGIC, _AB, integers.binary("and"), type=_BITS),
    computed("or.type", _LOGIC, _AB, integers.binary("or"), type=_BITS),
    computed("xor.type", _LOGIC, _AB, integers.binary("xor"), type=_BITS),
    computed("not.type", _LOGIC, "d:type a:type", integers.invert, type=_BITS),
    computed("cnot.type", _LOGIC, "d:type a:type", integers.logical_not, type="b16 b32 b64"),
    computed("lop3.b32", _LOGIC, "d:b32 a:b32 b:b32 c:b32 t:u32", integers.lookup),
    computed("shf.direction.mode.b32", _LOGIC, "d:b32 a:b32 b:b32 c:u32", integers.funnel,
             direction="l r", mode="wrap clamp"),
    computed("shl.type", _LOGIC, "d:type a:type b:u32", integers.shift_left,
             type="b16 b32 b64"),
    computed("shr.type", _LOGIC, "d:type a:type b:u32", integers.shift_right,
             type=f"b16 b32 b64 {_I16}"),
)  # fmt: skip

_DATA_ROWS = (
    performed("mov.type", _DATA, (2,), memory.move, type=f"pred b128 {_ANY}"),
    computed("prmt.b32{.mode}", _DATA, "d:b32 a:b32 b:b32 c:b32", integers.permute,
             mode="f4e b4e rc8 ecl ecr rc16"),
    performed("ld{.weak}{.space}{.vec}.type", _DATA, (2,), memory.load,
              weak="weak", space="global const local param", vec="v2 v4", type=_MEMORY),
    performed("ld.global.nc{.vec}.type", _DATA, (2,), memory.load,
              {"space": "global", "nc": "nc"}, vec="v2 v4", type=_MEMORY),
    performed("ld.strong{.scope}{.space}{.vec}.type", _DATA, (2,), memory.load,
              strong="relaxed volatile acquire", scope="cta gpu sys", space="global local",
              vec="v2 v4", type=_MEMORY),
    performed("st{.weak}{.space}{.vec}.type", _DATA, (2,), memory.store,
              weak="weak", space="global local param", vec="v2 v4", type=_MEMORY),
    performed("st.strong{.scope}{.space}{.vec}.type", _DATA, (2,), memory.store,
              strong="relaxed volatile release", scope="cta gpu sys", space="global local",
              vec="v2 v4", type=_MEMORY),
    performed("cvta{.to}.space.u64", _DATA, (2,), memory.convert_address,
              to="to", space="global const local"),
    computed("cvt{.sat}.dtype.atype", _DATA, "d:dtype> a:atype>", conversions.int_to_int,
             sat="sat", dtype=_I8, atype=_I8),
    computed("cvt.rn.dtype.atype", _DATA, "d:dtype a:atype>", conversions.int_to_float,
             dtype=_F, atype=_I8),
    computed("cvt.round.dtype.atype", _DATA, "d:dtype> a:atype", conversions.float_to_int,
             round=_INT_ROUND, dtype=_I8, atype=_F),
    computed("cvt.f64.f32", _DATA, "d:f64 a:f32", conversions.widen_float),
    computed("cvt.rn.f32.f64", _DATA, "d:f32 a:f64", conversions.narrow_float),
    computed("cvt.round.f32.f32", _DATA, "d:f32 a:f32", conversions.round_float,
             {"type": "f32"}, round=_INT_ROUND),
    computed("cvt.round.f64.f64", _DATA, "d:f64 a:f64", conversions.round_float,
             {"type": "f64"}, round=_INT_ROUND),
)  # fmt: skip

_CONTROL_ROWS = (
    performed("bra{.uni}", _CONTROL, (1,), control.branch, uni="uni"),
    performed("brx.idx{.uni}", _CONTROL, (2,), control.branch_indexed, uni="uni"),
    performed("ret{.uni}", _CONTROL, (0,), control.leave, uni="uni"),
    performed("exit", _CONTROL, (0,), control.exit_thread),
    performed("trap", "9.7 Miscellaneous", (0,), control.trap),
)

TABLE = Table((
    *_INTEGER_ROWS, *_CARRY_ROWS, *_FLOAT_ROWS, *_COMPARE_ROWS, *_LOGIC_ROWS, *_DATA_ROWS,
    *_CONTROL_ROWS,
))  # fmt: skip

"""The table of IR operations: one row an op, and everything else is derived from it.

Builder, printer, parser, verifier, interpreter and each target's emitters are checked complete
against :data:`OPS` (``tests/ir/test_ops.py``). Text form of an instruction::

    %results = name.T attr=value ... %operands, block(%args) ... !prepaid=N !region=N @0xoffset

``T`` is the controlling type: an operand or result spelled ``T`` below has that type. It is
printed only for ops whose row has a ``types`` class.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from .types import Shape, Type


class Effect(enum.Flag):
    """What an op does besides computing its results."""

    NONE = 0
    READ = enum.auto()  # depends on state that another instruction may change
    WRITE = enum.auto()  # changes state
    TRAP = enum.auto()  # may end the agent
    CALL = enum.auto()  # runs other code: reads, writes and traps
    FUEL = enum.auto()  # changes or tests the fuel; keeps its place among effects
    TERMINATOR = enum.auto()


class Attr(enum.Enum):
    """Kind of an immediate operand, which is also the name it is printed with."""

    CONST = "value"  # int: bit pattern, unsigned, of width T
    MEMORY = "mem"  # EntityId
    SRC_MEMORY = "src"  # EntityId
    OFFSET = "offset"  # int, unsigned, up to 64 bits
    WIDTH = "width"  # int, bytes touched: 1 2 4 8 16
    SIGNED = "signed"  # bool: extend by sign when width is narrower than T
    ALIGN = "align"  # int, bytes, power of two: *known* alignment of the effective address
    GLOBAL = "global"  # EntityId
    TABLE = "table"  # EntityId
    SRC_TABLE = "src_table"  # EntityId
    DATA = "data"  # EntityId
    ELEM = "elem"  # EntityId
    FUNC = "func"  # EntityId
    SIG = "sig"  # int: index into Module.types
    OBJECT = "object"  # int: index into Module.objects
    TRAP = "trap"  # Trap
    AMOUNT = "amount"  # int, units of fuel
    SHAPE = "shape"  # Shape of the op's v128 lanes; one of the row's shapes
    LANE = "lane"  # int, number of a lane of the shape
    LANES = "lanes"  # bytes, 16 of them, each the number of a byte of the two operands, 0 to 31
    HIGH = "high"  # bool: the high half of the operands' lanes
    REGION = "region"  # int, above 0: number of a region of memory
    COUNT = "count"  # int


INTS = (Type.I32, Type.I64)
FLOATS = (Type.F32, Type.F64)
REFS = (Type.FUNCREF, Type.EXTERNREF, Type.ANYREF, Type.EXNREF)
NUMS = INTS + FLOATS
ANY = tuple(Type)
INT_SHAPES = (Shape.I8X16, Shape.I16X8, Shape.I32X4, Shape.I64X2)
WIDE_SHAPES = INT_SHAPES[1:]
FLOAT_SHAPES = (Shape.F32X4, Shape.F64X2)
SHAPES = tuple(Shape)

#: Operand classes that are not one type: what the verifier accepts in that place.
OPERAND_CLASSES: dict[str, tuple[Type, ...]] = {
    "int": INTS,
    "float": FLOATS,
    "scalar": NUMS + REFS,
    "ref": REFS,
    "any": ANY,
}


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One row of the table.

    Attributes:
        name: the op's name in text.
        operands: a type's name, ``T``, a class of :data:`OPERAND_CLASSES`, or ``...`` (the rest,
            checked against a signature).
        results: the same, without classes; ``...`` takes the types from a signature.
        types: the types that the controlling type ``T`` may be; empty if the op has none.
        attrs: kinds of the immediates, in order.
        effect: what else it does.
        traps: the trap codes it may raise (``Attr.TRAP`` names the code where it is immediate).
        edges: number of successor edges of a terminator, -1 for any number.
        doc: meaning, one line.
        commutes: whether the two operands may be exchanged.
        shapes: the values that ``Attr.SHAPE`` may have, where the op has that attribute.
    """

    name: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    types: tuple[Type, ...] = ()
    attrs: tuple[Attr, ...] = ()
    effect: Effect = Effect.NONE
    edges: int = 0
    doc: str = ""
    commutes: bool = False
    shapes: tuple[Shape, ...] = ()
    pure: bool = field(init=False)
    is_terminator: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pure", self.effect is Effect.NONE)
        object.__setattr__(self, "is_terminator", bool(self.effect & Effect.TERMINATOR))

    def __repr__(self) -> str:
        return f"<op {self.name}>"


OPS: dict[str, Op] = {}


def _op(name: str, operands: str, results: str, types: tuple[Type, ...] = (), *,
        attrs: tuple[Attr, ...] = (), effect: Effect = Effect.NONE, edges: int = 0,
        commutes: bool = False, shapes: tuple[Shape, ...] = (), doc: str) -> Op:
    row = Op(name, tuple(operands.split()), tuple(results.split()), types, attrs, effect, edges,
             doc, commutes, shapes)
    assert name not in OPS, name
    OPS[name] = row
    return row


_R, _W, _T, _C, _F, _X = (Effect.READ, Effect.WRITE, Effect.TRAP, Effect.CALL, Effect.FUEL,
                          Effect.TERMINATOR)
_A = Attr

# Constants.
CONST = _op("const", "", "T", ANY, attrs=(_A.CONST,), doc="the bit pattern; reference: null is 0")
REF_FUNC = _op("ref_func", "", "funcref", attrs=(_A.FUNC,), doc="reference to a function")

# Integer arithmetic, modulo 2^N. Shift and rotate amounts are taken modulo N.
IADD = _op("iadd", "T T", "T", INTS, commutes=True, doc="a + b")
ISUB = _op("isub", "T T", "T", INTS, doc="a - b")
IMUL = _op("imul", "T T", "T", INTS, commutes=True, doc="a * b")
IDIV_S = _op("idiv_s", "T T", "T", INTS, doc="signed quotient; needs b != 0, not (MIN, -1)")
IDIV_U = _op("idiv_u", "T T", "T", INTS, doc="unsigned quotient; needs b != 0")
IREM_S = _op("irem_s", "T T", "T", INTS, doc="signed remainder (MIN, -1 gives 0); needs b != 0")
IREM_U = _op("irem_u", "T T", "T", INTS, doc="unsigned remainder; needs b != 0")
IAND = _op("iand", "T T", "T", INTS, commutes=True, doc="bitwise and")
IOR = _op("ior", "T T", "T", INTS, commutes=True, doc="bitwise or")
IXOR = _op("ixor", "T T", "T", INTS, commutes=True, doc="bitwise exclusive or")
ISHL = _op("ishl", "T T", "T", INTS, doc="a << (b mod N)")
ISHR_S = _op("ishr_s", "T T", "T", INTS, doc="a >> (b mod N), sign filled")
ISHR_U = _op("ishr_u", "T T", "T", INTS, doc="a >> (b mod N), zero filled")
IROTL = _op("irotl", "T T", "T", INTS, doc="rotate left by b mod N")
IROTR = _op("irotr", "T T", "T", INTS, doc="rotate right by b mod N")
ICLZ = _op("iclz", "T", "T", INTS, doc="leading zeros; N for 0")
ICTZ = _op("ictz", "T", "T", INTS, doc="trailing zeros; N for 0")
IPOPCNT = _op("ipopcnt", "T", "T", INTS, doc="number of ones")
SEXT8 = _op("sext8", "T", "T", INTS, doc="sign-extend the low 8 bits")
SEXT16 = _op("sext16", "T", "T", INTS, doc="sign-extend the low 16 bits")
SEXT32 = _op("sext32", "T", "T", (Type.I64,), doc="sign-extend the low 32 bits")
WRAP = _op("wrap", "i64", "i32", doc="low 32 bits")
EXTEND_S = _op("extend_s", "i32", "i64", doc="sign-extend")
EXTEND_U = _op("extend_u", "i32", "i64", doc="zero-extend")

# Integer comparisons give i32 0 or 1.
IEQZ = _op("ieqz", "T", "i32", INTS, doc="a == 0")
IEQ = _op("ieq", "T T", "i32", INTS, commutes=True, doc="a == b")
INE = _op("ine", "T T", "i32", INTS, commutes=True, doc="a != b")
ILT_S = _op("ilt_s", "T T", "i32", INTS, doc="a < b, signed")
ILT_U = _op("ilt_u", "T T", "i32", INTS, doc="a < b, unsigned")
IGT_S = _op("igt_s", "T T", "i32", INTS, doc="a > b, signed")
IGT_U = _op("igt_u", "T T", "i32", INTS, doc="a > b, unsigned")
ILE_S = _op("ile_s", "T T", "i32", INTS, doc="a <= b, signed")
ILE_U = _op("ile_u", "T T", "i32", INTS, doc="a <= b, unsigned")
IGE_S = _op("ige_s", "T T", "i32", INTS, doc="a >= b, signed")
IGE_U = _op("ige_u", "T T", "i32", INTS, doc="a >= b, unsigned")

# Floating point: IEEE 754, round to nearest even. A NaN result of the ops marked "NaN any" has
# unspecified sign and payload until `canon` fixes it (canonical NaN: quiet bit alone, positive).
FADD = _op("fadd", "T T", "T", FLOATS, doc="a + b; NaN any")
FSUB = _op("fsub", "T T", "T", FLOATS, doc="a - b; NaN any")
FMUL = _op("fmul", "T T", "T", FLOATS, doc="a * b; NaN any")
FDIV = _op("fdiv", "T T", "T", FLOATS, doc="a / b; NaN any")
FMIN = _op("fmin", "T T", "T", FLOATS, doc="minimum, -0 < +0, NaN if either is; NaN any")
FMAX = _op("fmax", "T T", "T", FLOATS, doc="maximum, -0 < +0, NaN if either is; NaN any")
FSQRT = _op("fsqrt", "T", "T", FLOATS, doc="square root; NaN any")
FCEIL = _op("fceil", "T", "T", FLOATS, doc="round up; NaN any")
FFLOOR = _op("ffloor", "T", "T", FLOATS, doc="round down; NaN any")
FTRUNC = _op("ftrunc", "T", "T", FLOATS, doc="round towards zero; NaN any")
FNEAREST = _op("fnearest", "T", "T", FLOATS, doc="round to nearest, ties to even; NaN any")
FMA = _op("fma", "T T T", "T", FLOATS, doc="a * b + c, rounded once; NaN any")
PROMOTE = _op("promote", "f32", "f64", doc="exact widening; NaN any")
DEMOTE = _op("demote", "f64", "f32", doc="rounding to f32; NaN any")
CANON = _op("canon", "T", "T", FLOATS, doc="a, or the canonical NaN where a is a NaN")
FABS = _op("fabs", "T", "T", FLOATS, doc="clear the sign bit (of a NaN too)")
FNEG = _op("fneg", "T", "T", FLOATS, doc="flip the sign bit (of a NaN too)")
FCOPYSIGN = _op("fcopysign", "T T", "T", FLOATS, doc="a with the sign bit of b")
FEQ = _op("feq", "T T", "i32", FLOATS, commutes=True, doc="a == b; false if unordered")
FNE = _op("fne", "T T", "i32", FLOATS, commutes=True, doc="a != b; true if unordered")
FLT = _op("flt", "T T", "i32", FLOATS, doc="a < b; false if unordered")
FGT = _op("fgt", "T T", "i32", FLOATS, doc="a > b; false if unordered")
FLE = _op("fle", "T T", "i32", FLOATS, doc="a <= b; false if unordered")
FGE = _op("fge", "T T", "i32", FLOATS, doc="a >= b; false if unordered")

# Conversions. T is the result type; the operand's own type is its width.
TRUNC_S = _op("trunc_s", "float", "T", INTS, doc="towards zero; needs a value in T's signed range")
TRUNC_U = _op("trunc_u", "float", "T", INTS, doc="towards zero; needs a in T's unsigned range")
TRUNC_SAT_S = _op("trunc_sat_s", "float", "T", INTS, doc="towards zero, saturating; NaN gives 0")
TRUNC_SAT_U = _op("trunc_sat_u", "float", "T", INTS, doc="the same, unsigned")
CONVERT_S = _op("convert_s", "int", "T", FLOATS, doc="signed integer, rounded to nearest even")
CONVERT_U = _op("convert_u", "int", "T", FLOATS, doc="unsigned integer, rounded to nearest even")
BITCAST = _op("bitcast", "scalar", "T", NUMS + REFS, doc="the same bits, as a type of equal width")

SELECT = _op("select", "i32 T T", "T", ANY, doc="b if a != 0 else c")

# Vectors of 128 bits. The shape says which lanes an op works on; lane 0 is in the low bits.
# Narrow integer lanes are in an i32 when they are scalars, T is the shape's scalar type.
VSPLAT = _op("vsplat", "T", "v128", NUMS, attrs=(_A.SHAPE,), shapes=SHAPES,
             doc="every lane is a (its low bits)")
VEXTRACT = _op("vextract", "v128", "T", NUMS, attrs=(_A.SHAPE, _A.LANE, _A.SIGNED), shapes=SHAPES,
               doc="the lane; a narrow one is extended by sign or zero")
VREPLACE = _op("vreplace", "v128 T", "v128", NUMS, attrs=(_A.SHAPE, _A.LANE), shapes=SHAPES,
               doc="a with the lane replaced by b (its low bits)")
VSHUFFLE = _op("vshuffle", "v128 v128", "v128", attrs=(_A.LANES,),
               doc="bytes chosen from a (0 to 15) and b (16 to 31)")
VSWIZZLE = _op("vswizzle", "v128 v128", "v128",
               doc="byte i is byte b[i] of a, or 0 where b[i] > 15")
VNOT = _op("vnot", "v128", "v128", doc="bitwise not")
VAND = _op("vand", "v128 v128", "v128", commutes=True, doc="bitwise and")
VANDNOT = _op("vandnot", "v128 v128", "v128", doc="a and not b, bitwise")
VOR = _op("vor", "v128 v128", "v128", commutes=True, doc="bitwise or")
VXOR = _op("vxor", "v128 v128", "v128", commutes=True, doc="bitwise exclusive or")
VBITSELECT = _op("vbitselect", "v128 v128 v128", "v128",
                 doc="bits of a where c has ones, of b where it has zeros")
VANY_TRUE = _op("vany_true", "v128", "i32", doc="1 if a bit is set, else 0")
VALL_TRUE = _op("vall_true", "v128", "i32", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
                doc="1 if every lane is not 0, else 0")
VBITMASK = _op("vbitmask", "v128", "i32", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
               doc="bit i is the sign of lane i")

# Integer lanes, modulo 2^N. Comparisons give lanes of all ones or all zeros.
VADD = _op("vadd", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
           doc="a + b")
VSUB = _op("vsub", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="a - b")
VMUL = _op("vmul", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
           doc="a * b")
VNEG = _op("vneg", "v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="-a")
VABS = _op("vabs", "v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
           doc="absolute value; MIN stays MIN")
VPOPCNT = _op("vpopcnt", "v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="number of ones")
VSHL = _op("vshl", "v128 i32", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="a << (b mod N)")
VSHR_S = _op("vshr_s", "v128 i32", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
             doc="a >> (b mod N), sign filled")
VSHR_U = _op("vshr_u", "v128 i32", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
             doc="a >> (b mod N), zero filled")
VMIN_S = _op("vmin_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
             doc="signed minimum")
VMIN_U = _op("vmin_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
             doc="unsigned minimum")
VMAX_S = _op("vmax_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
             doc="signed maximum")
VMAX_U = _op("vmax_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
             doc="unsigned maximum")
VAVGR_U = _op("vavgr_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
              doc="(a + b + 1) / 2, unsigned, unbounded")
VADD_SAT_S = _op("vadd_sat_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
                 commutes=True, doc="a + b, signed, saturating")
VADD_SAT_U = _op("vadd_sat_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
                 commutes=True, doc="a + b, unsigned, saturating")
VSUB_SAT_S = _op("vsub_sat_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
                 doc="a - b, signed, saturating")
VSUB_SAT_U = _op("vsub_sat_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
                 doc="a - b, unsigned, saturating")
VEQ = _op("veq", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
          doc="a == b")
VNE = _op("vne", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, commutes=True,
          doc="a != b")
VLT_S = _op("vlt_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="a < b, signed")
VLT_U = _op("vlt_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a < b, unsigned")
VGT_S = _op("vgt_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES, doc="a > b, signed")
VGT_U = _op("vgt_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a > b, unsigned")
VLE_S = _op("vle_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a <= b, signed")
VLE_U = _op("vle_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a <= b, unsigned")
VGE_S = _op("vge_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a >= b, signed")
VGE_U = _op("vge_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES,
            doc="a >= b, unsigned")

# Integer lanes of two widths: the shape is the result's, operand lanes are half or twice as wide.
VNARROW_S = _op("vnarrow_s", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES[:2],
                doc="a's, then b's lanes, signed, saturated to the signed half width")
VNARROW_U = _op("vnarrow_u", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=INT_SHAPES[:2],
                doc="a's, then b's lanes, signed, saturated to the unsigned half width")
VEXTEND_S = _op("vextend_s", "v128", "v128", attrs=(_A.SHAPE, _A.HIGH), shapes=WIDE_SHAPES,
                doc="half of a's lanes, sign-extended")
VEXTEND_U = _op("vextend_u", "v128", "v128", attrs=(_A.SHAPE, _A.HIGH), shapes=WIDE_SHAPES,
                doc="half of a's lanes, zero-extended")
VEXTMUL_S = _op("vextmul_s", "v128 v128", "v128", attrs=(_A.SHAPE, _A.HIGH), shapes=WIDE_SHAPES,
                commutes=True, doc="signed products of half of the lanes, exact")
VEXTMUL_U = _op("vextmul_u", "v128 v128", "v128", attrs=(_A.SHAPE, _A.HIGH), shapes=WIDE_SHAPES,
                commutes=True, doc="unsigned products of half of the lanes, exact")
VEXTADD_S = _op("vextadd_s", "v128", "v128", attrs=(_A.SHAPE,), shapes=WIDE_SHAPES[:2],
                doc="signed sums of lane pairs, exact")
VEXTADD_U = _op("vextadd_u", "v128", "v128", attrs=(_A.SHAPE,), shapes=WIDE_SHAPES[:2],
                doc="unsigned sums of lane pairs, exact")
VDOT = _op("vdot", "v128 v128", "v128", commutes=True,
           doc="i32 sums of pairs of products of signed i16 lanes")
VQ15MULR_SAT = _op("vq15mulr_sat", "v128 v128", "v128", commutes=True,
                   doc="i16 lanes: (a * b + 2^14) >> 15, signed, saturating")

# Float lanes. In those marked "NaN any" each lane that is a NaN is unspecified until `vcanon`.
VFADD = _op("vfadd", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="a + b; NaN any")
VFSUB = _op("vfsub", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="a - b; NaN any")
VFMUL = _op("vfmul", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="a * b; NaN any")
VFDIV = _op("vfdiv", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="a / b; NaN any")
VFMIN = _op("vfmin", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="minimum, -0 < +0, NaN if either is; NaN any")
VFMAX = _op("vfmax", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="maximum, -0 < +0, NaN if either is; NaN any")
VFSQRT = _op("vfsqrt", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
             doc="square root; NaN any")
VFCEIL = _op("vfceil", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
             doc="round up; NaN any")
VFFLOOR = _op("vffloor", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
              doc="round down; NaN any")
VFTRUNC = _op("vftrunc", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
              doc="round towards zero; NaN any")
VFNEAREST = _op("vfnearest", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
                doc="round to nearest, ties to even; NaN any")
VFMA = _op("vfma", "v128 v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
           doc="a * b + c, rounded once; NaN any")
VCANON = _op("vcanon", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
             doc="a, or the canonical NaN in lanes that are NaNs")
VFABS = _op("vfabs", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="clear the sign bit (of a NaN too)")
VFNEG = _op("vfneg", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
            doc="flip the sign bit (of a NaN too)")
VFPMIN = _op("vfpmin", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
             doc="b if b < a else a")
VFPMAX = _op("vfpmax", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
             doc="b if a < b else a")
VFEQ = _op("vfeq", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES, commutes=True,
           doc="a == b; false if unordered")
VFNE = _op("vfne", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES, commutes=True,
           doc="a != b; true if unordered")
VFLT = _op("vflt", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
           doc="a < b; false if unordered")
VFGT = _op("vfgt", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
           doc="a > b; false if unordered")
VFLE = _op("vfle", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
           doc="a <= b; false if unordered")
VFGE = _op("vfge", "v128 v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
           doc="a >= b; false if unordered")

# Lane conversions. Lanes of f64x2 pair with the low two of i32x4 or f32x4; the others become 0.
VTRUNC_SAT_S = _op("vtrunc_sat_s", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
                   doc="float lanes to i32, towards zero, saturating; NaN gives 0")
VTRUNC_SAT_U = _op("vtrunc_sat_u", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
                   doc="the same, unsigned")
VCONVERT_S = _op("vconvert_s", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
                 doc="signed i32 lanes, rounded to nearest even")
VCONVERT_U = _op("vconvert_u", "v128", "v128", attrs=(_A.SHAPE,), shapes=FLOAT_SHAPES,
                 doc="unsigned i32 lanes, rounded to nearest even")
VDEMOTE = _op("vdemote", "v128", "v128", doc="f64x2 rounded to the low lanes of f32x4; NaN any")
VPROMOTE = _op("vpromote", "v128", "v128", doc="the low lanes of f32x4, exactly, as f64x2; NaN any")

# References and tables. Table accesses are unchecked: `table_size`, `ige_u` and `trap_if` guard.
REF_IS_NULL = _op("ref_is_null", "ref", "i32", doc="1 for null")
HAS_TYPE = _op("has_type", "funcref", "i32", attrs=(_A.SIG,),
               doc="1 if the function's type is the signature or below it; needs a != null")
IS_SUBTYPE = _op("is_subtype", "i32", "i32", attrs=(_A.OBJECT,),
                 doc="1 if the object type of that number is the given one or below it")
TABLE_GET = _op("table_get", "int", "T", REFS, attrs=(_A.TABLE,), effect=_R,
                doc="element a; needs a < size")
TABLE_SET = _op("table_set", "int T", "", REFS, attrs=(_A.TABLE,), effect=_W,
                doc="element a becomes b; needs a < size")
TABLE_SIZE = _op("table_size", "", "T", INTS, attrs=(_A.TABLE,), effect=_R, doc="elements")
TABLE_GROW = _op("table_grow", "ref T", "T", INTS, attrs=(_A.TABLE,), effect=_R | _W,
                 doc="grow by b elements of value a; old size, or -1")
TABLE_FILL = _op("table_fill", "T ref T", "", INTS, attrs=(_A.TABLE,), effect=_W | _T,
                 doc="elements [a, a+c) become b; traps table_out_of_bounds")
TABLE_COPY = _op("table_copy", "int int T", "", INTS, attrs=(_A.TABLE, _A.SRC_TABLE),
                 effect=_R | _W | _T, doc="[a, a+c) from src [b, b+c); table_out_of_bounds")
TABLE_INIT = _op("table_init", "int i32 i32", "", attrs=(_A.TABLE, _A.ELEM),
                 effect=_R | _W | _T, doc="[a, a+c) from segment [b, b+c); table_out_of_bounds")
ELEM_DROP = _op("elem_drop", "", "", attrs=(_A.ELEM,), effect=_W, doc="segment becomes empty")

# Globals. An immutable global with a known value is a `const` already when it is translated.
GLOBAL_GET = _op("global_get", "", "T", ANY, attrs=(_A.GLOBAL,), effect=_R, doc="its value")
GLOBAL_SET = _op("global_set", "T", "", ANY, attrs=(_A.GLOBAL,), effect=_W, doc="its value := a")

# Linear memory. Addresses are i32 (taken as unsigned) or i64 by the memory's index type.
# `load` and `store` are unchecked: a `bounds_check` of at least their extent dominates them. They
# also take an i64 as the address in a memory with i32 addresses.
BOUNDS_CHECK = _op("bounds_check", "int", "", attrs=(_A.MEMORY, _A.OFFSET, _A.WIDTH),
                   effect=_R | _T,
                   doc="traps memory_out_of_bounds unless a + offset + width <= size, unbounded")
LOAD = _op("load", "int", "T", ANY,
           attrs=(_A.MEMORY, _A.OFFSET, _A.WIDTH, _A.SIGNED, _A.ALIGN), effect=_R,
           doc="width bytes at a + offset, little endian, extended to T")
STORE = _op("store", "int T", "", ANY, attrs=(_A.MEMORY, _A.OFFSET, _A.WIDTH, _A.ALIGN),
            effect=_W, doc="low width bytes of b to a + offset, little endian")
APART = _op("apart", "", "", attrs=(_A.REGION, _A.COUNT), effect=_F,
            doc="from here on, what is stored in one of so many regions is not accessed in another")
MEMORY_SIZE = _op("memory_size", "", "T", INTS, attrs=(_A.MEMORY,), effect=_R, doc="pages")
MEMORY_GROW = _op("memory_grow", "T", "T", INTS, attrs=(_A.MEMORY,), effect=_R | _W,
                  doc="grow by a pages; old size in pages, or -1")
MEMORY_FILL = _op("memory_fill", "T i32 T", "", INTS, attrs=(_A.MEMORY,), effect=_W | _T,
                  doc="bytes [a, a+c) become the low byte of b; memory_out_of_bounds")
MEMORY_COPY = _op("memory_copy", "int int T", "", INTS, attrs=(_A.MEMORY, _A.SRC_MEMORY),
                  effect=_R | _W | _T, doc="[a, a+c) from src [b, b+c); memory_out_of_bounds")
MEMORY_INIT = _op("memory_init", "int i32 i32", "", attrs=(_A.MEMORY, _A.DATA),
                  effect=_R | _W | _T, doc="[a, a+c) from segment [b, b+c); memory_out_of_bounds")
DATA_DROP = _op("data_drop", "", "", attrs=(_A.DATA,), effect=_W, doc="segment becomes empty")

# Checks and fuel.
TRAP_IF = _op("trap_if", "i32", "", attrs=(_A.TRAP,), effect=_T, doc="end the agent if a != 0")
CHARGE = _op("charge", "", "", attrs=(_A.AMOUNT,), effect=_F, doc="fuel -= amount")
CHARGE_BY = _op("charge_by", "T", "", INTS, effect=_F, doc="fuel -= a, unsigned")
FUEL_COVERS = _op("fuel_covers", "i64", "i32", effect=_F,
                  doc="1 only if more than a units of fuel are left; 0 may be wrong")
FUEL_CHECK = _op("fuel_check", "", "", effect=_F | _T, doc="trap out_of_fuel if fuel <= 0")

# Calls. Arguments and results are those of the callee's signature.
CALL = _op("call", "...", "...", attrs=(_A.FUNC,), effect=_C, doc="call a function")
CALL_REF = _op("call_ref", "funcref ...", "...", attrs=(_A.SIG,), effect=_C,
               doc="call through a reference; needs a != null of type sig or below")

# Terminators.
JUMP = _op("jump", "", "", effect=_X, edges=1, doc="go to the edge's block")
BR_IF = _op("br_if", "i32", "", effect=_X, edges=2, doc="first edge if a != 0, else the second")
BR_TABLE = _op("br_table", "int", "", effect=_X, edges=-1,
               doc="edge number a (unsigned); the last edge if a is no smaller than its number")
RETURN = _op("return", "...", "", effect=_X, doc="the function's results")
THROW = _op("throw", "exnref", "", effect=_X,
            doc="leave this function, and its callers up to a try_call; needs a != null")
TRAP = _op("trap", "", "", attrs=(_A.TRAP,), effect=_X | _T, doc="end the agent")
RETURN_CALL = _op("return_call", "...", "", attrs=(_A.FUNC,), effect=_X | _C,
                  doc="tail call; the callee's results are the function's")
RETURN_CALL_REF = _op("return_call_ref", "funcref ...", "", attrs=(_A.SIG,), effect=_X | _C,
                      doc="tail call through a reference; needs a != null of type sig or below")
TRY_CALL = _op("try_call", "...", "", attrs=(_A.FUNC,), effect=_X | _C, edges=2,
               doc="call; first edge with the results appended, second with the exnref it threw")
TRY_CALL_REF = _op("try_call_ref", "funcref ...", "", attrs=(_A.SIG,), effect=_X | _C, edges=2,
                   doc="the same through a reference")

"""The table of WebAssembly instructions: one row an instruction, and everything else is derived.

Decoder, validator, printer, feature report, ``docs/opcodes.md`` and the parametrised tests read
it. Neighbours that differ only in name and type are built as a family, in encoding order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from ...ir import ops as ir
from ...ir.ops import OPS, Op
from ...ir.types import Shape, Type
from .features import (
    BULK_MEMORY,
    EXCEPTIONS,
    FUNCTION_REFERENCES,
    GC,
    LEGACY_EXCEPTIONS,
    MVP,
    REFERENCE_TYPES,
    RELAXED_SIMD,
    SATURATING,
    SIGN_EXTENSION,
    SIMD,
    TAIL_CALL,
)
from .types import Heap, ValueType, ref_type


class Imm(enum.Enum):
    """Kind of an instruction's immediates, and what the decoded immediate holds."""

    NONE = "-"  # None
    BLOCK = "blocktype"  # FuncType (empty or a single value type) or int (type index)
    LABEL = "labelidx"  # int
    TYPE = "typeidx"  # int
    FUNC = "funcidx"  # int
    LOCAL = "localidx"  # int
    GLOBAL = "globalidx"  # int
    TABLE = "tableidx"  # int
    MEMORY = "memidx"  # int
    FIELD = "typeidx fieldidx"  # (type index, field)
    TYPE_COUNT = "typeidx u32"  # (type index, number of operands)
    TYPE_DATA = "typeidx dataidx"  # (type index, segment)
    TYPE_ELEM = "typeidx elemidx"  # (type index, segment)
    TYPE_PAIR = "typeidx typeidx"  # (destination's type index, source's)
    DATA = "dataidx"  # int
    ELEM = "elemidx"  # int
    BR_TABLE = "labelidx* labelidx"  # (tuple of labels, default label)
    CALL_INDIRECT = "typeidx tableidx"  # (type index, table index)
    MEMARG = "memarg"  # (log2 of the alignment, offset, memory index)
    I32 = "i32"  # int: bit pattern, unsigned
    I64 = "i64"  # int: bit pattern, unsigned
    F32 = "f32"  # int: bit pattern, unsigned
    F64 = "f64"  # int: bit pattern, unsigned
    V128 = "v128"  # int: bit pattern, unsigned
    LANE = "laneidx"  # int
    LANES = "laneidx^16"  # bytes: 16 of them
    MEMARG_LANE = "memarg laneidx"  # (log2 of the alignment, offset, memory index, lane)
    SELECT_TYPES = "valtype*"  # tuple of types
    REF_TYPE = "heaptype"  # the nullable reference type
    NON_NULL_TYPE = "ref heaptype"  # the reference type without null
    NULLABLE_TYPE = "ref null heaptype"  # the reference type with null
    CAST = "labelidx reftype reftype"  # (label, type of the operand, type that is asked for)
    MEMORY_INIT = "dataidx memidx"  # (segment, memory)
    MEMORY_COPY = "memidx memidx"  # (destination, source)
    TABLE_INIT = "elemidx tableidx"  # (segment, table)
    TABLE_COPY = "tableidx tableidx"  # (destination, source)
    TAG = "tagidx"  # int
    TRY_TABLE = "blocktype catch*"  # (as BLOCK, tuple of Catch)


@dataclass(frozen=True, slots=True, eq=False)
class Opcode:
    """One row of the table.

    Attributes:
        name: the instruction's name in the specification's spelling.
        prefix: the first byte of a two-part encoding, or None.
        code: the opcode: one byte, or the LEB128 number after the prefix.
        imm: kind of its immediates.
        params: operand types, the last one on top of the stack; None: they depend on context.
        results: result types; None: they depend on context.
        proposal: the proposal that brought it, ``mvp`` for WebAssembly 1.0.
        index: its place in :data:`OPCODES`, for tables that are lists.
        ir: the IR op it becomes, where one becomes one.
        type: the IR's controlling type; of constants, loads and stores, the value's type.
        width: bytes that a load or store touches, else 0.
        signed: whether a narrow load extends by sign.
        fuel: units of fuel it costs (bulk operations and ``grow`` cost more at run time).
        shape: lanes of a vector instruction: those of its IR op, or that it loads or stores.
        attrs: attributes of the IR op that the row knows; a lane goes behind the shape.
    """

    name: str
    prefix: int | None
    code: int
    imm: Imm
    params: tuple[ValueType, ...] | None
    results: tuple[ValueType, ...] | None
    proposal: str
    index: int
    ir: Op | None = None
    type: Type | None = None
    width: int = 0
    signed: bool = False
    fuel: int = 1
    shape: Shape | None = None
    attrs: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"<opcode {self.name}>"


PREFIX_FB = 0xFB
PREFIX_FC = 0xFC
PREFIX_FD = 0xFD

OPCODES: list[Opcode] = []
BY_NAME: dict[str, Opcode] = {}
#: Decode tables: row by first byte, and by the number after the prefixes 0xFB, 0xFC and 0xFD.
PLAIN: list[Opcode | None] = [None] * 256
AFTER_FB: list[Opcode | None] = [None] * 31
AFTER_FC: list[Opcode | None] = [None] * 18
AFTER_FD: list[Opcode | None] = [None] * 0x114
_TABLES = {None: PLAIN, PREFIX_FB: AFTER_FB, PREFIX_FC: AFTER_FC, PREFIX_FD: AFTER_FD}

#: Instructions that wasmtime does not charge for (``nop`` and what only shapes control).
_FREE = frozenset(("unreachable", "nop", "block", "loop", "else", "end", "return", "drop"))

_Types = tuple[ValueType, ...]
_I32, _I64, _F32, _F64 = Type.I32, Type.I64, Type.F32, Type.F64
_V128 = Type.V128
_EQ = ref_type(True, Heap.EQ)


def _row(name: str, code: int, imm: Imm = Imm.NONE, params: _Types | None = None,
         results: _Types | None = None, *, prefix: int | None = None, proposal: str = MVP,
         op: Op | None = None, t: Type | None = None, width: int = 0,
         signed: bool = False, shape: Shape | None = None, attrs: tuple[Any, ...] = ()) -> None:
    row = Opcode(name, prefix, code, imm, params, results, proposal, len(OPCODES), op, t, width,
                 signed, 0 if name in _FREE else 1, shape, attrs)
    table = _TABLES[prefix]
    assert table[code] is None, name
    assert name not in BY_NAME, name
    table[code] = BY_NAME[name] = row
    OPCODES.append(row)


def _family(code: int, t: Type, names: str, arity: int, result: Type | None = None,
            proposal: str = MVP) -> None:
    """Rows ``t.name`` from ``code`` on, with ``arity`` operands of type ``t`` and one result."""
    letter = "i" if t.is_int else "f"
    for number, name in enumerate(names.split(), code):
        _row(f"{t.value}.{name}", number, Imm.NONE, (t,) * arity, (result or t,),
             op=OPS[letter + name], t=t, proposal=proposal)


def _convert(code: int, names: str, op: Op, *, prefix: int | None = None,
             proposal: str = MVP) -> None:
    """Rows ``result.what_operand…`` from ``code`` on, such as ``i32.trunc_f32_s``."""
    for number, name in enumerate(names.split(), code):
        to, _, what = name.partition(".")
        result = Type(to)
        operand = next(t for t in (_I32, _I64, _F32, _F64) if t.value in what)
        _row(name, number, Imm.NONE, (operand,), (result,), op=op, prefix=prefix,
             t=result if op.types else None, proposal=proposal)


def _access(code: int, t: Type, names: str, *, store: bool) -> None:
    """Loads or stores of type ``t`` from ``code`` on; the digits in a name are its bits."""
    for number, name in enumerate(names.split(), code):
        digits = "".join(filter(str.isdigit, name))
        params, results = ((_I32, t), ()) if store else ((_I32,), (t,))
        _row(f"{t.value}.{name}", number, Imm.MEMARG, params, results, t=t,
             width=int(digits or t.bits) // 8, signed=name.endswith("_s"))


# Control.
_row("unreachable", 0x00)
_row("nop", 0x01, params=(), results=())
_row("block", 0x02, Imm.BLOCK)
_row("loop", 0x03, Imm.BLOCK)
_row("if", 0x04, Imm.BLOCK)
_row("else", 0x05)
_row("throw", 0x08, Imm.TAG, proposal=EXCEPTIONS)
_row("throw_ref", 0x0A, proposal=EXCEPTIONS)
_row("end", 0x0B)
_row("br", 0x0C, Imm.LABEL)
_row("br_if", 0x0D, Imm.LABEL)
_row("br_table", 0x0E, Imm.BR_TABLE)
_row("return", 0x0F)
_row("call", 0x10, Imm.FUNC)
_row("call_indirect", 0x11, Imm.CALL_INDIRECT)
_row("return_call", 0x12, Imm.FUNC, proposal=TAIL_CALL)
_row("return_call_indirect", 0x13, Imm.CALL_INDIRECT, proposal=TAIL_CALL)
_row("call_ref", 0x14, Imm.TYPE, proposal=FUNCTION_REFERENCES)
_row("return_call_ref", 0x15, Imm.TYPE, proposal=FUNCTION_REFERENCES)

_row("try_table", 0x1F, Imm.TRY_TABLE, proposal=EXCEPTIONS)

# Parametric and variables.
_row("drop", 0x1A)
_row("select", 0x1B)
# The typed form has the same name in the text format; here it needs one of its own.
_row("select t", 0x1C, Imm.SELECT_TYPES, proposal=REFERENCE_TYPES)
_row("local.get", 0x20, Imm.LOCAL)
_row("local.set", 0x21, Imm.LOCAL)
_row("local.tee", 0x22, Imm.LOCAL)
_row("global.get", 0x23, Imm.GLOBAL)
_row("global.set", 0x24, Imm.GLOBAL)
_row("table.get", 0x25, Imm.TABLE, proposal=REFERENCE_TYPES)
_row("table.set", 0x26, Imm.TABLE, proposal=REFERENCE_TYPES)

# Memory.
_access(0x28, _I32, "load", store=False)
_access(0x29, _I64, "load", store=False)
_access(0x2A, _F32, "load", store=False)
_access(0x2B, _F64, "load", store=False)
_access(0x2C, _I32, "load8_s load8_u load16_s load16_u", store=False)
_access(0x30, _I64, "load8_s load8_u load16_s load16_u load32_s load32_u", store=False)
_access(0x36, _I32, "store", store=True)
_access(0x37, _I64, "store", store=True)
_access(0x38, _F32, "store", store=True)
_access(0x39, _F64, "store", store=True)
_access(0x3A, _I32, "store8 store16", store=True)
_access(0x3C, _I64, "store8 store16 store32", store=True)
_row("memory.size", 0x3F, Imm.MEMORY, (), (_I32,))
_row("memory.grow", 0x40, Imm.MEMORY, (_I32,), (_I32,))

# Constants.
_row("i32.const", 0x41, Imm.I32, (), (_I32,), t=_I32)
_row("i64.const", 0x42, Imm.I64, (), (_I64,), t=_I64)
_row("f32.const", 0x43, Imm.F32, (), (_F32,), t=_F32)
_row("f64.const", 0x44, Imm.F64, (), (_F64,), t=_F64)

# Comparisons.
_INT_COMPARE = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_family(0x45, _I32, "eqz", 1, _I32)
_family(0x46, _I32, _INT_COMPARE, 2, _I32)
_family(0x50, _I64, "eqz", 1, _I32)
_family(0x51, _I64, _INT_COMPARE, 2, _I32)
_family(0x5B, _F32, "eq ne lt gt le ge", 2, _I32)
_family(0x61, _F64, "eq ne lt gt le ge", 2, _I32)

# Arithmetic. Division and remainder become the unchecked op; the frontend adds the checks.
_INT_BINARY = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
_family(0x67, _I32, "clz ctz popcnt", 1)
_family(0x6A, _I32, _INT_BINARY, 2)
_family(0x79, _I64, "clz ctz popcnt", 1)
_family(0x7C, _I64, _INT_BINARY, 2)
_family(0x8B, _F32, "abs neg ceil floor trunc nearest sqrt", 1)
_family(0x92, _F32, "add sub mul div min max copysign", 2)
_family(0x99, _F64, "abs neg ceil floor trunc nearest sqrt", 1)
_family(0xA0, _F64, "add sub mul div min max copysign", 2)

# Conversions. The trapping truncations become the unchecked op, too.
_convert(0xA7, "i32.wrap_i64", ir.WRAP)
_convert(0xA8, "i32.trunc_f32_s", ir.TRUNC_S)
_convert(0xA9, "i32.trunc_f32_u", ir.TRUNC_U)
_convert(0xAA, "i32.trunc_f64_s", ir.TRUNC_S)
_convert(0xAB, "i32.trunc_f64_u", ir.TRUNC_U)
_convert(0xAC, "i64.extend_i32_s", ir.EXTEND_S)
_convert(0xAD, "i64.extend_i32_u", ir.EXTEND_U)
_convert(0xAE, "i64.trunc_f32_s", ir.TRUNC_S)
_convert(0xAF, "i64.trunc_f32_u", ir.TRUNC_U)
_convert(0xB0, "i64.trunc_f64_s", ir.TRUNC_S)
_convert(0xB1, "i64.trunc_f64_u", ir.TRUNC_U)
_convert(0xB2, "f32.convert_i32_s", ir.CONVERT_S)
_convert(0xB3, "f32.convert_i32_u", ir.CONVERT_U)
_convert(0xB4, "f32.convert_i64_s", ir.CONVERT_S)
_convert(0xB5, "f32.convert_i64_u", ir.CONVERT_U)
_convert(0xB6, "f32.demote_f64", ir.DEMOTE)
_convert(0xB7, "f64.convert_i32_s", ir.CONVERT_S)
_convert(0xB8, "f64.convert_i32_u", ir.CONVERT_U)
_convert(0xB9, "f64.convert_i64_s", ir.CONVERT_S)
_convert(0xBA, "f64.convert_i64_u", ir.CONVERT_U)
_convert(0xBB, "f64.promote_f32", ir.PROMOTE)
_convert(0xBC, "i32.reinterpret_f32 i64.reinterpret_f64", ir.BITCAST)
_convert(0xBE, "f32.reinterpret_i32 f64.reinterpret_i64", ir.BITCAST)

# Sign extension.
_row("i32.extend8_s", 0xC0, Imm.NONE, (_I32,), (_I32,), op=ir.SEXT8, t=_I32,
     proposal=SIGN_EXTENSION)
_row("i32.extend16_s", 0xC1, Imm.NONE, (_I32,), (_I32,), op=ir.SEXT16, t=_I32,
     proposal=SIGN_EXTENSION)
_row("i64.extend8_s", 0xC2, Imm.NONE, (_I64,), (_I64,), op=ir.SEXT8, t=_I64,
     proposal=SIGN_EXTENSION)
_row("i64.extend16_s", 0xC3, Imm.NONE, (_I64,), (_I64,), op=ir.SEXT16, t=_I64,
     proposal=SIGN_EXTENSION)
_row("i64.extend32_s", 0xC4, Imm.NONE, (_I64,), (_I64,), op=ir.SEXT32, t=_I64,
     proposal=SIGN_EXTENSION)

# References.
_row("ref.null", 0xD0, Imm.REF_TYPE, proposal=REFERENCE_TYPES)
_row("ref.is_null", 0xD1, Imm.NONE, None, (_I32,), op=ir.REF_IS_NULL, proposal=REFERENCE_TYPES)
_row("ref.func", 0xD2, Imm.FUNC, proposal=REFERENCE_TYPES)
_row("ref.eq", 0xD3, Imm.NONE, (_EQ, _EQ), (_I32,), proposal=GC)
_row("ref.as_non_null", 0xD4, proposal=FUNCTION_REFERENCES)
_row("br_on_null", 0xD5, Imm.LABEL, proposal=FUNCTION_REFERENCES)
_row("br_on_non_null", 0xD6, Imm.LABEL, proposal=FUNCTION_REFERENCES)

# Objects. Operands depend on the type that an instruction names.


def _objects(code: int, names: str, imm: Imm) -> None:
    for number, name in enumerate(names.split(), code):
        _row(name, number, imm, prefix=PREFIX_FB, proposal=GC)


_objects(0x00, "struct.new struct.new_default", Imm.TYPE)
_objects(0x02, "struct.get struct.get_s struct.get_u struct.set", Imm.FIELD)
_objects(0x06, "array.new array.new_default", Imm.TYPE)
_objects(0x08, "array.new_fixed", Imm.TYPE_COUNT)
_objects(0x09, "array.new_data", Imm.TYPE_DATA)
_objects(0x0A, "array.new_elem", Imm.TYPE_ELEM)
_objects(0x0B, "array.get array.get_s array.get_u array.set", Imm.TYPE)
_row("array.len", 0x0F, Imm.NONE, (ref_type(True, Heap.ARRAY),), (_I32,), prefix=PREFIX_FB,
     proposal=GC)
_objects(0x10, "array.fill", Imm.TYPE)
_objects(0x11, "array.copy", Imm.TYPE_PAIR)
_objects(0x12, "array.init_data", Imm.TYPE_DATA)
_objects(0x13, "array.init_elem", Imm.TYPE_ELEM)
# These have one name each in the text format, where the type says whether null is meant, too.
for _code, _name, _imm in ((0x14, "ref.test", Imm.NON_NULL_TYPE),
                           (0x15, "ref.test null", Imm.NULLABLE_TYPE),
                           (0x16, "ref.cast", Imm.NON_NULL_TYPE),
                           (0x17, "ref.cast null", Imm.NULLABLE_TYPE)):
    _row(_name, _code, _imm, prefix=PREFIX_FB, proposal=GC)
_objects(0x18, "br_on_cast br_on_cast_fail", Imm.CAST)
_objects(0x1A, "any.convert_extern extern.convert_any", Imm.NONE)
_I31 = ref_type(True, Heap.I31)
_row("ref.i31", 0x1C, Imm.NONE, (_I32,), (ref_type(False, Heap.I31),), prefix=PREFIX_FB,
     proposal=GC)
_row("i31.get_s", 0x1D, Imm.NONE, (_I31,), (_I32,), prefix=PREFIX_FB, proposal=GC)
_row("i31.get_u", 0x1E, Imm.NONE, (_I31,), (_I32,), prefix=PREFIX_FB, proposal=GC)

# Saturating truncation.
for _code, _name, _op in (
    (0, "i32.trunc_sat_f32_s", ir.TRUNC_SAT_S), (1, "i32.trunc_sat_f32_u", ir.TRUNC_SAT_U),
    (2, "i32.trunc_sat_f64_s", ir.TRUNC_SAT_S), (3, "i32.trunc_sat_f64_u", ir.TRUNC_SAT_U),
    (4, "i64.trunc_sat_f32_s", ir.TRUNC_SAT_S), (5, "i64.trunc_sat_f32_u", ir.TRUNC_SAT_U),
    (6, "i64.trunc_sat_f64_s", ir.TRUNC_SAT_S), (7, "i64.trunc_sat_f64_u", ir.TRUNC_SAT_U),
):
    _convert(_code, _name, _op, prefix=PREFIX_FC, proposal=SATURATING)

# Bulk memory and tables.
_III = (_I32, _I32, _I32)
_row("memory.init", 8, Imm.MEMORY_INIT, _III, (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("data.drop", 9, Imm.DATA, (), (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("memory.copy", 10, Imm.MEMORY_COPY, _III, (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("memory.fill", 11, Imm.MEMORY, _III, (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("table.init", 12, Imm.TABLE_INIT, _III, (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("elem.drop", 13, Imm.ELEM, (), (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("table.copy", 14, Imm.TABLE_COPY, _III, (), prefix=PREFIX_FC, proposal=BULK_MEMORY)
_row("table.grow", 15, Imm.TABLE, None, (_I32,), prefix=PREFIX_FC, proposal=REFERENCE_TYPES)
_row("table.size", 16, Imm.TABLE, (), (_I32,), prefix=PREFIX_FC, proposal=REFERENCE_TYPES)
_row("table.fill", 17, Imm.TABLE, None, (), prefix=PREFIX_FC, proposal=REFERENCE_TYPES)

# Vectors: 236 instructions, in groups that differ in shape only.


def _vector(code: int, name: str, params: _Types, result: Type, op: Op, *attrs: Any,
            t: Type | None = None, imm: Imm = Imm.NONE, proposal: str = SIMD) -> None:
    """A row that becomes one IR op; the first of ``attrs`` is its shape if it has one."""
    shape = attrs[0] if attrs and isinstance(attrs[0], Shape) else None
    _row(name, code, imm, params, (result,), prefix=PREFIX_FD, proposal=proposal, op=op, t=t,
         shape=shape, attrs=attrs)


def _lanes(code: int, shape: Shape, names: str, params: _Types = (_V128, _V128),
           result: Type = _V128) -> None:
    """Rows ``shape.name`` from ``code`` on; ``-`` stands for a code that is not used."""
    letter = "vf" if shape.lane.is_float else "v"
    for number, name in enumerate(names.split(), code):
        if name != "-":
            op = OPS.get(letter + name) or OPS["v" + name]
            _vector(number, f"{shape.value}.{name}", params, result, op, shape)


def _vector_access(code: int, name: str, width: int, shape: Shape | None = None, *,
                   signed: bool = False, store: bool = False, lane: bool = False) -> None:
    """A load or store; with a lane, the vector whose lane it is about is an operand."""
    params = (_I32, _V128) if store or lane else (_I32,)
    _row(f"v128.{name}", code, Imm.MEMARG_LANE if lane else Imm.MEMARG, params,
         () if store else (_V128,), prefix=PREFIX_FD, proposal=SIMD, t=_V128, width=width,
         signed=signed, shape=shape)


def _widening(code: int, to: Shape, source: Shape, name: str, params: _Types) -> None:
    """The four rows ``to.name_low_source_s`` and so on."""
    for number, (sign, half) in enumerate((("s", "low"), ("s", "high"), ("u", "low"),
                                           ("u", "high")), code):
        _vector(number, f"{to.value}.{name}_{half}_{source.value}_{sign}", params, _V128,
                OPS[f"v{name}_{sign}"], to, half == "high")


_V, _VV, _VVV, _VI = (_V128,), (_V128,) * 2, (_V128,) * 3, (_V128, _I32)
_I8X16, _I16X8, _I32X4, _I64X2 = Shape.I8X16, Shape.I16X8, Shape.I32X4, Shape.I64X2
_F32X4, _F64X2 = Shape.F32X4, Shape.F64X2

_vector_access(0x00, "load", 16)
for _code, _name, _shape in ((0x01, "load8x8", _I16X8), (0x03, "load16x4", _I32X4),
                             (0x05, "load32x2", _I64X2)):
    _vector_access(_code, _name + "_s", 8, _shape, signed=True)
    _vector_access(_code + 1, _name + "_u", 8, _shape)
for _number, _shape in enumerate((_I8X16, _I16X8, _I32X4, _I64X2)):
    _vector_access(0x07 + _number, f"load{_shape.bits}_splat", _shape.bits // 8, _shape)
    _vector_access(0x54 + _number, f"load{_shape.bits}_lane", _shape.bits // 8, _shape, lane=True)
    _vector_access(0x58 + _number, f"store{_shape.bits}_lane", _shape.bits // 8, _shape,
                   store=True, lane=True)
_vector_access(0x0B, "store", 16, store=True)
_vector_access(0x5C, "load32_zero", 4, _I32X4)
_vector_access(0x5D, "load64_zero", 8, _I64X2)
_row("v128.const", 0x0C, Imm.V128, (), _V, prefix=PREFIX_FD, proposal=SIMD, t=_V128)

_vector(0x0D, "i8x16.shuffle", _VV, _V128, ir.VSHUFFLE, imm=Imm.LANES)
_vector(0x0E, "i8x16.swizzle", _VV, _V128, ir.VSWIZZLE)
for _number, _shape in enumerate(Shape):
    _vector(0x0F + _number, f"{_shape.value}.splat", (_shape.lane,), _V128, ir.VSPLAT, _shape,
            t=_shape.lane)
for _code, _shape, _suffix in (
    (0x15, _I8X16, "_s"), (0x16, _I8X16, "_u"), (0x18, _I16X8, "_s"), (0x19, _I16X8, "_u"),
    (0x1B, _I32X4, ""), (0x1D, _I64X2, ""), (0x1F, _F32X4, ""), (0x21, _F64X2, ""),
):
    _vector(_code, f"{_shape.value}.extract_lane{_suffix}", _V, _shape.lane, ir.VEXTRACT, _shape,
            _suffix == "_s", t=_shape.lane, imm=Imm.LANE)
for _code, _shape in ((0x17, _I8X16), (0x1A, _I16X8), (0x1C, _I32X4), (0x1E, _I64X2),
                      (0x20, _F32X4), (0x22, _F64X2)):
    _vector(_code, f"{_shape.value}.replace_lane", (_V128, _shape.lane), _V128, ir.VREPLACE,
            _shape, t=_shape.lane, imm=Imm.LANE)

for _code, _shape in ((0x23, _I8X16), (0x2D, _I16X8), (0x37, _I32X4)):
    _lanes(_code, _shape, _INT_COMPARE)
_lanes(0xD6, _I64X2, "eq ne lt_s gt_s le_s ge_s")
_lanes(0x41, _F32X4, "eq ne lt gt le ge")
_lanes(0x47, _F64X2, "eq ne lt gt le ge")

_vector(0x4D, "v128.not", _V, _V128, ir.VNOT)
for _code, _name, _op in ((0x4E, "and", ir.VAND), (0x4F, "andnot", ir.VANDNOT),
                          (0x50, "or", ir.VOR), (0x51, "xor", ir.VXOR)):
    _vector(_code, f"v128.{_name}", _VV, _V128, _op)
_vector(0x52, "v128.bitselect", _VVV, _V128, ir.VBITSELECT)
_vector(0x53, "v128.any_true", _V, _I32, ir.VANY_TRUE)

for _code, _shape in ((0x60, _I8X16), (0x80, _I16X8), (0xA0, _I32X4), (0xC0, _I64X2)):
    _lanes(_code, _shape, "abs neg", _V)
    _lanes(_code + 0x03, _shape, "all_true bitmask", _V, _I32)
    _lanes(_code + 0x0B, _shape, "shl shr_s shr_u", _VI)
    _narrow = _shape in (_I8X16, _I16X8)
    _lanes(_code + 0x0E, _shape,
           "add add_sat_s add_sat_u sub sub_sat_s sub_sat_u" if _narrow else "add - - sub")
    if _shape is not _I8X16:
        _lanes(_code + 0x15, _shape, "mul")
    if _shape is not _I64X2:
        _lanes(_code + 0x16, _shape, "min_s min_u max_s max_u")
    if _narrow:
        _lanes(_code + 0x1B, _shape, "avgr_u")
_lanes(0x62, _I8X16, "popcnt", _V)
for _code, _shape, _source in ((0x65, _I8X16, _I16X8), (0x85, _I16X8, _I32X4)):
    _vector(_code, f"{_shape.value}.narrow_{_source.value}_s", _VV, _V128, ir.VNARROW_S, _shape)
    _vector(_code + 1, f"{_shape.value}.narrow_{_source.value}_u", _VV, _V128, ir.VNARROW_U,
            _shape)
for _code, _shape, _source in ((0x87, _I16X8, _I8X16), (0xA7, _I32X4, _I16X8),
                               (0xC7, _I64X2, _I32X4)):
    _widening(_code, _shape, _source, "extend", _V)
    _widening(_code + 0x15, _shape, _source, "extmul", _VV)
for _code, _shape, _source in ((0x7C, _I16X8, _I8X16), (0x7E, _I32X4, _I16X8)):
    _name = f"{_shape.value}.extadd_pairwise_{_source.value}"
    _vector(_code, _name + "_s", _V, _V128, ir.VEXTADD_S, _shape)
    _vector(_code + 1, _name + "_u", _V, _V128, ir.VEXTADD_U, _shape)
_vector(0x82, "i16x8.q15mulr_sat_s", _VV, _V128, ir.VQ15MULR_SAT)
_vector(0xBA, "i32x4.dot_i16x8_s", _VV, _V128, ir.VDOT)

_lanes(0x67, _F32X4, "ceil floor trunc nearest", _V)
_lanes(0x74, _F64X2, "ceil floor", _V)
_lanes(0x7A, _F64X2, "trunc", _V)
_lanes(0x94, _F64X2, "nearest", _V)
for _code, _shape in ((0xE0, _F32X4), (0xEC, _F64X2)):
    _lanes(_code, _shape, "abs neg - sqrt", _V)
    _lanes(_code + 4, _shape, "add sub mul div min max pmin pmax")

_vector(0x5E, "f32x4.demote_f64x2_zero", _V, _V128, ir.VDEMOTE)
_vector(0x5F, "f64x2.promote_low_f32x4", _V, _V128, ir.VPROMOTE)
for _code, _name, _op, _shape in (
    (0xF8, "i32x4.trunc_sat_f32x4_s", ir.VTRUNC_SAT_S, _F32X4),
    (0xF9, "i32x4.trunc_sat_f32x4_u", ir.VTRUNC_SAT_U, _F32X4),
    (0xFA, "f32x4.convert_i32x4_s", ir.VCONVERT_S, _F32X4),
    (0xFB, "f32x4.convert_i32x4_u", ir.VCONVERT_U, _F32X4),
    (0xFC, "i32x4.trunc_sat_f64x2_s_zero", ir.VTRUNC_SAT_S, _F64X2),
    (0xFD, "i32x4.trunc_sat_f64x2_u_zero", ir.VTRUNC_SAT_U, _F64X2),
    (0xFE, "f64x2.convert_low_i32x4_s", ir.VCONVERT_S, _F64X2),
    (0xFF, "f64x2.convert_low_i32x4_u", ir.VCONVERT_U, _F64X2),
):
    _vector(_code, _name, _V, _V128, _op, _shape)

# Relaxed vectors: 20 instructions whose results may depend on the machine. Here they are those of
# wasmtime where it is told to be deterministic: of the instruction without "relaxed" where there
# is one; multiply-add rounds once (the specification's deterministic profile rounds twice, and
# allows both elsewhere); dot products are of signed bytes.


def _relaxed(code: int, name: str, params: _Types, op: Op, *attrs: Shape) -> None:
    _vector(code, name, params, _V128, op, *attrs, proposal=RELAXED_SIMD)


_relaxed(0x100, "i8x16.relaxed_swizzle", _VV, ir.VSWIZZLE)
for _code, _name, _op, _shape in (
    (0x101, "f32x4_s", ir.VTRUNC_SAT_S, _F32X4), (0x102, "f32x4_u", ir.VTRUNC_SAT_U, _F32X4),
    (0x103, "f64x2_s_zero", ir.VTRUNC_SAT_S, _F64X2),
    (0x104, "f64x2_u_zero", ir.VTRUNC_SAT_U, _F64X2),
):
    _relaxed(_code, f"i32x4.relaxed_trunc_{_name}", _V, _op, _shape)
for _code, _shape in ((0x105, _F32X4), (0x107, _F64X2)):
    _relaxed(_code, f"{_shape.value}.relaxed_madd", _VVV, ir.VFMA, _shape)
    _row(f"{_shape.value}.relaxed_nmadd", _code + 1, Imm.NONE, _VVV, _V, prefix=PREFIX_FD,
         proposal=RELAXED_SIMD, shape=_shape)
for _code, _shape in enumerate((_I8X16, _I16X8, _I32X4, _I64X2), 0x109):
    _relaxed(_code, f"{_shape.value}.relaxed_laneselect", _VVV, ir.VBITSELECT)
for _code, _shape in ((0x10D, _F32X4), (0x10F, _F64X2)):
    _relaxed(_code, f"{_shape.value}.relaxed_min", _VV, ir.VFMIN, _shape)
    _relaxed(_code + 1, f"{_shape.value}.relaxed_max", _VV, ir.VFMAX, _shape)
_relaxed(0x111, "i16x8.relaxed_q15mulr_s", _VV, ir.VQ15MULR_SAT)
_row("i16x8.relaxed_dot_i8x16_i7x16_s", 0x112, Imm.NONE, _VV, _V, prefix=PREFIX_FD,
     proposal=RELAXED_SIMD)
_row("i32x4.relaxed_dot_i8x16_i7x16_add_s", 0x113, Imm.NONE, _VVV, _V, prefix=PREFIX_FD,
     proposal=RELAXED_SIMD)


#: Rows that constant expressions may contain since the extended-const proposal.
EXTENDED_CONSTANT = frozenset(BY_NAME[name] for name in (
    "i32.add", "i32.sub", "i32.mul", "i64.add", "i64.sub", "i64.mul"))

#: Proposals that are recognised by an opcode but not supported.
_UNSUPPORTED = {
    **dict.fromkeys((0x06, 0x07, 0x09, 0x18, 0x19), LEGACY_EXCEPTIONS),
    **dict.fromkeys(range(0xE0, 0xE7), "stack-switching"),
    0xFE: "threads",
}


def unsupported_proposal(first: int, code: int = 0) -> str | None:
    """The proposal that an opcode outside the table belongs to, None if it is in none.

    Args:
        first: the first byte of the encoding.
        code: the number after it, where the first byte is a prefix.
    """
    if first == PREFIX_FC:
        if 0x13 <= code <= 0x16:
            return "wide-arithmetic"
        return "memory-control" if code == 0x12 else None
    return _UNSUPPORTED.get(first)

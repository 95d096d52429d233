"""The table of WebAssembly instructions: one row an instruction, and everything else is derived.

Decoder, validator, printer, feature report, ``docs/opcodes.md`` and the parametrised tests read
it. Neighbours that differ only in name and type are built as a family, in encoding order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ...ir import ops as ir
from ...ir.ops import OPS, Op
from ...ir.types import Type


class Imm(enum.Enum):
    """Kind of an instruction's immediates, and what the decoded immediate holds."""

    NONE = "-"  # None
    BLOCK = "blocktype"  # FuncType (empty or a single value type) or int (type index)
    LABEL = "labelidx"  # int
    FUNC = "funcidx"  # int
    LOCAL = "localidx"  # int
    GLOBAL = "globalidx"  # int
    TABLE = "tableidx"  # int
    MEMORY = "memidx"  # int
    DATA = "dataidx"  # int
    ELEM = "elemidx"  # int
    BR_TABLE = "labelidx* labelidx"  # (tuple of labels, default label)
    CALL_INDIRECT = "typeidx tableidx"  # (type index, table index)
    MEMARG = "memarg"  # (log2 of the alignment, offset, memory index)
    I32 = "i32"  # int: bit pattern, unsigned
    I64 = "i64"  # int: bit pattern, unsigned
    F32 = "f32"  # int: bit pattern, unsigned
    F64 = "f64"  # int: bit pattern, unsigned
    SELECT_TYPES = "valtype*"  # tuple of types
    REF_TYPE = "reftype"  # Type
    MEMORY_INIT = "dataidx memidx"  # (segment, memory)
    MEMORY_COPY = "memidx memidx"  # (destination, source)
    TABLE_INIT = "elemidx tableidx"  # (segment, table)
    TABLE_COPY = "tableidx tableidx"  # (destination, source)


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
    """

    name: str
    prefix: int | None
    code: int
    imm: Imm
    params: tuple[Type, ...] | None
    results: tuple[Type, ...] | None
    proposal: str
    index: int
    ir: Op | None = None
    type: Type | None = None
    width: int = 0
    signed: bool = False
    fuel: int = 1

    def __repr__(self) -> str:
        return f"<opcode {self.name}>"


MVP = "mvp"
SIGN_EXTENSION = "sign-extension"
SATURATING = "nontrapping-float-to-int"
BULK_MEMORY = "bulk-memory"
REFERENCE_TYPES = "reference-types"
MULTI_VALUE = "multi-value"
MUTABLE_GLOBALS = "mutable-globals"

PREFIX_FC = 0xFC
PREFIX_FD = 0xFD

OPCODES: list[Opcode] = []
BY_NAME: dict[str, Opcode] = {}
#: Decode tables: row by first byte, and by the number after the prefix 0xFC.
PLAIN: list[Opcode | None] = [None] * 256
AFTER_FC: list[Opcode | None] = [None] * 18

#: Instructions that wasmtime does not charge for (``nop`` and what only shapes control).
_FREE = frozenset(("unreachable", "nop", "block", "loop", "else", "end", "return", "drop"))

_Types = tuple[Type, ...]
_I32, _I64, _F32, _F64, _FUNCREF = Type.I32, Type.I64, Type.F32, Type.F64, Type.FUNCREF


def _row(name: str, code: int, imm: Imm = Imm.NONE, params: _Types | None = None,
         results: _Types | None = None, *, prefix: int | None = None, proposal: str = MVP,
         op: Op | None = None, t: Type | None = None, width: int = 0,
         signed: bool = False) -> None:
    row = Opcode(name, prefix, code, imm, params, results, proposal, len(OPCODES), op, t, width,
                 signed, 0 if name in _FREE else 1)
    table = PLAIN if prefix is None else AFTER_FC
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
_row("end", 0x0B)
_row("br", 0x0C, Imm.LABEL)
_row("br_if", 0x0D, Imm.LABEL)
_row("br_table", 0x0E, Imm.BR_TABLE)
_row("return", 0x0F)
_row("call", 0x10, Imm.FUNC)
_row("call_indirect", 0x11, Imm.CALL_INDIRECT)

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
_row("ref.func", 0xD2, Imm.FUNC, (), (_FUNCREF,), proposal=REFERENCE_TYPES)

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


#: Proposals that are recognised by an opcode but not supported.
_UNSUPPORTED = {
    **dict.fromkeys((0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F), "exception-handling"),
    **dict.fromkeys((0x12, 0x13, 0x15), "tail-call"),
    **dict.fromkeys((0x14, 0xD4, 0xD5, 0xD6), "function-references"),
    **dict.fromkeys(range(0xE0, 0xE7), "stack-switching"),
    **dict.fromkeys((0xD3, 0xFB), "gc"),
    PREFIX_FD: "simd",
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
    if first == PREFIX_FD and code >= 0x100:
        return "relaxed-simd"
    return _UNSUPPORTED.get(first)

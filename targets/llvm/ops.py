"""How each scalar and control op of the IR is written in LLVM IR: op -> emitter.

Ops on memories, tables and globals are in :mod:`.state_ops`, calls in :mod:`.calls`, ops on vectors
in :mod:`.vector_ops`; :data:`EMITTERS` holds all, and importing this module fails if an op of the
table has none.
"""

from __future__ import annotations

from ...ir import ops
from ...ir.function import Inst
from ...ir.ops import OPS, Op
from ...ir.types import Trap
from .calls import CALL_EMITTERS
from .emit import Emitter, FunctionEmitter
from .state_ops import STATE_EMITTERS
from .types import CANONICAL_NAN, LLVM_TYPES, SUFFIX
from .vector_ops import VECTOR_EMITTERS

EMITTERS: dict[Op, Emitter] = STATE_EMITTERS | VECTOR_EMITTERS | CALL_EMITTERS

_BINARY = {
    ops.IADD: "add", ops.ISUB: "sub", ops.IMUL: "mul",
    ops.IDIV_S: "sdiv", ops.IDIV_U: "udiv", ops.IREM_U: "urem",
    ops.IAND: "and", ops.IOR: "or", ops.IXOR: "xor",
    ops.FADD: "fadd", ops.FSUB: "fsub", ops.FMUL: "fmul", ops.FDIV: "fdiv",
}  # fmt: skip

_SHIFTS = {ops.ISHL: "shl", ops.ISHR_S: "ashr", ops.ISHR_U: "lshr"}

_ROTATES = {ops.IROTL: "llvm.fshl", ops.IROTR: "llvm.fshr"}

_COMPARES = {
    ops.IEQ: "icmp eq", ops.INE: "icmp ne",
    ops.ILT_S: "icmp slt", ops.ILT_U: "icmp ult", ops.IGT_S: "icmp sgt", ops.IGT_U: "icmp ugt",
    ops.ILE_S: "icmp sle", ops.ILE_U: "icmp ule", ops.IGE_S: "icmp sge", ops.IGE_U: "icmp uge",
    ops.FEQ: "fcmp oeq", ops.FNE: "fcmp une",
    ops.FLT: "fcmp olt", ops.FGT: "fcmp ogt", ops.FLE: "fcmp ole", ops.FGE: "fcmp oge",
}  # fmt: skip

_INTRINSICS = {
    ops.IPOPCNT: "llvm.ctpop", ops.FSQRT: "llvm.sqrt", ops.FCEIL: "llvm.ceil",
    ops.FFLOOR: "llvm.floor", ops.FTRUNC: "llvm.trunc", ops.FNEAREST: "llvm.roundeven",
    ops.FABS: "llvm.fabs", ops.FCOPYSIGN: "llvm.copysign", ops.FMA: "llvm.fma",
}  # fmt: skip

# LLVM's minimum and maximum are IEEE 754-2019's, as WebAssembly's are: NaN wins, -0 < +0.
_MIN_MAX = {ops.FMIN: "llvm.minimum", ops.FMAX: "llvm.maximum"}

_CONVERSIONS = {
    ops.WRAP: "trunc", ops.EXTEND_S: "sext", ops.EXTEND_U: "zext",
    ops.PROMOTE: "fpext", ops.DEMOTE: "fptrunc",
    ops.TRUNC_S: "fptosi", ops.TRUNC_U: "fptoui",
    ops.CONVERT_S: "sitofp", ops.CONVERT_U: "uitofp", ops.BITCAST: "bitcast",
}  # fmt: skip

_SATURATING = {ops.TRUNC_SAT_S: "llvm.fptosi.sat", ops.TRUNC_SAT_U: "llvm.fptoui.sat"}

_NARROW = {ops.SEXT8: "i8", ops.SEXT16: "i16", ops.SEXT32: "i32"}


def _type(inst: Inst) -> str:
    assert inst.type is not None
    return LLVM_TYPES[inst.type]


def _binary(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    e.define(inst, f"{_BINARY[inst.op]} {_type(inst)} {e.name(a)}, {e.name(b)}")


def _shift(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    assert inst.type is not None
    amount = e.assign(f"and {_type(inst)} {e.name(b)}, {inst.type.bits - 1}")
    e.define(inst, f"{_SHIFTS[inst.op]} {_type(inst)} {e.name(a)}, {amount}")


def _rotate(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    assert inst.type is not None
    t = _type(inst)
    name = e.program.intrinsic(t, f"{_ROTATES[inst.op]}.{SUFFIX[inst.type]}", f"{t}, {t}, {t}")
    x = e.operand(a)
    e.define(inst, f"call {t} {name}({x}, {x}, {e.operand(b)})")


def _rem_s(e: FunctionEmitter, inst: Inst) -> None:
    # MIN % -1 overflows in LLVM; the remainder by -1 is that by 1 for every dividend.
    a, b = inst.args
    t = _type(inst)
    minus_one = e.assign(f"icmp eq {e.operand(b)}, -1")
    divisor = e.assign(f"select i1 {minus_one}, {t} 1, {e.operand(b)}")
    e.define(inst, f"srem {t} {e.name(a)}, {divisor}")


def _compare(e: FunctionEmitter, inst: Inst) -> None:
    a, b = inst.args
    _boolean(e, inst, f"{_COMPARES[inst.op]} {e.operand(a)}, {e.name(b)}")


def _is_zero(e: FunctionEmitter, inst: Inst) -> None:
    _boolean(e, inst, f"icmp eq {e.operand(inst.args[0])}, 0")


def _boolean(e: FunctionEmitter, inst: Inst, expression: str) -> None:
    condition = e.assign(expression)
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def _intrinsic(e: FunctionEmitter, inst: Inst) -> None:
    assert inst.type is not None
    t = _type(inst)
    params = ", ".join([t] * len(inst.args))
    name = e.program.intrinsic(t, f"{_INTRINSICS[inst.op]}.{SUFFIX[inst.type]}", params)
    e.define(inst, f"call {t} {name}({', '.join(e.operand(a) for a in inst.args)})")


def _min_max(e: FunctionEmitter, inst: Inst) -> None:
    # Left to the intrinsic, LLVM 22 loses a signalling NaN on x86 with AVX-512.
    assert inst.type is not None
    a, b = inst.args
    t = _type(inst)
    unordered = e.assign(f"fcmp uno {e.operand(a)}, {e.name(b)}")
    name = e.program.intrinsic(t, f"{_MIN_MAX[inst.op]}.{SUFFIX[inst.type]}", f"{t}, {t}")
    number = e.assign(f"call nnan {t} {name}({e.operand(a)}, {e.operand(b)})")
    e.define(inst, f"select i1 {unordered}, {t} {CANONICAL_NAN[inst.type]}, {t} {number}")


def _count_zeros(e: FunctionEmitter, inst: Inst) -> None:
    assert inst.type is not None
    t = _type(inst)
    base = "llvm.ctlz" if inst.op is ops.ICLZ else "llvm.cttz"
    name = e.program.intrinsic(t, f"{base}.{SUFFIX[inst.type]}", f"{t}, i1 immarg")
    e.define(inst, f"call {t} {name}({e.operand(inst.args[0])}, i1 false)")


def _negate(e: FunctionEmitter, inst: Inst) -> None:
    e.define(inst, f"fneg {e.operand(inst.args[0])}")


def _sign_extend(e: FunctionEmitter, inst: Inst) -> None:
    t, narrow = _type(inst), _NARROW[inst.op]
    low = e.assign(f"trunc {e.operand(inst.args[0])} to {narrow}")
    e.define(inst, f"sext {narrow} {low} to {t}")


def _convert(e: FunctionEmitter, inst: Inst) -> None:
    to = LLVM_TYPES[inst.results[0].type]
    e.define(inst, f"{_CONVERSIONS[inst.op]} {e.operand(inst.args[0])} to {to}")


def _saturate(e: FunctionEmitter, inst: Inst) -> None:
    assert inst.type is not None
    (a,) = inst.args
    to, source = _type(inst), LLVM_TYPES[a.type]
    suffix = f"{SUFFIX[inst.type]}.{SUFFIX[a.type]}"
    name = e.program.intrinsic(to, f"{_SATURATING[inst.op]}.{suffix}", source)
    e.define(inst, f"call {to} {name}({e.operand(a)})")


def _canonicalise(e: FunctionEmitter, inst: Inst) -> None:
    assert inst.type is not None
    t, (value,) = _type(inst), inst.args
    name, definition = e.name(value), value.definition
    if isinstance(definition, Inst) and definition.op is ops.FSQRT:
        # LLVM holds that sqrt gives a NaN by itself where it would be selected, whatever its bits.
        fence = e.program.intrinsic(t, f"llvm.arithmetic.fence.{SUFFIX[inst.type]}", t)
        name = e.assign(f"call {t} {fence}({t} {name})")
    unordered = e.assign(f"fcmp uno {t} {name}, {name}")
    e.define(inst, f"select i1 {unordered}, {t} {CANONICAL_NAN[inst.type]}, {t} {name}, !prof !0")


def _select(e: FunctionEmitter, inst: Inst) -> None:
    c, a, b = inst.args
    e.define(inst, f"select i1 {e.condition(c)}, {e.operand(a)}, {e.operand(b)}")


def _const(e: FunctionEmitter, inst: Inst) -> None:
    """Constants are written where they are used."""


# Fuel and traps.


def _charge(e: FunctionEmitter, inst: Inst) -> None:
    e.fuel = e.assign(f"sub i64 {e.fuel}, {inst.attrs[0]}")


def _charge_by(e: FunctionEmitter, inst: Inst) -> None:
    e.fuel = e.assign(f"sub i64 {e.fuel}, {e.wide(inst.args[0])}")


def _fuel_check(e: FunctionEmitter, inst: Inst) -> None:
    refill, go_on = e.fresh_label(), e.fresh_label()
    empty = e.assign(f"icmp sle i64 {e.fuel}, 0")
    e.line(f"br i1 {empty}, label %{refill}, label %{go_on}, !prof !0")
    before, more = e.label, e.fresh()
    status = e.status(Trap.OUT_OF_FUEL, inst.loc)
    call = f"{more} = call i64 @swarm_refill(ptr %ctx, i64 {e.fuel}, i64 {status})"
    e.cold += [f"{refill}:", call, f"br label %{go_on}"]
    e.start_block(go_on)
    e.fuel = e.assign(f"phi i64 [ {e.fuel}, %{before} ], [ {more}, %{refill} ]")


def _fuel_covers(e: FunctionEmitter, inst: Inst) -> None:
    # Fuel that is held back does not count: whoever asks has a way that works without it.
    condition = e.assign(f"icmp sgt i64 {e.fuel}, {e.name(inst.args[0])}")
    e.bools[inst.results[0]] = condition
    e.define(inst, f"zext i1 {condition} to i32")


def _trap_if(e: FunctionEmitter, inst: Inst) -> None:
    e.trap_if(e.condition(inst.args[0]), inst.attrs[0], inst)


def _trap(e: FunctionEmitter, inst: Inst) -> None:
    e.trap(inst.attrs[0], inst)


# Control.


def _jump(e: FunctionEmitter, inst: Inst) -> None:
    e.line(f"br label %{e.edge(inst, 0)}{e.loop_note(inst)}")


def _br_if(e: FunctionEmitter, inst: Inst) -> None:
    condition = e.condition(inst.args[0])
    edges = f"label %{e.edge(inst, 0)}, label %{e.edge(inst, 1)}"
    e.line(f"br i1 {condition}, {edges}{e.loop_note(inst)}")


def _br_table(e: FunctionEmitter, inst: Inst) -> None:
    last = len(inst.edges) - 1
    index = inst.args[0]
    t = LLVM_TYPES[index.type]
    default = e.edge(inst, last)
    cases = " ".join(f"{t} {n}, label %{e.edge(inst, n)}" for n in range(last))
    e.line(f"switch {e.operand(index)}, label %{default} [ {cases} ]")


for _table, _emitter in (
    (_BINARY, _binary),
    (_SHIFTS, _shift),
    (_ROTATES, _rotate),
    (_COMPARES, _compare),
    (_INTRINSICS, _intrinsic),
    (_MIN_MAX, _min_max),
    (_CONVERSIONS, _convert),
    (_SATURATING, _saturate),
    (_NARROW, _sign_extend),
):
    EMITTERS.update(dict.fromkeys(_table, _emitter))

EMITTERS |= {
    ops.CONST: _const,
    ops.IREM_S: _rem_s,
    ops.IEQZ: _is_zero,
    ops.ICLZ: _count_zeros,
    ops.ICTZ: _count_zeros,
    ops.FNEG: _negate,
    ops.CANON: _canonicalise,
    ops.SELECT: _select,
    ops.CHARGE: _charge,
    ops.CHARGE_BY: _charge_by,
    ops.FUEL_CHECK: _fuel_check,
    ops.FUEL_COVERS: _fuel_covers,
    ops.TRAP_IF: _trap_if,
    ops.TRAP: _trap,
    ops.JUMP: _jump,
    ops.BR_IF: _br_if,
    ops.BR_TABLE: _br_table,
}

_missing = [name for name, op in OPS.items() if op not in EMITTERS]
if _missing:
    raise ImportError(f"IR ops without an LLVM emitter: {', '.join(_missing)}")

"""``cvt`` (PTX ISA 9.7.9.21): from one type to another."""

from __future__ import annotations

from .floats import LLVM_FLOATS, NAN32, as_bits, as_float, float_intrinsic, is_nan, with_nan
from .integers import is_signed, width
from .writer import Fields, Writer

_ROUND = {
    "rni": "llvm.roundeven", "rzi": "llvm.trunc", "rmi": "llvm.floor", "rpi": "llvm.ceil",
}  # fmt: skip


def int_to_int(w: Writer, f: Fields, a: str) -> str:
    """Cut off, extended by the source's sign, or with ``.sat`` the nearest that there is."""
    n, to, signed = width(f, "atype"), width(f, "dtype"), is_signed(f, "atype")
    if not f["sat"]:
        return w.resize(a, n, to, signed=signed)
    wide = max(n, to) + 1
    value = w.resize(a, n, wide, signed=signed)
    low, high = _range(f)
    value = w.call("llvm.smax", wide, value, str(low))
    return w.resize(w.call("llvm.smin", wide, value, str(high)), wide, to)


def _range(f: Fields) -> tuple[int, int]:
    bits = width(f, "dtype")
    if is_signed(f, "dtype"):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def int_to_float(w: Writer, f: Fields, a: str) -> str:
    n, to = width(f, "atype"), width(f, "dtype")
    op = "sitofp" if is_signed(f, "atype") else "uitofp"
    return as_bits(w, w.assign(f"{op} i{n} {a} to {LLVM_FLOATS[to]}"), to)


def float_to_int(w: Writer, f: Fields, a: str) -> str:
    """Rounded, then the nearest that there is.

    A NaN becomes 0 if the source is no double and the result has no 64 bits, otherwise the value
    with only the highest bit set.
    """
    n, to = width(f, "atype"), width(f, "dtype")
    rounded = float_intrinsic(w, _ROUND[f["round"]], n, as_float(w, a, n))
    name = f"llvm.fpto{'s' if is_signed(f, 'dtype') else 'u'}i.sat.i{to}.f{n}"
    callee = w.intrinsic(f"i{to}", name, LLVM_FLOATS[n])
    result = w.assign(f"call i{to} {callee}({LLVM_FLOATS[n]} {rounded})")
    if n != 64 and to != 64:
        return result  # the intrinsic makes 0 of a NaN, too
    return w.assign(f"select i1 {is_nan(w, a, n)}, i{to} {1 << (to - 1)}, i{to} {result}")


def widen_float(w: Writer, f: Fields, a: str) -> str:
    """``cvt.f64.f32``: a NaN stays one, with sign and payload, and quiet."""
    wide = as_bits(w, w.assign(f"fpext float {as_float(w, a, 32)} to double"), 64)
    bits = w.resize(a, 32, 64)
    sign = w.assign(f"shl i64 {w.assign(f'lshr i64 {bits}, 31')}, 63")
    payload = w.assign(f"shl i64 {w.assign(f'and i64 {bits}, {(1 << 23) - 1}')}, 29")
    nan = w.assign(f"or i64 {w.assign(f'or i64 {sign}, {payload}')}, {0xFFF << 51}")
    return w.assign(f"select i1 {is_nan(w, a, 32)}, i64 {nan}, i64 {wide}")


def narrow_float(w: Writer, f: Fields, a: str) -> str:
    """``cvt.rn.f32.f64``."""
    narrow = as_bits(w, w.assign(f"fptrunc double {as_float(w, a, 64)} to float"), 32)
    return w.assign(f"select i1 {is_nan(w, a, 64)}, i32 {NAN32}, i32 {narrow}")


def round_float(w: Writer, f: Fields, a: str) -> str:
    """To an integral value of the same type."""
    n = width(f, "type")
    rounded = float_intrinsic(w, _ROUND[f["round"]], n, as_float(w, a, n))
    return with_nan(w, as_bits(w, rounded, n), n, a)

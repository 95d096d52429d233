"""Floating point instructions, with the NaNs that a GPU gives.

What the PTX ISA leaves unspecified is settled so that code which relies on it is found out:

- A single-precision operation gives the NaN 0x7fffffff, which the CUDA programming guide names;
  WebAssembly's canonical NaN is another one.
- A double-precision operation passes on the payload of its first NaN, made quiet; a NaN out of
  numbers is 0xfff8000000000000. "NaN payloads are supported for double-precision instructions."
- ``neg`` and ``abs`` give any NaN in single precision, and pass it on unchanged in double.
"""

from __future__ import annotations

from .integers import Compute
from .module import WIDTHS
from .writer import Fields, Writer

NAN32 = 0x7FFFFFFF
NAN64 = 0xFFF8000000000000
QUIET64 = 1 << 51

LLVM_FLOATS = {32: "float", 64: "double"}

_COMPARE = {
    **{test: f"o{test}" for test in ("eq", "lt", "le", "gt", "ge")}, "ne": "one",
    **{f"{test}u": f"u{test}" for test in ("eq", "ne", "lt", "le", "gt", "ge")},
    "num": "ord", "nan": "uno",
}  # fmt: skip


def as_float(w: Writer, value: str, n: int) -> str:
    """Bits as a float."""
    return w.assign(f"bitcast i{n} {value} to {LLVM_FLOATS[n]}")


def as_bits(w: Writer, value: str, n: int) -> str:
    """A float as bits."""
    return w.assign(f"bitcast {LLVM_FLOATS[n]} {value} to i{n}")


def is_nan(w: Writer, value: str, n: int) -> str:
    """Whether bits are those of a NaN, computed so that LLVM concludes nothing from it."""
    magnitude = w.assign(f"shl i{n} {value}, 1")
    infinity = 0xFF << 24 if n == 32 else 0x7FF << 53
    return w.assign(f"icmp ugt i{n} {magnitude}, {infinity}")


def with_nan(w: Writer, result: str, n: int, *sources: str) -> str:
    """Bits of a result, with the NaN of a GPU if they are a NaN's."""
    nan = str(NAN32 if n == 32 else NAN64)
    if n == 64:
        for source in reversed(sources):
            quiet = w.assign(f"or i64 {source}, {QUIET64}")
            nan = w.assign(f"select i1 {is_nan(w, source, 64)}, i64 {quiet}, i64 {nan}")
    return w.assign(f"select i1 {is_nan(w, result, n)}, i{n} {nan}, i{n} {result}")


def float_intrinsic(w: Writer, name: str, n: int, *operands: str) -> str:
    """Call an LLVM intrinsic on floats; operands and result are floats."""
    t = LLVM_FLOATS[n]
    callee = w.intrinsic(t, f"{name}.f{n}", ", ".join([t] * len(operands)))
    return w.assign(f"call {t} {callee}({', '.join([f'{t} {x}' for x in operands])})")


def arithmetic(op: str) -> Compute:
    """``add``, ``sub``, ``mul`` and ``div``, rounded to nearest."""

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        n = WIDTHS[f["type"]]
        result = w.assign(f"{op} {LLVM_FLOATS[n]} {as_float(w, a, n)}, {as_float(w, b, n)}")
        return with_nan(w, as_bits(w, result, n), n, a, b)

    return emit


def fused(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``fma``: rounded once, which nothing but ``relaxed_madd`` asks for."""
    n = WIDTHS[f["type"]]
    result = float_intrinsic(w, "llvm.fma", n, *(as_float(w, x, n) for x in (a, b, c)))
    return with_nan(w, as_bits(w, result, n), n, a, b, c)


def square_root(w: Writer, f: Fields, a: str) -> str:
    n = WIDTHS[f["type"]]
    result = as_bits(w, float_intrinsic(w, "llvm.sqrt", n, as_float(w, a, n)), n)
    return with_nan(w, result, n, a)


def reciprocal(w: Writer, f: Fields, a: str) -> str:
    n = WIDTHS[f["type"]]
    result = w.assign(f"fdiv {LLVM_FLOATS[n]} 1.0, {as_float(w, a, n)}")
    return with_nan(w, as_bits(w, result, n), n, a)


def _sign(n: int) -> int:
    return 1 << (n - 1)


def negate(w: Writer, f: Fields, a: str) -> str:
    n = WIDTHS[f["type"]]
    return _or_nan(w, n, a, w.assign(f"xor i{n} {a}, {_sign(n)}"))


def absolute(w: Writer, f: Fields, a: str) -> str:
    n = WIDTHS[f["type"]]
    return _or_nan(w, n, a, w.assign(f"and i{n} {a}, {_sign(n) - 1}"))


def _or_nan(w: Writer, n: int, a: str, result: str) -> str:
    nan = str(NAN32) if n == 32 else a
    return w.assign(f"select i1 {is_nan(w, a, n)}, i{n} {nan}, i{n} {result}")


def extreme(op: str) -> Compute:
    """``min`` and ``max``: a number wins over a NaN, or with ``.NaN`` the NaN; -0 is below +0."""

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        n = WIDTHS[f["type"]]
        order = "slt" if op == "min" else "sgt"
        x, y = (_ordered(w, v, n) for v in (a, b))
        first = w.assign(f"icmp {order} i{n} {x}, {y}")
        number = w.assign(f"select i1 {first}, i{n} {a}, i{n} {b}")
        nan_a, nan_b = is_nan(w, a, n), is_nan(w, b, n)
        if f.get("nan"):
            either = w.assign(f"or i1 {nan_a}, {nan_b}")
            return w.assign(f"select i1 {either}, i{n} {NAN32}, i{n} {number}")
        result = w.assign(f"select i1 {nan_b}, i{n} {a}, i{n} {number}")
        result = w.assign(f"select i1 {nan_a}, i{n} {b}, i{n} {result}")
        return with_nan(w, result, n, a, b)

    return emit


def _ordered(w: Writer, value: str, n: int) -> str:
    """An integer that stands to others as the number does, -0 below +0."""
    sign = w.assign(f"ashr i{n} {value}, {n - 1}")
    flip = w.assign(f"lshr i{n} {sign}, 1")
    return w.assign(f"xor i{n} {value}, {flip}")


def copy_sign(w: Writer, f: Fields, a: str, b: str) -> str:
    """The sign of the first operand, the rest of the second."""
    n = WIDTHS[f["type"]]
    sign = w.assign(f"and i{n} {a}, {_sign(n)}")
    return w.assign(f"or i{n} {sign}, {w.assign(f'and i{n} {b}, {_sign(n) - 1}')}")


def test_property(w: Writer, f: Fields, a: str) -> str:
    """``testp``, by the bits."""
    n = WIDTHS[f["type"]]
    magnitude = w.assign(f"and i{n} {a}, {_sign(n) - 1}")
    infinity = 0xFF << 23 if n == 32 else 0x7FF << 52
    least = 1 << (23 if n == 32 else 52)  # the smallest normal number
    match f["op"]:
        case "finite":
            return w.assign(f"icmp ult i{n} {magnitude}, {infinity}")
        case "infinite":
            return w.assign(f"icmp eq i{n} {magnitude}, {infinity}")
        case "number":
            return w.assign(f"icmp ule i{n} {magnitude}, {infinity}")
        case "notanumber":
            return w.assign(f"icmp ugt i{n} {magnitude}, {infinity}")
        case "normal":
            beyond = w.assign(f"sub i{n} {magnitude}, {least}")
            return w.assign(f"icmp ult i{n} {beyond}, {infinity - least}")
        case _:  # subnormal; zero is neither
            beyond = w.assign(f"sub i{n} {magnitude}, 1")
            return w.assign(f"icmp ult i{n} {beyond}, {least - 1}")


def compare(w: Writer, f: Fields, a: str, b: str) -> str:
    """The comparison of ``setp`` and ``set`` on floats: ordered, or unordered with a ``u``."""
    n = WIDTHS[f["type"]]
    test = _COMPARE[f["cmp"]]
    return w.assign(f"fcmp {test} {LLVM_FLOATS[n]} {as_float(w, a, n)}, {as_float(w, b, n)}")


def select_sign(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``slct`` on a float: -0 counts as 0, and a NaN as negative."""
    n = WIDTHS[f["type"]]
    chosen = w.assign(f"fcmp oge float {as_float(w, c, 32)}, 0.0")
    return w.assign(f"select i1 {chosen}, i{n} {a}, i{n} {b}")

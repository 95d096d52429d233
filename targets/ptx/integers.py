"""Integer, logic and comparison instructions: values of the sources to that of the destination.

Every function here takes a :class:`~.writer.Writer`, the fields of the opcode, and the operands as
LLVM integers of their types' widths; it returns the result in the same form.
"""

from __future__ import annotations

from collections.abc import Callable

from .module import WIDTHS
from .writer import Fields, Writer

Compute = Callable[..., str]

_COMPARE = {
    "eq": "eq", "ne": "ne", "lo": "ult", "ls": "ule", "hi": "ugt", "hs": "uge",
}  # fmt: skip
#: Comparisons that are signed or unsigned by the type.
_ORDERED = {"lt", "le", "gt", "ge"}


def width(f: Fields, name: str = "type") -> int:
    """Width of the type in a field."""
    return WIDTHS[f[name]]


def is_signed(f: Fields, name: str = "type") -> bool:
    """Whether the type in a field is a signed integer."""
    return f[name].startswith("s")


def binary(op: str) -> Compute:
    """An instruction that is one of LLVM's."""

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        return w.assign(f"{op} i{width(f)} {a}, {b}")

    return emit


def invert(w: Writer, f: Fields, a: str) -> str:
    return w.assign(f"xor i{width(f)} {a}, -1")


def logical_not(w: Writer, f: Fields, a: str) -> str:
    return w.resize(w.assign(f"icmp eq i{width(f)} {a}, 0"), 1, width(f))


def saturating(op: str) -> Compute:
    """``add.sat.s32`` and ``sub.sat.s32``."""

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        return w.call(f"llvm.s{op}.sat", 32, a, b)

    return emit


def _product(w: Writer, f: Fields, a: str, b: str) -> str:
    """The whole product, in twice the width."""
    n = width(f)
    x, y = (w.resize(v, n, 2 * n, signed=is_signed(f)) for v in (a, b))
    return w.assign(f"mul i{2 * n} {x}, {y}")


def multiply(w: Writer, f: Fields, a: str, b: str) -> str:
    n = width(f)
    match f["part"]:
        case "lo":
            return w.assign(f"mul i{n} {a}, {b}")
        case "hi":
            high = w.assign(f"lshr i{2 * n} {_product(w, f, a, b)}, {n}")
            return w.resize(high, 2 * n, n)
        case _:  # wide
            return _product(w, f, a, b)


def multiply_add(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    n = 2 * width(f) if f["part"] == "wide" else width(f)
    return w.assign(f"add i{n} {multiply(w, f, a, b)}, {c}")


def divide(op: str) -> Compute:
    """``div`` and ``rem``: by zero an unspecified value, here all ones, and never a fault.

    The one quotient that does not fit, MIN / -1, is MIN, as if it wrapped; its remainder is 0.
    """

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        n = width(f)
        zero = w.assign(f"icmp eq i{n} {b}, 0")
        bad, whole = zero, ""
        if is_signed(f):
            minus = w.assign(f"icmp eq i{n} {b}, -1")
            bad = w.assign(f"or i1 {zero}, {minus}")
            whole = w.assign(f"sub i{n} 0, {a}") if op == "div" else "0"
        divisor = w.assign(f"select i1 {bad}, i{n} 1, i{n} {b}")
        sign = "s" if is_signed(f) else "u"
        result = w.assign(f"{sign}{op} i{n} {a}, {divisor}")
        if is_signed(f):
            result = w.assign(f"select i1 {minus}, i{n} {whole}, i{n} {result}")
        return w.assign(f"select i1 {zero}, i{n} -1, i{n} {result}")

    return emit


def absolute(w: Writer, f: Fields, a: str) -> str:
    n = width(f)
    negative = w.assign(f"icmp slt i{n} {a}, 0")
    return w.assign(f"select i1 {negative}, i{n} {w.assign(f'sub i{n} 0, {a}')}, i{n} {a}")


def negate(w: Writer, f: Fields, a: str) -> str:
    return w.assign(f"sub i{width(f)} 0, {a}")


def extreme(op: str) -> Compute:
    """``min`` and ``max``."""

    def emit(w: Writer, f: Fields, a: str, b: str) -> str:
        return w.call(f"llvm.{'s' if is_signed(f) else 'u'}{op}", width(f), a, b)

    return emit


def packed(emit: Compute) -> Compute:
    """An instruction on two halves of its operands: ``.u16x2``, ``.s16x2`` and ``.f32x2``."""

    def both(w: Writer, f: Fields, *operands: str) -> str:
        half = {**f, "type": f["type"].removesuffix("x2")}
        n = width(half)
        low = emit(w, half, *(w.resize(v, 2 * n, n) for v in operands))
        upper = [w.resize(w.assign(f"lshr i{2 * n} {v}, {n}"), 2 * n, n) for v in operands]
        high = w.resize(emit(w, half, *upper), n, 2 * n)
        high = w.assign(f"shl i{2 * n} {high}, {n}")
        return w.assign(f"or i{2 * n} {high}, {w.resize(low, n, 2 * n)}")

    return both


# Bits.


def population(w: Writer, f: Fields, a: str) -> str:
    return w.resize(w.call("llvm.ctpop", width(f), a), width(f), 32)


def _leading_zeros(w: Writer, n: int, a: str) -> str:
    callee = w.intrinsic(f"i{n}", f"llvm.ctlz.i{n}", f"i{n}, i1 immarg")
    return w.resize(w.assign(f"call i{n} {callee}(i{n} {a}, i1 false)"), n, 32)


def leading_zeros(w: Writer, f: Fields, a: str) -> str:
    return _leading_zeros(w, width(f), a)


def find_bit(w: Writer, f: Fields, a: str) -> str:
    """``bfind``: all ones where there is no bit that differs from the sign."""
    n = width(f)
    if is_signed(f):
        sign = w.assign(f"ashr i{n} {a}, {n - 1}")
        a = w.assign(f"xor i{n} {a}, {sign}")
    amount = _leading_zeros(w, n, a)
    if not f["shiftamt"]:
        amount = w.assign(f"sub i32 {n - 1}, {amount}")
    none = w.assign(f"icmp eq i{n} {a}, 0")
    return w.assign(f"select i1 {none}, i32 -1, i32 {amount}")


def reverse(w: Writer, f: Fields, a: str) -> str:
    return w.call("llvm.bitreverse", width(f), a)


#: Wide enough for every position and length of a bit field, which are at most 255.
_FIELD = 512


def _field(w: Writer, operand: str) -> str:
    """A position or length: the low byte."""
    return w.resize(w.assign(f"and i32 {operand}, 255"), 32, _FIELD)


def extract_field(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``bfe``: beyond the end of ``a`` there are copies of its sign, or zeros."""
    n, signed, t = width(f), is_signed(f), f"i{_FIELD}"
    position, length = _field(w, b), _field(w, c)
    right = "ashr" if signed else "lshr"
    value = w.assign(f"{right} {t} {w.resize(a, n, _FIELD, signed=signed)}, {position}")
    empty = w.assign(f"icmp eq {t} {length}, 0")
    above = w.assign(f"sub {t} {_FIELD}, {length}")
    above = w.assign(f"select i1 {empty}, {t} 0, {t} {above}")
    value = w.assign(f"{right} {t} {w.assign(f'shl {t} {value}, {above}')}, {above}")
    value = w.assign(f"select i1 {empty}, {t} 0, {t} {value}")
    return w.resize(value, _FIELD, n)


def insert_field(w: Writer, f: Fields, a: str, b: str, c: str, d: str) -> str:
    """``bfi``: bits beyond the end are lost."""
    n, t = width(f), f"i{_FIELD}"
    position, length = _field(w, c), _field(w, d)
    ones = w.assign(f"sub {t} {w.assign(f'shl {t} 1, {length}')}, 1")
    field = w.assign(f"and {t} {w.resize(a, n, _FIELD)}, {ones}")
    mask, field = (w.assign(f"shl {t} {x}, {position}") for x in (ones, field))
    keep = w.assign(f"xor {t} {mask}, -1")
    rest = w.assign(f"and {t} {w.resize(b, n, _FIELD)}, {keep}")
    return w.resize(w.assign(f"or {t} {rest}, {field}"), _FIELD, n)


def shift_left(w: Writer, f: Fields, a: str, b: str) -> str:
    """``shl``: amounts above the width count as the width."""
    return _shift(w, "shl", width(f), a, b, "0")


def shift_right(w: Writer, f: Fields, a: str, b: str) -> str:
    n = width(f)
    if not is_signed(f):
        return _shift(w, "lshr", n, a, b, "0")
    return _shift(w, "ashr", n, a, b, w.assign(f"ashr i{n} {a}, {n - 1}"))


def _shift(w: Writer, op: str, n: int, a: str, b: str, beyond: str) -> str:
    over = w.assign(f"icmp uge i32 {b}, {n}")
    amount = w.resize(w.assign(f"select i1 {over}, i32 0, i32 {b}"), 32, n)
    shifted = w.assign(f"{op} i{n} {a}, {amount}")
    return w.assign(f"select i1 {over}, i{n} {beyond}, i{n} {shifted}")


def funnel(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``shf``: of the 64 bits ``b:a``, shifted, the high half (left) or the low one (right)."""
    if f["mode"] == "wrap":
        amount = w.assign(f"and i32 {c}, 31")
    else:
        amount = w.call("llvm.umin", 32, c, "32")
    high = w.assign(f"shl i64 {w.resize(b, 32, 64)}, 32")
    both, by = w.assign(f"or i64 {high}, {w.resize(a, 32, 64)}"), w.resize(amount, 32, 64)
    if f["direction"] == "r":
        return w.resize(w.assign(f"lshr i64 {both}, {by}"), 64, 32)
    return w.resize(w.assign(f"lshr i64 {w.assign(f'shl i64 {both}, {by}')}, 32"), 64, 32)


#: Selectors of the bytes that a mode of prmt picks, by the two low bits of the operand.
_PERMUTE = {
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543),
    "b4e": (0x5670, 0x6701, 0x7012, 0x0123),
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333),
    "ecl": (0x3210, 0x3211, 0x3222, 0x3333),
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210),
    "rc16": (0x1010, 0x3232, 0x1010, 0x3232),
}


def permute(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``prmt``: each nibble of ``c`` picks a byte of ``b:a``, or its sign."""
    if f["mode"]:
        low, selectors = w.assign(f"and i32 {c}, 3"), _PERMUTE[f["mode"]]
        c = str(selectors[0])
        for n in range(1, 4):
            other = w.assign(f"icmp eq i32 {low}, {n}")
            c = w.assign(f"select i1 {other}, i32 {selectors[n]}, i32 {c}")
    high = w.assign(f"shl i64 {w.resize(b, 32, 64)}, 32")
    both = w.assign(f"or i64 {high}, {w.resize(a, 32, 64)}")
    result = "0"
    for place in range(4):
        nibble = w.assign(f"lshr i32 {c}, {4 * place}")
        index = w.resize(w.assign(f"and i32 {nibble}, 7"), 32, 64)
        shifted = w.assign(f"lshr i64 {both}, {w.assign(f'shl i64 {index}, 3')}")
        byte = w.resize(shifted, 64, 8)
        copies = w.assign(f"icmp ne i32 {w.assign(f'and i32 {nibble}, 8')}, 0")
        sign = w.assign(f"ashr i8 {byte}, 7")
        picked = w.resize(w.assign(f"select i1 {copies}, i8 {sign}, i8 {byte}"), 8, 32)
        result = w.assign(f"or i32 {result}, {w.assign(f'shl i32 {picked}, {8 * place}')}")
    return result


def lookup(w: Writer, f: Fields, a: str, b: str, c: str, table: str) -> str:
    """``lop3``: bit i of the result is the bit of the table that the operands' bits i pick."""
    if not table.isdigit() or int(table) > 255:
        raise w.error("the table of lop3 must be a constant below 256")
    result = "0"
    for case in range(8):
        if int(table) >> case & 1:
            bits = [
                v if case & bit else w.assign(f"xor i32 {v}, -1")
                for v, bit in ((a, 4), (b, 2), (c, 1))
            ]
            both = w.assign(f"and i32 {bits[0]}, {bits[1]}")
            result = w.assign(f"or i32 {result}, {w.assign(f'and i32 {both}, {bits[2]}')}")
    return result


# Carry chains.


def add_carry(w: Writer, f: Fields, a: str, b: str) -> str:
    """``add.cc``, ``addc`` and ``addc.cc``."""
    return _chain(w, f, "add", a, b)


def sub_carry(w: Writer, f: Fields, a: str, b: str) -> str:
    """``sub.cc``, ``subc`` and ``subc.cc``: the flag is the borrow."""
    return _chain(w, f, "sub", a, b)


def multiply_add_carry(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``mad.cc``, ``madc`` and ``madc.cc``."""
    return _chain(w, f, "add", multiply(w, f, a, b), c)


def _chain(w: Writer, f: Fields, op: str, a: str, b: str) -> str:
    n = width(f)
    wide = n + 1
    x, y = (w.resize(v, n, wide) for v in (a, b))
    result = w.assign(f"{op} i{wide} {x}, {y}")
    if f["uses"]:
        carry = w.resize(w.assign(f"load i1, ptr {w.carry()}"), 1, wide)
        result = w.assign(f"{op} i{wide} {result}, {carry}")
    if f["cc"]:
        out = w.resize(w.assign(f"lshr i{wide} {result}, {n}"), wide, 1)
        w.line(f"store i1 {out}, ptr {w.carry()}")
    return w.resize(result, wide, n)


# Comparing and selecting.


def compare(w: Writer, f: Fields, a: str, b: str) -> str:
    """The comparison of ``setp`` and ``set`` on integers."""
    test = f["cmp"]
    if test in _ORDERED:
        test = ("s" if is_signed(f) else "u") + test
    else:
        test = _COMPARE[test]
    return w.assign(f"icmp {test} i{width(f)} {a}, {b}")


def select(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    n = width(f)
    return w.assign(f"select i1 {c}, i{n} {a}, i{n} {b}")


def select_sign(w: Writer, f: Fields, a: str, b: str, c: str) -> str:
    """``slct`` on an integer: the first operand unless the third is negative."""
    n = width(f)
    chosen = w.assign(f"icmp sge i32 {c}, 0")
    return w.assign(f"select i1 {chosen}, i{n} {a}, i{n} {b}")

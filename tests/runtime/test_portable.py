"""Numba's LLVM IR made to mean the same everywhere."""

from __future__ import annotations

import ctypes

import pytest

from swarmc.runtime.portable import portable
from swarmc.targets.cpu.machine import LoadedCode, compile_text


def run(instruction: str, type_: str, *args: int | float) -> int:
    """What one instruction gives in a function of 64-bit words."""
    float_ = isinstance(args[0], float)
    kinds = ["double" if float_ else "i64"] * len(args)
    names = [f"%a{n}" for n in range(len(args))]
    casts = [f"%n{n} = trunc i64 %a{n} to {type_}" for n in range(len(args))]
    if float_:
        casts, operands = [], names
    elif type_ == "i64":
        casts, operands = [], names
    else:
        operands = [f"%n{n}" for n in range(len(args))]
    body = "\n".join([*casts, f"%r = {instruction.format(*operands)}"])
    wide = "%r" if type_ == "i64" else "%w"
    extend = "" if type_ == "i64" else f"%w = sext {type_} %r to i64"
    params = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
    text = f"define i64 @f({params}) {{\n{body}\n{extend}\nret i64 {wide}\n}}"
    outer = f"define i64 @go({params}) {{\n%r = call i64 @f({params})\nret i64 %r\n}}"
    made = portable(text)
    code = LoadedCode((compile_text(made + outer, 2),))
    word = ctypes.c_double if float_ else ctypes.c_int64
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[word] * len(args))(code.address("go"))
    return int(call(*args))


LOW, HIGH = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(
    ("instruction", "type_", "args", "result"),
    [
        ("shl nuw nsw i64 {}, {}", "i64", (3, 62), -(1 << 62)),
        ("shl i64 {}, {}", "i64", (3, 64), 0),
        ("shl i32 {}, {}", "i32", (3, 33), 0),
        ("lshr exact i64 {}, {}", "i64", (-1, 63), 1),
        ("lshr i64 {}, {}", "i64", (-1, -1), 0),
        ("ashr i64 {}, {}", "i64", (-8, 64), -1),
        ("sdiv i64 {}, {}", "i64", (LOW, -1), LOW),
        ("sdiv i64 {}, {}", "i64", (7, 0), 0),
        ("sdiv i32 {}, {}", "i32", (-(1 << 31), -1), -(1 << 31)),
        ("srem i64 {}, {}", "i64", (LOW, -1), 0),
        ("srem i64 {}, {}", "i64", (7, 0), 0),
        ("srem i64 {}, {}", "i64", (-7, 3), -1),
        ("udiv i64 {}, {}", "i64", (-1, 2), HIGH),
        ("udiv i64 {}, {}", "i64", (-1, 0), 0),
        ("urem i64 {}, {}", "i64", (5, 0), 0),
        ("add nsw i64 {}, {}", "i64", (HIGH, 1), LOW),
        ("fptosi double {} to i64", "i64", (1e300,), HIGH),
        ("fptosi double {} to i64", "i64", (float("nan"),), 0),
        ("fptosi double {} to i32", "i32", (-1e300,), -(1 << 31)),
        ("fptoui double {} to i32", "i32", (-5.0,), 0),
    ],
)
def test_operations(instruction: str, type_: str, args: tuple[int, ...], result: int) -> None:
    assert run(instruction, type_, *args) == result


def test_nothing_of_a_machine_is_left_and_nothing_is_visible() -> None:
    text = '''target triple = "x86_64"
target datalayout = "e-m:e"
@env = common global ptr null
define linkonce_odr i64 @f(ptr %x) {
  %3 = call i64 @outside()
  ret i64 %3
}
declare i64 @outside()
'''
    made = portable(text)
    assert "target" not in made and "linkonce" not in made
    assert "@env = internal global ptr null" in made
    assert "define internal i64 @f(" in made and "declare i64 @outside()" in made

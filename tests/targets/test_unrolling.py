"""Long loops whose rounds can be counted are not unrolled once more."""

from __future__ import annotations

from swarmc.ir.parser import parse_module
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions

PROGRAM = """
type 0 = (i64, i64) -> (i64)
export "run" func 0.0
function 0.0 sig=0 (i64, i64) -> (i64) units=1 {{
block0(%count: i64, %k: i64):
    %one = const.i64 value=1
    %zero = const.i64 value=0
    jump block1(%count, %k)
block1(%left: i64, %p0: i64):
    {check}
    charge amount=5
    {products}
    %fewer = isub.i64 %left, %one
    %again = ine.i64 %fewer, %zero
    br_if %again, block1(%fewer, %p{last}), block2
block2:
    return %p{last}
}}
"""


def _text(products: int, check: str = "", *, optimised: bool = False) -> str:
    """LLVM IR of a loop with so many products a round, each of which needs the one before."""
    lines = [f"%q{n} = imul.i64 %p{n}, %k\n    %p{n + 1} = ixor.i64 %q{n}, %k"
             for n in range(products)]
    program = parse_module(
        PROGRAM.format(check=check, products="\n    ".join(lines), last=products)
    )
    return CpuTarget().llvm_text(program, CompileOptions(opt_level=2), optimised=optimised)


def test_long_loops_are_noted() -> None:
    assert _text(20).count("!llvm.loop !") == 1
    assert "!llvm.loop" not in _text(8)
    assert "!llvm.loop" not in _text(20, "fuel_check")  # it is not unrolled anyway


def test_llvm_leaves_them() -> None:
    short, long = (_text(products, optimised=True).count("mul i64") for products in (5, 20))
    assert short >= 3 * 5
    assert long < 2 * 20

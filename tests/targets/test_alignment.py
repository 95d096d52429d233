"""Functions begin with a line of the processor's cache, in code that is loaded, too."""

from __future__ import annotations

from swarmc.ir.parser import parse_module
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.cpu.abi import CACHE_LINE
from swarmc.targets.cpu.machine import LoadedCode, compile_text
from swarmc.targets.executable import CompileOptions

PROGRAM = """
type 0 = (i32) -> (i32)
export "f" func 0.0
export "g" func 0.1
function 0.0 sig=0 (i32) -> (i32) units=1 {
block0(%0: i32):
    return %0
}
function 0.1 sig=0 (i32) -> (i32) units=1 {
block0(%0: i32):
    %1 = imul.i32 %0, %0
    return %1
}
"""


def test_every_function_is_aligned() -> None:
    program = parse_module(PROGRAM)
    text = CpuTarget().llvm_text(program, CompileOptions(opt_level=0), optimised=False)
    for name in ("f0.0", "f0.1"):
        text = text.replace(f"define internal fastcc {{ i64, i32 }} @{name}(",
                            f"define fastcc {{ i64, i32 }} @{name}(")
    code = LoadedCode((compile_text(text, 0),))
    assert [code.address(name) % CACHE_LINE for name in ("f0.0", "f0.1")] == [0, 0]

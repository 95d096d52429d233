"""LLVM is told what this compiler's code needs, and nobody else in the process notices."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from swarmc.targets.cpu.machine import Compilation, host_machine

pytestmark = pytest.mark.skipif(
    not host_machine().triple.startswith("x86_64"), reason="the switches are for x86-64"
)

# Reads every 88th byte: strength reduction makes a running sum of the product.
LOOP = """
define void @f(ptr %base, i64 %count) {
entry:
  br label %loop
loop:
  %n = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = mul i64 %n, 88
  %p = getelementptr i8, ptr %base, i64 %at
  store volatile i64 %n, ptr %p, align 1
  %next = add i64 %n, 1
  %go = icmp ult i64 %next, %count
  br i1 %go, label %loop, label %done
done:
  ret void
}
"""

# Twice the same arithmetic on neighbours: what the vectoriser of straight lines looks for.
PAIRS = """
define void @f(ptr %to, ptr %from) {
  %p1 = getelementptr i8, ptr %from, i64 8
  %q1 = getelementptr i8, ptr %to, i64 8
  %a0 = load double, ptr %from, align 8
  %a1 = load double, ptr %p1, align 8
  %b0 = fmul double %a0, %a0
  %b1 = fmul double %a1, %a1
  %c0 = fadd double %b0, 1.0
  %c1 = fadd double %b1, 1.0
  store double %c0, ptr %to, align 8
  store double %c1, ptr %q1, align 8
  ret void
}
"""


def _assembly_of_another(text: str) -> str:
    """What somebody else in this process gets of LLVM."""
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), opt=2, reloc="pic", codemodel="small"
    )
    return Compilation(text, 2, machine).assembly()


def test_strength_reduction_is_off_for_our_code_alone() -> None:
    before = _assembly_of_another(LOOP)
    ours = Compilation(LOOP, 2).assembly()
    assert "imul" in ours
    assert "imul" not in before
    assert _assembly_of_another(LOOP) == before


def test_straight_lines_are_vectorised() -> None:
    compilation = Compilation(PAIRS, 2)
    compilation.optimise()
    assert "fmul <2 x double>" in compilation.text()
    plain = Compilation(PAIRS, 1)
    plain.optimise()
    assert "fmul <2 x double>" not in plain.text()

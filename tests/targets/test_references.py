"""Calls through references find their function, whether all candidates are known or not."""

from __future__ import annotations

import pytest

from swarmc.ir.module import Module
from swarmc.ir.parser import parse_module
from swarmc.ir.types import Trap
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.spec_agent import Agent
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions

KNOWN = 16  # that many candidates are called by a switch


def program(count: int) -> Module:
    """``run(n, x)`` calls function ``n`` of a table, which multiplies, divides or calls again."""
    lines = ["type 0 = (i32) -> (i32)", "type 1 = (i32, i32) -> (i32)", "type 2 = () -> ()",
             f"table 0.0 funcref min={count}",
             f"elem 0.0 active 0.0 offset=0 funcref "
             f"[{', '.join(f'func 0.{n}' for n in range(count))}]",
             f'export "run" func 0.{count}']
    for number in range(count):
        if number == 1:
            body = f"%c = const.i32 value={100 + number}\n%r = idiv_s.i32 %c, %x"
            body = "%z = ieqz.i32 %x\ntrap_if trap=integer_divide_by_zero %z @0x77\n" + body
        elif number == 2:
            body = f"%n = const.i32 value=0\n%r = call func=0.{count} %n, %x"
        else:
            body = f"%c = const.i32 value={100 + number}\n%r = imul.i32 %c, %x"
        lines.append(f"function 0.{number} sig=0 @0x{number + 1:x} {{\nblock0(%x: i32):\n"
                     f"charge amount=3\n{body}\nreturn %r\n}}")
    lines.append(f"""function 0.{count} sig=1 @0x50 {{
block0(%n: i32, %x: i32):
    charge amount=2
    %size = const.i32 value={count}
    %out = ige_u.i32 %n, %size
    trap_if trap=undefined_element %out @0x60
    %f = table_get.funcref table=0.0 %n
    %r = call_ref sig=0 %f, %x @0x61
    return %r
}}""")
    return parse_module("\n".join(lines))


@pytest.mark.parametrize("count", [3, KNOWN, KNOWN + 1])
def test_every_candidate(count: int) -> None:
    module = program(count)
    verify(module)
    text = CpuTarget().llvm_text(module, CompileOptions(), optimised=False)
    assert ("@swarm_call.0" in text) is (count <= KNOWN)
    agent = Agent(CpuTarget(), module, 1)
    try:
        for number in range(count):
            wanted = {1: (101 // 7,), 2: (700,)}.get(number, ((100 + number) * 7,))
            assert agent.call("run", (number, 7)) == wanted
        assert agent.call("run", (1, 0)) is Trap.INTEGER_DIVIDE_BY_ZERO
        assert agent.call("run", (count, 0)) is Trap.UNDEFINED_ELEMENT
    finally:
        agent.close()

"""Tests for subtypes, compiled: they say what the program's declarations say."""

from __future__ import annotations

from swarmc.ir.parser import parse_module
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.spec_agent import Agent
from swarmc.targets.cpu import CpuTarget

#: Below 0 are 1, 2, 4 and 5, below 2 are 4 and 5, below 3 is 6.
SUPERTYPES = {1: 0, 2: 0, 4: 2, 5: 4, 6: 3}
COUNT = 7


def test_the_type_of_a_function() -> None:
    lines = []
    for number in range(COUNT):
        above = f" sub {SUPERTYPES[number]}" if number in SUPERTYPES else ""
        lines.append(f"type {number} = () -> ()" + above)
    items = ", ".join(f"func 0.{number}" for number in range(COUNT))
    lines += [f"type {COUNT} = (i32) -> ({', '.join(['i32'] * COUNT)})",
              f"table 0.0 funcref min={COUNT}",
              f"elem 0.0 active 0.0 offset=0 funcref [{items}]",
              f'export "test" func 0.{COUNT}']
    for number in range(COUNT):
        lines.append(f"function 0.{number} sig={number} {{\nblock0:\n return\n}}")
    tests = "\n".join(f"%t{sig} = has_type sig={sig} %f" for sig in range(COUNT))
    results = ", ".join(f"%t{sig}" for sig in range(COUNT))
    lines.append(f"function 0.{COUNT} sig={COUNT} {{\nblock0(%n: i32):\n"
                 f"%f = table_get.funcref table=0.0 %n\n{tests}\nreturn {results}\n}}")
    module = parse_module("\n".join(lines))
    verify(module)
    agent = Agent(CpuTarget(), module, 1)
    try:
        for number in range(COUNT):
            assert agent.call("test", (number,)) == tuple(
                int(module.is_subtype(number, sig)) for sig in range(COUNT))
    finally:
        agent.close()
    assert module.subtypes(0) == [0, 1, 2, 4, 5] and module.subtypes(5) == [5]
    assert [module.is_subtype(5, sig) for sig in range(COUNT)] == [
        True, False, True, False, True, True, False]

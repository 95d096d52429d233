"""Types at run time, compiled: tests say what the program declares, bytes hold references."""

from __future__ import annotations

from swarmc.compiler.pipeline import optimise
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.parser import parse_module
from swarmc.ir.types import EntityId
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


def test_the_type_of_an_object() -> None:
    lines = []
    for number in range(COUNT):
        lines.append(f"object {number}" + (
            f" sub {SUPERTYPES[number]}" if number in SUPERTYPES else ""))
    lines.append('export "test" func 0.0')
    tests = "\n".join(f"%t{number} = is_subtype object={number} %n" for number in range(COUNT))
    results = ", ".join(f"%t{number}" for number in range(COUNT))
    lines.append(f"function 0.0 (i32) -> ({', '.join(['i32'] * COUNT)}) {{\nblock0(%n: i32):\n"
                 f"{tests}\nreturn {results}\n}}")
    module = parse_module("\n".join(lines))
    verify(module)
    agent, oracle = Agent(CpuTarget(), module, 1), Interpreter(module)
    try:
        for number in (*range(COUNT), COUNT, 0xFFFFFFFF):
            expected = tuple(
                int(module.is_object_subtype(number, wanted)) for wanted in range(COUNT))
            assert agent.call("test", (number,)) == expected
            assert oracle.invoke(EntityId(0, 0), (number,)).results == expected
    finally:
        agent.close()
    assert module.object_subtypes(2) == [2, 4, 5]


def test_references_in_bytes() -> None:
    """Active bytes keep their functions, and passive ones those of code that copies them."""
    module = parse_module("""
type 0 = () -> (i32)
type 1 = (i64) -> (i32)
memory 0.0 min=1 index=i64
data 0.0 active 0.0 offset=8 "........" 0=func 0.1
data 0.1 "xx........" 2=func 0.2
export "call" func 0.0
function 0.0 sig=1 {
block0(%a: i64):
  %two = const.i32 value=2
  %eight = const.i32 value=8
  %there = const.i64 value=16
  memory_init mem=0.0 data=0.1 %there, %two, %eight
  %f = load.funcref mem=0.0 offset=0 width=8 signed=false align=8 %a
  %r = call_ref sig=0 %f
  return %r
}
function 0.1 sig=0 {
block0:
  %r = const.i32 value=7
  return %r
}
function 0.2 sig=0 {
block0:
  %r = const.i32 value=9
  return %r
}
function 0.3 sig=0 {
block0:
  %r = const.i32 value=11
  return %r
}
""")
    verify(module)
    assert Interpreter(module).invoke(EntityId(0, 0), (16,)).results == (9,)
    optimise(module)
    assert list(module.removed) == [EntityId(0, 3)]
    agent, oracle = Agent(CpuTarget(), module, 1), Interpreter(module)
    try:
        for address, result in ((8, 7), (16, 9)):
            assert agent.call("call", (address,)) == (result,)
            assert oracle.invoke(EntityId(0, 0), (address,)).results == (result,)
    finally:
        agent.close()

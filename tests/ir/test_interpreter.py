"""The interpreter as an object: state, host functions, start functions, errors, deep recursion.

What the single ops do is in the filetests.
"""

from __future__ import annotations

import pytest

from swarmc.errors import ArgumentError, InstantiationError, LinkError
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Exited, HostResult, Outcome
from swarmc.ir.parser import parse_module
from swarmc.ir.state import AgentState
from swarmc.ir.types import EntityId, Trap
from swarmc.ir.verifier import verify

F0, F1 = EntityId(0, 0), EntityId(0, 1)
MEMORY = EntityId(0, 0)

COUNTER = """
    memory 0.0 min=1
    global 0.0 mut i64 = 5
    data 0.0 active 0.0 offset=2 "hi"
    function 0.0 (i32) -> (i64) {
    block0(%0: i32):
        fuel_check
        charge amount=3
        memory_fill.i32 mem=0.0 %0, %0, %0
        %1 = global_get.i64 global=0.0
        %2 = iadd.i64 %1, %1
        global_set.i64 global=0.0 %2
        return %1
    }"""


def agent(text: str, **options: object) -> Interpreter:
    module = parse_module(text)
    verify(module)
    return Interpreter(module, **options)  # type: ignore[arg-type]


def test_state_stays_until_the_agent_is_instantiated_again() -> None:
    one = agent(COUNTER)
    assert one.invoke(F0, [2]) == Outcome(3, results=(5,))
    assert one.invoke(F0, [1]).results == (10,)
    assert one.state.globals == {F0: 20}
    assert one.state.memories[MEMORY][:5] == b"\0\x01\x02\x02\0"
    one.instantiate()
    assert one.state.memories[MEMORY][:5] == b"\0\0hi\0"
    assert one.invoke(F0, [0]).results == (5,)


def test_agents_of_one_module_share_nothing() -> None:
    module = parse_module(COUNTER)
    one, other = Interpreter(module), Interpreter(module)
    one.invoke(F0, [9])
    assert other.state.globals == {F0: 5}
    assert other.state.memories[MEMORY][:5] == b"\0\0hi\0"


def test_arguments_are_checked() -> None:
    one = agent(COUNTER)
    with pytest.raises(ArgumentError, match="takes 1 arguments, not 2"):
        one.invoke(F0, [1, 2])
    with pytest.raises(ArgumentError, match="4294967296 is no bit pattern of i32"):
        one.invoke(F0, [1 << 32])


def test_host_functions_see_the_state() -> None:
    def poke(state: AgentState, args: list[int]) -> HostResult:
        address, value = args
        if value == 0:
            return Trap.HOST
        if value == 1:
            return Exited(3)
        state.memories[MEMORY][address] = value
        return [value + 1]

    text = """
        memory 0.0 min=1
        host 0.1 (i32, i32) -> (i32) "env" "poke"
        function 0.0 (i32, i32) -> (i32, i32) @0x5 {
        block0(%0: i32, %1: i32):
            charge amount=4
            %2 = call func=0.1 %0, %1 @0x8
            %3 = load.i32 mem=0.0 offset=0 width=1 signed=false align=1 %0
            return %2, %3
        }"""
    one = agent(text, host={("env", "poke"): poke})
    assert one.invoke(F0, [7, 40]) == Outcome(4, results=(41, 40))
    assert one.invoke(F0, [7, 0]) == Outcome(4, trap=Trap.HOST, loc=8)
    assert one.invoke(F0, [7, 1]) == Outcome(4, exit_code=3)
    with pytest.raises(LinkError, match=r"unknown import: env\.poke"):
        agent(text)


def test_start_functions_share_the_fuel_and_stop_at_a_trap() -> None:
    text = """
        start 0.0
        start 1.0
        start 0.0
        function 0.0 () -> () {
        block0:
            fuel_check @0x1
            charge amount=10
            return
        }
        function 1.0 () -> () {
        block0:
            fuel_check @0x2
            charge amount=5
            return
        }"""
    assert agent(text).start() == Outcome(25, results=())
    assert agent(text).start(15) == Outcome(15, trap=Trap.OUT_OF_FUEL, loc=1)
    assert agent(text).start(10) == Outcome(10, trap=Trap.OUT_OF_FUEL, loc=2, instance=1)


@pytest.mark.parametrize(("segment", "message"), [
    ('data 0.0 active 0.0 offset=65535 "ab"', "data segment 0.0: out of bounds memory access"),
    ('data 0.0 active 0.0 offset=65537 ""', "data segment 0.0: out of bounds memory access"),
    ("elem 0.0 active 0.0 offset=2 funcref [0]", "element segment 0.0: out of bounds table access"),
])
def test_active_segments_must_fit(segment: str, message: str) -> None:
    with pytest.raises(InstantiationError, match=message):
        agent(f"memory 0.0 min=1\ntable 0.0 funcref min=2\n{segment}")


def test_limits_below_the_declared_maximum() -> None:
    text = """
        memory 0.0 min=1 max=10
        table 0.0 externref min=1
        function 0.0 (i32) -> (i32, i32) {
        block0(%0: i32):
            %1 = memory_grow.i32 mem=0.0 %0
            %null = const.externref value=0
            %2 = table_grow.i32 table=0.0 %null, %0
            return %1, %2
        }"""
    minus_one = 0xFFFFFFFF
    limited = {"max_pages": {MEMORY: 3}, "max_elements": {EntityId(0, 0): 2}}
    assert agent(text, **limited).invoke(F0, [3]).results == (minus_one, minus_one)
    assert agent(text, **limited).invoke(F0, [2]).results == (1, minus_one)
    assert agent(text, **limited).invoke(F0, [1]).results == (1, 1)
    assert agent(text).invoke(F0, [9]).results == (1, 1)
    assert agent(text).invoke(F0, [10]).results == (minus_one, 1)


DEEP = """
    function 0.0 (i32) -> (i32) {
    block0(%n: i32):
        charge amount=1
        %one = const.i32 value=1
        %m = isub.i32 %n, %one
        br_if %n, block1, block2(%n)
    block1:
        %r = call func=0.0 %m
        %s = iadd.i32 %r, %one
        jump block2(%s)
    block2(%t: i32):
        return %t
    }"""


def test_deep_recursion_needs_no_python_stack() -> None:
    one = agent(DEEP, call_depth=100_001)
    assert one.invoke(F0, [100_000]) == Outcome(100_001, results=(100_000,))
    assert one.invoke(F0, [100_001]) == Outcome(100_001, trap=Trap.CALL_STACK_EXHAUSTED)
    assert agent(DEEP).invoke(F0, [2047]).results == (2047,)
    assert agent(DEEP).invoke(F0, [2048]).trap is Trap.CALL_STACK_EXHAUSTED

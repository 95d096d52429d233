"""The comparison notices every kind of difference, and knows what is exempt."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from wasmtime import wat2wasm

from swarmc.ir.types import Trap
from swarmc.runtime.tools.differential import Tally, check, compare
from swarmc.runtime.tools.execution import (
    SOME_FUNCTION,
    AgentRun,
    Call,
    Executor,
    Outcome,
    Rejected,
    Script,
    Setup,
    State,
    Workload,
)
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.cpu import CpuTarget

WORKLOAD = Workload((Script((Call("f"),)),), 100)
RETURNED = Outcome((1, 2), fuel=10)
TRAPPED = Outcome(trap=Trap.UNREACHABLE, offset=7)
STATE = State({"m": b"abc"}, {"g": 1}, {"t": (0, 3)}, b"out", b"err")


def kind(wanted: Outcome, got: Outcome, state: State = STATE) -> str | None:
    found = compare([AgentRun([wanted], STATE)], [AgentRun([got], state)], WORKLOAD, "x")
    return None if found is None else found.kind


def test_equal_runs() -> None:
    tally = Tally()
    runs = [AgentRun([RETURNED, TRAPPED], STATE)]
    assert compare(runs, runs, WORKLOAD, "x", tally) is None
    assert tally == Tally(executions=2, returned=1, trapped=1)


@pytest.mark.parametrize(("got", "expected"), [
    (Outcome((1, 3), fuel=10), "result"),
    (Outcome((1, 2), fuel=11), "fuel"),
    (Outcome(exit_code=0, fuel=10), "exit"),
    (TRAPPED, "trap"),
    (RETURNED, None),
])
def test_outcomes(got: Outcome, expected: str | None) -> None:
    assert kind(RETURNED, got) == expected


def test_trap_places() -> None:
    assert kind(TRAPPED, Outcome(trap=Trap.UNREACHABLE, offset=8)) == "offset"
    assert kind(TRAPPED, Outcome(trap=Trap.UNREACHABLE, offset=7, fuel=3)) is None
    assert kind(TRAPPED, Outcome(trap=Trap.INTEGER_OVERFLOW, offset=7)) == "trap"
    unplaced = Outcome(trap=Trap.MISSING_IMPORT)
    assert kind(unplaced, Outcome(trap=Trap.MISSING_IMPORT, offset=3)) is None


def test_more_than_the_budget_may_be_used_between_checks() -> None:
    spent = Outcome((), fuel=100)  # wasmtime says no more than the budget of 100
    assert kind(spent, Outcome((), fuel=117)) is None
    assert kind(spent, Outcome((), fuel=99)) == "fuel"
    assert kind(Outcome((), fuel=99), Outcome((), fuel=117)) == "fuel"


@pytest.mark.parametrize(("field", "value"), [
    ("memories", {"m": b"abd"}), ("memories", {"m": b"abcd"}), ("globals", {"g": 2}),
    ("tables", {"t": (0, 4)}), ("tables", {"t": (0,)}), ("stdout", b""), ("stderr", b"er"),
])
def test_states(field: str, value: Any) -> None:
    got = dataclasses.replace(STATE, **{field: value})
    expected = {"memories": "memory", "globals": "global", "tables": "table"}.get(field, field)
    assert kind(RETURNED, RETURNED, got) == expected


def test_a_function_that_the_oracle_cannot_name() -> None:
    some = Outcome((SOME_FUNCTION,))
    assert kind(some, Outcome((4,))) is None
    assert kind(some, Outcome((0,))) == "result"


@pytest.mark.parametrize("which", ["wanted", "got"])
def test_call_stack_exhaustion_is_exempt(which: str) -> None:
    exhausted = AgentRun([Outcome(trap=Trap.CALL_STACK_EXHAUSTED)], State())
    other = AgentRun([RETURNED], STATE)
    tally = Tally()
    pair = ([exhausted], [other]) if which == "wanted" else ([other], [exhausted])
    assert compare(*pair, WORKLOAD, "x", tally) is None
    assert tally == Tally(executions=1, exempt=1)


def test_verdicts() -> None:
    runs = [AgentRun([RETURNED], STATE)]
    invalid = Rejected("type mismatch", "validate")
    for expected, actual, agrees in (
        (runs, invalid, False), (invalid, runs, False), (invalid, invalid, True),
        (invalid, Rejected("unexpected end", "decode"), True),
        (Rejected("unknown import", "link"), invalid, False),
    ):
        found = compare(expected, actual, WORKLOAD, "x")
        assert (found is None) == agrees
        assert found is None or found.kind == "verdict"


def test_start_function_that_traps() -> None:
    refused = Rejected("wasm trap", "instantiate")
    assert compare(refused, [AgentRun([TRAPPED], STATE)], WORKLOAD, "x") is None
    assert compare(refused, [AgentRun([RETURNED], STATE)], WORKLOAD, "x") is not None


EXECUTORS = [InterpreterExecutor(level=2), TargetExecutor(CpuTarget(), opt_level=0)]

MODULES = {
    "data segment outside": '(memory 1) (data (i32.const 65535) "ab") (func (export "f"))',
    "element segment outside": '(table 1 funcref) (func $f (export "f")) (elem (i32.const 1) $f)',
    "start traps": '(func $s unreachable) (start $s) (func (export "f"))',
    "missing import": '(import "a" "b" (func)) (func (export "f"))',
    "start changes memory": '(memory (export "m") 1) (func $s (i32.store (i32.const 8)'
                            ' (i32.const 5))) (start $s) (func (export "f"))',
}


@pytest.mark.parametrize("executor", EXECUTORS, ids=lambda executor: executor.name)
@pytest.mark.parametrize("name", MODULES)
def test_instantiation(name: str, executor: Executor) -> None:
    data = bytes(wat2wasm(f"(module {MODULES[name]})"))
    assert check(Oracle(), executor, data, Setup(), WORKLOAD) is None


@pytest.mark.parametrize("executor", EXECUTORS, ids=lambda executor: executor.name)
def test_agents_are_told_apart(executor: Executor) -> None:
    """A difference in one agent among many is found, with its place."""
    text = """(module (memory (export "m") 1) (func (export "f") (param i32) (result i32)
      (i32.store (local.get 0) (i32.const 77)) (local.get 0)))"""
    data = bytes(wat2wasm(text))
    workload = Workload(tuple(Script((Call("f", (n,)), Call("f", (n + 100,)))) for n in range(40)))
    expected = Oracle().load(data, Setup()).run(workload)
    actual = executor.load(data, Setup()).run(workload)
    assert compare(expected, actual, workload, "x") is None
    memory = bytearray(actual[31].state.memories["m"])
    memory[999] ^= 1
    actual[31].state.memories["m"] = bytes(memory)
    found = compare(expected, actual, workload, "x")
    assert found is not None
    assert str(found) == "x: memory agent 31: m: 1 bytes differ, first at 0x3e7: " \
        "01 00 00 00 00 00 00 00, not 00 00 00 00 00 00 00 00"

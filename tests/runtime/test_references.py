"""References from outside: where a program relies on one not being null, null is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swarmc.errors import ArgumentError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.targets.executable import Executable

PROGRAM = """(module
  (type $t (func (result i32)))
  (func $one (type $t) (i32.const 1)) (elem declare func $one)
  (global (export "any") (mut (ref null $t)) (ref.func $one))
  (global (export "some") (mut (ref $t)) (ref.func $one))
  (func (export "call") (param i64 (ref $t)) (result i32) (call_ref $t (local.get 1)))
  (func (export "same") (param v128 (ref extern)) (result externref) (local.get 1))
  (func (export "try") (param (ref null $t)) (result i32) (call_ref $t (local.get 0)))
  (func (export "one") (result i32) (call_ref $t (ref.func $one))))"""

Make = Callable[..., SwarmManager]


def results(swarm: SwarmManager, entry_point: str, *args: Any) -> dict[int, Any]:
    return swarm.dispatch(entry_point=entry_point, args=args).agent_results


def test_null_is_refused_where_it_is_none_of_the_type(make_swarm: Make) -> None:
    swarm = make_swarm(PROGRAM)
    agent = swarm.spawn_agent("one")
    with pytest.raises(ArgumentError, match="argument 1 of call must not be null"):
        results(swarm, "call", 7, None)
    with pytest.raises(ArgumentError, match="argument 1 of same must not be null"):
        results(swarm, "same", bytes(16), None)
    assert results(swarm, "same", bytes(16), 5) == {agent: 5}
    assert results(swarm, "one") == {agent: 1}
    trap = swarm.dispatch(entry_point="try", args=(None,)).traps[agent]
    assert trap.code == Trap.NULL_FUNCTION_REFERENCE


def test_null_that_an_agent_was_spawned_with_is_refused(make_swarm: Make) -> None:
    swarm = make_swarm(PROGRAM)
    swarm.spawn_agents(3, "same", [(0, 1), (0, None), (0, 2)])
    with pytest.raises(ArgumentError, match="argument 1 of same must not be null"):
        swarm.dispatch()


def test_a_global_keeps_being_no_null(make_swarm: Make) -> None:
    swarm = make_swarm(PROGRAM)
    agent = swarm.spawn_agent("one")
    swarm.set_agent_global(agent, "any", None)
    assert swarm.get_agent_global(agent, "any") is None
    with pytest.raises(ArgumentError, match="global 'some' must not be null"):
        swarm.set_agent_global(agent, "some", None)


def test_executables_remember_what_must_not_be_null(make_swarm: Make) -> None:
    executable = make_swarm(PROGRAM).executable
    again = Executable.from_bytes(executable.to_bytes())
    assert again == executable
    assert {entry.name: entry.nonnull for entry in again.entries} == {
        "call": (1,), "same": (1,), "try": (), "one": ()}
    assert {item.name: item.nonnull for item in again.global_exports} == {
        "any": False, "some": True}


def test_the_highest_bit_of_a_handle_is_not_the_host_s(make_swarm: Make) -> None:
    swarm = make_swarm(PROGRAM)
    agent = swarm.spawn_agent("one")
    most = (1 << 63) - 2
    assert results(swarm, "same", 0, most) == {agent: most}
    with pytest.raises(ArgumentError, match="must be None or a number"):
        results(swarm, "same", 0, most + 1)

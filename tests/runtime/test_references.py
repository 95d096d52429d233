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


OBJECTS = """(module
  (type $list (struct (field i32) (field (ref null $list))))
  (global $top (mut (ref null $list)) (ref.null $list))
  (func (export "push") (param i32)
    (loop
      (global.set $top (struct.new $list (local.get 0) (global.get $top)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "any") (param i32) (result anyref)
    (if (result anyref) (local.get 0) (then (ref.i31 (i32.const 5))) (else (ref.null any))))
  (func (export "sum") (result i32) (local $next (ref null $list)) (local $sum i32)
    (local.set $next (global.get $top))
    (block $end
      (loop $again
        (local.set $sum (i32.add (local.get $sum)
          (struct.get $list 0 (br_on_null $end (local.get $next)))))
        (local.set $next (struct.get $list 1 (local.get $next)))
        (br $again)))
    (local.get $sum)))"""


def test_every_agent_has_a_heap_of_its_own(make_swarm: Make) -> None:
    swarm = make_swarm(OBJECTS)
    ids = swarm.spawn_agents(50, "push", [[n + 1] for n in range(50)]).tolist()
    swarm.dispatch()
    assert results(swarm, "sum") == {
        id_: (n + 1) * (n + 2) // 2 for n, id_ in enumerate(ids)}
    snapshot = swarm.snapshot(ids[3])
    swarm.dispatch([ids[3]], "push", (9,))
    assert swarm.dispatch([ids[3]], "sum").agent_results == {ids[3]: 10 + 45}
    swarm.restore(ids[3], snapshot)
    assert swarm.dispatch([ids[3]], "sum").agent_results == {ids[3]: 10}


def test_a_heap_is_as_large_as_one_says(make_swarm: Make) -> None:
    small, large = make_swarm(OBJECTS, heap=65536), make_swarm(OBJECTS, heap=1 << 21)
    for swarm, most in ((small, 65536 // 24), (large, (1 << 21) // 24)):
        agent = swarm.spawn_agent("push")
        assert not swarm.dispatch(args=(most - 5,)).traps
        trap = swarm.dispatch(args=(10,)).traps[agent]
        assert trap.code == Trap.HEAP_EXHAUSTED
        assert "heap exhausted" in str(trap)


def test_only_null_comes_inside(make_swarm: Make) -> None:
    swarm = make_swarm('(module (func (export "f") (param anyref) (result i32)'
                       " (ref.is_null (local.get 0))))")
    agent = swarm.spawn_agent("f")
    assert swarm.dispatch(args=(None,)).agent_results == {agent: 1}
    with pytest.raises(ArgumentError, match="it must be None"):
        swarm.dispatch(args=(5,))

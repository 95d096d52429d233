"""Vectors in and out of agents: arguments, results and exported globals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swarmc.runtime import SwarmManager

MODULE = """
(module
  (global $sum (export "sum") (mut v128) (v128.const i32x4 1 2 3 4))
  (func (export "add") (param v128 i32 v128) (result i32 v128)
    (local.get 1) (i32x4.add (local.get 0) (local.get 2)))
  (func (export "gather") (param v128) (result v128)
    (global.set $sum (i32x4.add (global.get $sum) (local.get 0)))
    (global.get $sum)))
"""


def lanes(*numbers: int) -> bytes:
    return np.array(numbers, np.uint32).tobytes()


def test_arguments_and_results(make_swarm: Callable[..., SwarmManager]) -> None:
    swarm = make_swarm(MODULE)
    one = swarm.spawn_agent("add", args=[lanes(1, 2, 3, 4), 7, lanes(10, 20, 30, 2**32 - 1)])
    two = swarm.spawn_agent("add", args=[1 << 96, -1, 5])
    results = swarm.dispatch().agent_results
    assert results[one] == (7, lanes(11, 22, 33, 3))
    assert results[two] == (-1, lanes(5, 0, 0, 1))


def test_columns_and_globals(make_swarm: Callable[..., SwarmManager]) -> None:
    swarm = make_swarm(MODULE)
    given = np.arange(48, dtype=np.uint8).reshape(3, 16)
    ids = swarm.spawn_agents(3, "gather", args=given)
    wanted = given.view(np.uint32) + np.array([1, 2, 3, 4], np.uint32)
    results = swarm.dispatch().agent_results
    assert [results[id_] for id_ in ids] == [row.tobytes() for row in wanted]
    assert swarm.get_agent_global(ids[2], "sum") == wanted[2].tobytes()

"""Start functions run once, over a fresh state."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager

COUNTING = """
(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 1000))
  (func $start
    (loop
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (global.set $n (i32.sub (global.get $n) (i32.const 1)))
      (br_if 0 (global.get $n))))
  (start $start)
  (func (export "count") (result i32) (i32.load (i32.const 0))))
"""


def test_a_start_function_that_was_cut_short_begins_afresh(shared_cache: Path) -> None:
    swarm = SwarmManager.from_wasm(wasmtime.wat2wasm(COUNTING), cache=shared_cache)
    agent = swarm.spawn_agent("count")
    first = swarm.dispatch(fuel=500)
    assert first.traps[agent].code is Trap.OUT_OF_FUEL
    assert swarm.dispatch().agent_results == {agent: 1000}
    assert swarm.dispatch().agent_results == {agent: 1000}

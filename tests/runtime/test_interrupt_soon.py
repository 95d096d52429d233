"""An interrupt is noticed between short agents, and by an agent that mostly calls the host."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import wasmtime

from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager, SwarmResult


def dispatch_interrupted(swarm: SwarmManager) -> SwarmResult:
    """Interrupt a dispatch as soon as it runs; its result."""
    results: list[SwarmResult] = []
    thread = threading.Thread(target=lambda: results.append(swarm.dispatch()))
    thread.start()
    while swarm._stop is None and thread.is_alive():
        time.sleep(0.001)
    time.sleep(0.05)
    swarm.interrupt()
    thread.join(60)
    assert not thread.is_alive()
    return results[0]


def test_many_short_agents(shared_cache: Path) -> None:
    wasm = wasmtime.wat2wasm(
        """(module (func (export "short") (result i32) (local i32 i32)
          (loop (local.set 1 (i32.mul (i32.xor (local.get 1) (local.get 0)) (i32.const 69069)))
                (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
                                   (i32.const 5000000))))
          (local.get 1)))"""
    )
    swarm = SwarmManager.from_wasm(wasm, cache=shared_cache, max_agents=20_000)
    swarm.spawn_agents(20_000)
    result = dispatch_interrupted(swarm)
    codes = {trap.code for trap in result.traps.values()}
    assert codes == {Trap.INTERRUPTED}
    last = max(result.traps)
    assert result.instruction_counts[last] == 0 and result.agent_outputs[last] == b""


def test_an_agent_that_calls_the_host_for_ever(shared_cache: Path) -> None:
    wasm = wasmtime.wat2wasm(
        """(module
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (memory (export "memory") 16)
          (func (export "draw") (loop (br_if 0 (i32.eqz (call $random (i32.const 0)
                                                              (i32.const 1000000)))))))"""
    )
    swarm = SwarmManager.from_wasm(wasm, cache=shared_cache, fuel=1 << 62)
    agent = swarm.spawn_agent()
    trap = dispatch_interrupted(swarm).traps[agent]
    assert trap.code is Trap.INTERRUPTED and trap.function is not None

"""Whether agents do the same when their host calls are noted, and the same is noted everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import wasmtime

from ...targets.addressing import MemoryLayout
from ...targets.base import Target
from ..host_api import Agent, HostFunction, host_function, trap
from ..manager import SwarmManager

LAYOUTS = (MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_4, MemoryLayout.INTERLEAVED_8)

#: Agent n writes n % 9 times to standard error, and ends in one of seven ways.
MODULE = """(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "mix" (func $mix (param i32 i64 f32 f64) (result f64 i32)))
  (import "env" "touch" (func $touch (param i32)))
  (import "swarm" "id" (func $id (result i32)))
  (import "swarm" "send" (func $send (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table funcref (elem $id $sync))
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 16) "h\\c3\\a9llo")
  (func (export "go") (param $n i32) (result f64) (local $i i32)
    (drop (call_indirect (result i32) (i32.const 0)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $i (i32.rem_u (local.get $n) (i32.const 9)))
    (block $done (loop $again
      (br_if $done (i32.eqz (local.get $i)))
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br $again)))
    (drop (call $random (i32.const 64) (i32.const 8)))
    (if (i32.eq (i32.rem_u (local.get $n) (i32.const 7)) (i32.const 3))
      (then (drop (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)))))
    (if (i32.eq (i32.rem_u (local.get $n) (i32.const 7)) (i32.const 5))
      (then (call $exit (local.get $n))))
    (drop (call $close (i32.const 5)))
    (drop (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 1)))
    (drop (call $send (i32.sub (local.get $n) (i32.const 2)) (i32.const 16) (i32.const 6)))
    (call $touch (local.get $n))
    (call $mix (local.get $n) (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const -0x123456789ab))
      (f32.div (f32.convert_i32_u (local.get $n)) (f32.const -3))
      (f64.div (f64.convert_i32_u (local.get $n)) (f64.const 7)))
    drop))"""


def _mix(agent: Agent, number: int, wide: int, single: float, double: float) -> tuple[float, int]:
    if number % 7 == 1:
        trap(number)
    agent.store_i64(128, wide)
    return single + double, wide


def _touch(agent: Agent, number: int) -> None:
    agent.store_i32(200 + 11_000 * (number % 7), number)  # agents 6, 13, … outside of the memory


def functions() -> list[HostFunction]:
    """The host functions of :data:`MODULE`."""
    return [
        host_function("env", "mix", "(f64, i32)(i32, i64, f32, f64)")(_mix),
        host_function("env", "touch", "(i32)")(_touch),
    ]


def check_traces(
    make: Callable[[MemoryLayout], Target], agents: int, limit: int = 8,
    layouts: Sequence[MemoryLayout] = LAYOUTS,
) -> dict[str, Any]:  # fmt: skip
    """Run agents with and without a trace; how many calls they made, and how many were noted.

    Args:
        make: gives the target for a layout.

    Raises:
        AssertionError: something differs from the run without a trace, or from the CPU's trace.
    """
    wasm = bytes(wasmtime.wat2wasm(MODULE))
    expected, calls = run_traced(wasm, "cpu", MemoryLayout.FLAT, agents, limit)
    for layout in layouts:
        for with_trace in (None, limit):
            facts, found = run_traced(wasm, make(layout), layout, agents, with_trace)
            for name, value in facts.items():
                if value != expected[name]:
                    raise AssertionError(f"{layout}, {with_trace} traced calls: {name} differ")
            if found is not None and found != calls:
                raise AssertionError(f"{layout}: the host calls differ from the CPU's")
    assert calls is not None
    noted, counts = calls
    return {"calls": sum(counts.values()), "noted": sum(map(len, noted.values()))}


def run_traced(
    wasm: bytes, target: str | Target, layout: MemoryLayout, agents: int, limit: int | None,
    **options: Any,
) -> tuple[dict[str, Any], Any]:
    """What agents of :data:`MODULE` did, and what was noted of it; None if nothing was to be."""
    with SwarmManager.from_wasm(
        wasm, target=target, layout=layout, max_agents=agents, host_functions=functions(),
        trace_host_calls=limit, seed=7, **options,
    ) as swarm:  # fmt: skip
        ids = swarm.spawn_agents(agents, "go", np.arange(agents))
        result = swarm.dispatch()
        facts = {
            "results": result.results_array().tobytes(), "statuses": result.status.tobytes(),
            "traps": result.traps, "exit codes": result.exit_codes,
            "instruction counts": result.counts_array.tobytes(), "outputs": result.agent_outputs,
            "errors": result.agent_errors, "numbers of messages": swarm.mail.stats(),
            "memories": swarm.get_agent_memories(ids, 0, 256).tobytes(),
        }  # fmt: skip
        if limit is None:
            return facts, None
        return facts, (result.host_calls, result.host_call_counts)

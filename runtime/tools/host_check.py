"""Whether host functions and arrays do on a target what they do on the CPU, bit by bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import wasmtime

from ...targets.addressing import MemoryLayout
from ...targets.base import Target
from ..arrays import Columns
from ..host_api import Agent, HostFunction, host_function, trap
from ..manager import SwarmManager
from ..results import SwarmResult

_MODULE = """(module
  (import "env" "step" (func $step (param i32 i64 f32 f64) (result f64)))
  (import "env" "fold" (func $fold (param i32 i32) (result i64)))
  (memory (export "memory") 1 2)
  (func (export "go") (param i32 i64 f32 f64) (result f64)
    (f64.add (call $step (local.get 0) (local.get 1) (local.get 2) (local.get 3))
             (f64.convert_i64_s (call $fold (local.get 0) (i32.const 64))))))"""

_WEIGHTS = np.linspace(-1.0, 1.0, 17)
_FIRST, _LENGTH = 24, 96


def _mix(a: int, b: int) -> int:
    return (a << (b & 77)) // ((b % 7) - 3) + (a >> 3) % 11


def _step(agent: Agent, place: int, wide: int, single: float, double: float) -> float:
    if place % 10 == 3:
        trap(place)
    weight = _WEIGHTS[place % 19]
    agent.store_f32(place * 5 % 60_000, single * 0.1)
    agent.store_f64(place * 7 % 60_000 + 1, math.sqrt(abs(double)) * weight)
    agent.store_i64(place * 11 % 65_600, _mix(wide, place) + int(double))
    return agent.load_f64(place * 7 % 60_000 + 1) + agent.id


def _fold(agent: Agent, seed: int, count: int) -> int:
    total = 0
    for offset in range(count):
        agent.store_i16(_FIRST + offset + (seed & 15), seed * offset)
        total = total * 31 + agent.load_u32(_FIRST + offset)
    agent.copy(_FIRST + 3, _FIRST, count)
    return total + agent.memory_size


def functions() -> list[HostFunction]:
    """Host functions that do something of everything."""
    return [
        host_function("env", "step", "f64(i32, i64, f32, f64)")(_step),
        host_function("env", "fold", "i64(i32, i32)")(_fold),
    ]


def check_hosts(make: Callable[[MemoryLayout], Target], agents: int) -> dict[str, Any]:
    """Run agents that call host functions; the numbers of those that ended well and trapped.

    Args:
        make: gives the target for a layout.

    Raises:
        AssertionError: something differs from the CPU.
    """
    wasm = bytes(wasmtime.wat2wasm(_MODULE))
    numbers = np.arange(agents)
    args = Columns(
        numbers, numbers * 0x1E37_79B9_7F4A_7C15, numbers.astype(np.float32) / 7,
        (numbers - agents / 2) * 1e15,
    )  # fmt: skip
    expected = None
    for layout in (MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_4, MemoryLayout.INTERLEAVED_8):
        targets: list[str | Target] = [make(layout)] if expected else ["cpu", make(layout)]
        for target in targets:
            with SwarmManager.from_wasm(
                wasm, target=target, layout=layout, max_agents=agents, host_functions=functions()
            ) as swarm:
                ids = swarm.spawn_agents(agents, "go", args)
                found = _facts(swarm.dispatch(), swarm.get_agent_memories(ids, _FIRST, _LENGTH))
            if expected is None:
                expected = found
            for name, value in found.items():
                if value != expected[name]:
                    raise AssertionError(f"host functions, {layout}: {name} differ from the CPU's")
    assert expected is not None
    trapped = len(expected["traps"])
    return {"agents": agents, "trapped": trapped}


def _facts(result: SwarmResult, memories: Any) -> dict[str, Any]:
    return {
        "results": result.results_array().tobytes(), "traps": result.traps,
        "instruction counts": result.counts_array.tobytes(), "memories": memories.tobytes(),
    }  # fmt: skip

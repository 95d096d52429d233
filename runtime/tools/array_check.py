"""Whether arguments and results that stay on a GPU are what they are by way of the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import wasmtime

from ...targets.addressing import MemoryLayout
from ...targets.base import Target
from ...targets.device_array import DeviceArray
from ..arrays import Columns
from ..manager import SwarmManager
from ..results import SwarmResult

_MODULE = """(module (memory (export "memory") 1)
  (func (export "same") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
    local.get 0 local.get 1 local.get 2 local.get 3)
  (func (export "less") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1))))"""

_RESULTS = 4


class _There:
    """An array on the GPU that nobody can copy to the host."""

    def __init__(self, array: DeviceArray) -> None:
        self._array = array
        self.__cuda_array_interface__ = array.__cuda_array_interface__


def check_arrays(make: Callable[[MemoryLayout], Target], agents: int) -> dict[str, Any]:
    """Hand results and memories from dispatch to dispatch on the GPU; how many arrays.

    Args:
        make: gives the target for a layout.

    Raises:
        AssertionError: an array is not what it is by way of the host.
    """
    target = make(MemoryLayout.FLAT)
    with SwarmManager.from_wasm(
        wasmtime.wat2wasm(_MODULE), target=target, max_agents=agents
    ) as swarm:
        if swarm.mock:
            return {"skipped": "arrays lie on a GPU alone"}
        ids = swarm.spawn_agents(agents)
        numbers = np.arange(agents)
        first = swarm.dispatch(None, "same", Columns(
            numbers - 7, numbers * 0x1E37_79B9_7F4A_7C15, numbers.astype(np.float32) / 7,
            (numbers - agents / 2) * 1e15,
        ))  # fmt: skip
        wanted = _bits(first)
        there = [first.results_device(n) for n in range(_RESULTS)]
        args = [_There(array) for array in there]
        if _bits(swarm.dispatch(None, "same", Columns(*args))) != wanted:
            raise AssertionError("columns on the GPU: not the bits that they have on the host")
        mixed = Columns(first.results_array(), args[1], first.results_array(2), args[3])
        if _bits(swarm.dispatch(None, "same", mixed)) != wanted:
            raise AssertionError("columns on the host and the GPU: not the bits that they have")
        _check_rows(swarm, ids)
        result = swarm.dispatch(None, "divide", Columns(numbers, numbers % 3))
        found = result.results_device().copy_to_host()
        if found.tobytes() != result.results_array().tobytes() or result.returned_array.all():
            raise AssertionError("results on the GPU, some agents trapped: not those on the host")
        if [array.copy_to_host().tobytes() for array in there] != wanted:
            raise AssertionError("results on the GPU are not what they were before")
        return {"agents": agents, "arrays": 2 * _RESULTS}


def _check_rows(swarm: SwarmManager, ids: Any) -> None:
    """Rows of arguments out of the agents' memories."""
    rows = np.arange(2 * len(ids), dtype=np.int32).reshape(-1, 2)[:, ::-1] * 3
    swarm.set_agent_memories(rows, ids, 64)
    view = swarm.view_agent_memories(ids, 64, 2, np.int32)
    assert isinstance(view, DeviceArray)
    result = swarm.dispatch(None, "less", _There(view))
    if (result.results_array() != rows[:, 0] - rows[:, 1]).any():
        raise AssertionError("rows on the GPU: not what they are on the host")


def _bits(result: SwarmResult) -> list[bytes]:
    return [result.results_array(n).tobytes() for n in range(_RESULTS)]

"""Memories of many agents as arrays: what the manager's methods for them do."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ArgumentError
from ..targets.base import Int64s
from ..targets.device_array import DeviceArray
from ..targets.slice_arrays import memory_sizes, read_memories, view_memories, write_memories
from ..targets.slices import AgentSlices
from .arrays import is_foreign, to_array
from .program import Program

Array = NDArray[Any]


def read(
    program: Program, ids: Int64s, slots: Int64s, offset: int, count: int | None,
    dtype: DTypeLike, memory: int,
) -> Array:  # fmt: skip
    """A copy: dtype[n, count]."""
    kind, count = _extent(program, ids, slots, offset, count, dtype, memory)
    if not count:
        return np.zeros((len(slots), 0), kind)
    if program.scratch_size:
        parts = [program.read_memory(slot, offset, count * kind.itemsize, memory)
                 for slot in slots.tolist()]  # fmt: skip
        return np.frombuffer(b"".join(parts), kind).reshape(len(slots), count).copy()
    found = read_memories(_slices(program), slots, offset, count * kind.itemsize, memory)
    return found.view(kind)


def view(
    program: Program, ids: Int64s, slots: Int64s, offset: int, count: int | None,
    dtype: DTypeLike, memory: int,
) -> Array | DeviceArray:  # fmt: skip
    """The bytes themselves: dtype[n, count]."""
    kind, count = _extent(program, ids, slots, offset, count, dtype, memory)
    if program.scratch_size:
        raise ArgumentError("the module has no memory that could be seen")
    if not count:
        return np.zeros((len(slots), 0), kind)
    on_gpu = program.executable.target == "cuda"
    return view_memories(
        _slices(program), slots, offset, count * kind.itemsize, memory, on_gpu=on_gpu
    ).view(kind)


def write(
    program: Program, ids: Int64s, slots: Int64s, offset: int, data: Any, memory: int
) -> None:
    """Write an array whose first axis runs over the agents, or one row for all."""
    rows = _rows(data, len(slots))
    _extent(program, ids, slots, offset, rows.shape[1], np.uint8, memory)
    if program.scratch_size:
        for slot, row in zip(slots.tolist(), rows, strict=True):
            program.write_memory(slot, offset, row.tobytes(), memory)
        return
    write_memories(_slices(program), slots, offset, rows, memory)


def _slices(program: Program) -> AgentSlices:
    return cast(AgentSlices, program.slices)


def _extent(
    program: Program, ids: Int64s, slots: Int64s, offset: int, count: int | None,
    dtype: DTypeLike, memory: int,
) -> tuple[np.dtype[Any], int]:  # fmt: skip
    """The type of the elements, and how many there are; all of them lie in the memories."""
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ArgumentError(f"dtype: {error}") from None
    if kind.hasobject or not kind.itemsize:
        raise ArgumentError(f"dtype {kind} is nothing that lies in a memory")
    sizes = _sizes(program, slots, memory)
    smallest = int(sizes.min()) if len(sizes) else 0
    if count is None:
        if len(sizes) and int(sizes.max()) != smallest:
            raise ArgumentError(
                f"the agents' memories have {smallest} to {int(sizes.max())} bytes:"
                " count must say how many elements are meant"
            )
        count = max(0, smallest - offset) // kind.itemsize
    end = offset + count * kind.itemsize
    if offset < 0 or count < 0 or (len(sizes) and end > smallest):
        which = int(ids[int(sizes.argmin())]) if len(sizes) else None
        raise ArgumentError(
            f"bytes {offset} to {end} are not in the memory of {smallest} bytes that agent"
            f" {which} has"
        )
    return kind, count


def _sizes(program: Program, slots: Int64s, memory: int) -> Int64s:
    if program.scratch_size:
        return np.full(len(slots), program.scratch_size, np.int64)
    if not program.executable.layout.visible_memories:
        return np.zeros(len(slots), np.int64)
    program.prepare(slots)
    return memory_sizes(_slices(program), slots, memory)


def _rows(data: Any, count: int) -> NDArray[np.uint8]:
    """uint8[count, length] of what a caller gave."""
    if isinstance(data, bytes | bytearray | memoryview):
        data = np.frombuffer(data, np.uint8)
    elif is_foreign(data):
        data = to_array(data, "data")
    if not isinstance(data, np.ndarray):
        raise ArgumentError(f"data must be bytes or an array, not {data!r}")
    if data.dtype.hasobject:
        raise ArgumentError(f"data of dtype {data.dtype} is nothing that lies in a memory")
    if data.ndim == 1:
        data = np.broadcast_to(data, (count, len(data)))
    if data.ndim != 2 or len(data) != count:
        raise ArgumentError(
            f"data of shape {data.shape} for {count} agents: it must have a row for each, or be one"
        )
    row_bytes = data.shape[1] * data.dtype.itemsize
    return np.ascontiguousarray(data).view(np.uint8).reshape(count, row_bytes)

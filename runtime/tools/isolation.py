"""Checks that agents leave alone what is not theirs: neighbours, padding, memory not grown yet.

Between the agents of a run lie idle slots, filled with a pattern: state block and memories, up to
what they reserve. After the run the pattern must be there still. Of the agents that ran, whatever
no instruction can write must be as it was when they were instantiated: padding of the state block,
constant globals, addresses, elements and memory beyond the current size.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...ir.module import Module
from ...ir.types import Type
from ...targets.base import Int64s, Slices
from ...targets.layout import AgentLayout, Ctx, MemorySlot

#: Of memories that reserve more, only this much at both ends is looked at.
_EDGE = 2 << 20
#: The same where slices are interleaved, which takes far longer.
_INTERLEAVED_EDGE = 128 << 10
_SEED = 20_26


class Isolation:
    """Slots of a run and what lies between them.

    Args:
        count: agents that run; twice as many slots and one are needed.

    Attributes:
        slots: where the agents are to run.
    """

    def __init__(self, program: Module, layout: AgentLayout, count: int) -> None:
        self.layout = layout
        self.capacity = 2 * count + 1
        self.slots: Int64s = np.arange(1, self.capacity, 2, dtype=np.int64)
        self._idle = range(0, self.capacity, 2)
        self._constant = _constant_bytes(program, layout)
        interleaved = layout.memory_layout.memory_cells.size > 0
        self._edge = edge = _INTERLEAVED_EDGE if interleaved else _EDGE
        largest = max([layout.state_size, *(min(m.reserve, edge) for m in layout.memories)])
        self._pattern = random.Random(_SEED).randbytes(largest + self.capacity)
        self._before: dict[int, NDArray[np.uint8]] = {}

    def prepare(self, slices: Slices) -> None:
        """Fill the idle slots, and remember what the agents, just instantiated, must keep."""
        for slot in self._idle:
            slices.write_state(slot, 0, self._expected_state(slot))
            for number, memory in enumerate(self.layout.memories):
                for start, length in _edges(0, memory.reserve, self._edge):
                    slices.write_memory(slot, start, self._piece(slot, length), number)
        for slot in self.slots.tolist():
            self._before[slot] = self._state(slices, slot)

    def check(self, slices: Slices) -> dict[int, str]:
        """What is wrong near an agent, by its place in the run; empty if nothing is."""
        found: dict[int, str] = {}
        for slot in self._idle:
            if (wrong := self._idle_fault(slices, slot)) is not None:
                found[min(slot // 2, len(self.slots) - 1)] = f"idle neighbour: {wrong}"
        for place, slot in enumerate(self.slots.tolist()):
            if (wrong := self._agent_fault(slices, slot)) is not None:
                found[place] = wrong
        return found

    # Idle slots.

    def _piece(self, slot: int, length: int) -> bytes:
        return self._pattern[slot : slot + length]

    def _expected_state(self, slot: int) -> bytes:
        """The pattern, but for sizes: memory is read and written through them."""
        state = bytearray(self._piece(slot, self.layout.state_size))
        for memory in self.layout.memories:
            struct.pack_into("<Q", state, memory.size, memory.reserve)
        return bytes(state)

    def _idle_fault(self, slices: Slices, slot: int) -> str | None:
        state = slices.read_state(slot, 0, self.layout.state_size)
        if (fault := _difference(self._expected_state(slot), state)) is not None:
            return f"state block changed at byte {fault:#x}"
        for number, memory in enumerate(self.layout.memories):
            for start, length in _edges(0, memory.reserve, self._edge):
                data = slices.read_memory(slot, start, length, number)
                if (fault := _difference(self._piece(slot, length), data)) is not None:
                    return f"memory {number} changed at byte {start + fault:#x}"
        return None

    # Agents.

    def _state(self, slices: Slices, slot: int) -> NDArray[np.uint8]:
        return np.frombuffer(slices.read_state(slot, 0, self.layout.state_size), np.uint8)

    def _agent_fault(self, slices: Slices, slot: int) -> str | None:
        before, after = self._before[slot], self._state(slices, slot)
        changed = np.flatnonzero((before != after) & self._constant)
        if len(changed):
            return f"constant byte {int(changed[0]):#x} of the state block changed"
        for id_, table in self.layout.tables.items():
            if table.shared:
                continue
            size = int.from_bytes(after[table.size : table.size + 8].tobytes(), "little")
            if size > table.capacity:
                return f"table {id_} has {size} elements, more than its {table.capacity}"
            rest = after[table.elements + 8 * size : table.elements + 8 * table.capacity]
            if rest.any():
                return f"an element of table {id_} beyond its size of {size} was written"
        for number, memory in enumerate(self.layout.memories):
            if (fault := self._beyond(slices, slot, number, memory)) is not None:
                return fault
        return None

    def _beyond(self, slices: Slices, slot: int, number: int, memory: MemorySlot) -> str | None:
        """Look behind the current size of a memory, where all is zero."""
        size = slices.memory_size(slot, number)
        if size > memory.reserve:
            return f"memory {number} has {size} bytes, more than its {memory.reserve}"
        if size == memory.reserve:
            return None
        slices.write_state(slot, memory.size, struct.pack("<Q", memory.reserve))
        try:
            for start, length in _edges(size, memory.reserve, self._edge):
                data = slices.read_memory(slot, start, length, number)
                if (fault := _difference(bytes(length), data)) is not None:
                    return f"memory {number} of {size} bytes was written at {start + fault:#x}"
        finally:
            slices.write_state(slot, memory.size, struct.pack("<Q", size))
        return None


def _edges(start: int, end: int, edge: int) -> Iterator[tuple[int, int]]:
    """The (start, length) of a range, or of its two ends if it is long."""
    if end - start <= 2 * edge:
        while start < end:
            length = min(end - start, edge)
            yield start, length
            start += length
    else:
        yield start, edge
        yield end - edge, edge


def _difference(wanted: bytes, got: bytes) -> int | None:
    """Where two byte strings of one length first differ."""
    if wanted == got:
        return None
    pair = np.frombuffer(wanted, np.uint8) != np.frombuffer(got, np.uint8)
    return int(np.flatnonzero(pair)[0])


def _constant_bytes(program: Module, layout: AgentLayout) -> NDArray[np.bool_]:
    """Which bytes of an agent's state block nothing may change once it is instantiated."""
    constant = np.ones(layout.state_size, np.bool_)

    def may_change(offset: int, length: int) -> None:
        constant[offset : offset + length] = False

    may_change(0, Ctx.END)
    may_change(layout.transfer, 8 * layout.transfer_slots)
    for memory in layout.memories:
        constant[memory.base : memory.base + 8] = True
        if not memory.fixed:
            may_change(memory.size, 8)
        else:
            constant[memory.size : memory.size + 8] = True
    for item in program.globals.values():
        if item.mutable:
            may_change(layout.globals[item.id], 16 if item.type is Type.V128 else 8)
    for table in layout.tables.values():
        if not table.shared:
            may_change(table.size, 8 + 8 * table.capacity)
    for offset in (*layout.dropped_data.values(), *layout.dropped_elems.values()):
        may_change(offset, 1)
    return constant

"""Agents' memory on a device behaves as on the CPU, in every layout."""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime

from swarmc.errors import ArgumentError
from swarmc.runtime.compile import read_module, to_program
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.base import Int64s, Strings
from swarmc.targets.cpu.slices import CpuSlices
from swarmc.targets.cuda.arena import Arena
from swarmc.targets.cuda.device import Use
from swarmc.targets.cuda.slices import DeviceSlices
from swarmc.targets.executable import CompileOptions
from swarmc.targets.layout import FLAG_INSTANTIATED, AgentLayout, Ctx, plan_layout
from swarmc.targets.slices import AgentSlices

from .host_device import HostDevice

TEXT = """(module (memory 1 3) (memory 1 1) (global $g (mut v128) (v128.const i64x2 1 2))
  (func (export "f") (global.set $g (global.get $g)) (drop (memory.grow 0 (i32.const 1)))
    (i32.store 1 (i32.const 0) (i32.const 0))))"""
CAPACITY = 70


@pytest.fixture(params=list(MemoryLayout), ids=str)
def layout(request: pytest.FixtureRequest) -> AgentLayout:
    module = read_module(bytes(wasmtime.wat2wasm(TEXT)))
    return plan_layout(to_program(module, CompileOptions()), memory_layout=request.param)


def both(layout: AgentLayout) -> tuple[HostDevice, list[AgentSlices]]:
    device = HostDevice()
    slices: list[AgentSlices] = [
        CpuSlices(layout, CAPACITY, 100), DeviceSlices(device, layout, CAPACITY, 100)
    ]  # fmt: skip
    for one in slices:
        for slot in range(CAPACITY):
            one.write_state(slot, Ctx.FLAGS, FLAG_INSTANTIATED.to_bytes(8, "little"))
            for memory in layout.memories:
                one.write_state(slot, memory.size, memory.minimum.to_bytes(8, "little"))
    return device, slices


def test_reads_and_writes(layout: AgentLayout) -> None:
    _, slices = both(layout)
    random = np.random.default_rng(1)
    for _ in range(150):
        slot, memory = int(random.integers(CAPACITY)), int(random.integers(2))
        start = int(random.choice([0, 65000, int(random.integers(65000))]))
        data = random.bytes(int(random.integers(530)))
        for one in slices:
            one.write_memory(slot, start, data, memory)
        first, length = max(0, start - 20), min(600, 65536 - max(0, start - 20))
        wanted, got = (one.read_memory(slot, first, length, memory) for one in slices)
        assert wanted == got
        assert data in got
    for one in slices:
        one.write_state(3, layout.state_size - 13, b"thirteen bytes"[:13])
        assert one.read_state(3, layout.state_size - 14, 14) == b"\0thirteen byte"
        with pytest.raises(ArgumentError, match="outside the agent's memory"):
            one.read_memory(0, 65530, 7)


def test_columns_and_outputs(layout: AgentLayout) -> None:
    device, slices = both(layout)
    lengths = [(slot * 37) % 130 for slot in range(CAPACITY)]
    for one in slices:
        for slot, length in enumerate(lengths):
            one.write_state(slot, Ctx.OUT_LEN, length.to_bytes(8, "little"))
            one.stdout.write(100 * slot, bytes([slot]) * min(length, 100))
    for slots in ([5], [0, 1, 2], [69, 3, 3, 41], list(range(CAPACITY)), [], [0, 64]):
        chosen: Int64s = np.array(slots, np.int64)
        before = device.copies
        columns = [one.column(Ctx.OUT_LEN, chosen).tolist() for one in slices]
        assert columns == [[lengths[slot] for slot in slots]] * 2
        assert device.copies - before <= 1
        (data, counts), (other, other_counts) = (one.outputs(chosen) for one in slices)
        assert data.tobytes() == other.tobytes()
        assert counts.tolist() == other_counts.tolist()
        assert data.tobytes() == b"".join(bytes([s]) * min(lengths[s], 100) for s in slots)


def test_filling_resetting_and_snapshots(layout: AgentLayout) -> None:
    device, slices = both(layout)
    text = b"abcdefghijklmnopqrstuvwxyz"
    spans = np.array([(n % 5, 3 + n % 4) for n in range(CAPACITY)], np.int64)
    strings = Strings(np.frombuffer(text, np.uint8), spans)
    order = np.random.default_rng(2).permutation(CAPACITY)
    snapshots = []
    for one in slices:
        one.fill_memories(order, strings)
        for n, slot in enumerate(order.tolist()):
            start, length = spans[n].tolist()
            assert one.read_memory(slot, 0, 10) == text[start : start + length].ljust(10, b"\0")
        snapshots.append(one.snapshot(69))
        one.reset(np.array([1, *range(32, 69)]))
        assert one.memory_size(1) == one.memory_size(33) == 0
        assert one.memory_size(0) == one.memory_size(69) == 65536
        one.restore(33, snapshots[-1])
        assert one.read_memory(33, 0, 65536) == one.read_memory(69, 0, 65536)
        assert one.read_memory(33, 0, 65536, 1) == one.read_memory(69, 0, 65536, 1)
        assert one.column(Ctx.FLAGS, np.array([33])).tolist() == [FLAG_INSTANTIATED]
    assert snapshots[0] == snapshots[1]
    slices[0].restore(2, snapshots[1])
    assert slices[0].read_memory(2, 0, 65536) == slices[1].read_memory(69, 0, 65536)
    base = int.from_bytes(slices[1].read_state(33, layout.memories[0].base, 8), "little")
    assert base == slices[1].memories[0].address + layout.memory_place(
        layout.memories[0]).base(33)  # fmt: skip
    for one in slices:
        one.close()
    assert not device.allocations


def test_an_arena_holds_what_was_placed_twice() -> None:
    device = HostDevice()
    numbers, out = np.arange(100, dtype=np.int32), np.zeros(5, np.int64)

    def build(arena: Arena) -> int:
        return arena(np.array([arena(numbers), arena(out), arena(np.zeros(0))], np.uint64))

    measured = Arena()
    build(measured)
    arena = Arena.allocate(device, measured, "a test", Use())
    record = build(arena)
    arena.write(device)
    first, second, third = device.read(record, 24).view(np.uint64).tolist()
    assert arena.size == measured.size
    assert {first % 256, second % 256, third % 256} == {0}
    assert device.read(first, 400).view(np.int32).tolist() == list(range(100))
    device.write(second, np.arange(5, dtype=np.int64).view(np.uint8))
    arena.read(device, [out])
    assert out.tolist() == [0, 1, 2, 3, 4] and numbers.tolist() == list(range(100))

"""Bytes that are not an agent's are noticed when they change, wherever they lie."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from wasmtime import wat2wasm

from swarmc.ir.module import PAGE_SIZE, Module
from swarmc.ir.types import EntityId
from swarmc.runtime.compile import read_module, to_program
from swarmc.runtime.tools.differential import compare
from swarmc.runtime.tools.execution import AgentRun, Outcome, Script, State, Workload
from swarmc.runtime.tools.isolation import Isolation
from swarmc.targets.base import Slices
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions
from swarmc.targets.layout import AgentLayout

TEXT = """(module (memory (export "m") 1 3) (table $t 2 9 funcref) (global i32 (i32.const 7))
  (global $mutable (export "g") (mut i32) (i32.const 8))
  (data $d "abc")
  (func (export "f") (result i32)
    (drop (memory.grow (i32.const 0))) (drop (table.grow $t (ref.null func) (i32.const 0)))
    (data.drop $d) (global.set $mutable (i32.const 5)) (i32.const 1)))"""
AGENTS = 3


@dataclass
class Case:
    program: Module
    layout: AgentLayout
    slices: Slices
    isolation: Isolation

    def poke(self, slot: int, offset: int, data: bytes = b"\xee") -> None:
        self.slices.write_state(slot, offset, data)

    def poke_memory(self, slot: int, offset: int) -> None:
        """Write whatever the memory's size."""
        size = self.layout.memories[0].size
        before = self.slices.read_state(slot, size, 8)
        self.poke(slot, size, struct.pack("<Q", self.layout.memories[0].reserve))
        self.slices.write_memory(slot, offset, b"\xee")
        self.poke(slot, size, before)


@pytest.fixture
def case() -> Iterator[Case]:
    target, options = CpuTarget(), CompileOptions("cpu", opt_level=0)
    program = to_program(read_module(bytes(wat2wasm(TEXT))), options)
    kernel = target.load(target.compile(program, options), [])
    layout = kernel.executable.layout
    isolation = Isolation(program, layout, AGENTS)
    slices = kernel.allocate(isolation.capacity, 0)
    kernel.instantiate(slices, isolation.slots)
    isolation.prepare(slices)
    yield Case(program, layout, slices, isolation)
    slices.close()


def test_what_agents_may_write(case: Case) -> None:
    for slot in case.isolation.slots.tolist():
        case.poke(slot, case.layout.globals[EntityId(0, 1)], b"\xee" * 8)
        case.poke(slot, case.layout.dropped_data[EntityId(0, 0)])
        case.poke(slot, case.layout.tables[EntityId(0, 0)].elements, b"\xee" * 16)
        case.poke_memory(slot, 0)
        case.poke_memory(slot, PAGE_SIZE - 1)
    assert case.isolation.check(case.slices) == {}


POKES: dict[str, tuple[Callable[[Case], None], int, str]] = {
    "state of the idle slot before": (lambda c: c.poke(2, 40), 1, "idle neighbour: state block"),
    "state of the last idle slot": (lambda c: c.poke(6, 130), 2, "idle neighbour: state block"),
    "memory of an idle slot": (lambda c: c.poke_memory(4, 70_001), 2,
                               "idle neighbour: memory 0 changed at byte 0x11171"),
    "last byte of an idle slot": (
        lambda c: c.poke_memory(0, 3 * PAGE_SIZE - 1), 0, "idle neighbour: memory 0"),
    "constant global": (lambda c: c.poke(3, c.layout.globals[EntityId(0, 0)]), 1,
                        "constant byte"),
    "address of the memory": (lambda c: c.poke(5, c.layout.memories[0].base), 2, "constant byte"),
    "padding": (lambda c: c.poke(1, c.layout.state_size - 1), 0, "constant byte"),
    "memory beyond its size": (lambda c: c.poke_memory(3, PAGE_SIZE), 1,
                               "memory 0 of 65536 bytes was written at 0x10000"),
    "the end of what memory reserves": (
        lambda c: c.poke_memory(1, 3 * PAGE_SIZE - 1), 0, "was written at 0x2ffff"),
    "size of the memory": (
        lambda c: c.poke(1, c.layout.memories[0].size, struct.pack("<Q", 4 * PAGE_SIZE)), 0,
        "more than its 196608"),
    "element beyond the size": (
        lambda c: c.poke(1, c.layout.tables[EntityId(0, 0)].elements + 16), 0, "beyond its size"),
    "size of the table": (
        lambda c: c.poke(1, c.layout.tables[EntityId(0, 0)].size, b"\x0a"), 0, "more than its 9"),
}


@pytest.mark.parametrize("name", POKES)
def test_what_nobody_may_write(case: Case, name: str) -> None:
    poke, agent, message = POKES[name]
    poke(case)
    found = case.isolation.check(case.slices)
    assert list(found) == [agent]
    assert message in found[agent]


def test_it_is_a_mismatch() -> None:
    wanted = AgentRun([Outcome((1,))], State())
    got = AgentRun([Outcome((1,))], State(), "idle neighbour: memory 0 changed at byte 0x5")
    found = compare([wanted, wanted], [wanted, got], Workload((Script(()),) * 2), "cpu")
    assert found is not None
    assert str(found) == "cpu: isolation agent 1: idle neighbour: memory 0 changed at byte 0x5"

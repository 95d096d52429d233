"""The heap of an agent: hidden from everybody, zero where it is new, and finite."""

from __future__ import annotations

from swarmc.compiler.frontend.emitter import Emitter, Environment
from swarmc.compiler.frontend.heap import UNIT, Heap, allocate, round_up
from swarmc.compiler.frontend.ssa import Locals, Node
from swarmc.compiler.frontend.type_numbers import TypeNumbers
from swarmc.compiler.pipeline import optimise
from swarmc.ir import ops as o
from swarmc.ir.function import Block, Function
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import PAGE_SIZE, PROGRAM, Export, Memory, Module
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.spec_agent import Agent
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.layout import Ctx, plan_layout

TAKE = EntityId(0, 0)


def program(size: int) -> Module:
    """A function that takes bytes from a heap: their address, and the eight bytes there."""
    module = Module()
    heap = Heap(module, size)
    type_ = FuncType((Type.I64,), (Type.I64, Type.I64))
    function = Function(TAKE, module.intern(type_), type_)
    entry = Node(Block(), None, 0)
    size_value = entry.block.add_param(Type.I64)
    env = Environment(heap, TypeNumbers(module))
    em = Emitter(env, function, Locals([Type.I64], {}, entry), {})
    start = allocate(em, size_value, 7)
    there = em.value(o.LOAD, Type.I64, [start], (heap.memory, 0, 8, False, UNIT), 7)
    em.emit(o.STORE, Type.I64, [start, size_value], (heap.memory, 0, 8, UNIT), 7)
    em.terminate(o.RETURN, [start, there], 7)
    module.functions[TAKE] = function
    module.exports.append(Export("take", "func", TAKE))
    verify(module)
    return module


def test_objects_follow_one_another_until_the_heap_is_full() -> None:
    module = program(1)
    agent = Interpreter(module)
    assert agent.invoke(TAKE, (16,)).results == (UNIT, 0)
    assert agent.invoke(TAKE, (8,)).results == (UNIT + 16, 0)
    rest = PAGE_SIZE - UNIT - 24
    outcome = agent.invoke(TAKE, (rest + 8,))
    assert (outcome.trap, outcome.loc) == (Trap.HEAP_EXHAUSTED, 7)
    assert agent.invoke(TAKE, (rest,)).results == (UNIT + 24, 0)
    assert agent.invoke(TAKE, (8,)).trap is Trap.HEAP_EXHAUSTED
    assert agent.invoke(TAKE, (1 << 62,)).trap is Trap.HEAP_EXHAUSTED


def test_compiled_code_does_the_same() -> None:
    module = program(2 * PAGE_SIZE)
    optimise(module)
    agent = Agent(CpuTarget(), module, 2)
    try:
        assert agent.call("take", (PAGE_SIZE,)) == (UNIT, 0)
        assert agent.call("take", (64,)) == (UNIT + PAGE_SIZE, 0)
        assert agent.call("take", (PAGE_SIZE,)) is Trap.HEAP_EXHAUSTED
    finally:
        agent.close()


def test_the_heap_is_no_memory_of_the_module() -> None:
    module = program(PAGE_SIZE)
    layout = plan_layout(module)
    assert layout.visible_memories == () and len(layout.memories) == 1
    assert Ctx.MEM_BASE not in [slot.base for slot in layout.memories]
    own = EntityId(3, 0)
    module.memories[own] = Memory(own, 1, 1)
    heap = Heap(module, PAGE_SIZE)
    heap.finish()
    verify(module)
    layout = plan_layout(module)
    assert [slot.id for slot in layout.memories] == [own, EntityId(PROGRAM, 0)]
    assert [slot.id for slot in layout.visible_memories] == [own]
    assert layout.memories[0].base == Ctx.MEM_BASE


def test_sizes_are_rounded_up() -> None:
    assert [round_up(size) for size in (0, 1, 8, 9, 23, 24)] == [0, 8, 8, 16, 24, 24]

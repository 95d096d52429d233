"""Generates loops over arrays, and loops in loops, which the compiler tests as a whole."""

from __future__ import annotations

from ...compiler.wasm.opcodes import BY_NAME
from ...ir.module import PAGE_SIZE
from ...ir.types import Type
from .body_generator import BodyGenerator
from .generator_rows import NUMERIC, STORES, memarg

_I32 = Type.I32

_UPWARDS = ("ne", "ne", "lt_u", "lt_s", "le_u", "le_s")
_DOWNWARDS = ("ne", "ne", "gt_u", "gt_s", "ge_u", "ge_s")


def array_loop(g: BodyGenerator, depth: int) -> None:
    """A loop over an array: from an end of memory or any place, up or down, to a limit."""
    if not g.plan.memories:
        return
    memory = g.memory()
    t = g.plan.memories[memory].address
    index, type_ = g.new_local(t, hidden=True), g.choices.pick(NUMERIC)
    row = next(r for r in STORES if r.type is type_ and r.width * 8 == type_.bits)
    base = g.choices.below(0x1000)
    step = row.width * g.choices.pick((1, 1, 1, 2, -1))
    rounds = g.choices.pick((1, 3, 8, 20, 60))
    if g.choices.chance(1, 3):
        g.masked(0xFFFF, 1, type_=t)
    else:
        edge = g.choices.pick((0, 0, 0, PAGE_SIZE - base))
        g.const(t, edge + (0 if g.choices.chance(1, 2) else -step * g.choices.below(rounds + 1)))
    g.emit("local.set", index, pops=1)
    limit = g.new_local(t, hidden=True)
    g.emit("local.get", index, push=(t,))
    g.const(t, step * rounds + (1 if g.choices.chance(1, 16) else 0))
    g.emit(f"{t.value}.add", pops=2, push=(t,))
    g.emit("local.set", limit, pops=1)
    g.open("loop", (), ())

    def fill() -> None:
        g.emit("local.get", index, push=(t,))
        g.expr(type_, depth - 1)
        g.emit("local.get", index, push=(t,))
        g.emit_row(BY_NAME[f"{type_.value}.load"], memarg(g.choices, row, base, memory))
        lanes = "i16x8" if type_ is Type.V128 else type_.value
        g.emit(f"{lanes}.add", pops=2, push=(type_,))
        g.emit_row(row, memarg(g.choices, row, base, memory))
        g.emit("local.get", index, push=(t,))
        g.const(t, step)
        g.emit(f"{t.value}.add", pops=2, push=(t,))
        g.emit("local.tee", index, pops=1, push=(t,))
        g.emit("local.get", limit, push=(t,))
        compare = g.choices.pick(_UPWARDS if step > 0 else _DOWNWARDS)
        g.emit(f"{t.value}.{compare}", pops=2, push=(_I32,))
        g.emit("br_if", 0, pops=1)

    g.nested(fill)


def array_nest(g: BodyGenerator, depth: int) -> None:
    """Rows of words that something is added to from other rows, which may be the same."""
    if not g.plan.memories:
        return
    memory = g.memory()
    t = g.plan.memories[memory].address
    row, source, at, end, left, begin = (g.new_local(t, hidden=True) for _ in range(6))
    type_ = g.choices.pick((Type.I32, Type.F32, Type.F64))
    access = next(r for r in STORES if r.type is type_ and r.width * 8 == type_.bits)
    base = g.choices.below(0x100)
    step = access.width * g.choices.pick((1, 1, 1, 2, -1))
    width = step * g.choices.pick((1, 2, 5, 16))
    pitch = g.choices.pick((0, step, width, width, 128, -128))
    goes_on = g.choices.chance(1, 4)  # each row of the source begins where the last one ended

    def put(local: int, number: int, *, plus: int | None = None) -> None:
        g.const(t, number)
        if plus is not None:
            g.emit("local.get", plus, push=(t,))
            g.emit(f"{t.value}.add", pops=2, push=(t,))
        g.emit("local.set", local, pops=1)

    def move(local: int, amount: int) -> None:
        g.emit("local.get", local, push=(t,))
        g.const(t, amount)
        g.emit(f"{t.value}.add", pops=2, push=(t,))
        g.emit("local.set", local, pops=1)

    def again(first: int, second: int) -> None:
        g.emit("local.get", first, push=(t,))
        g.emit("local.get", second, push=(t,))
        g.emit(f"{t.value}.{g.choices.pick(('ne', 'ne', 'ne', 'lt_u', 'gt_s'))}", pops=2,
               push=(_I32,))
        g.emit("br_if", 0, pops=1)

    def element() -> None:
        g.emit("local.get", at, push=(t,))
        for local in (at, source):
            g.emit("local.get", local, push=(t,))
            g.emit_row(BY_NAME[f"{type_.value}.load"], memarg(g.choices, access, base, memory))
        g.emit(f"{type_.value}.add", pops=2, push=(type_,))
        if g.choices.chance(1, 4):
            g.expr(type_, 1)
            g.emit(f"{type_.value}.mul", pops=2, push=(type_,))
        g.emit_row(access, memarg(g.choices, access, base, memory))
        move(source, access.width)
        move(at, step)
        again(at, end)

    def rows() -> None:
        put(at, 0, plus=row)
        put(end, width, plus=row)
        if not goes_on:
            put(source, 0, plus=begin)
            move(begin, g.choices.pick((0, access.width, pitch, 128)))
        g.open("loop", (), ())
        g.nested(element)
        move(row, pitch)
        move(left, -1)
        put(at, 0)
        again(left, at)

    put(begin, g.choices.pick((0, 512, 2048, 4096, 5000, 8192, PAGE_SIZE - base - 300)))
    put(row, g.choices.pick((0, 1024, 1100, 2048, 4096, 9000, PAGE_SIZE - base - 512)))
    put(source, g.choices.pick((0, 512, 1024, 2048, 6000, 7000, PAGE_SIZE - base - 256)))
    put(left, g.choices.pick((1, 2, 4, 9)))
    g.open("loop", (), ())
    g.nested(rows)

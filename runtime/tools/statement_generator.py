"""Generates statements for a body: control flow, stores, calls, bulk operations and idioms.

Loops mostly count down a local of their own, and calls a global, so that programs end before
their fuel does and their results can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.wasm.types import FuncType, ValueType
from ...ir.types import Type
from .array_generator import array_loop, array_nest
from .body_generator import BodyGenerator, Kinds, Statement
from .bulk_generator import elements, memory_bulk, memory_grow, table_bulk, table_set
from .choices import Choices, WeightedTable
from .exception_generator import THROWS, make_try_table
from .generator_plan import Frame
from .generator_rows import LOADS, NUMERIC, STORES
from .object_generator import OBJECTS
from .productions import productions
from .reference_generator import REFERENCES

_I32 = Type.I32


def statements(g: BodyGenerator, count: int, depth: int) -> None:
    """Generate up to ``count`` statements in the innermost construct.

    Args:
        depth: how deep expressions and constructs nest.
    """
    for _ in range(count):
        if g.size <= 0 or (g.frames[-1].dead and not g.choices.chance(1, 3)):
            break
        g.choices.weighted(g.kinds.statements)(g, depth)


def _any_type(g: BodyGenerator) -> ValueType:
    return g.choices.pick(g.plan.refs) if g.choices.chance(1, 8) else g.choices.pick(NUMERIC)


def _some_types(g: BodyGenerator, most: int) -> list[ValueType]:
    return [_any_type(g) for _ in range(g.choices.below(most + 1))]


def _inner(g: BodyGenerator, depth: int) -> None:
    statements(g, g.choices.below(5), depth - 1)


# Values.

def _set_local(g: BodyGenerator, depth: int) -> None:
    type_ = _any_type(g)
    g.operands((type_,), depth)
    g.emit("local.set", g.local_of(type_), pops=1)


def _set_global(g: BodyGenerator, depth: int) -> None:
    type_ = _any_type(g)
    if (index := g.global_of(type_, mutable=True)) is not None:
        g.operands((type_,), depth)
        g.emit("global.set", index, pops=1)


def _leave(g: BodyGenerator, depth: int) -> None:
    g.expr(_any_type(g), depth)


def _drop(g: BodyGenerator, depth: int) -> None:
    g.operands((_any_type(g),), depth)
    g.emit("drop", pops=1)


def _nop(g: BodyGenerator, depth: int) -> None:
    g.emit("nop")


def _store(g: BodyGenerator, depth: int) -> None:
    if not g.plan.memories:
        return
    row, memory = g.choices.pick(STORES), g.memory()
    g.access(row, g.address(memory, row.width, depth), memory, depth)


# Control flow.

def _construct(g: BodyGenerator, depth: int) -> None:
    name = g.choices.pick(("block", "if", "loop"))
    params, results = _some_types(g, 2), _some_types(g, 3)
    g.operands(params, depth)
    if name == "if":
        g.expr(_I32, depth)
    g.open(name, params, results)

    def fill() -> None:
        _inner(g, depth)
        if name == "if" and (params != results or not g.choices.chance(1, 2)):
            g.orelse(params)
            _inner(g, depth)

    g.nested(fill)


def _counted_loop(g: BodyGenerator, depth: int) -> None:
    counter = g.new_local(_I32, hidden=True)
    if g.choices.chance(1, 3):
        g.masked(15, depth)
    else:
        g.i32(1 + g.choices.below(8))
    g.emit("local.set", counter, pops=1)
    params, results = _some_types(g, 2), _some_types(g, 2)
    g.operands(params, depth)
    g.open("loop", params, results)

    def fill() -> None:
        _inner(g, depth)
        for type_ in params:
            g.expr(type_, 1)
        g.emit("local.get", counter, push=(_I32,))
        g.i32(1)
        g.emit("i32.sub", pops=2, push=(_I32,))
        g.emit("local.tee", counter, pops=1, push=(_I32,))
        g.emit("br_if", 0, pops=1)

    g.nested(fill)


def _target(g: BodyGenerator) -> int:
    """A label to branch to; seldom one of a loop, which might not end."""
    labels = [n for n, frame in enumerate(reversed(g.frames))
              if not frame.loop or g.choices.chance(1, 64)]
    return g.choices.pick(labels or [len(g.frames) - 1])


def _frame(g: BodyGenerator, label: int) -> Frame:
    return g.frames[-1 - label]


def _br(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    label = _target(g)
    g.operands(_frame(g, label).labels, depth)
    g.emit("br", label)
    g.kill()


def _br_if(g: BodyGenerator, depth: int) -> None:
    label = _target(g)
    types = _frame(g, label).labels
    g.operands((*types, _I32), depth)
    g.emit("br_if", label, pops=1 + len(types), push=types)


def _br_table(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    default = _target(g)
    types = _frame(g, default).labels
    fitting = [n for n, frame in enumerate(reversed(g.frames))
               if frame.labels == types and (n == default or not frame.loop)]
    count = g.choices.below(30) if g.choices.chance(1, 8) else g.choices.below(6)
    labels = tuple(g.choices.pick(fitting) for _ in range(count))
    g.operands((*types, _I32), depth)
    if not g.choices.chance(1, 4):
        g.i32(7)
        g.emit("i32.and", pops=2, push=(_I32,))
    g.emit("br_table", (labels, default))
    g.kill()


def _return(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    g.operands(g.frames[0].ends, depth)
    g.emit("return")
    g.kill()


def _unlikely(g: BodyGenerator, depth: int) -> None:
    """Trap if an expression has one special value."""
    g.expr(_I32, depth)
    g.i32(g.choices.pick((0, 1, 7, -1)))
    g.emit("i32.eq", pops=2, push=(_I32,))
    g.open("if", (), ())

    def fill() -> None:
        g.emit("unreachable")
        g.kill()

    g.nested(fill)


def _call(g: BodyGenerator, depth: int) -> None:
    rare = g.choices.chance(1, 40)
    callees = range(len(g.plan.functions)) if rare else g.plan.callees
    if not callees:
        return
    callee = g.choices.pick(callees)
    type_ = g.plan.functions[callee]
    g.operands(type_.params, depth - 1)
    g.emit("call", callee, pops=len(type_.params), push=type_.results)


def _return_call(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    rare = g.choices.chance(1, 40)
    fitting = [n for n in (range(len(g.plan.functions)) if rare else g.plan.callees)
               if g.plan.functions[n].results == g.frames[0].ends]
    if not fitting:
        return
    callee = g.choices.pick(fitting)
    g.operands(g.plan.functions[callee].params, depth - 1)
    g.emit("return_call", callee)
    g.kill()


def _call_indirect(g: BodyGenerator, depth: int) -> None:
    chosen = _callee_in_table(g)
    if chosen is None:
        return
    table, slot, type_ = chosen
    imm = _indirect_operands(g, table, slot, type_, depth)
    g.emit("call_indirect", imm, pops=1 + len(type_.params), push=type_.results)


def _return_call_indirect(g: BodyGenerator, depth: int) -> None:
    if len(g.frames) == 1 and not g.choices.chance(1, 8):
        return
    chosen = _callee_in_table(g, g.frames[0].ends)
    if chosen is None:
        return
    table, slot, type_ = chosen
    g.emit("return_call_indirect", _indirect_operands(g, table, slot, type_, depth))
    g.kill()


def _callee_in_table(g: BodyGenerator, results: tuple[ValueType, ...] | None = None
                     ) -> tuple[int, int, FuncType] | None:
    """A table, an element, and the type to call it by, which is seldom not its own.

    Args:
        results: that the type must have; None: any.
    """
    tables = [n for n, table in enumerate(g.plan.tables) if table.element is Type.FUNCREF]
    if not tables:
        return None
    table = g.choices.pick(tables)
    functions, types = g.plan.functions, g.plan.types
    slots = [(n, f) for n, f in enumerate(g.plan.slots[table])
             if f is not None and results in (None, functions[f].results)]
    slot, callee = g.choices.pick(slots) if slots else (0, 0)
    type_ = functions[callee]
    if g.choices.chance(1, 32) or (results is not None and not slots):
        fitting = [t for t in types if results in (None, t.results)]
        if not fitting:
            return None
        type_ = g.choices.pick(fitting)
    return table, slot, type_


def _indirect_operands(g: BodyGenerator, table: int, slot: int, type_: FuncType, depth: int
                       ) -> tuple[int, int]:
    """Push arguments and an index near a table's slot; the immediate of the call."""
    g.operands(type_.params, depth - 1)
    kind, index = g.choices.below(32), g.plan.tables[table].indices
    if kind < 20:
        g.const(index, slot)
    elif kind < 29:  # one of several elements, so that the callee is not known
        g.limited(index, 1, depth - 1)
        g.const(index, slot & ~1)
        g.emit(f"{index.value}.or", pops=2, push=(index,))
    else:
        g.masked(15, depth - 1, 4, index)
    return g.plan.type_index(type_), table


# Idioms that compilers emit and optimisers look for.

def _same_base(g: BodyGenerator, depth: int) -> None:
    """Several accesses through one pointer, whose checks may be merged."""
    if not g.plan.memories:
        return
    memory = g.memory()
    t = g.plan.memories[memory].address
    pointer = g.local_of(t)
    if g.choices.chance(1, 2):
        g.masked(0xFFFF, depth, type_=t)
        g.emit("local.set", pointer, pops=1)
    for _ in range(2 + g.choices.below(4)):
        _access(g, pointer, memory, g.choices.pick((0, 4, 8, 12, 3, 64, 0xFF8)), depth)


def _access(g: BodyGenerator, pointer: int, memory: int, offset: int, depth: int) -> None:
    """Load or store through a pointer: an address of the memory, or an i32."""
    g.emit("local.get", pointer, push=(g.locals[pointer],))
    if g.locals[pointer] is _I32:
        g.widen(g.plan.memories[memory].address)
    if g.choices.chance(1, 2):
        g.access(g.choices.pick(STORES), offset, memory, depth - 1)
    else:
        type_ = g.choices.pick(NUMERIC)
        g.access(g.choices.pick(LOADS[type_]), offset, memory, depth - 1)
        g.emit("local.set", g.local_of(type_), pops=1)


def _stack_frame(g: BodyGenerator, depth: int) -> None:
    """Lower the stack pointer, use the frame, raise it again."""
    if not g.plan.memories:
        return
    frame = g.new_local(_I32, hidden=True)
    size = g.choices.pick((16, 32, 80))
    g.emit("global.get", g.plan.pointer, push=(_I32,))
    g.i32(size)
    g.emit("i32.sub", pops=2, push=(_I32,))
    g.emit("local.tee", frame, pops=1, push=(_I32,))
    g.emit("global.set", g.plan.pointer, pops=1)
    for _ in range(1 + g.choices.below(3)):
        _access(g, frame, 0, g.choices.below(size), depth)
    if g.choices.chance(1, 2):
        _call(g, depth)
    g.emit("local.get", frame, push=(_I32,))
    g.i32(size)
    g.emit("i32.add", pops=2, push=(_I32,))
    g.emit("global.set", g.plan.pointer, pops=1)


_VALUES: Sequence[tuple[int, Statement]] = (
    (2, _nop), (8, _set_local), (6, _set_global), (8, _store), (3, _leave), (1, _drop),
    (3, memory_bulk), (1, memory_grow), (2, table_set), (2, table_bulk), (2, elements),
    (2, _same_base),
)
#: Statements without calls, loops or branches.
CALM = Kinds(WeightedTable(_VALUES), productions)
_ALL: Sequence[tuple[int, Statement]] = (
    *_VALUES, (5, _construct), (4, _counted_loop), (2, _br), (4, _br_if), (2, _br_table),
    (1, _return), (1, _unlikely), (4, _call), (3, _call_indirect), (1, _stack_frame),
    (1, array_loop), (1, array_nest), (1, _return_call), (1, _return_call_indirect),
    *REFERENCES, *OBJECTS, *THROWS, (2, make_try_table(_inner)),
)


def kinds_of_module(choices: Choices) -> Kinds:
    """The statements of one module: all, or a mixture of its own with some kinds left out.

    Modules that lack most kinds have much more of the others, which finds what the average hides.
    """
    if not choices.chance(1, 2):
        return Kinds(WeightedTable(_ALL), productions)
    mixed = [(weight * choices.pick((1, 0, 2, 6)), kind) for weight, kind in _ALL]
    return Kinds(WeightedTable([(1, _nop), *mixed]), productions)

"""A function under translation: operand stack, current block, and the fuel of its region.

A *region* is straight-line code that is charged as a whole, by one ``charge`` at its beginning.
Its cost is known only at its end; so the charge is put in then, and so is ``prepaid``, the part
of the charge that lies after an instruction that may trap.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...ir import ops as o
from ...ir.builder import RESULT_TYPE
from ...ir.function import NO_EDGES, Edge, Function, Inst, Value
from ...ir.module import Global, Memory, Table
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType, Trap, Type
from .ssa import Locals, Node

if TYPE_CHECKING:
    from .control import Frame
    from .heap import Heap
    from .objects import ObjectLayout
    from .type_numbers import TypeNumbers


class TagInfo(NamedTuple):
    """A tag: its number in the program, and the types of what an exception with it carries."""

    number: int
    types: tuple[Type, ...]


@dataclass(slots=True)
class Environment:
    """What function bodies refer to by index, imports first, as they are known in the IR.

    Attributes:
        heap: that of the program. numbers: those of types in it.
        objects: numbers of struct and array types. layouts: how their objects lie on the heap.
        types: the IR's types of the module's function types; sigs: their numbers in the program.
        function_types: index into ``types`` of every function.
        data_sizes: bytes of each data segment before it is dropped.
        elements: element segments that arrays are made of, as bytes to copy to the heap, and the
            global (i64) that says how many there are, 0 once they are dropped.
        hosts: functions of the host.
    """

    heap: Heap
    numbers: TypeNumbers
    hosts: Container[EntityId] = ()
    objects: dict[int, int] = field(default_factory=dict)
    layouts: dict[int, ObjectLayout] = field(default_factory=dict)
    types: dict[int, FuncType] = field(default_factory=dict)
    sigs: dict[int, int] = field(default_factory=dict)
    functions: list[EntityId] = field(default_factory=list)
    function_types: list[int] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    data: list[EntityId] = field(default_factory=list)
    data_sizes: list[int] = field(default_factory=list)
    elements: dict[int, tuple[EntityId, EntityId]] = field(default_factory=dict)
    elems: list[EntityId] = field(default_factory=list)
    tags: list[TagInfo] = field(default_factory=list)


class Emitter:
    """Appends instructions to the current block of a function.

    Attributes:
        env: what indices refer to.
        function: what is built.
        stack: operand stack, of the whole function.
        frames: control stack, the function's own frame first.
        node, insts, defs: the current block: its node, instructions and locals.
        loop_ends: byte offset of each loop's end, by that of its beginning.
        live: whether there is a current block; if not, the code at hand cannot be reached.
        cost: fuel of the region so far, the instruction at hand included.
        catching: the innermost open ``try_table`` that has clauses.
    """

    __slots__ = ("_region", "_traps", "catching", "cost", "defs", "env", "frames", "function",
                 "insts", "live", "locals", "loop_ends", "node", "stack")

    def __init__(self, env: Environment, function: Function, locals_: Locals,
                 loop_ends: dict[int, int]) -> None:
        self.env = env
        self.function = function
        self.locals = locals_
        self.loop_ends = loop_ends
        self.stack: list[Value] = []
        self.frames: list[Frame] = []
        self.catching: Frame | None = None
        self.cost = 0
        self._region = 0
        self._traps: list[tuple[Inst, int]] = []
        self.begin_block(locals_.entry)

    def begin_block(self, node: Node) -> None:
        """Make a node's block the current one, and begin a region."""
        self.node = node
        self.insts = node.block.insts
        self.defs = node.defs
        self.live = True
        self.function.blocks.append(node.block)
        self._region = len(self.insts)

    def end_region(self) -> None:
        """Charge the region that ends here, and begin the next one."""
        cost = self.cost
        if cost:
            self.insts.insert(self._region, Inst(o.CHARGE, None, [], (cost,)))
            self.cost = 0
        if self._traps:
            for inst, so_far in self._traps:
                inst.prepaid = cost - so_far
            self._traps.clear()
        self._region = len(self.insts)

    def fuel_check(self, loc: int) -> None:
        """End the agent here if its fuel is used up. All that was executed must be charged."""
        self.insts.append(Inst(o.FUEL_CHECK, None, [], (), NO_EDGES, loc))
        self._region = len(self.insts)

    def emit(self, op: Op, type_: Type | None, args: list[Value], attrs: tuple[Any, ...],
             loc: int) -> Inst:
        """Append an instruction that has no results (yet)."""
        inst = Inst(op, type_, args, attrs, NO_EDGES, loc)
        self.insts.append(inst)
        return inst

    def emit_trapping(self, op: Op, type_: Type | None, args: list[Value],
                      attrs: tuple[Any, ...], loc: int) -> None:
        """Append an instruction without results that may trap: its ``prepaid`` is kept right."""
        inst = Inst(op, type_, args, attrs, NO_EDGES, loc)
        self.insts.append(inst)
        self._traps.append((inst, self.cost))

    def value(self, op: Op, type_: Type | None, args: list[Value], attrs: tuple[Any, ...],
              loc: int) -> Value:
        """Append an instruction with one result, and return the result."""
        inst = Inst(op, type_, args, attrs, NO_EDGES, loc)
        value = Value(RESULT_TYPE[op] or type_, inst)  # type: ignore[arg-type]
        inst.results = (value,)
        self.insts.append(inst)
        return value

    def const(self, type_: Type, bits: int, loc: int) -> Value:
        """Append a constant."""
        return self.value(o.CONST, type_, [], (bits,), loc)

    def trap_if(self, condition: Value, trap: Trap, loc: int) -> None:
        """Append a check."""
        self.emit_trapping(o.TRAP_IF, None, [condition], (trap,), loc)

    def terminate(self, op: Op, args: list[Value], loc: int, edges: tuple[Edge, ...] = (),
                  attrs: tuple[Any, ...] = ()) -> None:
        """End the region and the block; what follows cannot be reached until a block begins."""
        self.end_region()
        self.insts.append(Inst(op, None, args, attrs, edges, loc))
        self.live = False

    def pop_many(self, count: int) -> list[Value]:
        """Take the topmost operands off the stack, in the order in which they were pushed."""
        if not count:
            return []
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

"""Generates function bodies: typed expressions on an operand stack that is tracked throughout.

Instructions of which the table knows the types are drawn from the table, so that a new row is
reached by itself. Values that earlier statements left on the stack are used as operands at
times; code after a branch is generated too, on its polymorphic stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...compiler.wasm.opcodes import BY_NAME, Opcode
from ...compiler.wasm.types import (
    FuncType,
    Heap,
    RefType,
    ValueType,
    heap_matches,
    heap_type,
    is_defaultable,
    is_nullable,
    lower_type,
    ref_type,
)
from ...ir.module import PAGE_SIZE
from ...ir.types import Type
from .choices import Choices, WeightedTable
from .edge_values import edge_value
from .generator_plan import Frame, Plan
from .generator_rows import FAR, NUMERIC, memarg
from .tracked_body import TrackedBody

Statement = Callable[["BodyGenerator", int], None]
Production = Callable[["BodyGenerator", ValueType, int], None]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The statements to choose from, and the ways to make a value of a type."""

    statements: WeightedTable[Statement]
    productions: Callable[[ValueType], WeightedTable[Production]]


class BodyGenerator(TrackedBody):
    """Generates one function.

    Args:
        size: about how many instructions; the end of a construct may add some.
        kinds: what to choose from.
    """

    def __init__(self, choices: Choices, plan: Plan, type_: FuncType, size: int,
                 kinds: Kinds) -> None:
        super().__init__(type_, size)
        self.choices, self.plan, self.kinds = choices, plan, kinds
        self.floor = 0  # operands below it belong to an instruction that is being built

    # Operands and expressions.

    def operands(self, types: Sequence[ValueType], depth: int) -> None:
        """Bring operands of these types on top of the stack."""
        frame = self.frames[-1]
        if frame.dead and len(self.stack) == frame.base and self.choices.chance(1, 2):
            types = types[self.choices.below(len(types) + 1) :]  # the rest comes from nowhere
        for type_ in types[self._reusable(types) :]:
            self.expr(type_, depth)

    def _reusable(self, types: Sequence[ValueType]) -> int:
        """How many of the operands to take from what lies on the stack."""
        low = max(self.floor, self.frames[-1].base)
        for count in range(min(len(types), len(self.stack) - low), 0, -1):
            if self.stack[-count:] == list(types[:count]) and self.choices.chance(3, 4):
                return count
        return 0

    def expr(self, type_: ValueType, depth: int) -> None:
        """Push one value of a type."""
        saved, self.floor = self.floor, len(self.stack)
        if depth <= 0 or self.size <= 0:
            self.leaf(type_)
        else:
            self.choices.weighted(self.kinds.productions(type_))(self, type_, depth - 1)
        self.floor = saved

    def leaf(self, type_: ValueType) -> None:
        """Push a constant, a local or a global."""
        kind = self.choices.below(8)
        if kind >= 3 and is_defaultable(type_):  # others are read only where they are set
            candidates = [n for n, t in enumerate(self.locals) if t is type_]
            if candidates:
                self.emit("local.get", self.choices.pick(candidates), push=(type_,))
                return
        if kind == 2:
            if (index := self.global_of(type_)) is not None:
                self.emit("global.get", index, push=(type_,))
                return
        if lower_type(type_) is Type.ANYREF:
            self._inside_leaf(type_)
        elif isinstance(type_, RefType):
            self._typed_leaf(type_)
        elif type_ in NUMERIC:
            hints = self.plan.hints.get(type_)
            if hints and kind == 1:
                self.const(type_, self.choices.pick(hints))
            else:
                self.const(type_, edge_value(self.choices, lower_type(type_)))
        elif type_ is Type.FUNCREF and self.plan.referable and self.choices.chance(1, 2):
            self.emit("ref.func", self.choices.pick(self.plan.referable), push=(type_,))
        else:
            self.emit("ref.null", type_, push=(type_,))

    def _typed_leaf(self, type_: RefType) -> None:
        """Push a function, or null, of a type that is not among the four simple ones."""
        functions = self.plan.functions_of(type_)
        if functions and not (type_.nullable and self.choices.chance(1, 8)):
            self.emit("ref.func", self.choices.pick(functions), push=(type_,))
            return
        self.emit("ref.null", ref_type(True, type_.heap), push=(type_,))
        if not type_.nullable:
            self.emit("ref.as_non_null", pops=1, push=(type_,))

    def _inside_leaf(self, type_: ValueType) -> None:
        """Push a reference of the inside's hierarchy, as simple as there is one."""
        heap = heap_type(type_)
        made = next((made for made in self.plan.objects if heap_matches(made, heap)), None)
        integer = heap in (Heap.I31, Heap.EQ, Heap.ANY)
        if (made is None and not integer) or (is_nullable(type_) and self.choices.chance(1, 3)):
            self.emit("ref.null", ref_type(True, heap), push=(type_,))
            if not is_nullable(type_):
                self.emit("ref.as_non_null", pops=1, push=(type_,))
        elif made is None or integer:
            self.i32(self.choices.pick((0, 1, -1, 0x3FFFFFFF, 0x40000000)))
            self.emit("ref.i31", pops=1, push=(type_,))
        elif made.kind is Heap.STRUCT:
            self.emit("struct.new_default", self.plan.objects.index(made), push=(type_,))
        else:
            self.i32(8)
            self.emit("array.new_default", self.plan.objects.index(made), pops=1, push=(type_,))

    def global_of(self, type_: ValueType, *, mutable: bool = False) -> int | None:
        """A global of a type; never the call budget where it is to be written."""
        candidates = [
            n for n, (t, m) in enumerate(self.plan.globals)
            if t is type_ and (m or not mutable) and not (mutable and n == self.plan.budget)
        ]
        return self.choices.pick(candidates) if candidates else None

    def local_of(self, type_: ValueType) -> int:
        """A local of a type that may be written; a new one if there is none, or at times."""
        candidates = [n for n, t in enumerate(self.locals) if t is type_ and n not in self.hidden]
        if not candidates or self.choices.chance(1, 10):
            return self.new_local(type_)
        return self.choices.pick(candidates)

    # Addresses.

    def memory(self) -> int:
        """One of the memories, of which there is one at least."""
        return self.choices.below(len(self.plan.memories))

    def address(self, memory: int, width: int, depth: int) -> int:
        """Push an address and give the offset immediate to go with it."""
        pages, t = self.plan.memories[memory]
        size = pages * PAGE_SIZE
        kind = self.choices.below(80)
        if kind < 30:
            self.limited(t, self.choices.pick((0xFF, 0xFFF, 0x7FF8, 0x7FFF)), depth)
            return self.choices.pick((0, 1, 4, 8, 13, 255, 0x1000, 0x7F00))
        if kind < 74:
            self.const(t, self.choices.below(min(size, 1 << 12)) if size else 0)
            return self.choices.pick((0, 1, 2, 3, 4, 8, 16, 100))
        if kind < 78:  # around the end of memory
            offset = self.choices.pick((0, 1, width, 64, 0xFFF))
            past = (1, 7) if self.choices.chance(1, 6) else (0, -1, -7)
            self.const(t, size - width - offset + self.choices.pick(past))
            return offset
        if kind == 78:
            self.expr(t, depth)
            return self.choices.pick((0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, *FAR[t]))
        self.const(t, self.choices.pick((-1, -4, -8, 0x7FFFFFFF, *FAR[t], size)))
        return self.choices.pick((0, 1, 4, 8, *FAR[t]))

    def access(self, row: Opcode, offset: int, memory: int, depth: int) -> None:
        """Load or store at the address on the stack; what is stored, or stays, comes first."""
        assert row.params is not None
        for type_ in row.params[1:]:
            self.expr(type_, depth)
        self.emit_row(row, memarg(self.choices, row, offset, memory))

    def limited(self, type_: Type, mask: int, depth: int) -> None:
        """Push an integer that is at most ``mask``."""
        self.expr(type_, depth)
        self.const(type_, mask)
        self.emit(f"{type_.value}.and", pops=2, push=(type_,))

    def masked(self, mask: int, depth: int, wild: int = 40, type_: Type = Type.I32) -> None:
        """Push an integer that is at most ``mask``, or in 1 of ``wild`` cases any."""
        if self.choices.chance(1, wild):
            self.expr(type_, depth)
        else:
            self.limited(type_, mask, depth)

    def widen(self, type_: Type) -> None:
        """Make the i32 on the stack an address or index of a type."""
        if type_ is Type.I64:
            self.emit("i64.extend_i32_u", pops=1, push=(Type.I64,))

    # Frames.

    def block_type(self, params: Sequence[ValueType],
                   results: Sequence[ValueType]) -> FuncType | int:
        """The immediate of a block of this type, in the short form where there is one."""
        type_ = FuncType(tuple(params), tuple(results))
        short = not params and len(results) <= 1
        if short and not self.choices.chance(1, 8):
            return type_
        return self.plan.type_index(type_)

    def open(self, name: str, params: Sequence[ValueType], results: Sequence[ValueType]) -> Frame:
        """Open a construct; its parameters (and an if's condition) lie on the stack."""
        imm = self.block_type(params, results)
        self.raw(BY_NAME[name], imm)
        if name == "if":
            self.pop(1)
        self.pop(len(params))
        loop = name == "loop"
        labels = tuple(params) if loop else tuple(results)
        frame = Frame(labels, tuple(results), len(self.stack), loop)
        self.frames.append(frame)
        self.stack.extend(params)
        return frame

    def orelse(self, params: Sequence[ValueType]) -> None:
        """Go on with the else of the innermost if."""
        frame = self.frames[-1]
        self.settle()
        self.raw(BY_NAME["else"])
        del self.stack[frame.base :]
        self.stack.extend(params)
        frame.dead = False

    def close(self) -> None:
        """Bring the results in place and end the innermost construct."""
        self.settle()
        frame = self.frames.pop()
        self.raw(BY_NAME["end"])
        del self.stack[frame.base :]
        self.stack.extend(frame.ends)

    def settle(self) -> None:
        """Make the innermost construct's operands its results."""
        frame = self.frames[-1]
        self.floor = frame.base
        wanted = [] if frame.dead and self.choices.chance(1, 2) else list(frame.ends)
        keep = 0
        while (keep < len(wanted) and frame.base + keep < len(self.stack)
               and self.stack[frame.base + keep] is wanted[keep]):
            keep += 1
        while len(self.stack) > frame.base + keep:
            self.dispose()
        for type_ in wanted[keep:]:
            self.expr(type_, 1)

    def dispose(self) -> None:
        """Take the top of the stack away: into a local, a global, or nowhere."""
        type_ = self.stack[-1]
        if type_.is_ref:
            type_ = ref_type(True, heap_type(type_))  # only such a local can always be read
        kind = self.choices.below(4)
        if kind == 1 and (index := self.global_of(type_, mutable=True)) is not None:
            self.emit("global.set", index, pops=1)
        elif kind >= 2:
            self.emit("local.set", self.local_of(type_), pops=1)
        else:
            self.emit("drop", pops=1)

    def kill(self) -> None:
        """What follows in the innermost construct is unreachable."""
        frame = self.frames[-1]
        del self.stack[frame.base :]
        frame.dead = True

    def nested(self, fill: Callable[[], None]) -> None:
        """Fill the innermost construct, with the protection of operands saved."""
        saved, self.floor = self.floor, self.frames[-1].base
        fill()
        self.close()
        self.floor = saved

"""Lower one IR function to LLVM IR text.

The text is written directly: building it as objects first is several times slower. Remaining
fuel is an SSA value that each block gets by a phi; call depth is a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir import exceptions
from ...ir.analysis.cfg import reverse_postorder
from ...ir.function import Block, Function, Inst, Value
from ...ir.ops import CONST
from ...ir.types import EntityId, Trap, Type
from ..layout import NO_POSITION, MemorySlot
from .convention import Convention
from .program_emitter import ProgramEmitter
from .types import LLVM_TYPES, constant
from .unrolling import repeating_long_loops

#: Alias classes of an agent's state and of linear memory; see :mod:`.state_ops`.
STATE = "!tbaa !2"
MEMORY = "!tbaa !3"

#: An op's emitter writes the text of one instruction.
Emitter = Callable[["FunctionEmitter", Inst], None]


class FunctionEmitter:
    """Writes one function. Emitters use its methods; see :mod:`.ops`."""

    def __init__(self, program: ProgramEmitter, function: Function) -> None:
        self.program = program
        self.function = function
        self.abi = program.abi
        self.lines: list[str] = []
        self.cold: list[str] = []  # trap blocks, placed after everything else
        self.names: dict[Value, str] = {}
        self.bools: dict[Value, str] = {}  # i1 form of comparison results
        self.widened: dict[Value, str] = {}  # i64 form of i32 addresses, in this block
        self.fuel = "%fuel"
        self.access = MEMORY  # what is known of the access to memory that is being written
        self.regions: dict[int, str] = {}  # what is known of those that keep to a region
        self.label = "entry"
        self._traps: list[tuple[str, int, str]] = []  # label, status and fuel where one is
        self._counter = 0
        self._prologue: dict[str, str] = {}  # expression -> name, computed once at entry
        self._repeats = False
        self._numbers = {block: n for n, block in enumerate(function.blocks)}
        self._incoming: dict[Block, list[tuple[str, str, list[Value]]]] = {
            block: [] for block in function.blocks
        }
        # What the first edge between two labels passes. A br_table may have 100,000 edges.
        self._passed: dict[tuple[str, str], list[Value]] = {}
        self._long_loops: set[Inst] = set()

    @property
    def convention(self) -> Convention:
        """How the function returns."""
        return self.program.body_of(self.function.id)[1]

    # What emitters call.

    def line(self, text: str) -> None:
        self.lines.append(text)

    def fresh(self) -> str:
        """A new local name."""
        self._counter += 1
        return f"%x{self._counter}"

    def assign(self, expression: str) -> str:
        """Write ``name = expression`` and return the name."""
        self._counter += 1
        name = f"%x{self._counter}"
        self.lines.append(f"{name} = {expression}")
        return name

    def at_entry(self, expression: str) -> str:
        """Name of an expression that is computed once, when the function is entered."""
        name = self._prologue.get(expression)
        if name is None:
            name = self._prologue[expression] = f"%e{len(self._prologue)}"
        return name

    def name(self, value: Value) -> str:
        """Operand text of a value, without its type."""
        name = self.names.get(value)
        if name is None:
            definition = value.definition
            if isinstance(definition, Inst) and definition.op is CONST:
                name = constant(value.type, definition.attrs[0])
            else:
                self._counter += 1
                name = f"%x{self._counter}"
            self.names[value] = name
        return name

    def operand(self, value: Value) -> str:
        """Operand text with its type."""
        return f"{LLVM_TYPES[value.type]} {self.name(value)}"

    def define(self, inst: Inst, expression: str) -> None:
        """Write the instruction's only result."""
        self.lines.append(f"{self.name(inst.results[0])} = {expression}")

    def condition(self, value: Value) -> str:
        """An i1 that is true when an i32 value is not 0."""
        name = self.bools.get(value)
        if name is None:
            return self.assign(f"icmp ne i32 {self.name(value)}, 0")
        return name

    def wide(self, value: Value) -> str:
        """An address or count as i64."""
        if value.type is Type.I64:
            return self.name(value)
        name = self.widened.get(value)
        if name is None:
            name = self.widened[value] = self.assign(f"zext i32 {self.name(value)} to i64")
        return name

    def load_state(self, name: str, type_: Type, offset: int) -> None:
        """Give a value of the agent's state block a name."""
        if type_ is not Type.V128:
            pointer = self.abi.state(self, offset)
            self.line(f"{name} = load {LLVM_TYPES[type_]}, ptr {pointer}, align 8, {STATE}")
            return
        # The two words of a vector need not be neighbours.
        low, high = (
            self.assign(f"load i64, ptr {self.abi.state(self, offset + n)}, align 8, {STATE}")
            for n in (0, 8)
        )
        half = self.assign(f"insertelement <2 x i64> poison, i64 {low}, i32 0")
        self.line(f"{name} = insertelement <2 x i64> {half}, i64 {high}, i32 1")

    def store_state(self, operand: str, type_: Type, offset: int) -> None:
        """Write an operand, given with its LLVM type, to the agent's state block."""
        if type_ is not Type.V128:
            self.line(f"store {operand}, ptr {self.abi.state(self, offset)}, align 8, {STATE}")
            return
        for n in (0, 1):
            half = self.assign(f"extractelement {operand}, i32 {n}")
            pointer = self.abi.state(self, offset + 8 * n)
            self.line(f"store i64 {half}, ptr {pointer}, align 8, {STATE}")

    def transfer(self, slot: int) -> int:
        """Offset of a slot of the transfer area in the state block."""
        return self.program.layout.transfer + 8 * slot

    def end_uncaught(self, exception: str) -> None:
        """End the agent if an exception, which nobody catches, is not null."""
        ended, go_on = self.fresh_label(), self.fresh_label()
        thrown = self.assign(f"icmp ne i64 {exception}, 0")
        self.line(f"br i1 {thrown}, label %{ended}, label %{go_on}, !prof !0")
        self.start_block(ended)
        heap = self.memory(exceptions.HEAP)
        status = self.abi.memory.load(self, heap, exception, exceptions.PLACE, "i64", 8)
        self.line(f"call void @swarm_trap(ptr %ctx, i64 {status}, i64 {self.fuel})")
        self.line("unreachable")
        self.start_block(go_on)

    def memory(self, id_: EntityId) -> MemorySlot:
        return self.program.memories[id_]

    def repeat(self, inst: Inst) -> None:
        """Run the function from its beginning, with an instruction's operands as its arguments."""
        self._incoming[self.function.blocks[0]].append((self.label, self.fuel, inst.args))
        self.line("br label %b0")
        self._repeats = True

    def start_block(self, label: str) -> None:
        self.label = label
        self.lines.append(f"{label}:")

    def fresh_label(self) -> str:
        self._counter += 1
        return f"l{self._counter}"

    def trap_if(self, condition: str, code: Trap, inst: Inst) -> None:
        """End the agent where an i1 is true; go on in a new LLVM block."""
        trap, go_on = self.fresh_label(), self.fresh_label()
        self.lines.append(f"br i1 {condition}, label %{trap}, label %{go_on}, !prof !0")
        self.cold.append(f"{trap}:")
        self._leave(self.cold, trap, code, inst)
        self.start_block(go_on)

    def trap(self, code: Trap, inst: Inst) -> None:
        """End the agent here."""
        self._leave(self.lines, self.label, code, inst)

    def status(self, code: int, loc: int) -> int:
        """Status word of a trap at a byte offset of this function's module."""
        position = NO_POSITION if loc < 0 else loc
        return code | position << 8 | self.function.id.instance << 40

    def edge(self, inst: Inst, number: int, appended: Sequence[Value] = ()) -> str:
        """Label to branch to for an edge of a terminator; what it passes is recorded."""
        edge = inst.edges[number]
        args = [*edge.args, *appended] if appended else edge.args
        label = f"b{self._numbers[edge.block]}"
        incoming = self._incoming[edge.block]
        if self._passed.setdefault((self.label, label), args) != args:
            # A phi takes one value a predecessor: this edge gets a block of its own.
            between = self.fresh_label()
            self.cold += [f"{between}:", f"br label %{label}"]
            incoming.append((between, self.fuel, args))
            return between
        incoming.append((self.label, self.fuel, args))
        return label

    def loop_note(self, inst: Inst) -> str:
        """What is written behind a branch: whether it repeats a loop that is not to be unrolled."""
        return self.program.loop_note() if inst in self._long_loops else ""

    def _leave(self, lines: list[str], label: str, code: Trap, inst: Inst) -> None:
        """Go from a block to the function's one call that ends the agent: that is short."""
        fuel = self.fuel
        if inst.prepaid:
            self._counter += 1
            lines.append(f"%x{self._counter} = add i64 {fuel}, {inst.prepaid}")
            fuel = f"%x{self._counter}"
        status = self.status(code, inst.loc)
        lines.append("br label %trap")
        self._traps.append((label, status, fuel))

    # The function as a whole.

    def emit(self) -> str:
        """The function's definition."""
        bodies: list[tuple[Block, str, list[str]]] = []
        emitters = self.program.emitters
        entry_prologue = self._enter()
        order = reverse_postorder(self.function)  # phis cannot name unreachable blocks
        if self.abi.keeps_long_loops:
            self._long_loops = repeating_long_loops(order)
        for block in order:
            label = f"b{self._numbers[block]}"
            fuel = f"%fuel.{label}"
            self.lines, self.label, self.fuel, self.widened = [], label, fuel, {}
            for inst in block.insts:
                emitters[inst.op](self, inst)
            bodies.append((block, label, self.lines))
        text = [self._header(), "entry:", *self.prologue()]
        text += entry_prologue
        for block, label, lines in bodies:
            text.append(f"{label}:")
            self._phis(block, label, text)
            text += lines
        text += self.cold
        self._trap_block(text)
        text.append("}")
        return "\n".join(text)

    def _trap_block(self, text: list[str]) -> None:
        if not self._traps:
            return
        statuses = ", ".join(f"[ {status}, %{label} ]" for label, status, _ in self._traps)
        fuels = ", ".join(f"[ {fuel}, %{label} ]" for label, _, fuel in self._traps)
        text += [
            "trap:",
            f"%trap.status = phi i64 {statuses}",
            f"%trap.fuel = phi i64 {fuels}",
            "call void @swarm_trap(ptr %ctx, i64 %trap.status, i64 %trap.fuel)",
            "unreachable",
        ]

    def prologue(self) -> list[str]:
        """What is computed once at entry."""
        return [f"{name} = {expression}" for expression, name in self._prologue.items()]

    def _header(self) -> str:
        program, function = self.program, self.function
        program.define(function.id)
        symbol, convention = program.body_of(function.id)
        types = function.type.params
        params = "".join(
            f", {LLVM_TYPES[types[number]]} {self._argument(number)}"
            for number in convention.params
        )
        return (
            f"define {program.linkage} {program.calling} {convention.returned} "
            f"{symbol}(ptr noalias nonnull %ctx, i64 %fuel, i32 %depth.in"
            f"{params}) {self.abi.attributes} {{"
        )

    def _argument(self, number: int) -> str:
        """What the function is called with for a parameter, which may change if it repeats."""
        return f"%a{number}" if self._repeats else self.name(self.function.blocks[0].params[number])

    def _enter(self) -> list[str]:
        """Charge call depth; the entry block's fuel comes straight from the parameter."""
        entry = self.function.blocks[0]
        where = Inst(CONST, None, [], loc=self.function.loc)
        self.lines = []
        self.line(f"%depth = sub i32 %depth.in, {self.function.units}")
        self.trap_if(self.assign("icmp slt i32 %depth, 0"), Trap.CALL_STACK_EXHAUSTED, where)
        exhausted = self.abi.stack_check(self)
        if exhausted is not None:
            self.trap_if(exhausted, Trap.CALL_STACK_EXHAUSTED, where)
        for number, slot in self.program.convention_of(self.function.id).moved_params:
            value = entry.params[number]
            self.load_state(self.name(value), value.type, self.transfer(slot))
        self.line("br label %b0")
        self._incoming[entry].append((self.label, "%fuel", entry.params))
        return self.lines

    def _phis(self, block: Block, label: str, text: list[str]) -> None:
        incoming = self._incoming[block]
        fuels = ", ".join(f"[ {fuel}, %{pred} ]" for pred, fuel, _ in incoming)
        text.append(f"%fuel.{label} = phi i64 {fuels}")
        first = block is self.function.blocks[0]
        if first and not self._repeats:
            return
        for n, param in enumerate(block.params):
            names = [self.name(args[n]) for _, _, args in incoming]
            if first:
                names[0] = self._argument(n)
            values = ", ".join(
                f"[ {name}, %{pred} ]" for name, (pred, _, _) in zip(names, incoming, strict=True)
            )
            text.append(f"{self.name(param)} = phi {LLVM_TYPES[param.type]} {values}")

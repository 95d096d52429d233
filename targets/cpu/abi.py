"""The CPU's part of lowering: pointers of one kind, and traps that restore the worker's stack."""

from __future__ import annotations

from ..layout import AgentLayout, Ctx, Shared
from ..llvm import references
from ..llvm.access import (
    CellAccess,
    MemoryAccess,
    PlainAccess,
    function_record,
    shared_pointer,
    state_pointer,
)
from ..llvm.cell_support import DECLARATIONS as CELL_DECLARATIONS
from ..llvm.emit import FunctionEmitter
from ..llvm.program_emitter import ProgramEmitter
from .prelude import driver_text, support_text
from .stack_switch import probe_attributes

#: Calls through references to no more functions than this know them all, so that LLVM may put one
#: in the place of its call.
_MOST_CANDIDATES = 16

#: Functions begin at multiples of this: how far into a line of the cache one begins makes a
#: difference of some percent to one that is called often, and of chance to what is measured.
CACHE_LINE = 64


class CpuAbi:
    """See :class:`~swarmc.targets.llvm.abi.Abi`."""

    keeps_long_loops = True
    tail_calls = True
    declarations: tuple[str, ...] = (
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)",
        *CELL_DECLARATIONS,
    )

    def __init__(self, triple: str, data_layout: str, layout: AgentLayout) -> None:
        self.triple = triple
        self.data_layout = data_layout
        self.attributes = f"nounwind {probe_attributes(triple)} align {CACHE_LINE}"
        self._state = layout.memory_layout.state_cells
        cells = layout.memory_layout.memory_cells
        self.memory: MemoryAccess = CellAccess(cells, self._state) if cells.size else PlainAccess()

    def support(self, layout: AgentLayout) -> str:
        return support_text(self.triple, layout) + "\n\n" + self.memory.support()

    def driver(self, layout: AgentLayout) -> str:
        return driver_text(layout)

    def state(self, e: FunctionEmitter, offset: int) -> str:
        return state_pointer(e, self._state, offset)

    def shared(self, e: FunctionEmitter, offset: int) -> str:
        return shared_pointer(e, offset)

    def function_of(self, e: FunctionEmitter, sig: int, reference: str) -> tuple[str, str]:
        program = e.program
        if program.alone and len(program.candidates(sig)) <= _MOST_CANDIDATES:
            return references.caller(program, sig), f", i64 {reference}"
        record = function_record(e, reference)
        return e.assign(f"load ptr, ptr {record}, align 8, !invariant.load !1"), ""

    def references(self, program: ProgramEmitter) -> list[str]:
        symbols = [
            program.symbol(id_) if id_ in program.referenced else "null"
            for id_ in sorted(program.numbers)
        ]
        callers = references.callers(program)
        items = ", ".join(f"ptr {symbol}" for symbol in symbols)
        return [f"@swarm_functions = constant [{len(symbols)} x ptr] [{items}]", *callers]

    def host_code(self, e: FunctionEmitter, number: int) -> str:
        hosts = self.shared(e, Shared.HOSTS)
        pointer = e.assign(f"getelementptr ptr, ptr {hosts}, i64 {number}")
        return e.assign(f"load ptr, ptr {pointer}, align 8, !invariant.load !1")

    def stack_check(self, e: FunctionEmitter) -> str | None:
        name = e.program.intrinsic("i64", "llvm.read_register.i64", "metadata")
        pointer = e.assign(f"call i64 {name}(metadata !{{!\"{self._stack_register()}\\00\"}})")
        limit = e.assign(
            f"load i64, ptr {self.state(e, Ctx.STACK_LIMIT)}, align 8, !invariant.load !1"
        )
        return e.assign(f"icmp ult i64 {pointer}, {limit}")

    def _stack_register(self) -> str:
        return "rsp" if self.triple.startswith("x86_64") else "sp"

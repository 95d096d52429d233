"""The GPU's part of lowering: aligned accesses, traps that end the thread, calls by switch."""

from __future__ import annotations

from ..layout import AgentLayout
from ..llvm import references
from ..llvm.access import CellAccess, MemoryAccess, shared_pointer, state_pointer
from ..llvm.cell_support import DECLARATIONS as CELL_DECLARATIONS
from ..llvm.emit import FunctionEmitter
from ..llvm.program_emitter import ProgramEmitter
from .prelude import DECLARATIONS, driver_text, support_text

TRIPLE = "nvptx64-nvidia-cuda"
DATA_LAYOUT = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"

#: LLVM's number of the address space of the device's memory.
_GLOBAL = 1


class CudaAbi:
    """See :class:`~swarmc.targets.llvm.abi.Abi`.

    Args:
        max_registers: most registers a thread; None: as many as the assembler likes.
    """

    triple = TRIPLE
    data_layout = DATA_LAYOUT
    attributes = "nounwind"
    declarations: tuple[str, ...] = (*DECLARATIONS, *CELL_DECLARATIONS)
    keeps_long_loops = False
    tail_calls = False

    def __init__(self, layout: AgentLayout, max_registers: int | None = None) -> None:
        self._max_registers = max_registers
        self._state = layout.memory_layout.state_cells
        self.memory: MemoryAccess = CellAccess(
            layout.memory_layout.memory_cells, self._state, _GLOBAL
        )

    def support(self, layout: AgentLayout) -> str:
        return support_text(layout) + "\n\n" + self.memory.support()

    def driver(self, layout: AgentLayout) -> str:
        return driver_text(layout, self._max_registers)

    def state(self, e: FunctionEmitter, offset: int) -> str:
        return state_pointer(e, self._state, offset)

    def shared(self, e: FunctionEmitter, offset: int) -> str:
        return shared_pointer(e, offset)

    def function_of(self, e: FunctionEmitter, sig: int, reference: str) -> tuple[str, str]:
        return references.caller(e.program, sig), f", i64 {reference}"

    def references(self, program: ProgramEmitter) -> list[str]:
        return references.callers(program)

    def host_code(self, e: FunctionEmitter, number: int) -> str:
        return e.program.intrinsic("i64", f"swarm_host_{number}", "ptr, ptr")

    def stack_check(self, e: FunctionEmitter) -> str | None:
        return None

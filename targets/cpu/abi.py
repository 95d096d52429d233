"""The CPU's part of lowering: the flat layout, where an agent's bytes are plain addresses."""

from __future__ import annotations

from ..layout import AgentLayout, Ctx, MemorySlot
from ..llvm.emit import FunctionEmitter
from .prelude import DECLARATIONS, driver_text, support_text
from .stack_switch import probe_attributes

_MEMORY = "!tbaa !3"


class CpuAbi:
    """Memory of an agent is one contiguous range; a trap restores the worker's stack."""

    declarations: tuple[str, ...] = DECLARATIONS

    def __init__(self, triple: str, data_layout: str) -> None:
        self.triple = triple
        self.data_layout = data_layout
        self.attributes = f"nounwind {probe_attributes(triple)}"

    def support(self, layout: AgentLayout) -> str:
        return support_text(self.triple, layout)

    def driver(self, layout: AgentLayout) -> str:
        return driver_text(layout)

    def state(self, e: FunctionEmitter, offset: int) -> str:
        return e.at_entry(f"getelementptr inbounds i8, ptr %ctx, i64 {int(offset)}")

    def shared(self, e: FunctionEmitter, offset: int) -> str:
        record = self._constant(e, Ctx.SHARED)
        field = e.at_entry(f"getelementptr inbounds i8, ptr {record}, i64 {int(offset)}")
        return e.at_entry(f"load ptr, ptr {field}, align 8, !invariant.load !1")

    def load(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        align: int,
    ) -> str:
        pointer = self._address(e, slot, address, offset)
        return e.assign(f"load {type_}, ptr {pointer}, align {align}, {_MEMORY}")

    def store(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        value: str, align: int,
    ) -> None:
        pointer = self._address(e, slot, address, offset)
        e.line(f"store {type_} {value}, ptr {pointer}, align {align}, {_MEMORY}")

    def fill(self, e: FunctionEmitter, slot: MemorySlot, to: str, byte: str, count: str) -> None:
        name = e.program.intrinsic("void", "llvm.memset.p0.i64", "ptr, i8, i64, i1 immarg")
        pointer = self._address(e, slot, to, 0)
        e.line(f"call void {name}(ptr {pointer}, i8 {byte}, i64 {count}, i1 false), {_MEMORY}")

    def copy(
        self, e: FunctionEmitter, to_slot: MemorySlot, to: str, from_slot: MemorySlot,
        source: str, count: str,
    ) -> None:
        self._move(e, to_slot, to, self._address(e, from_slot, source, 0), count)

    def init(
        self, e: FunctionEmitter, slot: MemorySlot, to: str, source: str, count: str
    ) -> None:
        self._move(e, slot, to, source, count)

    def stack_check(self, e: FunctionEmitter) -> str | None:
        name = e.program.intrinsic("i64", "llvm.read_register.i64", "metadata")
        pointer = e.assign(f"call i64 {name}(metadata !{{!\"{self._stack_register()}\\00\"}})")
        limit = e.assign(
            f"load i64, ptr {self.state(e, Ctx.STACK_LIMIT)}, align 8, !invariant.load !1"
        )
        return e.assign(f"icmp ult i64 {pointer}, {limit}")

    def _stack_register(self) -> str:
        return "rsp" if self.triple.startswith("x86_64") else "sp"

    def _constant(self, e: FunctionEmitter, field: Ctx) -> str:
        """A pointer in the state block that no agent changes."""
        pointer = self.state(e, field)
        return e.at_entry(f"load ptr, ptr {pointer}, align 8, !invariant.load !1")

    def _address(self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int) -> str:
        field = self.state(e, slot.base)
        base = e.at_entry(f"load ptr, ptr {field}, align 8, !invariant.load !1")
        pointer = e.assign(f"getelementptr i8, ptr {base}, i64 {address}")
        if not offset:
            return pointer
        return e.assign(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def _move(
        self, e: FunctionEmitter, slot: MemorySlot, to: str, source: str, count: str
    ) -> None:
        name = e.program.intrinsic("void", "llvm.memmove.p0.p0.i64", "ptr, ptr, i64, i1 immarg")
        pointer = self._address(e, slot, to, 0)
        e.line(f"call void {name}(ptr {pointer}, ptr {source}, i64 {count}, i1 false), {_MEMORY}")

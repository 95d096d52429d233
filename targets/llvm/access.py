"""How compiled code reaches linear memories and the state block, by where their bytes lie.

:class:`PlainAccess` is for flat memories on machines that load and store at any address.
:class:`CellAccess` is for interleaved ones, and for machines on which a misaligned access is a
fault: what is not known to be aligned is tested, and goes another way if it is not.
"""

from __future__ import annotations

from typing import Protocol

from ..addressing import GROUP, Cells
from ..layout import Ctx, MemorySlot, Shared
from .cell_support import cell_support
from .emit import MEMORY, FunctionEmitter

_INVARIANT = "!invariant.load !1"

_WIDTHS = {"i8": 1, "i16": 2, "i32": 4, "float": 4, "i64": 8, "double": 8, "<2 x i64>": 16}


class MemoryAccess(Protocol):
    """Text of accesses to linear memories and tables; addresses and counts are i64 and checked."""

    def support(self) -> str:
        """Functions that the text calls, and ``swarm_memory_init``, which the prelude calls."""
        ...

    def load(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        align: int,
    ) -> str:
        """Load an LLVM type from ``address`` + ``offset``, which is aligned to ``align``."""
        ...

    def store(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        value: str, align: int,
    ) -> None:
        """Store to ``address`` + ``offset``."""
        ...

    def fill(self, e: FunctionEmitter, slot: MemorySlot, to: str, byte: str, count: str) -> None:
        """Set ``count`` bytes from ``to`` on to an i8."""
        ...

    def copy(
        self, e: FunctionEmitter, to_slot: MemorySlot, to: str, from_slot: MemorySlot,
        source: str, count: str,
    ) -> None:
        """Move ``count`` bytes that may overlap."""
        ...

    def init(
        self, e: FunctionEmitter, slot: MemorySlot, to: str, source: str, count: str
    ) -> None:
        """Copy ``count`` bytes from ``source``, a pointer to shared bytes."""
        ...

    def move_words(
        self, e: FunctionEmitter, to: str, source: str, count: str, *, shared: bool
    ) -> None:
        """Move table elements into a state block; ``shared``: they do not come from one."""
        ...


def state_pointer(e: FunctionEmitter, cells: Cells, offset: int) -> str:
    """Pointer to a field of the state block."""
    return e.at_entry(f"getelementptr inbounds i8, ptr %ctx, i64 {cells.spread(int(offset))}")


def memory_base(e: FunctionEmitter, slot: MemorySlot) -> str:
    """Pointer to the first byte of the agent's slice of a memory."""
    return e.at_entry(f"load ptr, ptr {e.abi.state(e, slot.base)}, align 8, {_INVARIANT}")


def function_record(e: FunctionEmitter, reference: str) -> str:
    """Pointer to the {code, signature} record of a function that is not null."""
    funcs = e.abi.shared(e, Shared.FUNCS)
    number = e.assign(f"sub i64 {reference}, 1")
    return e.assign(f"getelementptr {{ ptr, i64 }}, ptr {funcs}, i64 {number}")


def shared_pointer(e: FunctionEmitter, offset: int) -> str:
    """A 64-bit word of the Shared record, as a pointer."""
    field = e.abi.state(e, Ctx.SHARED)
    record = e.at_entry(f"load ptr, ptr {field}, align 8, {_INVARIANT}")
    field = e.at_entry(f"getelementptr inbounds i8, ptr {record}, i64 {int(offset)}")
    return e.at_entry(f"load ptr, ptr {field}, align 8, {_INVARIANT}")


class PlainAccess:
    """A memory is one range of bytes, and every address will do."""

    def support(self) -> str:
        return _PLAIN_SUPPORT

    def load(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        align: int,
    ) -> str:
        pointer = self._address(e, slot, address, offset)
        return e.assign(f"load {type_}, ptr {pointer}, align {align}, {e.access}")

    def store(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        value: str, align: int,
    ) -> None:
        pointer = self._address(e, slot, address, offset)
        e.line(f"store {type_} {value}, ptr {pointer}, align {align}, {e.access}")

    def fill(self, e: FunctionEmitter, slot: MemorySlot, to: str, byte: str, count: str) -> None:
        name = e.program.intrinsic("void", "llvm.memset.p0.i64", "ptr, i8, i64, i1 immarg")
        pointer = self._address(e, slot, to, 0)
        e.line(f"call void {name}(ptr {pointer}, i8 {byte}, i64 {count}, i1 false), {MEMORY}")

    def copy(
        self, e: FunctionEmitter, to_slot: MemorySlot, to: str, from_slot: MemorySlot,
        source: str, count: str,
    ) -> None:
        self.init(e, to_slot, to, self._address(e, from_slot, source, 0), count)

    def init(
        self, e: FunctionEmitter, slot: MemorySlot, to: str, source: str, count: str
    ) -> None:
        pointer = self._address(e, slot, to, 0)
        e.line(
            f"call void {self._memmove(e)}(ptr {pointer}, ptr {source}, i64 {count}, i1 false), "
            f"{MEMORY}"
        )

    def move_words(
        self, e: FunctionEmitter, to: str, source: str, count: str, *, shared: bool
    ) -> None:
        size = e.assign(f"shl i64 {count}, 3")
        e.line(
            f"call void {self._memmove(e)}(ptr align 8 {to}, ptr align 8 {source}, i64 {size}, "
            "i1 false)"
        )

    def _memmove(self, e: FunctionEmitter) -> str:
        params = "ptr, ptr, i64, i1 immarg"
        return e.program.intrinsic("void", "llvm.memmove.p0.p0.i64", params)

    def _address(self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int) -> str:
        pointer = e.assign(f"getelementptr i8, ptr {memory_base(e, slot)}, i64 {address}")
        return e.assign(f"getelementptr i8, ptr {pointer}, i64 {offset}") if offset else pointer


class CellAccess:
    """A memory lies in cells, or is flat (cells of size 0), and accesses must be aligned.

    Args:
        cells: how memories are laid out. state: how state blocks are.
        space: LLVM's number of the address space of memories.
    """

    def __init__(self, cells: Cells, state: Cells, space: int = 0) -> None:
        self._cells = cells
        self._state = state
        self._pointer = f"ptr addrspace({space})" if space else "ptr"

    def support(self) -> str:
        return cell_support(self._cells, self._state, self._pointer)

    def load(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        align: int,
    ) -> str:
        base, effective = self._base(e, slot), _effective(e, address, offset)
        width = _WIDTHS[type_]
        if align >= self._cells.piece(width):
            return self._load_pieces(e, base, effective, type_)
        slow, done = self._test(e, effective, self._cells.piece(width))
        fast = self._load_pieces(e, base, effective, type_)
        before, found = e.label, e.fresh()
        e.line(f"br label %{done}")
        e.cold += [f"{slow}:", *self._slow_load(e, found, base, effective, type_),
                   f"br label %{done}"]
        e.start_block(done)
        return e.assign(f"phi {type_} [ {fast}, %{before} ], [ {found}, %{slow} ]")

    def store(
        self, e: FunctionEmitter, slot: MemorySlot, address: str, offset: int, type_: str,
        value: str, align: int,
    ) -> None:
        base, effective = self._base(e, slot), _effective(e, address, offset)
        width = _WIDTHS[type_]
        if align >= self._cells.piece(width):
            self._store_pieces(e, base, effective, type_, value)
            return
        slow, done = self._test(e, effective, self._cells.piece(width))
        self._store_pieces(e, base, effective, type_, value)
        e.line(f"br label %{done}")
        e.cold += [f"{slow}:", *self._slow_store(e, base, effective, type_, value),
                   f"br label %{done}"]
        e.start_block(done)

    def fill(self, e: FunctionEmitter, slot: MemorySlot, to: str, byte: str, count: str) -> None:
        base = f"{self._pointer} {self._base(e, slot)}"
        e.line(f"call void @swarm_memory_fill({base}, i64 {to}, i8 {byte}, i64 {count})")

    def copy(
        self, e: FunctionEmitter, to_slot: MemorySlot, to: str, from_slot: MemorySlot,
        source: str, count: str,
    ) -> None:
        target = f"{self._pointer} {self._base(e, to_slot)}, i64 {to}"
        origin = f"{self._pointer} {self._base(e, from_slot)}, i64 {source}"
        e.line(f"call void @swarm_memory_copy({target}, {origin}, i64 {count})")

    def init(
        self, e: FunctionEmitter, slot: MemorySlot, to: str, source: str, count: str
    ) -> None:
        base = memory_base(e, slot)
        e.line(f"call void @swarm_memory_init(ptr {base}, i64 {to}, ptr {source}, i64 {count})")

    def move_words(
        self, e: FunctionEmitter, to: str, source: str, count: str, *, shared: bool
    ) -> None:
        step = 8 if shared else self._state.word_step
        e.line(
            f"call void @swarm_move_words(ptr {to}, ptr {source}, i64 {step}, i64 {count})"
        )

    def _base(self, e: FunctionEmitter, slot: MemorySlot) -> str:
        base = memory_base(e, slot)
        if self._pointer == "ptr":
            return base
        return e.at_entry(f"addrspacecast ptr {base} to {self._pointer}")

    def _test(self, e: FunctionEmitter, effective: str, piece: int) -> tuple[str, str]:
        """Branch to a label where the access is not aligned; and the label where both meet."""
        slow, fast, done = e.fresh_label(), e.fresh_label(), e.fresh_label()
        rest = e.assign(f"and i64 {effective}, {piece - 1}")
        astray = e.assign(f"icmp ne i64 {rest}, 0")
        e.line(f"br i1 {astray}, label %{slow}, label %{fast}, !prof !0")
        e.start_block(fast)
        return slow, done

    def _pieces(self, e: FunctionEmitter, base: str, effective: str, type_: str) -> list[str]:
        """Pointers to the pieces of an aligned access."""
        width = _WIDTHS[type_]
        piece = self._cells.piece(width)
        offset = self._cells.spread_text(e.assign, effective, aligned=piece == self._cells.size)
        first = e.assign(f"getelementptr i8, {self._pointer} {base}, i64 {offset}")
        return [first] + [
            e.assign(f"getelementptr i8, {self._pointer} {first}, i64 {n * GROUP * piece}")
            for n in range(1, width // piece)
        ]

    def _load_pieces(self, e: FunctionEmitter, base: str, effective: str, type_: str) -> str:
        pointers = self._pieces(e, base, effective, type_)
        align = _WIDTHS[type_] // len(pointers)

        def load(part: str, pointer: str) -> str:
            return e.assign(f"load {part}, {self._pointer} {pointer}, align {align}, {e.access}")

        if len(pointers) == 1:
            return load(type_, pointers[0])
        part = f"i{8 * align}"
        vector, value = f"<{len(pointers)} x {part}>", "poison"
        for n, pointer in enumerate(pointers):
            item = f"{part} {load(part, pointer)}"
            value = e.assign(f"insertelement {vector} {value}, {item}, i32 {n}")
        return value if vector == type_ else e.assign(f"bitcast {vector} {value} to {type_}")

    def _store_pieces(
        self, e: FunctionEmitter, base: str, effective: str, type_: str, value: str
    ) -> None:
        pointers = self._pieces(e, base, effective, type_)
        align = _WIDTHS[type_] // len(pointers)
        where = f"align {align}, {e.access}"
        if len(pointers) == 1:
            e.line(f"store {type_} {value}, {self._pointer} {pointers[0]}, {where}")
            return
        part = f"i{8 * align}"
        vector = f"<{len(pointers)} x {part}>"
        if vector != type_:
            value = e.assign(f"bitcast {type_} {value} to {vector}")
        for n, pointer in enumerate(pointers):
            item = e.assign(f"extractelement {vector} {value}, i32 {n}")
            e.line(f"store {part} {item}, {self._pointer} {pointer}, {where}")

    def _slow_load(
        self, e: FunctionEmitter, name: str, base: str, effective: str, type_: str
    ) -> list[str]:
        """Lines that define ``name`` with what lies at an address of any alignment."""
        bits = 8 * _WIDTHS[type_]
        where = f"{self._pointer} {base}, i64"
        if bits < 128:
            whole = f"i{bits}"
            value = name if type_ == whole else e.fresh()
            call = f"{value} = call {whole} @swarm_load{bits}({where} {effective})"
            cast = [] if value == name else [f"{name} = bitcast {whole} {value} to {type_}"]
            return [call, *cast]
        low, high, second, half = e.fresh(), e.fresh(), e.fresh(), e.fresh()
        return [
            f"{low} = call i64 @swarm_load64({where} {effective})",
            f"{second} = add i64 {effective}, 8",
            f"{high} = call i64 @swarm_load64({where} {second})",
            f"{half} = insertelement {type_} poison, i64 {low}, i32 0",
            f"{name} = insertelement {type_} {half}, i64 {high}, i32 1",
        ]

    def _slow_store(
        self, e: FunctionEmitter, base: str, effective: str, type_: str, value: str
    ) -> list[str]:
        bits = 8 * _WIDTHS[type_]
        where = f"{self._pointer} {base}, i64"
        if bits < 128:
            whole = f"i{bits}"
            lines = []
            if type_ != whole:
                number = e.fresh()
                lines, value = [f"{number} = bitcast {type_} {value} to {whole}"], number
            wide = value
            if bits < 64:
                wide = e.fresh()
                lines.append(f"{wide} = zext {whole} {value} to i64")
            width = bits // 8
            return [*lines, f"call void @swarm_store({where} {effective}, i64 {wide}, i64 {width})"]
        low, high, second = e.fresh(), e.fresh(), e.fresh()
        return [
            f"{low} = extractelement {type_} {value}, i32 0",
            f"call void @swarm_store({where} {effective}, i64 {low}, i64 8)",
            f"{high} = extractelement {type_} {value}, i32 1",
            f"{second} = add i64 {effective}, 8",
            f"call void @swarm_store({where} {second}, i64 {high}, i64 8)",
        ]


def _effective(e: FunctionEmitter, address: str, offset: int) -> str:
    """The effective address; checked, so it cannot wrap."""
    return e.assign(f"add nuw i64 {address}, {offset}") if offset else address


_PLAIN_SUPPORT = """\
define internal void @swarm_memory_init(ptr %base, i64 %to, ptr %from, i64 %count) nounwind {
  %start = getelementptr i8, ptr %base, i64 %to
  call void @llvm.memcpy.p0.p0.i64(ptr %start, ptr %from, i64 %count, i1 false)
  ret void
}
"""

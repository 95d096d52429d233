"""A function body under generation, with the types of the operands on its stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...compiler.wasm.module import Body
from ...compiler.wasm.opcodes import BY_NAME, Opcode
from ...compiler.wasm.types import FuncType, ValueType
from ...ir.types import Type
from .generator_plan import Frame
from .generator_rows import NUMERIC

_CONST: dict[ValueType, Opcode] = {t: BY_NAME[f"{t.value}.const"] for t in NUMERIC}


class TrackedBody:
    """Appends instructions.

    Args:
        size: about how many instructions there shall be; it counts down.

    Attributes:
        hidden: locals that only their owner may write.
        frames: open constructs, the function itself first.
    """

    def __init__(self, type_: FuncType, size: int) -> None:
        self.size = size
        self.locals: list[ValueType] = list(type_.params)
        self.hidden: set[int] = set()
        self.body = Body()
        self.stack: list[ValueType] = []
        self.frames = [Frame(type_.results, type_.results, 0)]

    def raw(self, row: Opcode, imm: Any = None) -> None:
        """Append an instruction without touching the tracked stack."""
        self.body.ops.append(row)
        self.body.imms.append(imm)
        self.size -= 1

    def emit(self, name: str, imm: Any = None, pops: int = 0,
             push: Sequence[ValueType] = ()) -> None:
        """Append an instruction that pops and pushes."""
        self.raw(BY_NAME[name], imm)
        self.pop(pops)
        self.stack.extend(push)

    def emit_row(self, row: Opcode, imm: Any = None) -> None:
        """Append an instruction whose types the table knows."""
        assert row.params is not None and row.results is not None
        self.raw(row, imm)
        self.pop(len(row.params))
        self.stack.extend(row.results)

    def pop(self, count: int) -> None:
        """Take operands off; below a dead frame's base there are as many as one likes."""
        frame = self.frames[-1]
        available = len(self.stack) - frame.base
        assert count <= available or frame.dead
        if count := min(count, available):
            del self.stack[-count:]

    def const(self, type_: ValueType, bits: int) -> None:
        self.raw(_CONST[type_], bits & ((1 << type_.bits) - 1))
        self.stack.append(type_)

    def i32(self, value: int) -> None:
        self.const(Type.I32, value)

    def new_local(self, type_: ValueType, *, hidden: bool = False) -> int:
        """A new local; a hidden one is read by anybody, but written only by who asked for it."""
        if hidden:
            self.hidden.add(len(self.locals))
        self.locals.append(type_)
        return len(self.locals) - 1

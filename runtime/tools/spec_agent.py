"""The one agent that a script of the specification's suite runs on, driven with bit patterns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir import module as ir
from ...ir.types import EntityId, FuncType, Trap, Type
from ...targets.base import Dispatch, Strings, Target
from ...targets.executable import CompileOptions
from ...targets.layout import Status
from .target_executor import from_slots, to_slots

#: How far memories may grow; more than the suite needs.
MAX_MEMORY = 64 << 20


def options_for(target: Target, opt_level: int) -> CompileOptions:
    """How programs of scripts are compiled."""
    return CompileOptions(
        target.name, max_memory=MAX_MEMORY, opt_level=opt_level, layout=target.layout
    )


class Agent:
    """An agent of a linked program."""

    def __init__(self, target: Target, program: ir.Module, opt_level: int) -> None:
        executable = target.compile(program, options_for(target, opt_level))
        self._layout = executable.layout
        self._entries = {entry.name: entry for entry in executable.entries}
        self._globals = {item.name: item for item in executable.global_exports}
        self._numbers: Sequence[int] = range(len(executable.signatures))
        self._kernel = target.load(executable, [])
        self._slices = self._kernel.allocate(1, 0)

    def close(self) -> None:
        """Give its memory back."""
        self._slices.close()

    def type_of(self, entry: str) -> FuncType:
        """Type of an exported function."""
        return self._entries[entry].type

    def call(self, name: str, args: tuple[int, ...]) -> tuple[int, ...] | Trap:
        """Call an exported function with bit patterns: its results, or the trap."""
        entry = self._entries[name]
        slots = to_slots(entry.type.params, args)
        none = Strings(np.zeros(0, np.uint8), np.zeros((1, 2), np.int64))
        place = np.zeros(1, np.int64)
        request = Dispatch(
            place, place, np.array([entry.number], np.int32),
            np.array([slots], np.uint64).reshape(1, len(slots)), none, none, none,
        )  # fmt: skip
        outcome = self._kernel.dispatch(self._slices, request)
        code = int(outcome.status[0]) & 0xFF
        if code != Status.RETURNED:
            return Trap(code)
        return from_slots(entry.type.results, outcome.results[0].tolist(), self._numbers)

    def read(self, name: str) -> tuple[tuple[Type, ...], tuple[int, ...]]:
        """Type and value of an exported global."""
        found = self._globals[name]
        data = self._slices.read_state(0, found.offset, 16 if found.type is Type.V128 else 8)
        slots = [int.from_bytes(data[n : n + 8], "little") for n in range(0, len(data), 8)]
        return (found.type,), from_slots((found.type,), slots, self._numbers)

    def size_of(self, kind: str, id_: EntityId) -> int:
        """Current size of a memory in pages, or of a table in elements."""
        if kind == "memory":
            number = self._layout.memory_number(id_)
            return self._slices.memory_size(0, number) // ir.PAGE_SIZE
        table = self._layout.tables[id_]
        if table.shared:
            return table.minimum
        return int.from_bytes(self._slices.read_state(0, table.size, 8), "little")

"""The heap of an agent: a memory that no module sees, from which objects are taken.

A program whose code makes objects has one, which all its instances share: a memory of a fixed
size, and a global that says where its free part begins. Nothing is ever freed. Addresses are i64,
so that a handle can be one; an object begins at a multiple of 8, and none at address 0. What has
not been handed out yet is zero. Objects of constant expressions are there from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import InstantiationError
from ...ir import ops as o
from ...ir.function import Value
from ...ir.module import PAGE_SIZE, PROGRAM, DataSegment, Global, Memory, Module
from ...ir.types import EntityId, Trap, Type
from .emitter import Emitter

#: Alignment of objects, and the address of the first one.
UNIT = 8

_ID = EntityId(PROGRAM, 0)


#: Functions that bytes refer to, each with its place among them.
References = Sequence[tuple[int, EntityId]]


class Heap:
    """The heap of a program, to which it is added when it is first needed.

    Args:
        size: bytes; rounded up to whole pages.
    """

    def __init__(self, program: Module, size: int) -> None:
        self._program = program
        self._pages = -(-size // PAGE_SIZE) or 1  # even without objects, address 0 is read
        self._content = bytearray()
        self._references: list[tuple[int, EntityId]] = []
        self._segments = self._globals = 0

    @property
    def memory(self) -> EntityId:
        """The memory that objects lie in."""
        self._declare()
        return _ID

    @property
    def top(self) -> EntityId:
        """The global that says where the free part begins."""
        self._declare()
        return _ID

    def _declare(self) -> None:
        program = self._program
        if _ID not in program.memories:
            program.memories[_ID] = Memory(_ID, self._pages, self._pages, Type.I64)
            program.globals[_ID] = Global(_ID, Type.I64, True, UNIT)

    def place(self, content: bytes, references: References) -> int:
        """Address of an object that every agent has from the beginning.

        Raises:
            InstantiationError: it does not fit.
        """
        self._declare()
        self.require(len(content))
        start = len(self._content)
        self._content += content.ljust(round_up(len(content)), b"\0")
        self._references += [(start + place, function) for place, function in references]
        return UNIT + start

    def require(self, size: int) -> None:
        """Make sure that an object of a size can be placed.

        Raises:
            InstantiationError: it does not fit.
        """
        end, limit = UNIT + len(self._content) + round_up(size), self._pages * PAGE_SIZE
        if end > limit:
            raise InstantiationError(
                f"the objects of constant expressions need {end} bytes of the heap, which has "
                f"{limit}", hint="give the agents a larger heap")

    def segment(self, content: bytes, references: References) -> EntityId:
        """Bytes for code to copy to the heap."""
        self._segments += 1
        id_ = EntityId(PROGRAM, self._segments)
        self._program.data[id_] = DataSegment(id_, content, references=tuple(references))
        return id_

    def variable(self, value: int) -> EntityId:
        """A global (i64) of the program's own."""
        self._globals += 1
        id_ = EntityId(PROGRAM, self._globals)
        self._program.globals[id_] = Global(id_, Type.I64, True, value)
        return id_

    def finish(self) -> None:
        """Put the program's own entities in order, when an instance has been added."""
        program = self._program
        if self._content:
            program.data[_ID] = DataSegment(_ID, bytes(self._content), _ID, UNIT,
                                            tuple(self._references))
            program.globals[_ID] = Global(_ID, Type.I64, True, UNIT + len(self._content))
        spaces: tuple[dict[EntityId, Any], ...] = (
            program.memories, program.globals, program.data)
        for space in spaces:
            for id_ in sorted([id_ for id_ in space if id_.instance == PROGRAM]):
                space[id_] = space.pop(id_)


def allocate(em: Emitter, size: Value, loc: int) -> Value:
    """Take bytes, which are zero, from the heap; traps if it has no more.

    Args:
        size: i64, less than 2^63, in units.

    Returns:
        The address, i64.
    """
    heap = em.env.heap
    start = em.value(o.GLOBAL_GET, Type.I64, [], (heap.top,), loc)
    end = em.value(o.IADD, Type.I64, [start, size], (), loc)
    pages = em.value(o.MEMORY_SIZE, Type.I64, [], (heap.memory,), loc)
    shift = em.const(Type.I64, PAGE_SIZE.bit_length() - 1, loc)
    limit = em.value(o.ISHL, Type.I64, [pages, shift], (), loc)
    exhausted = em.value(o.IGT_U, Type.I64, [end, limit], (), loc)
    em.trap_if(exhausted, Trap.HEAP_EXHAUSTED, loc)
    em.emit(o.GLOBAL_SET, Type.I64, [end], (heap.top,), loc)
    return start


def round_up(size: int) -> int:
    """Bytes that an object of a size takes."""
    return -(-size // UNIT) * UNIT

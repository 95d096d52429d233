"""One agent's state as the interpreter keeps it: memories, globals, tables, dropped segments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import InstantiationError
from .module import PAGE_SIZE, DataSegment, ElemSegment, FuncInit, Module
from .types import EntityId, Trap, Type

#: Elements that a table without a declared maximum may have, unless told otherwise.
MAX_ELEMENTS = 10_000_000


class Trapped(Exception):
    """The agent ends; the interpreter turns it into an outcome.

    Args:
        code: why.
        place: byte offset and instance, where it is not the running instruction's.
    """

    def __init__(self, code: Trap, place: tuple[int, int] | None = None) -> None:
        super().__init__(code.message)
        self.code = code
        self.place = place


class AgentState:
    """What one agent owns, as if just instantiated; start functions have not run.

    Args:
        module: the program.
        max_pages: pages that a memory may grow to, where that is less than it declares.
        max_elements: the same for tables.

    Attributes:
        memories: contents. tables: handles. globals: bit patterns.
        data, elems: contents of the segments, empty once they are dropped.
        functions: the functions that handles refer to: that of handle ``n + 1`` at ``n``.
        regions: of each byte that was accessed since the last ``apart``, the regions that did so,
            and those that wrote.

    Raises:
        InstantiationError: an active segment does not fit.
    """

    __slots__ = ("data", "elems", "functions", "globals", "max_elements", "max_pages", "memories",
                 "module", "numbers", "regions", "tables")

    def __init__(
        self,
        module: Module,
        max_pages: Mapping[EntityId, int] | None = None,
        max_elements: Mapping[EntityId, int] | None = None,
    ) -> None:
        self.module = module
        self.max_pages = max_pages or {}
        self.max_elements = max_elements or {}
        self.numbers = module.function_numbers()
        self.functions = list(self.numbers)
        self.regions: dict[tuple[EntityId, int], tuple[set[int], set[int]]] = {}
        self.memories = {
            memory.id: bytearray(memory.minimum * PAGE_SIZE) for memory in module.memories.values()
        }
        self.globals = {item.id: self._bits(item.init) for item in module.globals.values()}
        self.tables = {
            table.id: [self._bits(table.init)] * table.minimum for table in module.tables.values()
        }
        self.data = {
            segment.id: segment.content(self.numbers) for segment in module.data.values()
        }
        self.elems = {
            segment.id: tuple([self._bits(item) for item in segment.items])
            for segment in module.elems.values()
        }
        self._copy_active_segments()

    def _bits(self, init: int | FuncInit) -> int:
        return self.handle(init.id) if isinstance(init, FuncInit) else init

    def handle(self, function: EntityId) -> int:
        """The reference to a function."""
        return self.numbers[function] + 1

    def referenced(self, handle: int) -> EntityId:
        """The function that a reference refers to.

        Raises:
            ValueError: it is null.
        """
        if handle == 0:
            raise ValueError("the reference is null")
        return self.functions[handle - 1]

    def _copy_active_segments(self) -> None:
        """Instance by instance, elements before data, as each was instantiated."""
        for instance in sorted({id_.instance for id_ in (*self.elems, *self.data)}):
            for elem in self.module.elems.values():
                if elem.id.instance == instance and (elem.active or elem.declarative):
                    if elem.table is not None:
                        self._copy_active(elem, self.table_init, elem.table, len(elem.items))
                    self.elems[elem.id] = ()
            for data in self.module.data.values():
                if data.id.instance == instance and data.memory is not None:
                    self._copy_active(data, self.memory_init, data.memory, len(data.data))
                    self.data[data.id] = b""

    def _copy_active(self, segment: DataSegment | ElemSegment, copy: Callable[..., None],
                     to: EntityId, count: int) -> None:
        try:
            copy(to, segment.id, segment.offset, 0, count)
        except Trapped as trap:
            kind = "data" if isinstance(segment, DataSegment) else "element"
            raise InstantiationError(
                f"{kind} segment {segment.id}: {trap.code.message}") from trap

    # Linear memory.

    def load(self, id_: EntityId, address: int, width: int) -> int:
        """The unsigned number at an address.

        Raises:
            IndexError: no bounds check guarded it.
        """
        memory = self.memories[id_]
        if address + width > len(memory):
            raise IndexError(f"load of {width} bytes at {address} outside the memory")
        return int.from_bytes(memory[address:address + width], "little")

    def store(self, id_: EntityId, address: int, width: int, bits: int) -> None:
        """Write the low bytes of a number.

        Raises:
            IndexError: no bounds check guarded it.
        """
        memory = self.memories[id_]
        if address + width > len(memory):
            raise IndexError(f"store of {width} bytes at {address} outside the memory")
        low = bits & ((1 << 8 * width) - 1)
        memory[address:address + width] = low.to_bytes(width, "little")

    def keep_apart(self, region: int, id_: EntityId, address: int, width: int, *,
                   stored: bool) -> None:
        """Note an access of a region.

        Raises:
            ValueError: one of another overlaps it, and one of the two is a store.
        """
        for byte in range(address, address + width):
            touched, written = self.regions.setdefault((id_, byte), (set(), set()))
            if (touched if stored else written) - {region}:
                raise ValueError(f"region {region} overlaps another at {byte}")
            touched.add(region)
            if stored:
                written.add(region)

    def memory_size(self, id_: EntityId) -> int:
        """Pages."""
        return len(self.memories[id_]) // PAGE_SIZE

    def memory_grow(self, id_: EntityId, pages: int) -> int:
        """Grow by pages of zeros; the old size in pages, or -1."""
        declared, memory = self.module.memories[id_], self.memories[id_]
        old = self.memory_size(id_)
        limit = 1 << 16 if declared.index_type is Type.I32 else 1 << 48
        if declared.maximum is not None:
            limit = min(limit, declared.maximum)
        if old + pages > min(limit, self.max_pages.get(id_, limit)):
            return -1
        memory.extend(bytes(pages * PAGE_SIZE))
        return old

    def memory_fill(self, id_: EntityId, to: int, byte: int, count: int) -> None:
        """Traps memory_out_of_bounds."""
        memory = self.memories[id_]
        _check(to, count, memory, Trap.MEMORY_OUT_OF_BOUNDS)
        memory[to:to + count] = bytes((byte,)) * count

    def memory_copy(self, to_id: EntityId, from_id: EntityId, to: int, source: int,
                    count: int) -> None:
        """Traps memory_out_of_bounds."""
        self._write_bytes(to_id, to, self.memories[from_id], source, count)

    def memory_init(self, id_: EntityId, segment: EntityId, to: int, source: int,
                    count: int) -> None:
        """Traps memory_out_of_bounds."""
        self._write_bytes(id_, to, self.data[segment], source, count)

    def _write_bytes(self, id_: EntityId, to: int, origin: bytes | bytearray, source: int,
                     count: int) -> None:
        memory = self.memories[id_]
        _check(source, count, origin, Trap.MEMORY_OUT_OF_BOUNDS)
        _check(to, count, memory, Trap.MEMORY_OUT_OF_BOUNDS)
        memory[to:to + count] = origin[source:source + count]

    # Tables.

    def table_grow(self, id_: EntityId, handle: int, count: int) -> int:
        """Grow by elements of one value; the old size, or -1."""
        table, maximum = self.tables[id_], self.module.tables[id_].maximum
        limit = MAX_ELEMENTS if maximum is None else min(maximum, MAX_ELEMENTS)
        old = len(table)
        if old + count > min(limit, self.max_elements.get(id_, limit)):
            return -1
        table.extend([handle] * count)
        return old

    def table_fill(self, id_: EntityId, to: int, handle: int, count: int) -> None:
        """Traps table_out_of_bounds."""
        table = self.tables[id_]
        _check(to, count, table, Trap.TABLE_OUT_OF_BOUNDS)
        table[to:to + count] = [handle] * count

    def table_copy(self, to_id: EntityId, from_id: EntityId, to: int, source: int,
                   count: int) -> None:
        """Traps table_out_of_bounds."""
        self._write_handles(to_id, to, self.tables[from_id], source, count)

    def table_init(self, id_: EntityId, segment: EntityId, to: int, source: int,
                   count: int) -> None:
        """Traps table_out_of_bounds."""
        self._write_handles(id_, to, self.elems[segment], source, count)

    def _write_handles(self, id_: EntityId, to: int, origin: Sequence[int], source: int,
                       count: int) -> None:
        table = self.tables[id_]
        _check(source, count, origin, Trap.TABLE_OUT_OF_BOUNDS)
        _check(to, count, table, Trap.TABLE_OUT_OF_BOUNDS)
        table[to:to + count] = origin[source:source + count]


def _check(start: int, count: int, container: Sequence[int], code: Trap) -> None:
    if start + count > len(container):
        raise Trapped(code)

"""Where everything that an agent owns lies: the one statement of it for code, host and tests.

An agent owns a *state block* (a header of fixed fields, then globals, tables and segment flags)
and one slice of every memory. All fields are 8 bytes, little endian, unless said otherwise.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..errors import TargetError
from ..ir import module as ir
from ..ir import ops
from ..ir.types import EntityId, Type
from .addressing import MemoryLayout, Placement
from .transfer import transfer_slots


class Ctx(enum.IntEnum):
    """Header of the state block: offset of each field. Host functions may rely on these.

    The first two say where the others, and bytes of memories, are: see :mod:`.addressing`.
    """

    SCALE = 0  # the field at offset o lies at o * SCALE: 1, or 32 in an interleaved block
    CELL_MASK = 8  # byte a of a memory lies at a + 31 * (a & CELL_MASK); 0 in a flat one
    SAVED_SP = 16  # stack pointer of the worker, while the agent runs
    STACK_LIMIT = 24  # the agent's stack must stay above this address
    FUEL_RESERVE = 32  # fuel that is not in the fuel register
    BUDGET = 40  # fuel that this run started with
    JOB = 48  # address of the Job record
    SHARED = 56  # address of the Shared record
    MEM_BASE = 64  # address of the agent's slice of its main memory
    MEM_SIZE = 72  # its current size in bytes
    INDEX = 80  # the agent's place in this dispatch
    AGENT = 88  # the agent's id
    FLAGS = 96  # the FLAG_ bits below; bits 8 to 13 are WASI's descriptors
    OUT_LEN = 104  # bytes written to standard output, which may be more than were kept
    ERR_LEN = 112  # the same for standard error
    STDIN_POS = 120  # bytes consumed of standard input
    CLOCK_READS = 128  # clock readings taken in this dispatch
    RANDOM_READS = 136  # 64-bit random words drawn in this dispatch
    END = 144


FLAG_INSTANTIATED = 1
FLAG_STARTED = 2
FLAG_STARTING = 4


class Job(enum.IntEnum):
    """The record that describes one dispatch; addresses point to host arrays."""

    COUNTER = 0  # next index to be drawn by a worker (atomic)
    COUNT = 8  # number of agents
    SLOTS = 16  # int64[COUNT]: slot of each
    STATE = 24  # address of the state block of slot 0
    SHARED = 32  # address of the Shared record
    ENTRIES = 40  # int32[COUNT]: number of the entry point; -1 only instantiates
    ARGS = 48  # uint64[COUNT, ARG_STRIDE / 8]
    ARG_STRIDE = 56  # bytes
    RESULTS = 64  # uint64[COUNT, RESULT_STRIDE / 8]
    RESULT_STRIDE = 72  # bytes
    STATUS = 80  # int64[COUNT]: see Status
    USED = 88  # int64[COUNT]: fuel used
    FUEL = 96  # fuel that each agent gets
    STOP = 104  # address of an int64: not 0 stops the agents
    STACKS = 112  # address of the workers' stacks
    STACK_SIZE = 120  # bytes, of each
    AGENT_IDS = 128  # int64[COUNT]
    OUTPUT = 136  # address of slot 0's standard output buffer
    ERRORS = 144  # address of slot 0's standard error buffer
    OUTPUT_SIZE = 152  # bytes of each buffer, and their stride
    CLOCK_NS = 160  # what clocks say, in nanoseconds since the epoch
    SEED = 168  # seed of random_get
    STDIN = 176  # address of bytes
    STDIN_SPANS = 184  # int64[COUNT, 2]: start and length in STDIN
    ARGV = 192  # address of bytes: NUL-terminated strings
    ARGV_SPANS = 200
    ENVIRON = 208  # the same, KEY=VALUE
    ENVIRON_SPANS = 216
    MEMORIES = 224  # uint64[memories]: address of slot 0's slice of each
    # Messages between agents; all of it 0 where the program exchanges none.
    MAIL_ROWS = 232  # int64[COUNT, MailRow.END / 8]: see MailRow
    MAIL_ENTRIES = 240  # uint64[messages]: sender, and length from bit 32 on, of what waits
    MAIL_DATA = 248  # uint64[]: their bytes, of each from a word on
    PEERS = 256  # int64[]: ids, ascending within each agent's part
    OUTBOX = 264  # address of slot 0's outbox
    OUTBOX_SIZE = 272  # bytes of each, and their stride
    # What is noted of host calls; all of it 0 where nothing is.
    TRACE = 280  # int64[COUNT, TRACE_STRIDE / 8]: how many calls, then a record of each: see Call
    TRACE_STRIDE = 288  # bytes
    TRACE_LIMIT = 296  # most records of an agent
    TRACE_SIZE = 304  # bytes of a record
    END = 312


class MailRow(enum.IntEnum):
    """What an agent of a dispatch has in its mailbox, and what it did with it: see Job.MAIL_ROWS.

    An outbox holds the bytes of messages from its beginning on, each from a word on, and from its
    end downwards a word for each: the recipient, and from bit 32 on the length.
    """

    FIRST = 0  # number of its first message among MAIL_ENTRIES
    COUNT = 8  # how many wait
    PLACE = 16  # number of the word in MAIL_DATA where its next message begins
    PEERS = 24  # place of the first of those in PEERS whom it may write to
    PEER_COUNT = 32
    UNDELIVERED = 40  # how many of those that it sent last time found no room
    # From here on the agent writes.
    RECEIVED = 48  # how many it has taken
    SENDER = 56  # who sent the last of them; -1: nobody yet, or the host
    SENT = 64  # how many messages lie in its outbox
    SENT_BYTES = 72  # bytes of them, without the words at the end
    TOO_LONG = 80  # how often it sent something in vain: longer than an outbox,
    UNKNOWN = 88  # to nobody whom it may write to,
    FULL = 96  # or when there was no room left
    END = 104


class Call(enum.IntEnum):
    """What is noted of a call of a host function: see Job.TRACE."""

    IMPORT = 0  # its place among the program's imports
    STATUS = 8  # the status word that it returned: see Status
    OUT_LEN = 16  # bytes that the agent had written to standard output when it ended,
    ERR_LEN = 24  # and to standard error
    SLOTS = 32  # slots of the arguments, then of the results


class Shared(enum.IntEnum):
    """The record that all agents of a kernel share, and never write."""

    FUNCS = 0  # {code address, signature}[functions], by function number
    HOSTS = 8  # code address[host functions], in id order
    TEMPLATE = 16  # initial bytes of the state block from Ctx.END on
    RUNS = 24  # {memory number, destination, source address, length}[RUN_COUNT]: active data
    RUN_COUNT = 32
    DATA = 40  # {address, length}[data segments]
    ELEMS = 48  # {address of handles, count}[element segments]
    TABLES = 56  # address of handles[shared tables]
    END = 64


#: Bits 8-39 of a status word that has no position.
NO_POSITION = 0xFFFFFFFF


class Status(enum.IntEnum):
    """Low byte of a status word, where it is no :class:`~swarmc.ir.types.Trap`.

    Status word: bits 0-7 trap code or one of these; bits 8-39 byte offset of the trap (all ones:
    none), or exit code; bits 40-63 instance of the trap, or what the host function gave whose trap
    it is. Host functions return such a word (0: go on), without position.
    """

    RETURNED = 0
    EXITED = 255


@dataclass(frozen=True, slots=True)
class MemorySlot:
    """Where one memory is found: offsets in the state block, and the reservation behind it.

    ``reserve`` is the most bytes it may grow to; ``fixed`` says that its size never changes.
    """

    id: EntityId
    base: int
    size: int
    minimum: int
    reserve: int
    fixed: bool
    index_bits: int


@dataclass(frozen=True, slots=True)
class TableSlot:
    """Where one table is found. Shared tables (never written) live outside the state block.

    ``size`` and ``elements`` are offsets in the state block; a shared table has ``number``, its
    place in ``Shared.TABLES``, and ``minimum`` elements for ever.
    """

    id: EntityId
    size: int
    elements: int
    minimum: int
    capacity: int
    number: int = -1

    @property
    def shared(self) -> bool:
        return self.number >= 0


@dataclass(frozen=True, slots=True)
class AgentLayout:
    """Layout of the state block, and of memories, of one program.

    Attributes:
        state_size: bytes of a state block, a multiple of 64.
        memory_layout: how slices and state blocks lie among those of other agents.
        dropped_data, dropped_elems: offset of one byte a segment: 1 once it is dropped.
        transfer: offset of the transfer area of a program with tail calls. transfer_slots: its
            64-bit slots; see :mod:`.transfer`.
    """

    state_size: int
    memories: tuple[MemorySlot, ...]
    globals: dict[EntityId, int]
    tables: dict[EntityId, TableSlot]
    dropped_data: dict[EntityId, int]
    dropped_elems: dict[EntityId, int]
    transfer: int = 0
    transfer_slots: int = 0
    memory_layout: MemoryLayout = MemoryLayout.FLAT

    @property
    def visible_memories(self) -> tuple[MemorySlot, ...]:
        """Memories that modules have declared; they are the first."""
        return tuple(slot for slot in self.memories if slot.id.instance != ir.PROGRAM)

    @property
    def state_place(self) -> Placement:
        """Where state blocks lie."""
        return Placement(self.state_size, self.memory_layout.state_cells)

    def memory_place(self, slot: MemorySlot) -> Placement:
        """Where slices of a memory lie."""
        return Placement(slot.reserve, self.memory_layout.memory_cells)

    def memory(self, id_: EntityId) -> MemorySlot:
        return self.memories[self.memory_number(id_)]

    def memory_number(self, id_: EntityId) -> int:
        """Place of a memory among ``memories``."""
        return next(n for n, slot in enumerate(self.memories) if slot.id == id_)


DEFAULT_HEADROOM = 1 << 20
TABLE_HEADROOM = 1 << 12

#: Most bytes that a memory may begin with: half of what addresses of processes reach.
MAX_MEMORY_BYTES = 1 << 46
#: Most elements of a program's tables together: a few bytes of code can ask for gigabytes.
MAX_TABLE_ELEMENTS = 10_000_000

_TABLE_WRITERS = frozenset(
    {ops.TABLE_SET, ops.TABLE_GROW, ops.TABLE_FILL, ops.TABLE_COPY, ops.TABLE_INIT}
)


def plan_layout(
    module: ir.Module,
    *,
    max_memory: int | None = None,
    memory_layout: MemoryLayout = MemoryLayout.FLAT,
) -> AgentLayout:
    """Assign an offset to everything that an agent of ``module`` owns.

    Args:
        max_memory: most bytes that a memory may grow to; None: its minimum plus 1 MiB. The
            declared maximum and the minimum win over it.

    Raises:
        TargetError: a memory has too many pages, or the tables too many elements.
    """
    _check_tables(module)
    written, grown = _usage(module)
    cursor = int(Ctx.END)

    def take(size: int) -> int:
        nonlocal cursor
        cursor = -(-cursor // min(size, 16)) * min(size, 16)
        cursor += size
        return cursor - size

    memories = []
    main = _main_memory(module)
    for memory in module.memories.values():
        is_main = memory.id == main
        base, size = (Ctx.MEM_BASE, Ctx.MEM_SIZE) if is_main else (take(8), take(8))
        reserve = _reserve(memory, memory.id in grown, max_memory)
        minimum = memory.minimum * ir.PAGE_SIZE
        memories.append(MemorySlot(memory.id, int(base), int(size), minimum, reserve,
                                   reserve == minimum, memory.index_type.bits))
    global_offsets = {g.id: take(16 if g.type is Type.V128 else 8) for g in module.globals.values()}
    dropped_data = {id_: take(1) for id_ in module.data}
    dropped_elems = {id_: take(1) for id_ in module.elems}
    tables: dict[EntityId, TableSlot] = {}
    shared = 0
    for table in module.tables.values():
        if table.id not in written:
            tables[table.id] = TableSlot(table.id, 0, 0, table.minimum, table.minimum, shared)
            shared += 1
            continue
        capacity = table.minimum
        if table.id in grown:
            limit = MAX_TABLE_ELEMENTS if table.maximum is None else table.maximum
            capacity = min(table.minimum + TABLE_HEADROOM, limit, MAX_TABLE_ELEMENTS)
        size = take(8)
        tables[table.id] = TableSlot(table.id, size, cursor, table.minimum, capacity)
        cursor += 8 * capacity
    slots = transfer_slots(module.types) if has_tail_calls(module) else 0
    transfer = take(8 * slots) if slots else 0
    state_size = -(-cursor // 64) * 64
    return AgentLayout(state_size, tuple(memories), global_offsets, tables, dropped_data,
                       dropped_elems, transfer, slots, memory_layout)


def has_tail_calls(module: ir.Module) -> bool:
    """Whether some function ends with a tail call."""
    return any(
        block.terminator.op in (ops.RETURN_CALL, ops.RETURN_CALL_REF)
        for function in module.functions.values()
        for block in function.blocks
    )


def _check_tables(module: ir.Module) -> None:
    elements = sum(table.minimum for table in module.tables.values())
    if elements > MAX_TABLE_ELEMENTS:
        raise TargetError(
            f"the tables have {elements:,} elements at least, which is more than the"
            f" implementation limit of {MAX_TABLE_ELEMENTS:,}"
        )


def _main_memory(module: ir.Module) -> EntityId | None:
    """The memory that host functions work on: the one exported as ``memory``, else the first."""
    for export in module.exports:
        if export.kind == "memory" and export.name == "memory":
            return export.id
    return next((memory.id for memory in module.memories.values() if not memory.hidden), None)


def _reserve(memory: ir.Memory, grows: bool, max_memory: int | None) -> int:
    minimum = memory.minimum * ir.PAGE_SIZE
    if minimum > MAX_MEMORY_BYTES:
        raise TargetError(
            f"a memory has {memory.minimum:,} pages at least, which is more than the"
            f" implementation limit of {MAX_MEMORY_BYTES // ir.PAGE_SIZE:,}"
        )
    if not grows:
        return minimum
    wanted = minimum + DEFAULT_HEADROOM if max_memory is None else max_memory
    limit = wanted // ir.PAGE_SIZE * ir.PAGE_SIZE
    if memory.maximum is not None:
        limit = min(limit, memory.maximum * ir.PAGE_SIZE)
    return max(limit, minimum)


def _usage(module: ir.Module) -> tuple[set[EntityId], set[EntityId]]:
    """Tables that code writes, and memories and tables that code grows."""
    written: set[EntityId] = set()
    grown: set[EntityId] = set()
    for function in module.functions.values():
        for inst in function.insts():
            op = inst.op
            if op is ops.MEMORY_GROW:
                grown.add(inst.attrs[0])
            elif op in _TABLE_WRITERS:
                written.add(inst.attrs[0])
                if op is ops.TABLE_GROW:
                    grown.add(inst.attrs[0])
    return written, grown

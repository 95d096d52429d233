"""A compiled program: machine code and all that the runtime needs to run it, as plain data.

It is what the cache stores and what ``swarmc compile -o module.swarmc`` writes, so that running
it again needs no decoding and no LLVM.
"""

from __future__ import annotations

import enum
import hashlib
import json
import struct
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import CacheError
from ..ir.module import DEFAULT_HEAP
from ..ir.types import EntityId, FuncType, Type
from .addressing import MemoryLayout
from .layout import AgentLayout, MemorySlot, TableSlot

MAGIC = b"SWARMC\x00\x04"
DEFAULT_CALL_DEPTH = 2048


class Effort(enum.Enum):
    """How well machine code was optimised."""

    #: Next to no optimisation: a large program starts within seconds.
    LEAST = "least"
    #: Good selection of instructions and registers, none of LLVM's passes.
    LESS = "less"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What a program is specialised to; all of it is part of the cache key.

    Attributes:
        target: name of the target.
        entry_points: exported functions that can be called; None: all.
        max_memory: bytes that a memory may grow to; None: its minimum plus 1 MiB.
        call_depth: units of call depth an agent may use.
        opt_level: LLVM's optimisation level, 0 to 3; None: by the size of the program.
        patient: with ``opt_level`` None, optimise every program, however long it takes; otherwise
            all but small ones are compiled quickly, and are :attr:`Executable.provisional`.
        missing_imports: ``error``, or ``trap`` to let an agent that calls one trap.
        heap: bytes of the heap of an agent whose program makes objects or throws exceptions.
        layout: how the bytes of agents lie in memory; None: as the target likes it.
        arch: compute capability of a GPU, e.g. ``sm_90``; None: as the target likes it.
        max_registers: most registers of a thread on a GPU; None: as many as the assembler likes.
        host_functions: what the program may import of the host besides WASI.
        effort: how well to optimise it now; chosen for each program, where it may be compiled
            again later.
    """

    target: str = "cpu"
    entry_points: tuple[str, ...] | None = None
    max_memory: int | None = None
    call_depth: int = DEFAULT_CALL_DEPTH
    opt_level: int | None = None
    patient: bool = False
    missing_imports: str = "error"
    heap: int = DEFAULT_HEAP
    layout: MemoryLayout | None = None
    arch: str | None = None
    max_registers: int | None = None
    host_functions: tuple[HostImport, ...] = ()
    effort: Effort = Effort.FULL

    @property
    def tests_alignment(self) -> bool:
        """Whether code tests addresses that are not known to be aligned.

        It does on GPUs, which fault otherwise, and wherever an access may straddle cells.
        """
        return self.target != "cpu" or self.layout not in (None, MemoryLayout.FLAT)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {
            "layout": self.layout and self.layout.value,
            "effort": self.effort.value,
            "host_functions": [host.to_json() for host in self.host_functions],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> CompileOptions:
        """Inverse of :meth:`to_json`."""
        names, layout = data["entry_points"], data["layout"]
        return CompileOptions(**data | {
            "entry_points": names and tuple(names), "layout": layout and MemoryLayout(layout),
            "effort": Effort(data["effort"]),
            "host_functions": tuple(map(HostImport.from_json, data["host_functions"])),
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """An exported function that can be called.

    ``number`` is its place in the entry table, ``nonnull`` are the places of parameters that
    must not be null references.
    """

    name: str
    type: FuncType
    number: int
    nonnull: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HostImport:
    """A function that the host must provide, in the order of ``Shared.HOSTS``."""

    module: str
    name: str
    type: FuncType

    def to_json(self) -> list[Any]:
        """As plain data."""
        return [self.module, self.name, _type_to_json(self.type)]

    @staticmethod
    def from_json(data: list[Any]) -> HostImport:
        """Inverse of :meth:`to_json`."""
        module, name, type_ = data
        return HostImport(module, name, _type_from_json(type_))


@dataclass(frozen=True, slots=True)
class GlobalExport:
    """An exported global: where its value lies in the state block.

    ``nonnull`` says that it is a reference that must not be null.
    """

    name: str
    type: Type
    mutable: bool
    offset: int
    nonnull: bool = False


@dataclass(frozen=True, slots=True)
class FunctionSpan:
    """Byte range of a function's code in its module, to name the place of a trap."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class DataRun:
    """Bytes copied into memory number ``memory`` at ``offset`` when an agent is instantiated."""

    memory: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Executable:
    """One program compiled for one target.

    Attributes:
        target: the target's name. fingerprint: machine and versions it was made for.
        objects: machine code files; for GPUs PTX, and machine code made of it if tools were there.
        template: initial bytes of the state block after its header.
        runs: active data segments. data, elems: all segments (active ones empty, as
            instantiation drops them). tables: contents of the shared tables. Handles of
            elems and tables are 8 bytes each.
        signatures: index of each function's type, by function number.
        command: whether it is a WASI command, whose agents start afresh at every dispatch.
        effort: how well its code was optimised.
        stack: bytes of stack that an agent may need at most on a GPU; None: nobody said.
        traced: whether it contains host functions that note how they are called.
    """

    target: str
    fingerprint: str
    objects: tuple[bytes, ...]
    layout: AgentLayout
    entries: tuple[Entry, ...]
    hosts: tuple[HostImport, ...]
    global_exports: tuple[GlobalExport, ...]
    spans: tuple[FunctionSpan, ...]
    signatures: tuple[int, ...]
    template: bytes
    runs: tuple[DataRun, ...]
    data: tuple[bytes, ...]
    elems: tuple[bytes, ...]
    tables: tuple[bytes, ...]
    call_depth: int
    command: bool
    effort: Effort = Effort.FULL
    memory_exports: dict[str, int] = field(default_factory=dict)
    stack: int | None = None
    traced: bool = False

    @property
    def provisional(self) -> bool:
        """Whether it was compiled quickly, so that compiling it again may pay."""
        return self.effort is not Effort.FULL

    def entry(self, name: str) -> Entry | None:
        """The entry point of that name, if there is one."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def function_at(self, offset: int) -> str | None:
        """Name of the function whose code holds the byte at ``offset`` of the module."""
        for span in self.spans:
            if span.start <= offset < span.end:
                return span.name
        return None

    def to_bytes(self) -> bytes:
        """Serialise: magic, SHA-256 of the rest, length of a JSON header, header, blobs."""
        blobs: list[bytes] = []

        def blob(data: bytes) -> int:
            blobs.append(data)
            return len(data)

        header = {
            "target": self.target,
            "fingerprint": self.fingerprint,
            "layout": _layout_to_json(self.layout),
            "entries": [
                [e.name, _type_to_json(e.type), e.number, e.nonnull] for e in self.entries
            ],
            "hosts": [host.to_json() for host in self.hosts],
            "global_exports": [
                [g.name, g.type.value, g.mutable, g.offset, g.nonnull]
                for g in self.global_exports
            ],
            "spans": [[s.start, s.end, s.name] for s in self.spans],
            "signatures": self.signatures,
            "call_depth": self.call_depth,
            "command": self.command,
            "effort": self.effort.value,
            "memory_exports": self.memory_exports,
            "stack": self.stack,
            **({"traced": True} if self.traced else {}),
            "template": blob(self.template),
            "objects": [blob(data) for data in self.objects],
            "runs": [[r.memory, r.offset, blob(r.data)] for r in self.runs],
            "data": [blob(data) for data in self.data],
            "elems": [blob(handles) for handles in self.elems],
            "tables": [blob(handles) for handles in self.tables],
        }
        text = json.dumps(header, separators=(",", ":")).encode("utf-8", "surrogatepass")
        body = (struct.pack("<Q", len(text)), text, *blobs)
        digest = hashlib.sha256()
        for part in body:
            digest.update(part)
        return b"".join((MAGIC, digest.digest(), *body))

    @staticmethod
    def from_bytes(data: bytes) -> Executable:
        """Inverse of :meth:`to_bytes`.

        Raises:
            CacheError: the bytes are no executable of this version, or are damaged.
        """
        if data[: len(MAGIC)] != MAGIC:
            raise CacheError("not a swarmc executable, or one of another version")
        body = memoryview(data)[len(MAGIC) + 32 :]
        if hashlib.sha256(body).digest() != data[len(MAGIC) : len(MAGIC) + 32]:
            raise CacheError("damaged swarmc executable: its checksum does not match")
        (length,) = struct.unpack("<Q", body[:8])
        header = json.loads(bytes(body[8 : 8 + length]).decode("utf-8", "surrogatepass"))
        cursor = 8 + length

        def blob(size: int) -> bytes:
            nonlocal cursor
            cursor += size
            return bytes(body[cursor - size : cursor])

        template = blob(header["template"])
        objects = tuple(blob(size) for size in header["objects"])
        runs = tuple(DataRun(m, offset, blob(size)) for m, offset, size in header["runs"])
        segments = tuple(blob(size) for size in header["data"])
        elems = tuple(blob(size) for size in header["elems"])
        tables = tuple(blob(size) for size in header["tables"])
        return Executable(
            target=header["target"],
            fingerprint=header["fingerprint"],
            objects=objects,
            layout=_layout_from_json(header["layout"]),
            entries=tuple(
                Entry(n, _type_from_json(t), k, tuple(nonnull))
                for n, t, k, nonnull in header["entries"]
            ),
            hosts=tuple(map(HostImport.from_json, header["hosts"])),
            global_exports=tuple(
                GlobalExport(n, Type(t), *rest) for n, t, *rest in header["global_exports"]
            ),
            spans=tuple(FunctionSpan(*span) for span in header["spans"]),
            signatures=tuple(header["signatures"]),
            template=template,
            runs=runs,
            data=segments,
            elems=elems,
            tables=tables,
            call_depth=header["call_depth"],
            command=header["command"],
            effort=Effort(header["effort"]),
            memory_exports=header["memory_exports"],
            stack=header["stack"],
            traced=header.get("traced", False),
        )


def _type_to_json(type_: FuncType) -> list[list[str]]:
    return [[t.value for t in type_.params], [t.value for t in type_.results]]


def _type_from_json(lists: list[list[str]]) -> FuncType:
    params, results = lists
    return FuncType(tuple(Type(t) for t in params), tuple(Type(t) for t in results))


def _layout_to_json(layout: AgentLayout) -> dict[str, Any]:
    return {
        "state_size": layout.state_size,
        "memory_layout": layout.memory_layout.value,
        "memories": [
            [*m.id, m.base, m.size, m.minimum, m.reserve, m.fixed, m.index_bits]
            for m in layout.memories
        ],
        "globals": [[*id_, offset] for id_, offset in layout.globals.items()],
        "tables": [
            [*t.id, t.size, t.elements, t.minimum, t.capacity, t.number]
            for t in layout.tables.values()
        ],
        "dropped_data": [[*id_, offset] for id_, offset in layout.dropped_data.items()],
        "dropped_elems": [[*id_, offset] for id_, offset in layout.dropped_elems.items()],
        "transfer": layout.transfer,
        "transfer_slots": layout.transfer_slots,
    }


def _layout_from_json(data: dict[str, Any]) -> AgentLayout:
    def offsets(rows: list[list[int]]) -> dict[EntityId, int]:
        return {EntityId(instance, index): offset for instance, index, offset in rows}

    tables = [TableSlot(EntityId(a, b), *rest) for a, b, *rest in data["tables"]]
    return AgentLayout(
        data["state_size"],
        tuple(MemorySlot(EntityId(a, b), *rest) for a, b, *rest in data["memories"]),
        offsets(data["globals"]),
        {table.id: table for table in tables},
        offsets(data["dropped_data"]),
        offsets(data["dropped_elems"]),
        data["transfer"],
        data["transfer_slots"],
        MemoryLayout(data["memory_layout"]),
    )

"""A loaded program with its agents' slices: what the manager does to slots, without ids."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..ir.types import Type
from ..targets.addressing import MemoryLayout
from ..targets.base import Dispatch, Int64s, Kernel, Outcome, Slices, TraceShape
from ..targets.executable import Entry, Executable, GlobalExport
from ..targets.layout import FLAG_STARTED, FLAG_STARTING, Ctx
from . import values
from .agents import AgentTable, Stage
from .entry_points import default_name, no_entry_point, no_such_function
from .host_calls import CallTrace
from .launch import run_serialised
from .mail.post import PostOffice
from .outputs import Stream, empty_stream
from .results import SwarmResult

_BATCH_AGENTS = 256
_BATCH_BYTES = 4 << 20
_DEAD_AT_MOST = 64


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """The state of an agent, to put it or another agent of the same program back to.

    ``scratch`` is None where the module has a memory. It is as trusted as the process that made
    it: do not restore one that came from elsewhere.
    """

    program: str
    stage: int
    state: bytes
    scratch: bytes | None


class Program:
    """One program loaded for a number of agents.

    Attributes:
        entries: entry points by name.
        default: the entry point where none is named: ``_start``, else ``main``, else the only
            one; None if there is no such.
        reset_entry: number of a command's ``_start``, before which its agents are reset.
    """

    def __init__(
        self, executable: Executable, kernel: Kernel, slices: Slices, table: AgentTable,
        *, scratch_size: int,
    ) -> None:  # fmt: skip
        self.executable = executable
        self.kernel = kernel
        self.slices = slices
        self.table = table
        self.mail: PostOffice | None = None  # where the program exchanges messages
        self.trace: TraceShape | None = None  # where host calls are noted
        self.entries: dict[str, Entry] = {entry.name: entry for entry in executable.entries}
        self.by_number: dict[int, Entry] = {entry.number: entry for entry in executable.entries}
        self._guarded = [entry for entry in executable.entries if entry.nonnull]
        default = default_name(self.entries)
        self.default = None if default is None else self.entries[default]
        start = self.entries.get("_start") if executable.command else None
        self.reset_entry = start.number if start else None
        # A module without a memory has this one, which only the host can see.
        self.scratch_size = 0 if executable.layout.visible_memories else scratch_size
        self._scratch: dict[int, bytearray] = {}
        self._dead: list[Int64s] = []  # slots of removed agents, to be scrubbed
        self._globals: dict[str, GlobalExport] = {g.name: g for g in executable.global_exports}
        initial = len(executable.template) + sum(len(run.data) for run in executable.runs)
        self._batch = max(1, min(_BATCH_AGENTS, _BATCH_BYTES // (initial + 1)))

    def entry(self, name: str) -> Entry:
        """The entry point of that name.

        Raises:
            ArgumentError: there is none; it says which there are.
        """
        entry = self.entries.get(name) if isinstance(name, str) else None
        if entry is None:
            raise no_such_function(name, self.entries)
        return entry

    def no_entry(self) -> ArgumentError:
        """The error for agents that have no entry point."""
        return no_entry_point(self.entries, "entry_point")

    @property
    def initial_memory(self) -> int:
        """Bytes that memory_init may fill."""
        memories = self.executable.layout.visible_memories
        return memories[0].minimum if memories else self.scratch_size

    def exchange(self, executable: Executable, kernel: Kernel) -> None:
        """Run other code from now on, made from the same module for the same layout."""
        self.executable = executable
        self.kernel = kernel

    # Running

    def run(self, request: Dispatch) -> tuple[Outcome, BaseException | None]:
        """Dispatch slots; see :func:`~.launch.run_serialised`.

        Raises:
            ArgumentError: an argument is null that must not be.
        """
        self._refuse_null(request)
        self.free_dead()
        # Start functions run once: an agent whose did not come to their end begins afresh.
        ran = self.table.stage[request.slots] == Stage.RAN
        if ran.any():
            slots = request.slots[ran]
            flags = self.slices.column(Ctx.FLAGS, slots)
            again = flags & (FLAG_STARTING | FLAG_STARTED) == FLAG_STARTING
            if self.reset_entry is not None:
                again |= request.entries[ran] == self.reset_entry
            self.scrub(slots[again])
        self.prepare(self.table.memory_init.given(request.slots), request.stop)
        self.table.stage[request.slots] = Stage.RAN
        return run_serialised(lambda: self.kernel.dispatch(self.slices, request), request.stop)

    def _refuse_null(self, request: Dispatch) -> None:
        for entry in self._guarded:
            rows = request.args[request.entries == entry.number]
            for place in entry.nonnull if len(rows) else ():
                if not rows[:, values.slot_count(entry.type.params[:place])].all():
                    raise values.null_argument(f"argument {place} of {entry.name}")

    def prepare(self, slots: Int64s, stop: Int64s | None = None) -> None:
        """Give those of the slots that are fresh their initial state, memory_init included."""
        stage = self.table.stage
        slots = slots[stage[slots] == Stage.FRESH]
        if not len(slots):
            return
        stop = np.zeros(1, np.int64) if stop is None else stop
        stage[slots] = Stage.RAN  # so that they are scrubbed if this does not end well
        _, interruption = run_serialised(
            lambda: self.kernel.instantiate(self.slices, slots), stop
        )
        if interruption is not None:
            self.scrub(slots)
            raise interruption
        inits = self.table.memory_init
        given = inits.given(slots)
        if len(given) and not self.scratch_size:
            self.slices.fill_memories(given, inits.pack(given))
        stage[slots] = Stage.READY

    def _prepare_near(self, slot: int) -> None:
        """Prepare a slot and fresh ones near it, which are likely to be asked for next."""
        stage = self.table.stage
        if stage[slot] == Stage.FRESH:
            first = slot // self._batch * self._batch
            near = np.flatnonzero(stage[first : first + self._batch] == Stage.FRESH)
            self.prepare(near + first)

    def scrub(self, slots: Int64s) -> None:
        """Make slots fresh: nothing that was in them can be seen again."""
        stage = self.table.stage
        used = slots[stage[slots] > Stage.FRESH]
        if len(used):
            self.slices.reset(used)
            stage[used] = Stage.FRESH
        if self._scratch:
            for slot in self._scratch.keys() & set(slots.tolist()):
                del self._scratch[slot]

    def bury(self, slots: Int64s) -> None:
        """Free slots of agents that were removed, when there are some to scrub together."""
        self._dead.append(slots)
        if len(slots) >= _DEAD_AT_MOST or len(self._dead) >= _DEAD_AT_MOST:
            self.free_dead()

    def free_dead(self) -> None:
        """Scrub and free the slots of agents that were removed."""
        if self._dead:
            slots = np.concatenate(self._dead) if len(self._dead) > 1 else self._dead[0]
            self.scrub(slots)
            self._dead = []
            self.table.free(slots)

    def result(self, request: Dispatch, outcome: Outcome, started: float) -> SwarmResult:
        """What a dispatch gave that began at ``started``, by ``time.perf_counter``."""
        slots = request.slots
        output, errors = self.streams(slots)
        return SwarmResult(
            self.executable, request.agent_ids, request.entries, outcome,
            output=output, errors=errors, truncated=self.truncated(slots),
            total_time_ms=(time.perf_counter() - started) * 1000,
        )  # fmt: skip

    def call_trace(self, outcome: Outcome) -> CallTrace:
        """What a dispatch noted of host calls, if it was to note them."""
        if self.trace is None or outcome.trace is None:
            return CallTrace.empty(self.executable, len(outcome.status))
        return CallTrace.of(self.executable, self.trace, outcome.trace)

    def streams(self, slots: Int64s) -> tuple[Stream, Stream]:
        """Standard output and error of slots that ran."""
        if not self.executable.hosts:
            return empty_stream(len(slots)), empty_stream(len(slots))
        output = Stream(*self.slices.outputs(slots))
        return output, Stream(*self.slices.outputs(slots, errors=True))

    def truncated(self, slots: Int64s) -> NDArray[np.bool_]:
        """Which slots wrote more than is kept."""
        if not self.executable.hosts:
            return np.zeros(len(slots), np.bool_)
        kept = self.slices.output_size
        return (self.slices.column(Ctx.OUT_LEN, slots) > kept) | (
            self.slices.column(Ctx.ERR_LEN, slots) > kept
        )

    # Memory and globals

    def memory_number(self, memory: int | str) -> int:
        """Number of a memory that is named by number or by export.

        Raises:
            ArgumentError: there is no such memory.
        """
        memories = self.executable.layout.visible_memories
        if isinstance(memory, str):
            number = self.executable.memory_exports.get(memory)
            if number is None:
                raise ArgumentError(f"the module exports no memory {memory!r}")
            return number
        if not 0 <= memory < max(1, len(memories)):
            raise ArgumentError(f"the module has {len(memories)} memories, there is no {memory}")
        return memory

    def memory_size(self, slot: int, memory: int) -> int:
        """Bytes that a memory has at the moment."""
        if self.scratch_size:
            return self.scratch_size
        if not self.executable.layout.visible_memories:
            return 0
        self._prepare_near(slot)
        return self.slices.memory_size(slot, memory)

    def read_memory(self, slot: int, offset: int, length: int | None, memory: int) -> bytes:
        """Bytes of a memory; ``length`` None: all from ``offset`` on."""
        size = self.memory_size(slot, memory)
        if length is None:
            length = max(0, size - offset)
        self._check_range(offset, length, size)
        if self.scratch_size:
            return bytes(self._scratch_of(slot)[offset : offset + length])
        return self.slices.read_memory(slot, offset, length, memory) if length else b""

    def write_memory(self, slot: int, offset: int, data: bytes, memory: int) -> None:
        """Change bytes of a memory."""
        self._check_range(offset, len(data), self.memory_size(slot, memory))
        if self.scratch_size:
            if slot not in self._scratch:
                self._scratch[slot] = self._scratch_of(slot)
            self._scratch[slot][offset : offset + len(data)] = data
        elif data:
            self.slices.write_memory(slot, offset, data, memory)

    def _scratch_of(self, slot: int) -> bytearray:
        found = self._scratch.get(slot)
        if found is None:
            found = bytearray(self.table.memory_init[slot].ljust(self.scratch_size, b"\0"))
        return found

    @staticmethod
    def _check_range(offset: int, length: int, size: int) -> None:
        if offset < 0 or length < 0 or offset + length > size:
            raise ArgumentError(
                f"bytes {offset} to {offset + length} are not in the agent's memory of {size} bytes"
            )

    def exported_global(self, name: str) -> GlobalExport:
        """The exported global of that name.

        Raises:
            ArgumentError: there is none.
        """
        found = self._globals.get(name)
        if found is None:
            there = ", ".join(sorted(self._globals)) or "none"
            raise ArgumentError(f"the module exports no global {name!r}", hint=f"it has: {there}")
        return found

    def read_global(self, slot: int, name: str) -> object:
        """Value of an exported global."""
        found = self.exported_global(name)
        self._prepare_near(slot)
        data = self.slices.read_state(slot, found.offset, _global_size(found))
        return values.decode(found.type, int.from_bytes(data, "little"))

    def write_global(self, slot: int, name: str, value: object) -> None:
        """Set an exported global.

        Raises:
            ArgumentError: there is none, it is immutable, or the value does not fit.
        """
        found = self.exported_global(name)
        if not found.mutable:
            raise ArgumentError(f"global {name!r} is immutable")
        bits = values.encode(found.type, value, f"global {name!r}")
        if found.nonnull and not bits:
            raise values.null_argument(f"global {name!r}")
        self._prepare_near(slot)
        data = bits.to_bytes(_global_size(found), "little")
        self.slices.write_state(slot, found.offset, data)

    # Snapshots

    @cached_property
    def identity(self) -> str:
        """Digest of what the program is, however it is compiled: a snapshot must agree with it."""
        executable = self.executable
        digest = hashlib.sha256(executable.template)
        # Snapshots say nothing of where bytes lie, only what they are.
        layout = replace(executable.layout, memory_layout=MemoryLayout.FLAT)
        shape = (layout, executable.entries, executable.spans, executable.signatures,
                 self.scratch_size)
        digest.update(repr(shape).encode("utf-8", "surrogatepass"))
        for run in executable.runs:
            digest.update(hashlib.sha256(run.data).digest())
        return digest.hexdigest()

    def snapshot(self, slot: int) -> AgentSnapshot:
        """The state of a slot."""
        self.prepare(np.array([slot]))  # elsewhere, fresh would mean another memory_init
        scratch = bytes(self._scratch_of(slot)) if self.scratch_size else None
        return AgentSnapshot(
            self.identity, int(self.table.stage[slot]), self.slices.snapshot(slot), scratch
        )

    def restore(self, slot: int, snapshot: AgentSnapshot) -> None:
        """Put a slot into the state of a snapshot.

        Raises:
            ArgumentError: the snapshot is of another program.
        """
        if snapshot.program != self.identity:
            raise ArgumentError("the snapshot was taken of another program")
        self.scrub(np.array([slot]))
        self.table.stage[slot] = Stage.RAN  # to be scrubbed, should this be interrupted
        self.slices.restore(slot, snapshot.state)
        self.table.stage[slot] = snapshot.stage
        if snapshot.scratch is not None:
            self._scratch[slot] = bytearray(snapshot.scratch)


def _global_size(found: GlobalExport) -> int:
    return 16 if found.type is Type.V128 else 8

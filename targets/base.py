"""What a target is to the runtime: compile a program, load it, hold agents' slices, dispatch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..ir import module as ir
from .addressing import MemoryLayout, Rows
from .executable import CompileOptions, Executable, HostImport
from .layout import Ctx

Int64s = NDArray[np.int64]
Uint64s = NDArray[np.uint64]
Bytes = NDArray[np.uint8]


@dataclass(slots=True)
class Strings:
    """Bytes for each agent of a dispatch: one buffer, and (start, length) of each agent's part.

    ``spans`` is int64[count, 2]; agents may share a part.
    """

    data: Bytes
    spans: Int64s


@dataclass(frozen=True, slots=True)
class DeviceColumn:
    """An argument of all agents of a dispatch, in the memory of the GPU that they run on.

    Attributes:
        slot: the argument slot that it is for. size: bytes of an element, 4 or 8.
        address, stride: of the first agent's element, and bytes from one to the next.
        owner: what keeps the memory.
    """

    slot: int
    size: int
    address: int
    stride: int
    owner: Any


@dataclass(slots=True)
class Mail:
    """Messages that wait for the agents of a dispatch, and whom they may write to.

    Attributes:
        rows: int64[count, k], see ``layout.MailRow``: as they are before the dispatch.
        entries, data, peers: see ``layout.Job``.
    """

    rows: Int64s
    entries: Int64s
    data: Uint64s
    peers: Int64s


@dataclass(frozen=True, slots=True)
class TraceShape:
    """What is noted of the host calls of each agent of a dispatch.

    Attributes:
        limit: most calls. size: bytes of a record: see ``layout.Call``.
    """

    limit: int
    size: int

    @property
    def row(self) -> int:
        """64-bit words for an agent."""
        return 1 + self.limit * self.size // 8


@dataclass(slots=True)
class Dispatch:
    """One launch: which agents run what.

    Attributes:
        slots: int64[count], the slot of each agent. agent_ids: int64[count].
        entries: int32[count], number of the entry point of each.
        args: uint64[count, k]: argument slots (v128 takes two); floats are bit patterns.
        fuel: budget of each agent, 1 to 2**62.
        clock_ns, seed: what clocks and random_get are made from.
        stdin, argv, environ: WASI inputs; argv and environ are NUL-terminated strings.
        stop: int64[1]; set it to a non-zero value from any thread to interrupt the agents.
        drain: call it from any thread, and agents that have not begun will not; it says how many
            have, which are the first. None where that cannot be, or agents do not run yet.
        columns: arguments that take the place of those in ``args``, for kernels that have
            ``arrays``.
        mail: messages; None where the program exchanges none.
        trace: None where host calls are not noted.
    """

    slots: Int64s
    agent_ids: Int64s
    entries: NDArray[np.int32]
    args: Uint64s
    stdin: Strings
    argv: Strings
    environ: Strings
    fuel: int = 10**10
    clock_ns: int = 0
    seed: int = 0
    stop: Int64s = field(default_factory=lambda: np.zeros(1, np.int64))
    drain: Callable[[], int] | None = None
    columns: tuple[DeviceColumn, ...] = ()
    mail: Mail | None = None
    trace: TraceShape | None = None

    def part(self, places: Int64s) -> Dispatch:
        """The same for some of the agents."""
        def some(strings: Strings) -> Strings:
            return Strings(strings.data, strings.spans[places])

        assert not self.columns  # where there are some, nothing drains
        mail = self.mail and replace(self.mail, rows=self.mail.rows[places])
        return Dispatch(
            self.slots[places], self.agent_ids[places], self.entries[places], self.args[places],
            some(self.stdin), some(self.argv), some(self.environ),
            fuel=self.fuel, clock_ns=self.clock_ns, seed=self.seed, stop=self.stop, mail=mail,
            trace=self.trace,
        )  # fmt: skip


class DeviceBytes(Protocol):
    """Bytes on a GPU, there for as long as somebody holds this."""

    address: int

    def read_rows(self, rows: Rows) -> Bytes:
        """A copy of pieces of them: uint8[count, width]."""
        ...


@dataclass(slots=True)
class Outcome:
    """What a dispatch gave, by place in the dispatch.

    Attributes:
        results: uint64[count, k] bit patterns. status: int64[count], see ``layout.Status``.
        used: int64[count], fuel used: the exact instruction count.
        words: what ``results`` is a copy of, where that lies on a device.
        mail: int64[count, k], see ``layout.MailRow``: as they are after the dispatch. None where
            the program exchanges no messages.
        trace: int64[count, k], see ``layout.Job.TRACE``; None where nothing was noted.
    """

    results: Uint64s
    status: Int64s
    used: Int64s
    words: DeviceBytes | None = None
    mail: Int64s | None = None
    trace: Int64s | None = None


class Slices(Protocol):
    """The memory of a swarm's agents on one device, by slot."""

    capacity: int
    output_size: int
    outbox_size: int

    def memory_size(self, slot: int, memory: int = 0) -> int:
        """Current size of a memory in bytes."""
        ...

    def read_memory(self, slot: int, offset: int, length: int, memory: int = 0) -> bytes: ...

    def write_memory(self, slot: int, offset: int, data: bytes, memory: int = 0) -> None: ...

    def fill_memories(self, slots: Int64s, strings: Strings, memory: int = 0) -> None:
        """Write a string to the start of each agent's memory, which is as large at least."""
        ...

    def read_state(self, slot: int, offset: int, length: int) -> bytes:
        """Bytes of the state block, e.g. a global at its offset."""
        ...

    def write_state(self, slot: int, offset: int, data: bytes) -> None: ...

    def column(self, field: Ctx, slots: Int64s) -> Int64s:
        """One header field of many agents."""
        ...

    def outputs(self, slots: Int64s, *, errors: bool = False) -> tuple[Bytes, Int64s]:
        """Standard output (or error) kept of each agent: all bytes joined, and their lengths."""
        ...

    def outboxes(
        self, slots: Int64s, counts: Int64s, lengths: Int64s
    ) -> tuple[Int64s, Bytes]:
        """What agents sent in their last dispatch: see ``layout.MailRow``.

        Args:
            counts: how many messages each has sent, 1 at least. lengths: bytes of them.

        Returns:
            The words of all messages, by agent and in the order of sending, and all bytes joined.
        """
        ...

    def reset(self, slots: Int64s) -> None:
        """Make the agents as if just spawned: nothing of what they held can be seen again."""
        ...

    def snapshot(self, slot: int) -> bytes:
        """The agent's whole state; untouched pages cost nothing."""
        ...

    def restore(self, slot: int, snapshot: bytes) -> None: ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class ArrayReader(Protocol):
    """A GPU that takes arguments from arrays of other libraries in its memory."""

    def check_array(self, address: int, where: str) -> None:
        """Refuse an address that is not in this GPU's memory.

        Args:
            where: what the array is for, for errors.

        Raises:
            ArgumentError: it is on another GPU, which is named, or on none.
        """
        ...

    def await_stream(self, stream: int | None) -> None:
        """Wait for all that a stream of the driver was given so far; None: for all streams."""
        ...


class Kernel(Protocol):
    """A loaded program, ready to run.

    Attributes:
        arrays: the GPU, if it takes arguments from arrays there.
    """

    executable: Executable
    arrays: ArrayReader | None

    def allocate(self, capacity: int, output_size: int, outbox_size: int = 0) -> Slices:
        """Reserve slices for ``capacity`` agents.

        Args:
            outbox_size: bytes for what an agent sends in one dispatch, a multiple of 8.

        Raises:
            CapacityError: they do not fit in the device's memory, with the numbers.
        """
        ...

    def instantiate(self, slices: Slices, slots: Int64s) -> None:
        """Give fresh agents their initial memory and globals, without running any code of theirs.

        Dispatch does it by itself; this is for looking at an agent before it ran.
        """
        ...

    def dispatch(self, slices: Slices, request: Dispatch) -> Outcome:
        """Run the agents to their ends; blocks, and may be called from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class HostCode:
    """A host function as LLVM IR that means the same on every machine.

    Attributes:
        name: for errors. symbol: of the function ``i64 (i64 context, i64 slots)`` in the text.
        text: the module, which says nothing of a machine.
    """

    name: str
    symbol: str
    text: str


#: Gives the code of host functions, in the same order.
HostCodes = Callable[[Sequence[HostImport]], Sequence[HostCode]]


class Target(Protocol):
    """A kind of machine that runs agents.

    Attributes:
        embeds_hosts: whether a program contains its host functions; otherwise they are loaded with
            it.
    """

    name: str
    embeds_hosts: bool
    layout: MemoryLayout  # of programs whose options name none

    @property
    def arch(self) -> str | None:
        """A GPU's compute capability, of programs whose options name none."""
        ...

    def fingerprint(self) -> str:
        """Everything about machine and toolchain that must be the same to run compiled code."""
        ...

    def tools(self) -> str:
        """What else code depends on when it is compiled, and not when it is run."""
        ...

    def compile(
        self,
        module: ir.Module,
        options: CompileOptions,
        progress: Callable[[str, float], None] | None = None,
        hosts: HostCodes | None = None,
    ) -> Executable:
        """Lower an optimised program to machine code.

        Args:
            progress: takes a stage, and how much of it is done, 0.0 to 1.0.
            hosts: asked if the target embeds host functions and the program calls some.

        Raises:
            TargetError: a host function does what there is no code for on such a machine.
        """
        ...

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        """Load code.

        Args:
            hosts: addresses of ``executable.hosts``, in their order; none if they are embedded.
        """
        ...

    def reset_device(self, kernel: Kernel | None) -> None:
        """Make the device work again after an error; what was on it is gone.

        Args:
            kernel: of whose device it is about; nothing is done if that has been reset already.

        Raises:
            TargetError: it cannot break in such a way, or does not come back.
        """
        ...

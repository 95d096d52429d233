"""What a differential run is given and what it gives: the language of oracle and swarm alike.

Values are bit patterns (unsigned ints); references are handles as in :class:`~swarmc.ir.types.Type`
(0 is null, a function is 1 + its index, an externref 1 + the host's number).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ...ir.types import Trap

#: Handle of a function or exception that the oracle knows not to be null, and nothing more.
SOME_FUNCTION = -1
#: The same of an externref that was an anyref; ours have this bit, too.
SOME_INSIDE = 1 << 63
#: Fuel for start functions in the oracle, whose cost is not counted.
UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an exported function; ``args`` are bit patterns."""

    entry: str
    args: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """What one agent does: calls, one a dispatch, and its inputs.

    Attributes:
        memory: bytes written at address 0 of the first memory before the first call; not for
            modules with a start function.
    """

    calls: tuple[Call, ...]
    memory: bytes = b""
    stdin: bytes = b""
    argv: tuple[str, ...] = ("program",)
    environ: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """How a module is loaded.

    Attributes:
        max_memory: bytes that a memory may grow to; None: its minimum plus 1 MiB.
        entry_points: exports that are ever called; None: any.
        missing_imports: ``error`` or ``trap``.
        heap: bytes of the heap; more than most modules use up, as nothing on it is freed.
    """

    max_memory: int | None = None
    entry_points: tuple[str, ...] | None = None
    missing_imports: Literal["error", "trap"] = "error"
    heap: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Workload:
    """A whole run: one script an agent, all with the same number of calls.

    Attributes:
        fuel: budget of each call.
    """

    scripts: tuple[Script, ...]
    fuel: int = 10**10


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended: with ``results``, a ``trap`` or an ``exit_code``.

    Attributes:
        offset: byte offset of the trap in the module, None where it is not known.
        fuel: units used, None where they are not known (wasmtime: after a trap).
    """

    results: tuple[int, ...] | None = None
    trap: Trap | None = None
    offset: int | None = None
    exit_code: int | None = None
    fuel: int | None = None

    def __str__(self) -> str:
        if self.trap is not None:
            text = f"trap {self.trap.slug}"
            if self.offset is not None:
                text += f" @{self.offset:#x}"
        elif self.exit_code is not None:
            text = f"exit {self.exit_code}"
        else:
            text = "(" + ", ".join(f"{value:#x}" for value in self.results or ()) + ")"
        return text if self.fuel is None else f"{text} fuel {self.fuel}"


@dataclass(slots=True)
class State:
    """What can be seen of an agent after its calls; memories, globals, tables by export name."""

    memories: dict[str, bytes] = field(default_factory=dict)
    globals: dict[str, int] = field(default_factory=dict)
    tables: dict[str, tuple[int, ...]] = field(default_factory=dict)
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(slots=True)
class AgentRun:
    """The outcomes of one agent's calls and its state after the last one.

    Attributes:
        foreign: what it wrote, or somebody else, that was not theirs to write; empty: nothing.
    """

    outcomes: list[Outcome]
    state: State
    foreign: str = ""


class Rejected(Exception):
    """An executor does not take the module.

    Args:
        message: why.
        stage: ``decode``, ``validate``, ``link``, ``instantiate`` or ``unsupported``.
    """

    def __init__(self, message: str, stage: str) -> None:
        super().__init__(message)
        self.message = message
        self.stage = stage


class Loaded(Protocol):
    """A module, ready to run."""

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        """Run every script on a fresh agent.

        Raises:
            Rejected: the module cannot be instantiated.
        """
        ...


class Executor(Protocol):
    """Something that runs modules: the oracle, the IR interpreter, a target."""

    name: str

    def load(self, data: bytes, setup: Setup) -> Loaded:
        """Compile a module.

        Raises:
            Rejected: it is malformed or invalid, or cannot be linked or instantiated.
        """
        ...

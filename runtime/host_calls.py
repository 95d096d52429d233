"""The host calls of agents, as a dispatch noted them: see ``layout.Call``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..ir.types import Trap, Type
from ..targets.base import Int64s, TraceShape, Uint64s
from ..targets.executable import Executable, HostImport
from ..targets.layout import Call, Status
from .values import decode_row, slot_count
from .wasi.errno_names import ERRNO_NAMES
from .wasi.table import MODULES as WASI


@dataclass(frozen=True, slots=True)
class HostCall:
    """A call of a host function.

    Attributes:
        module, name: of the import.
        args: as the host function got them; integers are signed, addresses too.
        result: what it returned: None for nothing, a tuple for several values; None also if the
            agent ended with the call.
        errno: name of what a function of WASI returned, such as ``badf``.
        trap: why it ended the agent, if it did. exit_code: what the agent exited with, if it did.
        stdout, stderr: bytes that the agent had written to each when the call ended; where
            output was cut off, more than were kept.
    """

    module: str
    name: str
    args: tuple[Any, ...]
    result: Any
    errno: str | None
    trap: str | None
    exit_code: int | None
    stdout: int
    stderr: int

    @property
    def returned(self) -> bool:
        """Whether the agent went on."""
        return self.trap is None and self.exit_code is None

    def to_dict(self) -> dict[str, Any]:
        """As :meth:`~.results.SwarmResult.to_dict` has it; values are not made JSON yet."""
        found: dict[str, Any] = {"module": self.module, "name": self.name, "args": self.args}
        if self.returned:
            found["result"] = self.result
        for name in ("errno", "trap", "exit_code"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found

    def __str__(self) -> str:
        args = ", ".join("null" if one is None else str(one) for one in self.args)
        ended = "" if self.result is None else f" = {self.result}"
        if self.trap is not None:
            ended = f" trapped: {self.trap}"
        elif self.exit_code is not None:
            ended = f" exited with {self.exit_code}"
        elif self.errno is not None:
            ended = f" = {self.errno}"
        return f"{self.module}.{self.name}({args}){ended}"


def trace_shape(executable: Executable, limit: int) -> TraceShape | None:
    """What is noted of a program's host calls; None where there are none to note."""
    if not limit or not executable.hosts:
        return None
    types = [host.type for host in executable.hosts]
    slots = max(slot_count(type_.params) + slot_count(type_.results) for type_ in types)
    return TraceShape(limit, int(Call.SLOTS) + 8 * slots)


class CallTrace:
    """What was noted of the agents of a dispatch, by their place in it.

    Args:
        hosts: the program's imports.
        counts: int64[n]: how many calls each agent made. kept: how many of them were noted.
        records: uint64[m, k]: these, of one agent after the other.
    """

    def __init__(
        self, hosts: Sequence[HostImport], counts: Int64s, kept: Int64s, records: Uint64s
    ) -> None:
        self.counts = counts
        self._hosts = hosts
        self._kept = kept
        self._ends = np.cumsum(kept)
        self._records = records

    @classmethod
    def of(cls, executable: Executable, shape: TraceShape, rows: Int64s) -> Self:
        """What code wrote, as ``Outcome.trace`` has it, without what is empty."""
        counts = rows[:, 0].copy()
        kept = np.minimum(counts, shape.limit)
        words = shape.size // 8
        agents = np.repeat(np.arange(len(rows)), kept)
        numbers = np.arange(len(agents)) - np.repeat(np.cumsum(kept) - kept, kept)
        records = rows[:, 1:].reshape(len(rows), shape.limit, words)[agents, numbers]
        return cls(executable.hosts, counts, kept, records.view(np.uint64))

    @classmethod
    def empty(cls, executable: Executable, count: int) -> Self:
        """Of agents that made no calls."""
        none = np.zeros(count, np.int64)
        return cls(executable.hosts, none, none, np.zeros((0, 0), np.uint64))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several dispatches' of one program as one."""
        return cls(
            parts[0]._hosts,
            *(np.concatenate([getattr(part, name) for part in parts])
              for name in ("counts", "_kept", "_records")),
        )  # fmt: skip

    def calls(self) -> list[list[HostCall]]:
        """The calls of each agent, in their order."""
        return [self.calls_of(place) for place in range(len(self.counts))]

    def calls_of(self, place: int) -> list[HostCall]:
        """Those of one agent."""
        end = int(self._ends[place])
        return [self._call(row) for row in self._records[end - self._kept[place] : end].tolist()]

    def _call(self, record: list[int]) -> HostCall:
        number, status, stdout, stderr, *slots = record
        host = self._hosts[number]
        args = decode_row(host.type.params, slots)
        results = decode_row(host.type.results, slots[slot_count(host.type.params) :])
        low, said = status & 0xFF, status >> 8 & 0xFFFF_FFFF
        result = errno = trap = exit_code = None
        if status == Status.RETURNED:
            result = None if not results else results[0] if len(results) == 1 else results
            if host.module in WASI and host.type.results == (Type.I32,):
                errno = _errno_name(results[0])
        elif low == Status.EXITED:
            exit_code = said
        else:
            trap = _trap_text(status)
        return HostCall(
            host.module, host.name, args, result, errno, trap, exit_code, stdout, stderr
        )


def _errno_name(number: int) -> str:
    return ERRNO_NAMES[number] if 0 <= number < len(ERRNO_NAMES) else str(number)


def _trap_text(word: int) -> str:
    """As ``TrapInfo.message`` says it."""
    code = Trap(word & 0xFF)
    said = (word >> 40 & 0xFFFFFF) if code is Trap.HOST else 0
    return f"{code.message}: {said - 1}" if said else code.message

"""What a dispatch gave: arrays first, dictionaries by agent id on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, SwarmStateError
from ..ir.types import Trap, Type
from ..targets.addressing import Rows
from ..targets.base import Int64s, Outcome
from ..targets.device_array import DeviceArray
from ..targets.executable import Entry, Executable
from ..targets.layout import Status
from .host_calls import CallTrace, HostCall
from .mail.post import MailStatistics
from .outputs import Stream, joined_stream
from .plain import plain
from .values import column_values, decode_column, slot_count

Mask = NDArray[np.bool_]

_NO_OFFSET = 0xFFFF_FFFF

#: Elements of results on a GPU: what :func:`~.values.decode_column` makes of them, but for those
#: whose bits it changes.
_DEVICE_KINDS: dict[Type, np.dtype[Any]] = {
    Type.I32: np.dtype("<i4"), Type.I64: np.dtype("<i8"), Type.F32: np.dtype("<f4"),
    Type.F64: np.dtype("<f8"), Type.V128: np.dtype("u1"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrapInfo:
    """Why and where an agent trapped.

    ``offset`` is the instruction's byte offset in the module, ``function`` the name of its
    function; None where the trap has no place. ``host_code`` is what a host function of the
    user's gave to ``swarmc.trap``; None for every other trap.
    """

    code: Trap
    message: str
    offset: int | None
    function: str | None
    host_code: int | None = None

    def __str__(self) -> str:
        where = [f"in function {self.function}"] if self.function is not None else []
        where += [f"at byte {self.offset:#x}"] if self.offset is not None else []
        return self.message + (f" ({', '.join(where)})" if where else "")


class SwarmResult:
    """Outcome of one dispatch, by place in the dispatch (arrays) or by agent id (dictionaries).

    Attributes:
        ids: int64[n], agent ids in the order of the dispatch.
        status: uint8[n]: 0 returned, 255 exited with ``proc_exit``, else a
            :class:`~swarmc.ir.types.Trap`.
        counts_array: int64[n], instructions that each agent executed.
        total_time_ms: duration of the dispatch as its caller saw it.
        truncated_array: bool[n], who wrote more to a stream than was kept of it.
        mail: numbers of messages; None where the program exchanges none.
        trace: what was noted of host calls; None where nothing was.
    """

    def __init__(
        self,
        executable: Executable,
        ids: Int64s,
        entries: NDArray[np.int32],
        outcome: Outcome,
        *,
        output: Stream,
        errors: Stream,
        truncated: Mask,
        total_time_ms: float,
    ) -> None:
        self._executable = executable
        self.ids = ids
        self.counts_array = outcome.used
        self.status = (outcome.status & 0xFF).astype(np.uint8)
        self.total_time_ms = total_time_ms
        self.truncated_array = truncated
        self.mail: MailStatistics | None = None
        self.trace: CallTrace | None = None
        self._words = outcome.status
        self._raw = outcome.results
        self._device_words = outcome.words
        self._entries = entries
        self._types: dict[int, Entry] = {e.number: e for e in executable.entries}
        self._spans = executable.spans
        self._start = next((e.number for e in executable.entries if e.name == "_start"), None)
        if not executable.command:
            self._start = None
        self._output = output
        self._errors = errors

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        trapped = int(self.trapped_array.sum())
        return (
            f"<SwarmResult: {len(self)} agents, {trapped} trapped,"
            f" {int(self.counts_array.sum())} instructions, {self.total_time_ms:.3f} ms>"
        )

    @property
    def returned_array(self) -> Mask:
        """bool[n]: whose entry point returned."""
        mask: Mask = self.status == Status.RETURNED
        return mask

    @property
    def exited_array(self) -> Mask:
        """bool[n]: who ended with ``proc_exit``."""
        mask: Mask = self.status == Status.EXITED
        return mask

    @property
    def trapped_array(self) -> Mask:
        """bool[n]: who trapped."""
        return ~(self.returned_array | self.exited_array)

    @property
    def interrupted(self) -> bool:
        """Whether agents were stopped from outside before they ended."""
        return bool((self.status == Trap.INTERRUPTED).any())

    def results_array(self, index: int = 0) -> NDArray[Any]:
        """Result ``index`` of every agent as a typed column; 0 for those that did not return.

        int32, int64, float32 or float64 [n]; a v128 is uint8[n, 16], references are int64[n]
        with -1 for null.

        Raises:
            ArgumentError: the agents' entry points have no such result, or of different types.
        """
        kind = self._kind(index)
        if kind is None:
            return np.zeros(0, np.int64)
        type_, first = kind
        raw = self._raw[:, first:].copy()
        raw[~self.returned_array] = 0
        return decode_column(type_, raw)

    def results_device(self, index: int = 0) -> DeviceArray:
        """Result ``index`` of every agent on the GPU that they ran on, without a copy.

        An array with ``__cuda_array_interface__`` and ``copy_to_host()``, of the shape and the
        type of ``results_array``; 0 for those that did not return. It lies in memory of this
        dispatch alone, which no other dispatch writes to: it is good for as long as somebody holds
        it or this result, after the swarm is closed, too, unless the device is reset.

        Raises:
            ArgumentError: the agents ran on no GPU, or in several waves; their entry points have
                no such result, of different types, or a reference.
        """
        words = self._device_words
        if self._executable.target != "cuda":
            raise ArgumentError(
                f"the results are not on a GPU: the agents ran on target {self._executable.target}",
                hint="results_array() gives them as an array of NumPy",
            )
        if words is None:
            raise ArgumentError(
                "the results of several waves do not lie in one array on the GPU",
                hint="results_array() gives them as an array of NumPy",
            )
        type_, first = self._kind(index) or (Type.I64, 0)
        kind = _DEVICE_KINDS.get(type_)
        if kind is None:
            raise ArgumentError(f"result {index} is a reference: the GPU has no array of those")
        width = 16 if type_ is Type.V128 else kind.itemsize
        rows = Rows(8 * first, 8 * self._raw.shape[1], width, len(self))
        return DeviceArray(words, rows, kind, column=type_ is not Type.V128)

    def forget_device(self) -> None:
        """Let go of the results on the GPU."""
        self._device_words = None

    def _kind(self, index: int) -> tuple[Type, int] | None:
        """Type of a result and its first slot; None: there are no agents.

        Raises:
            ArgumentError: as ``results_array``.
        """
        kinds: set[tuple[Type, int]] = set()
        for number in _distinct(self._entries):
            entry = self._types[number]
            if not 0 <= index < len(entry.type.results):
                raise ArgumentError(f"{entry.name} has no result {index}")
            kinds.add((entry.type.results[index], slot_count(entry.type.results[:index])))
        if len(kinds) > 1:
            raise ArgumentError("the agents' results have different types")
        return kinds.pop() if kinds else None

    @cached_property
    def agent_results(self) -> dict[int, Any]:
        """What each agent's entry point returned; None for nothing, a tuple for several values.

        Agents that trapped are absent; those that ended with ``proc_exit`` have None.
        """
        finished = ~self.trapped_array
        places = np.flatnonzero(finished)
        values: list[Any] = [None] * len(places)
        for number in _distinct(self._entries):
            types = self._types[number].type.results
            if not types:
                continue
            chosen = self.returned_array[places] & (self._entries[places] == number)
            found = _tuples(types, self._raw[places[chosen]])
            if len(found) == len(values):
                values = found
            else:
                for place, value in zip(np.flatnonzero(chosen).tolist(), found, strict=True):
                    values[place] = value
        return dict(zip(self.ids[places].tolist(), values, strict=True))

    @cached_property
    def agent_outputs(self) -> dict[int, bytes]:
        """Standard output of each agent, as much as was kept."""
        return dict(zip(self.ids.tolist(), self._output.split(), strict=True))

    @cached_property
    def agent_errors(self) -> dict[int, bytes]:
        """Standard error of each agent, as much as was kept."""
        return dict(zip(self.ids.tolist(), self._errors.split(), strict=True))

    @cached_property
    def instruction_counts(self) -> dict[int, int]:
        """Instructions that each agent executed."""
        return dict(zip(self.ids.tolist(), self.counts_array.tolist(), strict=True))

    @cached_property
    def truncated(self) -> dict[int, bool]:
        """Whether an agent wrote more to a stream than was kept of it."""
        return dict(zip(self.ids.tolist(), self.truncated_array.tolist(), strict=True))

    @cached_property
    def traps(self) -> dict[int, TrapInfo]:
        """The trap of each agent that trapped."""
        places = np.flatnonzero(self.trapped_array)
        words, which = np.unique(self._words[places], return_inverse=True)
        infos = [self._trap_info(word) for word in words.tolist()]
        ids = self.ids[places].tolist()
        return {id_: infos[n] for id_, n in zip(ids, which.tolist(), strict=True)}

    def _trap_info(self, word: int) -> TrapInfo:
        code = Trap(word & 0xFF)
        offset = word >> 8 & _NO_OFFSET
        said = (word >> 40 & 0xFFFFFF) if code is Trap.HOST else 0
        message = f"{code.message}: {said - 1}" if said else code.message
        host_code = said - 1 if said else None
        if offset == _NO_OFFSET:
            return TrapInfo(code, message, None, None, host_code)
        function = next((s.name for s in self._spans if s.start <= offset < s.end), None)
        return TrapInfo(code, message, offset, function, host_code)

    @cached_property
    def host_calls(self) -> dict[int, list[HostCall]]:
        """The first host calls of each agent, in their order: as many as were to be noted.

        Raises:
            SwarmStateError: none were to be.
        """
        return dict(zip(self.ids.tolist(), self._noted().calls(), strict=True))

    @cached_property
    def host_call_counts(self) -> dict[int, int]:
        """How many host calls each agent made in all.

        Raises:
            SwarmStateError: they were not counted.
        """
        return dict(zip(self.ids.tolist(), self._noted().counts.tolist(), strict=True))

    def _noted(self) -> CallTrace:
        if self.trace is None:
            raise SwarmStateError(
                "host calls were not traced", hint="make the swarm with trace_host_calls=64"
            )
        return self.trace

    @cached_property
    def exit_codes(self) -> dict[int, int]:
        """Exit code of each agent that ended with ``proc_exit`` or whose ``_start`` returned."""
        codes = np.where(self.exited_array, self._words >> 8 & 0xFFFF_FFFF, 0)
        has = self.exited_array
        if self._start is not None:
            has = has | (self.returned_array & (self._entries == self._start))
        return dict(zip(self.ids[has].tolist(), codes[has].tolist(), strict=True))

    @cached_property
    def endings(self) -> dict[int, str]:
        """How each agent ended: ``trapped``, ``exited`` if it has an exit code, or ``returned``."""
        endings = dict.fromkeys(self.ids.tolist(), "returned")
        endings.update(dict.fromkeys(self.exit_codes, "exited"))
        endings.update(dict.fromkeys(self.ids[self.trapped_array].tolist(), "trapped"))
        return endings

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values.

        Bytes become text where they are UTF-8, else ``{"base64": ...}``; floats that JSON does
        not know become ``"nan"``, ``"inf"`` and ``"-inf"``.
        """
        agents = []
        for id_ in self.ids.tolist():
            agent: dict[str, Any] = {"id": id_, "status": self.endings[id_]}
            if id_ in self.agent_results:
                agent["result"] = plain(self.agent_results[id_])
            if id_ in self.exit_codes:
                agent["exit_code"] = self.exit_codes[id_]
            trap = self.traps.get(id_)
            if trap is not None:
                agent["trap"] = {
                    "code": trap.code.slug,
                    "message": trap.message,
                    "offset": trap.offset,
                    "function": trap.function,
                }
            agent["instructions"] = self.instruction_counts[id_]
            agent["stdout"] = plain(self.agent_outputs[id_])
            agent["stderr"] = plain(self.agent_errors[id_])
            agent["truncated"] = self.truncated[id_]
            if self.trace is not None:
                agent["host_call_count"] = self.host_call_counts[id_]
                agent["host_calls"] = [plain(call.to_dict()) for call in self.host_calls[id_]]
            agents.append(agent)
        mail = {} if self.mail is None else {"mail": asdict(self.mail)}
        return {
            "total_time_ms": self.total_time_ms,
            "interrupted": self.interrupted,
            **mail,
            "agents": agents,
        }


def joined(parts: Sequence[SwarmResult], total_time_ms: float) -> SwarmResult:
    """The result of several dispatches of one program as one; their agents differ."""
    if len(parts) == 1:
        parts[0].total_time_ms = total_time_ms
        return parts[0]
    first = parts[0]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    result = SwarmResult(
        first._executable, column("ids"), column("_entries"),
        Outcome(column("_raw"), column("_words"), column("counts_array")),
        output=joined_stream([part._output for part in parts]),
        errors=joined_stream([part._errors for part in parts]),
        truncated=column("truncated_array"), total_time_ms=total_time_ms,
    )  # fmt: skip
    traces = [part.trace for part in parts if part.trace is not None]
    if len(traces) == len(parts):
        result.trace = CallTrace.joined(traces)
    return result


def _distinct(numbers: NDArray[np.int32]) -> list[int]:
    if len(numbers) and (numbers == numbers[0]).all():
        return [int(numbers[0])]
    return [int(number) for number in np.unique(numbers)]


def _tuples(types: tuple[Type, ...], raw: NDArray[np.uint64]) -> list[Any]:
    """Result values of many agents, a tuple each where there are several."""
    columns = []
    first = 0
    for type_ in types:
        columns.append(column_values(type_, raw[:, first:]))
        first += slot_count((type_,))
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

"""What the agents of a turn did, as events: text that they wrote, host calls, usage.

A turn is one dispatch, which is told when it has ended: one agent after the other, and of each what
it did in its order. Where host calls are noted, text comes behind the calls that wrote it: as one
what several in a row wrote to one stream. What an agent wrote after the last call that is told
comes at the end, standard error first.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Literal

from ...host_calls import HostCall
from ...plain import plain
from ...results import SwarmResult
from .protocol import TurnEvent, TurnRun

#: Bytes of output that are told in one event.
DELTA = 65536
#: Host calls that are told of a turn, agent by agent; the others are only counted.
TOLD_CALLS = 512
#: Host calls that are noted of an agent: so many of each if there are few, and of many.
_MOST, _LEAST = 64, 16

DeltaType = Literal["reasoning_delta", "assistant_delta"]


def traced_calls(agents: int) -> int:
    """How many host calls of each agent are noted."""
    return min(_MOST, max(_LEAST, TOLD_CALLS // agents))


def turn_events(turn: TurnRun, result: SwarmResult) -> Iterator[TurnEvent]:
    """The events of a turn, but for its beginning and its end."""
    left = TOLD_CALLS
    outputs, errors = result.agent_outputs.values(), result.agent_errors.values()
    for number, (output, error) in enumerate(zip(outputs, errors, strict=True)):
        agent = _Agent(turn.turn_id, number, output, error)
        if result.trace is not None and left:
            calls = result.trace.calls_of(number)[:left]
            left -= len(calls)
            for call in calls:
                yield from agent.call(call)
        yield from agent.rest()
    usage: dict[str, Any] = {
        "instructions": int(result.counts_array.sum()),
        "milliseconds": result.total_time_ms, "agents": turn.agents,
        "bytes": sum(map(len, outputs)) + len(turn.data) * 3 // 4,
    }  # fmt: skip
    if result.trace is not None:
        usage["host_calls"] = int(result.trace.counts.sum())
        usage["host_calls_told"] = TOLD_CALLS - left
    yield TurnEvent(turn_id=turn.turn_id, type="usage", data=usage)


class _Agent:
    """One agent, and how much of what it wrote has been told."""

    def __init__(self, turn_id: str, number: int, output: bytes, error: bytes) -> None:
        self._turn_id = turn_id
        self._number = number
        self._output = _Text("assistant_delta", output)
        self._error = _Text("reasoning_delta", error)
        self._writing: _Text | None = None  # what the latest call wrote to

    def call(self, call: HostCall) -> Iterator[TurnEvent]:
        """A host call, and before it what was written by those before, unless it writes on."""
        written = None
        for text, length in ((self._error, call.stderr), (self._output, call.stdout)):
            if length > text.written:
                written = text
        if written is not self._writing:
            yield from self._written()
            self._writing = written
        self._error.written, self._output.written = call.stderr, call.stdout
        what = {"agent": self._number, "module": call.module, "name": call.name}
        yield self._event("command_started", {**what, "args": plain(call.args)})
        yield self._event("command_completed", what | _ending(call))

    def rest(self) -> Iterator[TurnEvent]:
        """What is left of what it wrote."""
        yield from self._written()
        for text in (self._error, self._output):
            yield from self._told(text, None)

    def _written(self) -> Iterator[TurnEvent]:
        if self._writing is not None:
            yield from self._told(self._writing, self._writing.written)

    def _told(self, text: _Text, end: int | None) -> Iterator[TurnEvent]:
        for piece in text.until(end):
            yield self._event(text.type, {"agent": self._number, "text": piece})

    def _event(self, type: Any, data: dict[str, Any]) -> TurnEvent:
        return TurnEvent(turn_id=self._turn_id, type=type, data=data)


class _Text:
    """What an agent wrote to one stream; characters are not cut in two."""

    def __init__(self, type: DeltaType, data: bytes) -> None:
        self.type: DeltaType = type
        self.written = 0  # bytes after the latest call
        self._data = data
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def until(self, end: int | None) -> Iterator[str]:
        """Pieces of the text up to a byte; None: to the end."""
        stop = len(self._data) if end is None else min(end, len(self._data))
        while self._at < stop:
            chunk = self._data[self._at : min(self._at + DELTA, stop)]
            self._at += len(chunk)
            piece = self._decoder.decode(chunk, final=self._at == len(self._data))
            if piece:
                yield piece


def _ending(call: HostCall) -> dict[str, Any]:
    """What came of a host call."""
    found: dict[str, Any] = {"result": plain(call.result)}
    if call.errno is not None:
        found["errno"] = call.errno
        if call.errno != "success":
            found["error"] = call.errno
    if call.trap is not None:
        found["error"] = call.trap
    if call.exit_code is not None:
        found["exit_code"] = call.exit_code
    return found

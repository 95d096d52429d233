"""Compares a run of swarmc with the oracle's: results, state, traps, output and fuel.

Each agent of a swarm has inputs of its own, and the oracle runs each by itself: whatever leaks
from one agent to another is a difference, too, and so is whatever changes outside their slices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...ir.types import Trap
from .execution import (
    SOME_FUNCTION,
    SOME_INSIDE,
    AgentRun,
    Executor,
    Outcome,
    Rejected,
    Setup,
    State,
    Workload,
)

_SHOWN = 8
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference.

    Attributes:
        kind: what differs: ``verdict``, ``result``, ``trap``, ``offset``, ``fuel``, ``memory``,
            ``global``, ``table``, ``stdout``, ``stderr``, ``exit``, ``isolation`` or ``error``.
        agent, call: where, None for a difference that is not of one agent or one call.
    """

    kind: str
    message: str
    executor: str
    agent: int | None = None
    call: int | None = None

    def __str__(self) -> str:
        where = "" if self.agent is None else f" agent {self.agent}"
        where += "" if self.call is None else f" call {self.call}"
        return f"{self.executor}: {self.kind}{where}: {self.message}"


@dataclass(slots=True)
class Tally:
    """What was compared: executions (calls), how they ended, and what was exempt."""

    executions: int = 0
    returned: int = 0
    trapped: int = 0
    exempt: int = 0


def compare(expected: Sequence[AgentRun] | Rejected, actual: Sequence[AgentRun] | Rejected,
            workload: Workload, executor: str, tally: Tally | None = None) -> Mismatch | None:
    """The first difference between two runs of a workload; None if there is none.

    Args:
        executor: whose run ``actual`` is, for the report.
        tally: counts are added to it.
    """
    if isinstance(expected, Rejected) or isinstance(actual, Rejected):
        return _compare_verdicts(expected, actual, executor)
    tally = Tally() if tally is None else tally
    for agent, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
        found = _compare_agents(wanted, got, executor, agent, workload.fuel, tally)
        if found is not None:
            return found
    return None


def run(executor: Executor, data: bytes, setup: Setup,
        workload: Workload) -> Sequence[AgentRun] | Rejected:
    """The runs, or why there are none."""
    try:
        return executor.load(data, setup).run(workload)
    except Rejected as rejected:
        return rejected


def check(oracle: Executor, executor: Executor, data: bytes, setup: Setup,
          workload: Workload) -> Mismatch | None:
    """Run a module on both and compare. An exception of ours is a difference, too."""
    expected = run(oracle, data, setup, workload)
    try:
        actual = run(executor, data, setup, workload)
    except Exception as error:
        return unexpected(error, executor.name)
    return compare(expected, actual, workload, executor.name)


def unexpected(error: Exception, executor: str) -> Mismatch:
    """The difference that an exception is where the oracle gives a verdict."""
    text = str(error)[:_LONGEST_ERROR]
    return Mismatch("error", f"{type(error).__name__}: {text}", executor)


#: Ends that come sooner or later, as frames and objects are counted.
_UNCOUNTED = {Trap.CALL_STACK_EXHAUSTED, Trap.HEAP_EXHAUSTED}


def _compare_verdicts(expected: Sequence[AgentRun] | Rejected,
                      actual: Sequence[AgentRun] | Rejected, name: str) -> Mismatch | None:
    """One refused the module: the other must have, too, at the same stage."""
    if isinstance(expected, Rejected):
        if isinstance(actual, Rejected):
            accepted = {expected.stage, "decode"} if expected.stage == "validate" else {
                expected.stage}
            return None if actual.stage in accepted else Mismatch(
                "verdict", f"{actual.stage}: {actual} where the oracle says {expected.stage}: "
                f"{expected}", name)
        if expected.stage == "instantiate" and all(
                run.outcomes[0].trap is not None for run in actual):
            return None  # the start function trapped, which is ours to find when agents run
        return Mismatch("verdict", f"accepted what the oracle refuses: {expected}", name)
    return Mismatch("verdict", f"refused what the oracle accepts: {actual}", name)


def _compare_agents(expected: AgentRun, actual: AgentRun, name: str, agent: int, fuel: int,
                    tally: Tally) -> Mismatch | None:
    if actual.foreign:
        return Mismatch("isolation", actual.foreign, name, agent)
    for call, (wanted, got) in enumerate(zip(expected.outcomes, actual.outcomes, strict=True)):
        tally.executions += 1
        if _UNCOUNTED & {wanted.trap, got.trap}:
            tally.exempt += 1
            return None  # all after it may differ
        tally.returned += wanted.results is not None
        tally.trapped += wanted.trap is not None
        found = _compare_outcomes(wanted, got, fuel)
        if found is not None:
            return Mismatch(*found, name, agent, call)
    found = _compare_states(expected.state, actual.state)
    return None if found is None else Mismatch(*found, name, agent)


def _compare_outcomes(wanted: Outcome, got: Outcome, fuel: int) -> tuple[str, str] | None:
    text = f"{got}, not {wanted}"
    if wanted.trap is not got.trap:
        return "trap", text
    if wanted.exit_code != got.exit_code:
        return "exit", text
    if (wanted.results is None) != (got.results is None) or not all(
            map(_same, wanted.results or (), got.results or ())):
        return "result", text
    if wanted.offset is not None and got.offset != wanted.offset:
        return "offset", text
    # Between two checks more may be used than there is; wasmtime then says that all was used.
    if wanted.fuel is not None and min(got.fuel or 0, fuel) != wanted.fuel:
        return "fuel", text
    return None


def _same(wanted: int, got: int) -> bool:
    return wanted == got or (wanted == SOME_FUNCTION and got != 0) or (
        wanted == SOME_INSIDE and got >= SOME_INSIDE)


def _compare_states(wanted: State, got: State) -> tuple[str, str] | None:
    for name, memory in wanted.memories.items():
        if memory != got.memories[name]:
            return "memory", f"{name}: {_difference(memory, got.memories[name])}"
    found = _compare_globals(wanted.globals, got.globals)
    if found is not None:
        return found
    for name, table in wanted.tables.items():
        ours = got.tables[name]
        if len(table) != len(ours):
            return "table", f"{name} has {len(ours)} elements, not {len(table)}"
        for place, (left, right) in enumerate(zip(table, ours, strict=True)):
            if not _same(left, right):
                return "table", f"{name}[{place}] is {right}, not {left}"
    if wanted.stdout != got.stdout:
        return "stdout", _difference(wanted.stdout, got.stdout)
    if wanted.stderr != got.stderr:
        return "stderr", _difference(wanted.stderr, got.stderr)
    return None


def _compare_globals(wanted: Mapping[str, int], got: Mapping[str, int]) -> tuple[str, str] | None:
    for name, bits in wanted.items():
        if not _same(bits, got[name]):
            return "global", f"{name} is {got[name]:#x}, not {bits:#x}"
    return None


def _difference(wanted: bytes, got: bytes) -> str:
    """Where two byte strings first differ."""
    if len(wanted) != len(got):
        return f"{len(got)} bytes, not {len(wanted)}: {got[:60]!r}, not {wanted[:60]!r}"
    places = [n for n in range(len(wanted)) if wanted[n] != got[n]]
    first = places[0]
    return (f"{len(places)} bytes differ, first at {first:#x}: "
            f"{got[first:first + _SHOWN].hex(' ')}, not {wanted[first:first + _SHOWN].hex(' ')}")

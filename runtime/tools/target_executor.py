"""A target as seen by a differential run: every script is an agent of one swarm.

It is driven with bit patterns, below the conversions of :class:`~swarmc.runtime.SwarmManager`, so
that every bit of a NaN counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...compiler.wasm.module import Module
from ...errors import ArgumentError
from ...ir import module as ir
from ...ir.types import EntityId, Trap, Type
from ...targets.base import Dispatch, Kernel, Slices, Target
from ...targets.base import Outcome as TargetOutcome
from ...targets.executable import CompileOptions, Executable
from ...targets.layout import Status
from ..compile import read_module, resolved, to_program
from ..hosts import host_codes
from ..inputs import encode_argv, encode_env, pack_strings
from .execution import AgentRun, Call, Loaded, Outcome, Setup, State, Workload
from .executors import function_handle, refusals
from .fuzz_imports import LOG_SIZE
from .isolation import Isolation

_NO_OFFSET = 0xFFFF_FFFF


class TargetExecutor:
    """Compiles for a target and runs every script as an agent of one swarm.

    Args:
        opt_level: of the target's compiler, None: its own choice.
    """

    def __init__(self, target: Target, *, opt_level: int | None = None) -> None:
        self.name = target.name
        self._target, self._level = target, opt_level

    def load(self, data: bytes, setup: Setup) -> Loaded:
        """Compile; see :class:`~.execution.Executor`."""
        with refusals():
            options = resolved(CompileOptions(
                self._target.name, setup.entry_points, setup.max_memory,
                opt_level=self._level, patient=True, missing_imports=setup.missing_imports,
                heap=setup.heap,
            ), self._target)
            module = read_module(data)
            program = to_program(module, options)
            executable = self._target.compile(program, options, hosts=host_codes)
        hosts = [] if self._target.embeds_hosts else _hosts(executable)
        return _Compiled(module, program, self._target.load(executable, hosts))


class _Compiled:
    """A kernel, which runs all scripts at once."""

    def __init__(self, module: Module, program: ir.Module, kernel: Kernel) -> None:
        self._module, self._program, self._kernel = module, program, kernel

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        isolation = Isolation(self._program, self._kernel.executable.layout, len(workload.scripts))
        slices = self._kernel.allocate(isolation.capacity, LOG_SIZE)
        try:
            swarm = _Swarm(self._module, self._program, self._kernel, slices, workload, isolation)
            return swarm.run()
        finally:
            slices.close()


def _hosts(executable: Executable) -> list[int]:
    if not executable.hosts:
        return []
    from ..hosts import resolve  # host functions are compiled only where they are imported

    return resolve(executable.hosts)


class _Swarm:
    """One run: an agent for each script."""

    def __init__(self, module: Module, program: ir.Module, kernel: Kernel, slices: Slices,
                 workload: Workload, isolation: Isolation) -> None:
        self.module, self.program, self.kernel, self.slices = module, program, kernel, slices
        self.workload, self.isolation = workload, isolation
        self.executable = kernel.executable
        self.entries = {entry.name: entry for entry in self.executable.entries}
        self.numbers = [id_.index for id_ in program.function_numbers()]
        self.globals = {item.name: item.offset for item in self.executable.global_exports}
        self.slots = isolation.slots
        self.stdout = [b""] * len(self.slots)
        self.stderr = [b""] * len(self.slots)

    def run(self) -> list[AgentRun]:
        scripts = self.workload.scripts
        self.kernel.instantiate(self.slices, self.slots)
        self.isolation.prepare(self.slices)
        for slot, script in zip(self.slots.tolist(), scripts, strict=True):
            if script.memory:
                self.slices.write_memory(slot, 0, script.memory)
        count = len(scripts[0].calls)
        assert all(len(script.calls) == count for script in scripts)
        runs: list[list[Outcome]] = [[] for _ in scripts]
        for number in range(count):
            calls = [script.calls[number] for script in scripts]
            for outcomes, outcome in zip(runs, self._dispatch(calls), strict=True):
                outcomes.append(outcome)
        foreign = self.isolation.check(self.slices)
        return [AgentRun(outcomes, self._state(place), foreign.get(place, ""))
                for place, outcomes in enumerate(runs)]

    def _dispatch(self, calls: Sequence[Call]) -> list[Outcome]:
        scripts = self.workload.scripts
        rows = [to_slots(self.entries[c.entry].type.params, c.args) for c in calls]
        width = max(map(len, rows))
        args = np.array([row + [0] * (width - len(row)) for row in rows], np.uint64)
        request = Dispatch(
            self.slots, np.arange(len(rows)),
            np.array([self.entries[call.entry].number for call in calls], np.int32),
            args.reshape(len(rows), width),
            pack_strings([script.stdin for script in scripts], len(scripts)),
            pack_strings([encode_argv(script.argv) for script in scripts], len(scripts)),
            pack_strings([encode_env(dict(script.environ)) for script in scripts], len(scripts)),
            fuel=self.workload.fuel)
        outcome = self.kernel.dispatch(self.slices, request)
        if self.executable.hosts:  # each dispatch begins with empty output
            self._keep(self.stdout)
            self._keep(self.stderr, errors=True)
        return [self._outcome(outcome, n, call.entry) for n, call in enumerate(calls)]

    def _keep(self, streams: list[bytes], *, errors: bool = False) -> None:
        """Append what every agent wrote in the last dispatch."""
        data, lengths = self.slices.outputs(self.slots, errors=errors)
        start = 0
        for place, length in enumerate(lengths.tolist()):
            streams[place] += data[start : start + length].tobytes()
            start += length

    def _outcome(self, outcome: TargetOutcome, place: int, entry: str) -> Outcome:
        word, used = int(outcome.status[place]), int(outcome.used[place])
        code = word & 0xFF
        if code == Status.EXITED:
            return Outcome(exit_code=word >> 8 & 0xFFFF_FFFF, fuel=used)
        if code != Status.RETURNED:
            offset = word >> 8 & _NO_OFFSET
            return Outcome(trap=Trap(code), offset=None if offset == _NO_OFFSET else offset,
                           fuel=used)
        types = self.entries[entry].type.results
        return Outcome(from_slots(types, outcome.results[place].tolist(), self.numbers), fuel=used)

    def _state(self, place: int) -> State:
        slices, layout, slot = self.slices, self.executable.layout, int(self.slots[place])
        state = State(stdout=self.stdout[place], stderr=self.stderr[place])
        for export in self.module.exports:
            id_ = EntityId(0, export.index)
            if export.kind == "memory":
                number = layout.memory_number(id_)
                size = slices.memory_size(slot, number)
                state.memories[export.name] = slices.read_memory(slot, 0, size, number)
            elif export.kind == "table":
                state.tables[export.name] = self._table(slot, id_)
            elif export.kind == "global":
                type_ = self.program.globals[id_].type
                data = slices.read_state(slot, self.globals[export.name],
                                         16 if type_ is Type.V128 else 8)
                bits = int.from_bytes(data, "little") & ((1 << type_.bits) - 1)
                state.globals[export.name] = function_handle(type_, bits, self.numbers)
        return state

    def _table(self, slot: int, id_: EntityId) -> tuple[int, ...]:
        where, element = self.executable.layout.tables[id_], self.program.tables[id_].type
        if where.shared:
            data = self.executable.tables[where.number]
        else:
            size = int.from_bytes(self.slices.read_state(slot, where.size, 8), "little")
            data = self.slices.read_state(slot, where.elements, 8 * size)
        handles = np.frombuffer(data, "<u8").tolist()
        return tuple(function_handle(element, bits, self.numbers) for bits in handles)


def to_slots(types: Sequence[Type], args: Sequence[int]) -> list[int]:
    """Arguments as 64-bit slots."""
    if len(types) != len(args):
        raise ArgumentError(f"{len(types)} arguments are needed, not {len(args)}")
    slots: list[int] = []
    for type_, bits in zip(types, args, strict=True):
        slots.append(bits & 0xFFFF_FFFF_FFFF_FFFF)
        if type_ is Type.V128:
            slots.append(bits >> 64)
    return slots


def from_slots(
    types: Sequence[Type], slots: Sequence[int], numbers: Sequence[int]
) -> tuple[int, ...]:
    """Bit patterns from 64-bit slots; ``numbers`` are what functions are called instead."""
    values, place = [], 0
    for type_ in types:
        bits = slots[place]
        place += 1
        if type_ is Type.V128:
            bits |= slots[place] << 64
            place += 1
        bits &= (1 << type_.bits) - 1
        values.append(function_handle(type_, bits, numbers))
    return tuple(values)

"""swarmc as seen by a differential run: the IR interpreter, and a target.

Both are driven with bit patterns, below the conversions of :class:`~swarmc.runtime.SwarmManager`,
so that every bit of a NaN counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ...compiler.frontend.translate import translate
from ...compiler.pipeline import LEVELS, optimise
from ...compiler.wasm.decoder import decode
from ...compiler.wasm.module import Module
from ...compiler.wasm.validator import validate
from ...errors import (
    ArgumentError,
    DecodeError,
    InstantiationError,
    LinkError,
    SwarmcError,
    UnsupportedFeatureError,
    ValidationError,
)
from ...ir import module as ir
from ...ir.interpreter import Interpreter
from ...ir.interpreter import Outcome as IrOutcome
from ...ir.passes.manager import FunctionPass
from ...ir.types import EntityId, FuncType, Trap, Type
from ...ir.verifier import verify
from ...targets.base import Dispatch, Int64s, Kernel, Slices, Target
from ...targets.base import Outcome as TargetOutcome
from ...targets.executable import CompileOptions, Executable
from ...targets.layout import Status, plan_layout
from ..compile import read_module, to_program
from ..inputs import encode_argv, encode_env, pack_strings
from .execution import (
    AgentRun,
    Call,
    Loaded,
    Outcome,
    Rejected,
    Script,
    Setup,
    State,
    Workload,
)

_STAGES: dict[type[SwarmcError], str] = {
    DecodeError: "decode", ValidationError: "validate", LinkError: "link",
    InstantiationError: "instantiate", UnsupportedFeatureError: "unsupported",
}
_NO_OFFSET = 0xFFFF_FFFF
OUTPUT_SIZE = 1 << 16


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the errors by which swarmc refuses a module into :class:`Rejected`."""
    try:
        yield
    except SwarmcError as error:
        stage = _STAGES.get(type(error))
        if stage is None:
            raise
        raise Rejected(str(error), stage) from error


class InterpreterExecutor:
    """Runs the IR, slowly and obviously.

    Args:
        level: optimisation level of the pipeline that runs before.
        passes: function passes that run after it.
        name: for reports.
    """

    def __init__(self, *, level: int = 0, passes: Sequence[FunctionPass] = (),
                 name: str = "") -> None:
        self.name = name or f"interpreter at level {level}"
        self._level, self._passes = level, passes

    def load(self, data: bytes, setup: Setup) -> Loaded:
        """Decode to IR; see :class:`~.execution.Executor`."""
        with _refusals():
            module = decode(data)
            validate(module)
            program = translate(module, missing_imports=setup.missing_imports, known_host=_no_host)
            verify(program)
            optimise(program, verify=True, level=self._level)
            for function in program.functions.values():
                for run in self._passes:
                    run(function, program)
            verify(program)
            layout = plan_layout(program, max_memory=setup.max_memory)
            agent = Interpreter(
                program,
                max_pages={m.id: m.reserve // ir.PAGE_SIZE for m in layout.memories},
                max_elements={t.id: t.capacity for t in layout.tables.values()})
        return _Interpreted(agent, module)


def pass_executors(passes: Sequence[FunctionPass] = LEVELS[-1]) -> list[InterpreterExecutor]:
    """The interpreter before and after each pass: the first that is wrong names the pass."""
    executors = [InterpreterExecutor(name="interpreter without passes")]
    for count, last in enumerate(passes, 1):
        name = f"interpreter after pass {count}, {last.__name__}"
        executors.append(InterpreterExecutor(passes=passes[:count], name=name))
    return executors


class _Interpreted:
    """A program in the interpreter, which runs one agent after the other."""

    def __init__(self, agent: Interpreter, module: Module) -> None:
        self._agent, self._module = agent, module

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        return [self._script(script, workload.fuel) for script in workload.scripts]

    def _script(self, script: Script, fuel: int) -> AgentRun:
        agent = self._agent
        agent.instantiate()
        if script.memory:
            agent.state.memories[EntityId(0, 0)][: len(script.memory)] = script.memory
        entries = {e.name: e.id for e in agent.module.function_exports()}
        outcomes: list[Outcome] = []
        started = False
        for call in script.calls:
            if not started:
                start = agent.start(fuel)
                if start.trap is not None:
                    outcomes.append(_from_ir(start))
                    continue
                started = True
            outcomes.append(_from_ir(agent.invoke(entries[call.entry], call.args, fuel)))
        return AgentRun(outcomes, self._state())

    def _state(self) -> State:
        agent, state, owned = self._agent, State(), self._agent.state
        numbers = [id_.index for id_ in owned.functions]
        for export in self._module.exports:
            id_ = EntityId(0, export.index)
            if export.kind == "memory":
                state.memories[export.name] = bytes(owned.memories[id_])
            elif export.kind == "table":
                element = agent.module.tables[id_].type
                state.tables[export.name] = tuple(
                    _function_handle(element, item, numbers) for item in owned.tables[id_])
            elif export.kind == "global":
                state.globals[export.name] = _function_handle(
                    agent.module.globals[id_].type, owned.globals[id_], numbers)
        return state


def _from_ir(outcome: IrOutcome) -> Outcome:
    offset = None if outcome.loc < 0 else outcome.loc
    return Outcome(outcome.results, outcome.trap, offset, outcome.exit_code, outcome.fuel_used)


def _function_handle(type_: Type, bits: int, numbers: Sequence[int]) -> int:
    """The handle of a reference in the numbering of the module itself."""
    return numbers[bits - 1] + 1 if type_ is Type.FUNCREF and bits else bits


def _no_host(module: str, name: str, type_: FuncType) -> bool:
    return False


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
        with _refusals():
            options = CompileOptions(
                self._target.name, setup.entry_points, setup.max_memory,
                opt_level=self._level, missing_imports=setup.missing_imports)
            module = read_module(data)
            program = to_program(module, options)
            executable = self._target.compile(program, options)
        return _Compiled(module, program, self._target.load(executable, _hosts(executable)))


class _Compiled:
    """A kernel, which runs all scripts at once."""

    def __init__(self, module: Module, program: ir.Module, kernel: Kernel) -> None:
        self._module, self._program, self._kernel = module, program, kernel

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        slices = self._kernel.allocate(len(workload.scripts), OUTPUT_SIZE)
        try:
            return _Swarm(self._module, self._program, self._kernel, slices, workload).run()
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
                 workload: Workload) -> None:
        self.module, self.program, self.kernel, self.slices = module, program, kernel, slices
        self.workload = workload
        self.executable = kernel.executable
        self.entries = {entry.name: entry for entry in self.executable.entries}
        self.numbers = [id_.index for id_ in program.function_numbers()]
        self.globals = {item.name: item.offset for item in self.executable.global_exports}
        self.slots: Int64s = np.arange(len(workload.scripts), dtype=np.int64)
        self.stdout = [b""] * len(self.slots)
        self.stderr = [b""] * len(self.slots)

    def run(self) -> list[AgentRun]:
        scripts = self.workload.scripts
        self.kernel.instantiate(self.slices, self.slots)
        for slot, script in enumerate(scripts):
            if script.memory:
                self.slices.write_memory(slot, 0, script.memory)
        count = len(scripts[0].calls)
        assert all(len(script.calls) == count for script in scripts)
        runs: list[list[Outcome]] = [[] for _ in scripts]
        for number in range(count):
            calls = [script.calls[number] for script in scripts]
            for outcomes, outcome in zip(runs, self._dispatch(calls), strict=True):
                outcomes.append(outcome)
        return [AgentRun(outcomes, self._state(slot)) for slot, outcomes in enumerate(runs)]

    def _dispatch(self, calls: Sequence[Call]) -> list[Outcome]:
        scripts = self.workload.scripts
        rows = [to_slots(self.entries[c.entry].type.params, c.args) for c in calls]
        width = max(map(len, rows))
        args = np.array([row + [0] * (width - len(row)) for row in rows], np.uint64)
        request = Dispatch(
            self.slots, self.slots,
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
        place = 0
        for slot, length in enumerate(lengths.tolist()):
            streams[slot] += data[place : place + length].tobytes()
            place += length

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

    def _state(self, slot: int) -> State:
        slices, layout = self.slices, self.executable.layout
        state = State(stdout=self.stdout[slot], stderr=self.stderr[slot])
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
                state.globals[export.name] = _function_handle(type_, bits, self.numbers)
        return state

    def _table(self, slot: int, id_: EntityId) -> tuple[int, ...]:
        where, element = self.executable.layout.tables[id_], self.program.tables[id_].type
        if where.shared:
            data = self.executable.tables[where.number]
        else:
            size = int.from_bytes(self.slices.read_state(slot, where.size, 8), "little")
            data = self.slices.read_state(slot, where.elements, 8 * size)
        handles = np.frombuffer(data, "<u8").tolist()
        return tuple(_function_handle(element, bits, self.numbers) for bits in handles)


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
        values.append(_function_handle(type_, bits, numbers))
    return tuple(values)

"""The IR interpreter as seen by a differential run; a target is in :mod:`.target_executor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...compiler.frontend.translate import translate
from ...compiler.pipeline import LEVELS, optimise
from ...compiler.wasm.decoder import decode
from ...compiler.wasm.module import Module
from ...compiler.wasm.validator import validate
from ...errors import (
    DecodeError,
    InstantiationError,
    LinkError,
    SwarmcError,
    UnsupportedFeatureError,
    ValidationError,
)
from ...ir import exceptions
from ...ir import module as ir
from ...ir.interpreter import Interpreter
from ...ir.machine import Outcome as IrOutcome
from ...ir.passes.dead_functions import dead_functions
from ...ir.passes.manager import FunctionPass
from ...ir.state import AgentState
from ...ir.types import EntityId, Trap, Type
from ...ir.verifier import verify
from ...targets.layout import plan_layout
from .execution import AgentRun, Outcome, Rejected, Script, Setup, State, Workload
from .fuzz_imports import LOG_SIZE, interpreted, is_log

_STAGES: dict[type[SwarmcError], str] = {
    DecodeError: "decode", ValidationError: "validate", LinkError: "link",
    InstantiationError: "instantiate", UnsupportedFeatureError: "unsupported",
}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the errors by which swarmc refuses a module into :class:`Rejected`."""
    try:
        yield
    except SwarmcError as error:
        stage = _STAGES.get(type(error))
        if stage is None:
            raise
        raise Rejected(str(error), stage) from error


@dataclass(frozen=True, slots=True)
class Trace:
    """What of a module ran, as byte offsets of instructions.

    Attributes:
        entered: first instructions of the functions that were called.
        translated: instructions that have IR of their own.
        executed: those of them that stand in a basic block that was entered.
    """

    module: Module
    entered: set[int]
    translated: set[int]
    executed: set[int]


class InterpreterExecutor:
    """Runs the IR, slowly and obviously.

    Args:
        level: optimisation level of the pipeline that runs before.
        passes: function passes that run after it.
        prune: whether functions that nothing reaches are removed before all that.
        name: for reports.
    """

    def __init__(self, *, level: int = 0, passes: Sequence[FunctionPass] = (),
                 prune: bool = False, name: str = "") -> None:
        self.name = name or f"interpreter at level {level}"
        self._level, self._passes, self._prune = level, passes, prune

    def load(self, data: bytes, setup: Setup) -> _Interpreted:
        """Decode to IR; see :class:`~.execution.Executor`."""
        with refusals():
            module = decode(data)
            validate(module)
            program = translate(module, missing_imports=setup.missing_imports, known_host=is_log,
                                heap=setup.heap)
            verify(program)
            if self._prune:
                dead_functions(program)
            optimise(program, verify=True, level=self._level)
            for function in program.functions.values():
                for run in self._passes:
                    run(function, program)
            verify(program)
            layout = plan_layout(program, max_memory=setup.max_memory)
            log = bytearray()
            agent = Interpreter(
                program, interpreted(log.extend),
                max_pages={m.id: m.reserve // ir.PAGE_SIZE for m in layout.memories},
                max_elements={t.id: t.capacity for t in layout.tables.values()})
        return _Interpreted(agent, module, log)

    def trace(self, data: bytes, setup: Setup, workload: Workload) -> Trace:
        """Run a module and say what of it ran. Passes would remove or move instructions.

        Raises:
            Rejected: as by :meth:`load`.
        """
        loaded = self.load(data, setup)
        loaded.run(workload)
        return loaded.trace()


def pass_executors(passes: Sequence[FunctionPass] = LEVELS[-1]) -> list[InterpreterExecutor]:
    """The interpreter before and after each pass: the first that is wrong names the pass."""
    executors = [InterpreterExecutor(name="interpreter without passes"),
                 InterpreterExecutor(prune=True, name="interpreter after dead_functions")]
    for count, last in enumerate(passes, 1):
        name = f"interpreter after pass {count}, {last.__name__}"
        executors.append(InterpreterExecutor(passes=passes[:count], prune=True, name=name))
    return executors


class _Interpreted:
    """A program in the interpreter, which runs one agent after the other."""

    def __init__(self, agent: Interpreter, module: Module, log: bytearray) -> None:
        self._agent, self._module, self._log = agent, module, log

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        return [self._script(script, workload.fuel) for script in workload.scripts]

    def trace(self) -> Trace:
        """What of the module has run so far."""
        entered = set(self._agent.entered())
        functions = self._agent.module.functions.values()
        blocks = [block for function in functions for block in function.blocks]
        return Trace(
            self._module, {f.loc for f in functions if f.blocks[0] in entered},
            {inst.loc for block in blocks for inst in block.insts},
            {inst.loc for block in entered for inst in block.insts})

    def _script(self, script: Script, fuel: int) -> AgentRun:
        agent = self._agent
        agent.instantiate()
        if script.memory:
            agent.state.memories[EntityId(0, 0)][: len(script.memory)] = script.memory
        entries = {e.name: e.id for e in agent.module.function_exports()}
        outcomes: list[Outcome] = []
        started, output = False, b""
        for call in script.calls:
            output += self._logged()
            if not started:
                start = agent.start(fuel)
                if start.results is None:
                    outcomes.append(_from_ir(start, agent.state))
                    continue
                started = True
            outcome = agent.invoke(entries[call.entry], call.args, fuel)
            outcomes.append(_from_ir(outcome, agent.state))
        return AgentRun(outcomes, self._state(output + self._logged()))

    def _logged(self) -> bytes:
        """What was logged since the last time, as far as it is kept."""
        data = bytes(self._log[:LOG_SIZE])
        self._log.clear()
        return data

    def _state(self, output: bytes) -> State:
        agent, state, owned = self._agent, State(stdout=output), self._agent.state
        numbers = [id_.index for id_ in owned.functions]
        for export in self._module.exports:
            id_ = EntityId(0, export.index)
            if export.kind == "memory":
                state.memories[export.name] = bytes(owned.memories[id_])
            elif export.kind == "table":
                element = agent.module.tables[id_].type
                state.tables[export.name] = tuple(
                    function_handle(element, item, numbers) for item in owned.tables[id_])
            elif export.kind == "global":
                state.globals[export.name] = function_handle(
                    agent.module.globals[id_].type, owned.globals[id_], numbers)
        return state


def _from_ir(outcome: IrOutcome, state: AgentState) -> Outcome:
    if outcome.exception is not None:
        word = state.load(exceptions.HEAP, outcome.exception + exceptions.PLACE, 8)
        thrown_at, _ = exceptions.thrown_at(word)
        return Outcome(trap=Trap.UNCAUGHT_EXCEPTION, offset=thrown_at, fuel=outcome.fuel_used)
    offset = None if outcome.loc < 0 else outcome.loc
    return Outcome(outcome.results, outcome.trap, offset, outcome.exit_code, outcome.fuel_used)


def function_handle(type_: Type, bits: int, numbers: Sequence[int]) -> int:
    """The handle of a reference in the numbering of the module itself."""
    return numbers[bits - 1] + 1 if type_ is Type.FUNCREF and bits else bits

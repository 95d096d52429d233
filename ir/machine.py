"""Runs one invocation of the interpreter: frames, fuel and depth, calls and control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import IRError
from . import ops as o
from .function import Edge, Function, Inst, Value
from .module import HostFunction
from .ops import Op
from .printer import Names, print_inst
from .semantics import EVALUABLE, evaluator
from .state import AgentState, Trapped
from .state_ops import STATE_HANDLERS
from .types import EntityId, Trap
from .vector_semantics import Evaluator

if TYPE_CHECKING:
    from .interpreter import Interpreter


@dataclass(frozen=True, slots=True)
class Exited:
    """What a host function returns to end the agent with an exit code."""

    code: int


HostResult = Sequence[int] | Trap | Exited
#: A host function: the agent's state and argument bits to result bits, or another end.
HostCall = Callable[[AgentState, list[int]], HostResult]


@dataclass(frozen=True, slots=True)
class Thrown:
    """An exception on its way, instead of results."""

    exception: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended: exactly one of results, trap, exit_code and exception is there.

    Attributes:
        results: bit patterns.
        exception: the exnref that nobody caught.
        loc: of a trap, byte offset of its instruction in the module of ``instance``, or -1. A
            call that exhausts the call stack traps at the callee's first instruction.
        fuel_used: exact; on a trap the trapping instruction is counted, later ones are not.
    """

    fuel_used: int
    results: tuple[int, ...] | None = None
    trap: Trap | None = None
    exit_code: int | None = None
    exception: int | None = None
    loc: int = -1
    instance: int = 0


class _Ended(Exception):
    """An end that is no trap of the running instruction."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


#: A block's instructions, each with its evaluator if it is a pure one.
Steps = list[tuple[Evaluator | None, Inst]]


def evaluator_of(inst: Inst) -> Evaluator | None:
    """What computes an instruction from its operands' bits; None if it does more than that."""
    if inst.op is o.CONST:
        bits: int = inst.attrs[0]
        return lambda: bits
    if inst.op in EVALUABLE:
        types = tuple([value.type for value in inst.args])
        return evaluator(inst.op, inst.type, types, inst.attrs)
    return None


class Frame:
    """An activation of a function, and where it stands.

    Attributes:
        env: the bits of the values defined so far.
    """

    __slots__ = ("env", "function", "index", "steps")

    def __init__(self, function: Function, steps: Steps, args: list[int]) -> None:
        self.function = function
        self.steps = steps
        self.index = 0
        self.env: dict[Value, int] = dict(zip(function.blocks[0].params, args, strict=True))

    @property
    def inst(self) -> Inst:
        """The instruction that runs, or the call that waits."""
        return self.steps[self.index - 1][1]


class Machine:
    """One invocation: frames, fuel and depth.

    Attributes:
        used: fuel charged so far. depth: units of call depth in use.
    """

    def __init__(self, agent: Interpreter, fuel: int) -> None:
        self.agent = agent
        self.module = agent.module
        self.state = agent.state
        self.budget = fuel
        self.used = 0
        self.depth = 0
        self.frames: list[Frame] = []

    def run(self, function: EntityId, args: list[int]) -> Outcome:
        """Run to the end."""
        try:
            self.call(function, args)
            while True:
                self._run_block(self.frames[-1])
        except _Ended as end:
            return end.outcome
        except Trapped as trap:
            return self._trapped(trap)
        except (ArithmeticError, ValueError, IndexError) as error:
            if not self.frames:
                raise
            inside = self.frames[-1].function
            text = print_inst(self.frames[-1].inst, Names(inside))
            raise IRError(f"undefined: {text}: {error}", function=str(inside.id)) from error

    def _run_block(self, frame: Frame) -> None:
        """Run until control leaves the frame or goes to another block."""
        env, steps = frame.env, frame.steps
        while True:
            evaluate, inst = steps[frame.index]
            frame.index += 1
            if evaluate is not None:
                env[inst.results[0]] = evaluate(*[env[value] for value in inst.args])
            elif inst.op in STATE_HANDLERS:
                STATE_HANDLERS[inst.op](self.state, env, inst)
            elif HANDLERS[inst.op](self, frame, inst):
                return

    def _trapped(self, trap: Trapped) -> Outcome:
        used, place = self.used, trap.place
        if place is None:
            if not self.frames:
                return Outcome(used, trap=trap.code)
            frame = self.frames[-1]
            used -= frame.inst.prepaid
            place = frame.inst.loc, frame.function.id.instance
        return Outcome(used, trap=trap.code, loc=place[0], instance=place[1])

    def goto(self, frame: Frame, edge: Edge, appended: Sequence[int] = ()) -> None:
        """Take an edge, passing its arguments and what is appended to them."""
        env = frame.env
        values = [*(env[value] for value in edge.args), *appended]
        env.update(zip(edge.block.params, values, strict=True))
        frame.steps = self.agent.steps(edge.block)
        frame.index = 0

    def call(self, id_: EntityId, args: list[int]) -> None:
        """Enter a function, or run one of the host to its end."""
        host = self.module.host_functions.get(id_)
        if host is not None:
            self.deliver(self.call_host(host, args))
            return
        function = self.module.functions[id_]
        if self.depth + function.units > self.agent.call_depth:
            raise Trapped(Trap.CALL_STACK_EXHAUSTED, (function.loc, id_.instance))
        self.depth += function.units
        self.frames.append(Frame(function, self.agent.steps(function.blocks[0]), args))

    def call_host(self, host: HostFunction, args: list[int]) -> Sequence[int]:
        """Results of a host function, unless it ends the agent."""
        if host.missing:
            raise Trapped(Trap.MISSING_IMPORT)
        result = self.agent.host[host.module, host.name](self.state, args)
        if isinstance(result, Trap):
            raise Trapped(result)
        if isinstance(result, Exited):
            raise _Ended(Outcome(self.used, exit_code=result.code))
        return result

    def leave(self) -> None:
        """End the activation of the running function."""
        self.depth -= self.frames.pop().function.units

    def deliver(self, results: Sequence[int] | Thrown) -> None:
        """Give results to the call that waits in the last frame.

        If the callee threw instead, the nearest call with a second edge takes it.
        """
        while self.frames:
            frame = self.frames[-1]
            inst = frame.inst
            if not isinstance(results, Thrown):
                if inst.edges:
                    self.goto(frame, inst.edges[0], results)
                else:
                    frame.env.update(zip(inst.results, results, strict=True))
                return
            if inst.edges:
                self.goto(frame, inst.edges[1], (results.exception,))
                return
            self.leave()
        if isinstance(results, Thrown):
            raise _Ended(Outcome(self.used, exception=results.exception))
        raise _Ended(Outcome(self.used, results=tuple(results)))


# Handlers of calls, control and fuel. They return whether control went elsewhere.

Handler = Callable[[Machine, Frame, Inst], bool | None]


def _callee(machine: Machine, frame: Frame, inst: Inst) -> tuple[EntityId, list[int]]:
    """The function that a call calls, and its arguments."""
    args = [frame.env[value] for value in inst.args]
    if inst.op.attrs[0] is o.Attr.FUNC:
        return inst.attrs[0], args
    id_ = machine.state.referenced(args.pop(0))
    if not machine.module.is_subtype(machine.module.sig_of(id_), inst.attrs[0]):
        raise ValueError("the function is of another signature")
    if id_ in machine.module.removed:
        raise ValueError(f"function {id_} was removed")
    return id_, args


def _call(machine: Machine, frame: Frame, inst: Inst) -> bool:
    machine.call(*_callee(machine, frame, inst))
    return True


def _return_call(machine: Machine, frame: Frame, inst: Inst) -> bool:
    id_, args = _callee(machine, frame, inst)
    host = machine.module.host_functions.get(id_)
    if host is not None:
        results = machine.call_host(host, args)
        machine.leave()
        machine.deliver(results)
    else:
        machine.leave()
        machine.call(id_, args)
    return True


def _return(machine: Machine, frame: Frame, inst: Inst) -> bool:
    results = [frame.env[value] for value in inst.args]
    machine.leave()
    machine.deliver(results)
    return True


def _throw(machine: Machine, frame: Frame, inst: Inst) -> bool:
    exception = frame.env[inst.args[0]]
    if not exception:
        raise ValueError("the exception is null")
    machine.leave()
    machine.deliver(Thrown(exception))
    return True


def _jump(machine: Machine, frame: Frame, inst: Inst) -> bool:
    machine.goto(frame, inst.edges[0])
    return True


def _br_if(machine: Machine, frame: Frame, inst: Inst) -> bool:
    machine.goto(frame, inst.edges[0 if frame.env[inst.args[0]] else 1])
    return True


def _br_table(machine: Machine, frame: Frame, inst: Inst) -> bool:
    machine.goto(frame, inst.edges[min(frame.env[inst.args[0]], len(inst.edges) - 1)])
    return True


def _trap(machine: Machine, frame: Frame, inst: Inst) -> None:
    raise Trapped(inst.attrs[0])


def _trap_if(machine: Machine, frame: Frame, inst: Inst) -> None:
    if frame.env[inst.args[0]]:
        raise Trapped(inst.attrs[0])


def _charge(machine: Machine, frame: Frame, inst: Inst) -> None:
    machine.used += inst.attrs[0]


def _charge_by(machine: Machine, frame: Frame, inst: Inst) -> None:
    machine.used += frame.env[inst.args[0]]


def _fuel_check(machine: Machine, frame: Frame, inst: Inst) -> None:
    if machine.used >= machine.budget:
        raise Trapped(Trap.OUT_OF_FUEL)


def _fuel_covers(machine: Machine, frame: Frame, inst: Inst) -> None:
    frame.env[inst.result] = int(machine.budget - machine.used > frame.env[inst.args[0]])


HANDLERS: dict[Op, Handler] = {
    o.CALL: _call,
    o.CALL_REF: _call,
    o.TRY_CALL: _call,
    o.TRY_CALL_REF: _call,
    o.RETURN_CALL: _return_call,
    o.RETURN_CALL_REF: _return_call,
    o.RETURN: _return,
    o.THROW: _throw,
    o.JUMP: _jump,
    o.BR_IF: _br_if,
    o.BR_TABLE: _br_table,
    o.TRAP: _trap,
    o.TRAP_IF: _trap_if,
    o.CHARGE: _charge,
    o.CHARGE_BY: _charge_by,
    o.FUEL_CHECK: _fuel_check,
    o.FUEL_COVERS: _fuel_covers,
}

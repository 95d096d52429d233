"""Runs IR, slowly and obviously: the oracle that passes and targets are compared with.

Where compiled code may do anything, because an op's "needs" does not hold or a load is not
guarded or not aligned as it claims, the interpreter raises :class:`~swarmc.errors.IRError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..errors import ArgumentError, LinkError
from .function import Block
from .machine import HostCall, Machine, Outcome, Steps, evaluator_of
from .module import Module
from .state import AgentState
from .types import EntityId

DEFAULT_FUEL = 10**10



class Interpreter:
    """One agent of a program.

    Args:
        module: the program; it should verify.
        host: host functions by (module, name).
        max_pages, max_elements: see :class:`~.state.AgentState`.
        call_depth: units of call depth that may be in use at once.

    Attributes:
        state: what the agent owns.

    Raises:
        LinkError: a host function that is not ``missing`` is not among ``host``.
        InstantiationError: an active segment does not fit.
    """

    def __init__(
        self,
        module: Module,
        host: Mapping[tuple[str, str], HostCall] | None = None,
        *,
        max_pages: Mapping[EntityId, int] | None = None,
        max_elements: Mapping[EntityId, int] | None = None,
        call_depth: int = 2048,
    ) -> None:
        self.module = module
        self.host = host or {}
        self.call_depth = call_depth
        self._limits = max_pages, max_elements
        self._steps: dict[Block, Steps] = {}
        lacking = [
            f"{function.module}.{function.name}" for function in module.host_functions.values()
            if not function.missing and (function.module, function.name) not in self.host
        ]
        if lacking:
            raise LinkError(f"unknown import: {', '.join(lacking)}")
        self.instantiate()

    def instantiate(self) -> None:
        """Make the agent as if just instantiated."""
        self.state = AgentState(self.module, *self._limits)

    def start(self, fuel: int = DEFAULT_FUEL) -> Outcome:
        """Run the start functions, until one does not return."""
        used = 0
        for id_ in self.module.starts:
            outcome = self.invoke(id_, (), fuel - used)
            used += outcome.fuel_used
            if outcome.results is None:
                return replace(outcome, fuel_used=used)
        return Outcome(used, results=())

    def invoke(
        self, function: EntityId, args: Sequence[int] = (), fuel: int = DEFAULT_FUEL
    ) -> Outcome:
        """Call a function.

        Args:
            args: bit patterns, unsigned.
            fuel: the budget.

        Raises:
            ArgumentError: wrong number of arguments, or one that is no bit pattern of its type.
            IRError: the IR's behaviour is undefined.
        """
        params = self.module.types[self.module.sig_of(function)].params
        if len(params) != len(args):
            raise ArgumentError(f"function {function} takes {len(params)} arguments, "
                                f"not {len(args)}")
        for type_, bits in zip(params, args, strict=True):
            if not 0 <= bits < 1 << type_.bits:
                raise ArgumentError(f"{bits} is no bit pattern of {type_.value}")
        return Machine(self, fuel).run(function, list(args))

    def entered(self) -> Iterable[Block]:
        """Blocks that control has entered in some invocation."""
        return self._steps.keys()

    def steps(self, block: Block) -> Steps:
        """A block's instructions, each with its evaluator if it is a pure one."""
        found = self._steps.get(block)
        if found is None:
            found = self._steps[block] = [(evaluator_of(inst), inst) for inst in block.insts]
        return found

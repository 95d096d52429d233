"""Which instructions of the table a fuzzing run reached: generated, and executed.

*Executed* means: the instruction stands in a basic block that the IR interpreter entered when it
ran some of the same calls. That is decided before any pass, where each instruction still has its
own IR; those that leave no IR (``nop``, ``drop``, ``local.get`` …) count with what is before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...compiler.wasm.module import Body, Module
from ...compiler.wasm.opcodes import BY_NAME
from .execution import Rejected, Setup, Workload
from .executors import InterpreterExecutor, Trace

#: Scripts of a workload that are run to see what they execute, and fuel for each of their calls.
_SCRIPTS = 4
_FUEL = 20_000

#: What follows the first, and leaves no IR, cannot be reached; an arm of an ``if`` counts with
#: what comes after it.
_LEAVING = frozenset(BY_NAME[name] for name in (
    "unreachable", "br", "br_table", "return", "return_call", "return_call_indirect",
    "throw", "throw_ref"))
_ARMS = frozenset((BY_NAME["if"], BY_NAME["else"]))


class Coverage:
    """Instructions reached so far.

    Attributes:
        generated: names of those that some module contained. executed: of those that ran.
    """

    def __init__(self) -> None:
        self.generated: set[str] = set()
        self.executed: set[str] = set()

    def add(self, data: bytes, names: set[str], setup: Setup, workload: Workload) -> None:
        """Count a module; it runs only if it contains an instruction that none executed yet.

        Args:
            names: of the instructions that it contains.
        """
        self.generated |= names
        if names <= self.executed:
            return
        few = replace(workload, scripts=workload.scripts[:_SCRIPTS],
                      fuel=min(workload.fuel, _FUEL))
        try:
            trace = InterpreterExecutor().trace(data, setup, few)
        except Rejected:  # it cannot be instantiated, so nothing of it is executed
            return
        self.executed |= executed_names(trace)


def executed_names(trace: Trace) -> set[str]:
    """Names of the instructions that a traced run executed."""
    names = {row.name for body in _constant_expressions(trace.module) for row in body.ops}
    for func in trace.module.funcs:
        running: bool | None = func.body.offsets[0] in trace.entered
        waiting: list[str] = []  # of which it is not known yet
        for row, offset in zip(func.body.ops, func.body.offsets, strict=True):
            translated = offset in trace.translated
            if translated:
                running = offset in trace.executed
                names.update(waiting if running else ())
                waiting = []
            if running:
                names.add(row.name)
            elif running is None:
                waiting.append(row.name)
            if row in _LEAVING:
                running = False
            elif row in _ARMS:
                running = None if translated else False
    return names


def _constant_expressions(module: Module) -> Iterator[Body]:
    """What is evaluated when the module is instantiated."""
    yield from (item.init for item in module.globals)
    offsets = [item.init_offset for item in module.elems]
    offsets += [item.init_offset for item in module.data]
    yield from (body for body in offsets if body is not None)
    for elem in module.elems:
        yield from elem.items

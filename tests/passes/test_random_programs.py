"""Passes change no outcome of random programs: results, traps, places, fuel, state.

Both before and after the passes the interpreter gets wrong NaNs from ops that leave a NaN's bits
open, so that a missing canonicalisation shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from swarmc.compiler.pipeline import LEVELS, optimise
from swarmc.ir import ops as o
from swarmc.ir.builder import make
from swarmc.ir.function import Inst, Value
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Outcome
from swarmc.ir.module import Module
from swarmc.ir.passes.manager import MODULE_PASSES, PASSES
from swarmc.ir.printer import print_module
from swarmc.ir.types import Shape, Trap, Type
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.random_function import CONSTS, NAN_ANY
from swarmc.runtime.tools.random_program import make_program
from swarmc.runtime.tools.random_vectors import canonical_form

WRONG_NAN = {Type.F32: 0xFFA12345, Type.F64: 0xFFF4123456789ABC}
WRONG_LANES = {Shape.F32X4: 0xFFA12345 * sum(1 << 32 * i for i in range(4)),
               Shape.F64X2: 0xFFF4123456789ABC * (1 + (1 << 64))}


def with_wrong_nans(module: Module) -> Module:
    """Give every NaN that an op leaves unspecified bits that nobody wants."""
    for function in module.functions.values():
        for block in function.blocks:
            insts: list[Inst] = []
            for inst in block.insts:
                insts.append(inst)
                if inst.op in NAN_ANY:
                    # The choice takes over the value, which the instruction defines anew.
                    value = inst.result
                    inst.results = (Value(value.type, inst),)
                    insts += _chosen(inst)
                    insts[-1].results, value.definition = (value,), insts[-1]
            block.insts = insts
    verify(module)
    return module


def _chosen(inst: Inst) -> list[Inst]:
    """The last gives the instruction's result, or the wrong NaN where that is a NaN."""
    raw = inst.result
    if raw.type is Type.V128:
        _, _, attrs = canonical_form(inst.op, raw.type, inst.attrs)
        is_nan = make(o.VFNE, None, [raw, raw], attrs)
        wrong = make(o.CONST, raw.type, [], (WRONG_LANES[attrs[0]],))
        choice = make(o.VBITSELECT, None, [wrong.result, raw, is_nan.result])
    else:
        is_nan = make(o.FNE, raw.type, [raw, raw])
        wrong = make(o.CONST, raw.type, [], (WRONG_NAN[raw.type],))
        choice = make(o.SELECT, raw.type, [is_nan.result, wrong.result, raw])
    return [is_nan, wrong, choice]


def behaviour(module: Module, seed: int) -> list[object]:
    """All that can be observed of calls of the exports, plenty of fuel or little."""
    choose = random.Random(seed)
    log: list[object] = []

    def host(state: object, args: list[int]) -> list[int]:
        log.append(tuple(args))
        return [args[0] ^ 5]

    for budget in (3000, 3000, 3000, 3000, choose.randrange(150)):
        agent = Interpreter(module, {("test", "log"): host}, call_depth=50)
        for export in module.exports:
            params = module.functions[export.id].type.params
            args = [choose.choice((*CONSTS[type_], choose.getrandbits(type_.bits)))
                    for type_ in params]
            log.append(agent.invoke(export.id, args, budget))
        state = agent.state
        log += [state.globals, state.tables]
        log += [bytes(memory) for memory in state.memories.values()]
    return log


def check(seed: int, change: Callable[[Module], object]) -> None:
    expected = behaviour(with_wrong_nans(make_program(seed)), seed)
    module = make_program(seed)
    change(module)
    verify(module)
    text = print_module(module)
    assert behaviour(with_wrong_nans(module), seed) == expected, text


def every_function(name: str) -> Callable[[Module], None]:
    """Run a pass over all functions; a second run may find more, but not for ever."""
    def change(module: Module) -> None:
        for function in module.functions.values():
            for _ in range(20):
                if not PASSES[name](function, module):
                    break
            else:
                raise AssertionError("the pass never comes to rest")
    return change


@pytest.mark.parametrize("name", sorted(PASSES))
def test_one_pass_changes_nothing_that_can_be_observed(name: str) -> None:
    for seed in range(40):
        check(seed, every_function(name))


@pytest.mark.parametrize("name", sorted(MODULE_PASSES))
def test_one_module_pass_changes_nothing_that_can_be_observed(name: str) -> None:
    for seed in range(40):
        check(seed, MODULE_PASSES[name])


@pytest.mark.parametrize("level", range(1, len(LEVELS)))
def test_the_pipeline_changes_nothing_that_can_be_observed(level: int) -> None:
    for seed in range(1000, 1060):
        check(seed, lambda module: optimise(module, verify=True, level=level))


def test_passes_in_any_order_change_nothing_that_can_be_observed() -> None:
    def change(module: Module) -> None:
        for name in random.Random(len(module.functions)).choices(sorted(PASSES), k=12):
            for function in module.functions.values():
                PASSES[name](function, module)
            verify(module)

    for seed in range(2000, 2040):
        check(seed, change)


def test_the_programs_do_something() -> None:
    """Most calls return, and every kind of trap is met."""
    ends: list[Outcome] = []
    for seed in range(60):
        ends += [end for end in behaviour(make_program(seed), seed) if isinstance(end, Outcome)]
    assert sum(end.results is not None for end in ends) > len(ends) / 4
    met = {end.trap for end in ends}
    assert met >= {Trap.OUT_OF_FUEL, Trap.MEMORY_OUT_OF_BOUNDS, Trap.INTEGER_DIVIDE_BY_ZERO,
                   Trap.INVALID_CONVERSION, Trap.UNINITIALIZED_ELEMENT, Trap.UNREACHABLE}
